"""A topology: a folder with ``lab.yaml`` and ``network.yaml``, found by name, read and made into flows.

All mistakes of a ``lab.yaml`` are said at once, with their places, as those of a network are. What the
flows mean is not decided here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from pydantic import ValidationError

from dataplane.config.compose import Unreadable, compose
from dataplane.config.loader import load as load_network
from dataplane.config.network import Network
from dataplane.config.node import Node as Place
from dataplane.config.problem import InvalidConfig, Problem, path_text
from dataplane.config.source import check_text, read_sources
from dataplane.config.values import REFUSED
from dataplane.errors import ConfigError
from dataplane.model import names
from dataplane.model.resource import Origin
from lab.around import NodeSpec
from lab.expand import Complain, FlowMaker
from lab.language import LabFile
from lab.model import Flow, Inventory, Node, node_namespace
from lab.surroundings import Surroundings, Surveyor

TOPOLOGIES = Path(__file__).parent / "topologies"
LAB_FILE = "lab.yaml"

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """A topology that can be started.

    Args:
        name: of its folder.
        host: the name of its host.
        network: the file, or folder of files, that the host applies.
        behind: instance or node id -> addresses that it is the way to.
        surroundings: the nodes and wires around the host.
    """

    name: str
    folder: Path
    title: str
    description: str
    host: str
    network: Path
    inventory: Inventory
    behind: Mapping[str, Sequence[IPv4Address]]
    flows: tuple[Flow, ...]
    surroundings: Surroundings


def names_known() -> list[str]:
    """The names of the topologies that come with the project."""
    return sorted(path.parent.name for path in TOPOLOGIES.glob(f"*/{LAB_FILE}"))


def find_folder(name: str) -> Path:
    """The folder of a topology.

    Args:
        name: one of ``names_known()``, or the path of a folder (with a slash in it).

    Raises:
        ConfigError: there is no such topology.
    """
    folder = Path(name).resolve() if "/" in name or name == "." else TOPOLOGIES / name
    if (folder / LAB_FILE).is_file():
        return folder
    if folder.parent != TOPOLOGIES:
        known = ", ".join(names_known())
        raise ConfigError(f"{folder} has no {LAB_FILE}: name the folder of a topology, or one of {known}")
    raise ConfigError(
        f"there is no topology `{name}`: choose one of {', '.join(names_known())}, "
        f"or write the path of a folder that has a {LAB_FILE} (./{name})"
    )


def read_title(name: str) -> tuple[str, str]:
    """Title and description of a topology, without reading its network.

    Raises:
        InvalidConfig: its lab.yaml has mistakes.
    """
    file, _ = _read_lab_file(find_folder(name))
    return file.title, file.description


def load(name: str) -> Topology:
    """Read a topology and everything it says.

    Raises:
        ConfigError: there is no such topology.
        InvalidConfig: its lab.yaml or its network has mistakes; all of them are in the message.
    """
    folder = find_folder(name)
    file, places = _read_lab_file(folder)
    host, spec = next(iter(file.hosts.items()))
    network = load_network([folder / spec.network]).network
    problems: list[Problem] = []

    def complain(path: Path_, message: str, remedy: str) -> None:
        problems.append(_problem(places, path, message, remedy))

    inventory = _inventory(network, file)
    _check_ids(network, file, complain)
    surroundings = Surveyor(host, network, file.nodes, file.wires, complain).survey()
    maker = FlowMaker(inventory, lambda path: places.nearest(path).origin, complain)
    flows = tuple(maker.flows(file))
    if problems:
        raise InvalidConfig(problems)
    return Topology(
        folder.name,
        folder,
        file.title,
        file.description,
        host,
        folder / spec.network,
        inventory,
        dict(file.behind),
        flows,
        surroundings,
    )


def _check_ids(network: Network, file: LabFile, complain: Complain) -> None:
    """One id, one thing: a way could not tell a node from an instance or a router of its name."""
    instances = {id for vpc in network.vpcs.values() for id in vpc.instances}
    for what, ids in (("instance", instances), ("VPC", network.vpcs), ("VBR", network.vbrs), ("host", file.hosts)):
        for id in file.nodes:
            if id in ids:
                complain(("nodes", id), f"`{id}` is the id of a {what} too", "give the node another id")


def _inventory(network: Network, file: LabFile) -> Inventory:
    nodes: dict[str, Node] = {}
    for vpc_id, vpc in network.vpcs.items():
        for id, instance in vpc.instances.items():
            namespace = names.instance_namespace(id)
            if instance.attach is not None:
                namespace = instance.attach.namespace or names.pid_reference(instance.attach.pid or 0)
            nodes[id] = Node(id, vpc_id, namespace, instance.ip)
    for id, spec in file.nodes.items():
        nodes[id] = Node(id, None, node_namespace(id), _own_address(network, spec), "node")
    devices = {name: line.device for name, line in network.physical_connections.items()}
    return Inventory(
        nodes,
        {vpc_id: names.vpc_namespace(vpc_id) for vpc_id in network.vpcs},
        {vbr_id: names.vbr_namespace(vbr_id) for vbr_id in network.vbrs},
        {vbr_id: devices[vbr.physical_connection] for vbr_id, vbr in network.vbrs.items()},
        {id: service.ip for id, service in network.services.items()},
        next(iter(file.hosts)),
    )


def _own_address(network: Network, spec: NodeSpec) -> IPv4Address | None:
    """The first address of a node that the file gives it; else that of its first line."""
    for _, address in spec.addresses:
        return address.ip
    lines = [network.vbrs[vbr].peer_ip for vbr in spec.cpe_of if vbr in network.vbrs]
    return lines[0] if lines else None


def _read_lab_file(folder: Path) -> tuple[LabFile, Place]:
    problems: list[Problem] = []
    for source in read_sources([folder / LAB_FILE], problems):
        bad_text = check_text(source)
        if bad_text is not None:
            raise InvalidConfig([bad_text])
        try:
            places = compose(source.name, source.text, problems)
        except Unreadable as error:
            raise InvalidConfig([error.problem]) from error
        if places is None:
            origin = Origin(source.name, 1, 1)
            problems.append(Problem("error", origin, "", "the file is empty", None, "begin it with version: 1"))
        if problems or places is None:
            break
        try:
            return LabFile.model_validate(places.plain()), places
        except ValidationError as error:
            problems = list(_translate(error, places))
    raise InvalidConfig(problems)


def _translate(error: ValidationError, places: Place) -> Iterator[Problem]:
    """pydantic's errors in our words, each at its place."""
    for item in error.errors(include_url=False):
        path = _path_in_file(item["loc"], places)
        context = item.get("ctx", {})
        if item["type"] == REFUSED:
            yield _problem(places, path, context["message"], context["remedy"])
        elif item["type"] == "missing":
            yield _problem(places, path, f"the key `{item['loc'][-1]}` is missing", f"add {item['loc'][-1]}: ...")
        elif item["type"] == "extra_forbidden":
            yield _problem(places, path, f"the key `{path[-1]}` is unknown", "see the language in lab/README.md")
        else:
            yield _problem(places, path, item["msg"][0].lower() + item["msg"][1:], "see the language in lab/README.md")


def _path_in_file(loc: Sequence[str | int], places: Place) -> Path_:
    """The part of pydantic's location that is in the file: a lone value stands for a list of one."""
    path: list[str | int] = []
    for step in loc:
        below = places.nearest(path).child(step)
        if below is None:
            break
        path.append(step)
    return tuple(path)


def _problem(places: Place, path: Path_, message: str, remedy: str) -> Problem:
    return Problem("error", places.nearest(path).origin, path_text(path), message, None, remedy)
