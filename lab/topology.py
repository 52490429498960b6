"""A topology: a folder with ``lab.yaml`` and ``network.yaml``, found by name, read and made into flows.

All mistakes of a ``lab.yaml`` are said at once, with their places, as those of a network are. What the
flows mean is not decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from dataplane.accept.model import Drill, Measure
from dataplane.config.document import problem_at, read_document
from dataplane.config.loader import load as load_network
from dataplane.config.network import Network
from dataplane.config.node import Node as Place
from dataplane.config.problem import InvalidConfig, Problem
from dataplane.errors import ConfigError
from lab.checks import checks_of
from lab.expand import Complain, FlowMaker
from lab.inventory import Inventory, take_inventory
from lab.language import LabFile
from lab.model import UNDERLAY, Flow
from lab.surroundings import Surroundings, Surveyor

TOPOLOGIES = Path(__file__).parent / "topologies"
LAB_FILE = "lab.yaml"
_MAX_IFNAME = 15

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """A topology that can be started.

    Args:
        name: of its folder.
        hosts: the names of its hosts.
        network: the file, or folder of files, of which each host applies its own part.
        behind: instance or node id -> addresses that it is the way to.
        surroundings: the nodes and wires around the hosts.
        rates: what streams must reach, as measures.
        drills: which legs are cut, and the longest outage.
    """

    name: str
    folder: Path
    title: str
    description: str
    hosts: tuple[str, ...]
    network: Path
    inventory: Inventory
    behind: Mapping[str, Sequence[IPv4Address]]
    flows: tuple[Flow, ...]
    surroundings: Surroundings
    rates: tuple[Measure, ...] = ()
    drills: tuple[Drill, ...] = ()


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
    hosts = tuple(file.hosts)
    network = load_network([folder / file.network]).network
    problems: list[Problem] = []

    def complain(path: Path_, message: str, remedy: str) -> None:
        problems.append(problem_at(places, path, message, remedy))

    _check_hosts(network, file, complain)
    if problems:  # else nobody can say who is where
        raise InvalidConfig(problems)
    _check_ids(network, file, complain)
    inventory = take_inventory(network, hosts, file.nodes)
    surroundings = Surveyor(hosts, network, file.nodes, file.wires, file.underlay, complain).survey()
    maker = FlowMaker(inventory, lambda path: places.nearest(path).origin, complain)
    flows = tuple(maker.flows(file))
    rates, drills = checks_of(file, network, inventory, complain)
    if problems:
        raise InvalidConfig(problems)
    return Topology(
        folder.name,
        folder,
        file.title,
        file.description,
        hosts,
        folder / file.network,
        inventory,
        dict(file.behind),
        flows,
        surroundings,
        rates,
        drills,
    )


def _check_hosts(network: Network, file: LabFile, complain: Complain) -> None:
    """The lab's hosts are the network's, where it names some: else a part of it would be nowhere."""
    for host in file.hosts:
        if host in (UNDERLAY, "node"):
            complain(("hosts", host), f"`{host}` means something else in a lab", "give the host another id")
        elif len(file.hosts) > 1 and len(host) > _MAX_IFNAME:
            remedy = f"use at most {_MAX_IFNAME} characters"
            complain(("hosts", host), f"the underlay's port to `{host}` cannot have its name", remedy)
        elif host not in network.hosts and (network.hosts or len(file.hosts) > 1):
            known = ", ".join(network.hosts) or "it names none under hosts:"
            complain(("hosts", host), f"`{host}` is not a host of this network", f"known there: {known}")
    for host in network.hosts:
        if host not in file.hosts:
            complain(("hosts",), f"the network's host `{host}` is missing here", f"add {host}: {{}}")
    if file.underlay is not None and not network.hosts:
        complain(("underlay",), "a network that names no hosts has no underlay", "remove underlay:")


def _check_ids(network: Network, file: LabFile, complain: Complain) -> None:
    """One id, one thing: a way could not tell a node from an instance or a router of its name."""
    instances = {id for vpc in network.vpcs.values() for id in vpc.instances}
    kinds = [("instance", instances), ("VPC", network.vpcs), ("VBR", network.vbrs), ("host", file.hosts)]
    for what, ids in (*kinds, ("switch between the hosts", (UNDERLAY,))):
        for id in file.nodes:
            if id in ids:
                complain(("nodes", id), f"`{id}` is the id of a {what} too", "give the node another id")


def _read_lab_file(folder: Path) -> tuple[LabFile, Place]:
    return read_document(folder / LAB_FILE, LabFile, "lab/README.md")
