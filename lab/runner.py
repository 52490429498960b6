"""Up, down, test: the life of a lab. What half a lab leaves behind is nothing.

Everything of a lab hangs on its pins, so taking it down is taking them away; nobody has to remember what was
built. The product inside does the building (``lab/product.py``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from dataplane.accept.model import Tool
from dataplane.errors import ConfigError, ConflictError
from dataplane.measure.programs import has
from dataplane.model import names
from lab import acceptance, flows, nodes, pins
from lab.behind import put_behind
from lab.hook import Hook, check_hook, files_with
from lab.host import Here, Host, Process, SimulatedHost, opened, processes_inside
from lab.model import Proof
from lab.product import Product
from lab.topology import Topology

Say = Callable[[str], None]
"""Takes a line for the person who waits."""


def up(topology: Topology, say: Say, hook: Hook | None = None) -> bool:
    """Bring a lab up, or bring one that is up in line with its files.

    Args:
        hook: where the forwarder is to sit, whatever its files say of that.

    Returns:
        Whether it was made now; False where it was up already.

    Raises:
        ConflictError: a lab of that name is up from another folder, or another lab command does not end.
        DataplaneError: the network could not be applied; nothing is left of a lab that was not up before.
    """
    with pins.locked():
        existing = pins.find(topology.name)
        if existing is not None and existing.is_ready and existing.source != topology.folder:
            raise ConflictError(
                f"a lab {topology.name} is up from {existing.source}: take it down first "
                f"(`dataplane lab down {topology.name}`), or rename one of the folders"
            )
        spoilt = _why_anew(existing, topology) if existing is not None else ""
        if spoilt:
            say(f"{topology.name} {spoilt}: making it anew")
            pins.remove(topology.name)
        is_new = existing is None or bool(spoilt)
        try:
            _build(topology, say, hook)
        except BaseException:  # control-C too: half a lab is of no use to anybody
            if is_new:
                pins.remove(topology.name)
            raise
        return is_new


def _why_anew(existing: pins.LabPins, topology: Topology) -> str:
    """Why a lab cannot be brought in line with its files; empty where it can."""
    if not existing.is_ready:
        return "was half made"
    gone = [host for host in existing.hosts if host not in topology.hosts]
    return f"has a host {gone[0]} that its files do not name" if gone else ""


def _build(topology: Topology, say: Say, hook: Hook | None) -> None:
    pins.begin(topology.name, topology.folder)
    simulated = hosts_of(topology)
    for host in simulated:
        host.make()
    scripts = nodes.cpe_scripts(topology.surroundings, simulated[0], topology.network)
    _renew_nodes(topology, simulated, scripts)
    with nodes.opened_nodes(topology.name, topology.surroundings) as around:
        _surround(topology, simulated, scripts, around)
        for host in simulated:
            _apply(topology, Product(host), say, hook)
        put_behind(topology.behind, topology.inventory, simulated, around)
    pins.mark_ready(topology.name)


def hosts_of(topology: Topology) -> list[SimulatedHost]:
    """The hosts that a topology has in its lab, there or not."""
    return [SimulatedHost(topology.name, host) for host in topology.hosts]


def _renew_nodes(topology: Topology, simulated: Sequence[SimulatedHost], scripts: Mapping[str, str]) -> None:
    """Make the nodes' namespaces; all of them anew where their files have changed, as nobody adapts them."""
    plan = repr((topology.surroundings, dict(scripts)))
    file = pins.plan_file(topology.name)
    if not file.exists() or file.read_text() != plan:
        for host in simulated:
            nodes.remove_wires(host)
        pins.remove_nodes(topology.name)
    if topology.surroundings.nodes:
        nodes.pin_nodes(topology.name, topology.surroundings)
        file.write_text(plan)


def _surround(
    topology: Topology, built_on: Sequence[Host], scripts: Mapping[str, str], around: nodes.Descriptors
) -> None:
    nodes.Builder(topology.name, topology.surroundings, built_on, scripts, around).build()


def _apply(topology: Topology, product: Product, say: Say, hook: Hook | None) -> None:
    with files_with(topology.network, hook) as files:
        for line in product.run("apply", *map(str, files)).splitlines():
            say(f"{product.host.name}: {line}")


def down(name: str) -> list[Process] | None:
    """Take a lab down, half made or not.

    Returns:
        The processes that still live inside, whose namespaces end with them; None where no such lab was up.

    Raises:
        ConflictError: another lab command does not end.
    """
    with pins.locked():
        existing = pins.find(name)
        if existing is None:
            pins.drop_root_if_empty()
            return None
        inside = [process for host in hosts(existing) for process in processes_inside(host)]
        inside += nodes.processes_at(existing)
        pins.remove(name)
        return inside


def hosts(lab: pins.LabPins) -> list[SimulatedHost]:
    """The hosts of a lab that is up, those that were begun included."""
    return [SimulatedHost(lab.name, host) for host in lab.hosts]


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What is in a host now.

    Args:
        exists: both of its namespaces are there.
        namespaces: names of the network namespaces inside.
    """

    host: SimulatedHost
    exists: bool
    namespaces: tuple[str, ...]
    processes: tuple[Process, ...]


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab that is up, or half made.

    Args:
        at_nodes: the processes that live in the nodes around its hosts.
    """

    pins: pins.LabPins
    hosts: tuple[HostStatus, ...]
    at_nodes: tuple[Process, ...] = ()

    @property
    def is_up(self) -> bool:
        """Everything was built, and every host is there."""
        return self.pins.is_ready and bool(self.hosts) and all(host.exists for host in self.hosts)


def status() -> list[LabStatus]:
    """All labs of this machine, looked at now."""
    return [
        LabStatus(lab, tuple(_host_status(host) for host in hosts(lab)), tuple(nodes.processes_at(lab)))
        for lab in pins.labs()
    ]


def _host_status(host: SimulatedHost) -> HostStatus:
    if not host.exists():
        return HostStatus(host, False, (), ())
    with opened(host) as namespaces:
        found = tuple(name for name in namespaces if name)
    return HostStatus(host, True, found, tuple(processes_inside(host)))


def test(
    topology: Topology,
    say: Say,
    on_result: flows.Progress | None = None,
    hook: Hook | None = None,
    *,
    only_flows: bool = False,
) -> Proof:
    """Prove all flows of a topology; a lab that was not up comes up for it, and goes down again.

    Args:
        hook: as of ``up``; the packets must have taken the path that it asks for.
        only_flows: leave out the rates and drills.

    Raises:
        DataplaneError: as ``up`` and ``flows.run`` raise.
    """
    is_new = up(topology, say, hook)
    try:
        with nodes.opened_nodes(topology.name, topology.surroundings) as around:
            proof = run_flows(topology, hosts_of(topology), on_result, around)
        check_hook(hook, topology.hosts, proof.forwarders)
        return proof if only_flows else _with_checks(proof, topology, say, hook)
    finally:
        if is_new:
            down(topology.name)


def _with_checks(proof: Proof, topology: Topology, say: Say, hook: Hook | None) -> Proof:
    """A proof with the rates and drills that a topology declares."""
    if not (topology.rates or topology.drills):
        return proof
    missing = "" if has(Tool.IPERF3) else "it needs the package iperf3"
    rates = [replace(rate, skipped=missing) for rate in topology.rates]
    wanted = acceptance.Run(topology, hosts_of(topology), topology.title, rates, topology.drills, hook, False)
    found = acceptance.run(wanted, acceptance.Teller(say), {})
    return replace(proof, rates=found.results, drills=found.drills)


def test_here(
    topology: Topology,
    say: Say,
    options: tuple[str, ...] = (),
    on_result: flows.Progress | None = None,
    hook: Hook | None = None,
) -> Proof:
    """The same on this very machine: apply, prove, destroy. Rates and drills, which take an agent, are left out.

    Args:
        options: global options of the product, such as where it keeps its state.

    Raises:
        ConfigError: the topology has several hosts.
        ConflictError: a network is applied here already; it is not touched.
        DataplaneError: as ``flows.run`` raises, or the product failed.
    """
    if len(topology.hosts) > 1:
        found = ", ".join(topology.hosts)
        raise ConfigError(f"{topology.name} has {len(topology.hosts)} hosts ({found}): leave --here away")
    host = Here(topology.hosts[0])
    with opened(host) as namespaces:
        ours = [name for name in namespaces if names.is_our_namespace_name(name)]
    if ours:
        raise ConflictError(
            f"a network is applied on this machine already ({', '.join(ours[:3])}{', ...' if len(ours) > 3 else ''}): "
            "`dataplane destroy` it first, or leave --here away to test in a simulated host"
        )
    product = Product(host, options)
    scripts = nodes.cpe_scripts(topology.surroundings, host, topology.network)
    with nodes.unpinned_nodes(topology.surroundings) as around:
        try:
            _surround(topology, [host], scripts, around)
            _apply(topology, product, say, hook)
            put_behind(topology.behind, topology.inventory, [host], around)
            proof = run_flows(topology, [host], on_result, around)
            check_hook(hook, topology.hosts, proof.forwarders)
            return proof
        finally:
            product.run("destroy", "--yes")
            nodes.remove_wires(host)


def run_flows(
    topology: Topology,
    applied_on: Sequence[Host],
    on_result: flows.Progress | None = None,
    around: nodes.Descriptors = MappingProxyType({}),
) -> Proof:
    """Prove the flows of a topology on the hosts where its network is applied.

    Args:
        around: the open namespaces of the nodes around the hosts.
    """
    return flows.run(topology.flows, topology.inventory, applied_on, nodes=around, on_result=on_result)
