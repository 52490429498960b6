"""Build the nodes and wires around hosts: namespaces, cables, addresses, routes, VLANs, routers' own scripts.

Everything here may be done twice: what is there stays, what is missing is made. It knows nothing of flows,
and it never changes a host but for the ends of its wires.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataplane.errors import ConflictError, HostError
from lab import pins
from lab.around import End
from lab.child import in_child
from lab.host import Host, Process, inhabitants, opened, set_up
from lab.impair import impair
from lab.model import HOST_NAMESPACE, node_namespace
from lab.product import Product
from lab.surroundings import PlannedNode, Surroundings, Vlan, Wire
from lab.switch import address_uplinks, make_switch
from lab.syscalls import CLONE_NEWNET, in_network, namespace_id, unshare
from lab.vlan import has_8021q, make_vlans

_WIRE_ALIAS = "dataplane-lab wire "
"""By which the ends of wires are recognised in a host."""

Descriptors = Mapping[str, int]
"""Place (the id of a node, or the name of a host) -> its open network namespace."""


@contextmanager
def opened_nodes(topology: str, surroundings: Surroundings) -> Iterator[Descriptors]:
    """The namespaces of the nodes of a lab that is up, open for the length of a block.

    Raises:
        HostError: one is missing.
    """
    found: dict[str, int] = {}
    try:
        for node in surroundings.nodes:
            path = pins.node_pin(topology, node.id)
            try:
                found[node.id] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as failure:
                raise HostError(
                    f"node {node.id} of {topology} is not there: `dataplane lab up {topology}`"
                ) from failure
        yield found
    finally:
        _close(found)


def pin_nodes(topology: str, surroundings: Surroundings) -> None:
    """Make the namespaces of a lab's nodes, those that are missing, and pin them."""
    for node in surroundings.nodes:
        path = pins.node_pin(topology, node.id)
        if not pins.is_pinned(path):
            path.parent.mkdir(exist_ok=True)
            descriptor = _new_namespace()
            try:
                pins.pin(Path(f"/proc/self/fd/{descriptor}"), path)
            finally:
                os.close(descriptor)


@contextmanager
def unpinned_nodes(surroundings: Surroundings) -> Iterator[Descriptors]:
    """Nodes that last for a block only; their wires go with them."""
    found: dict[str, int] = {}
    try:
        for node in surroundings.nodes:
            found[node.id] = _new_namespace()
        yield found
    finally:
        _close(found)


def _close(descriptors: dict[str, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)


def _new_namespace() -> int:
    def work() -> tuple[None, list[int]]:
        unshare(CLONE_NEWNET)
        set_up("lo")
        return None, [os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)]

    _, (descriptor,) = in_child(work)
    return descriptor


def cpe_scripts(surroundings: Surroundings, host: Host, network: Path) -> dict[str, str]:
    """Node id -> what `dataplane cpe` prints for the lines that end there.

    Raises:
        DataplaneError: as the command raises.
    """
    scripts = {}
    for node in surroundings.nodes:
        if node.cpe:
            first, *others = [line.vbr for line in node.cpe]
            options = [option for vbr in others for option in ("--with", vbr)]
            for line in node.cpe:
                options += ["--interface", f"{line.vbr}={line.vlan.parent.ifname}"]
            scripts[node.id] = Product(host).run("cpe", first, str(network), *options)
    return scripts


def remove_wires(host: Host) -> None:
    """Take away the ends of wires that a host has, and nothing else of it."""
    from pyroute2 import IPRoute

    with opened(host) as namespaces, in_network(namespaces[HOST_NAMESPACE]), IPRoute() as netlink:
        for link in netlink.get_links():
            if str(link.get_attr("IFLA_IFALIAS")).startswith(_WIRE_ALIAS):
                netlink.link("del", index=link["index"])


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds what is around the hosts.

    Args:
        topology: the lab's name, for marks and messages.
        hosts: as the surroundings name them, in that order.
        scripts: as ``cpe_scripts`` gives them.
        nodes: the open namespaces of the nodes.
    """

    topology: str
    surroundings: Surroundings
    hosts: Sequence[Host]
    scripts: Mapping[str, str]
    nodes: Descriptors

    def build(self) -> None:
        """Wires first, then what is on them.

        Raises:
            ConflictError: the host has an interface of a wire's name already, which is not the wire's.
            HostError: the kernel refused something; it is named.
        """
        with ExitStack() as stack:
            places = dict(self.nodes)
            for name, host in zip(self.surroundings.hosts, self.hosts, strict=True):
                places[name] = stack.enter_context(opened(host))[HOST_NAMESPACE]
            for wire in self.surroundings.wires:
                _lay(wire, places)
                if wire.impairment:
                    impair((wire.first, wire.second), wire.impairment, places)
            if self.surroundings.underlay is not None:
                make_switch(self.surroundings.underlay, places)
                address_uplinks(self.surroundings.underlay, places)
        make_vlans(self.topology, list(self._vlans()), self.nodes)
        for node in self.surroundings.nodes:
            _configure(node, self.nodes[node.id])
            self._run_cpe(node)
            _add_routes(node, self.nodes[node.id])

    def _vlans(self) -> Iterator[tuple[str, Vlan]]:
        """The VLAN interfaces that nothing else makes, each with its node."""
        for node in self.surroundings.nodes:
            yield from ((node.id, vlan) for vlan in node.vlans)
            for line in node.cpe:
                # Where the kernel has 802.1Q and the line ends right here, the printed text makes the link itself.
                if line.vlan.parent.place != node.id or not has_8021q():
                    yield node.id, line.vlan

    def _run_cpe(self, node: PlannedNode) -> None:
        """Do what the product says to do at this router, word for word."""
        if node.id in self.scripts:
            _run_script(node, self.scripts[node.id], self.nodes[node.id])


def _lay(wire: Wire, places: Descriptors) -> None:
    first, second = (_index(end, places) for end in (wire.first, wire.second))
    if first is None and second is None:
        _make_wire(wire, places)
    elif first is None or second is None or _peer_index(wire.first, places) != second:
        there = wire.first if first is not None else wire.second
        raise ConflictError(
            f"{there} is there already, and is not the wire from {wire.first} to {wire.second}: "
            "rename it, or test in a simulated host (without --here)"
        )
    for end in (wire.first, wire.second):
        with in_network(places[end.place]):
            set_up(end.ifname)


def _run_script(node: PlannedNode, text: str, descriptor: int) -> None:
    if shutil.which("ip") is None:
        raise HostError(f"node {node.id} is set up by what `dataplane cpe` prints, which needs `ip`: install iproute2")
    with in_network(descriptor):  # a child process starts where the thread is
        done = subprocess.run(["/bin/sh", "-e"], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise HostError(f"what `dataplane cpe` prints failed at node {node.id}: {done.stderr.strip()}\n{text}")


def _link(end: End, places: Descriptors) -> Any | None:
    from pyroute2 import IPRoute, NetlinkError

    with in_network(places[end.place]), IPRoute() as netlink:
        try:
            return next(iter(netlink.get_links(ifname=end.ifname)), None)
        except NetlinkError:  # ENODEV
            return None


def _index(end: End, places: Descriptors) -> int | None:
    link = _link(end, places)
    return int(link["index"]) if link is not None else None


def _peer_index(end: End, places: Descriptors) -> int | None:
    link = _link(end, places)
    return link.get_attr("IFLA_LINK") if link is not None else None


def _make_wire(wire: Wire, places: Descriptors) -> None:
    from pyroute2 import IPRoute, NetlinkError

    peer = {"ifname": wire.second.ifname, "net_ns_fd": places[wire.second.place], "mtu": wire.mtu}
    try:
        with in_network(places[wire.first.place]), IPRoute() as netlink:
            netlink.link("add", ifname=wire.first.ifname, kind="veth", mtu=wire.mtu, peer=peer)
        for end in (wire.first, wire.second):
            with in_network(places[end.place]), IPRoute() as netlink:
                (index,) = netlink.link_lookup(ifname=end.ifname)
                netlink.link("set", index=index, ifalias=f"{_WIRE_ALIAS}{wire.first} {wire.second}")
    except NetlinkError as failure:
        raise HostError(f"no wire between {wire.first} and {wire.second}: {failure}") from failure


def _configure(node: PlannedNode, descriptor: int) -> None:
    """Sysctls and addresses of a node."""
    from pyroute2 import IPRoute, NetlinkError

    with in_network(descriptor), IPRoute() as netlink:
        for name, value in node.sysctls.items():
            path = Path("/proc/sys", name)
            if path.exists():
                path.write_text(value)
        try:
            for ifname, address in node.addresses:
                set_up(ifname)
                (index,) = netlink.link_lookup(ifname=ifname)
                netlink.addr("replace", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        except (NetlinkError, ValueError, OSError) as failure:
            raise HostError(f"node {node.id} cannot be set up: {failure}") from failure


def _add_routes(node: PlannedNode, descriptor: int) -> None:
    """The routes that the file names; some go by what `dataplane cpe` has just set up."""
    from pyroute2 import IPRoute, NetlinkError

    with in_network(descriptor), IPRoute() as netlink:
        for destination, via in node.routes:
            try:
                netlink.route("replace", dst=str(destination), gateway=str(via))
            except NetlinkError as failure:
                raise HostError(f"node {node.id} takes no route to {destination} via {via}: {failure}") from failure


def processes_at(lab: pins.LabPins) -> list[Process]:
    """Who lives in the nodes of a lab: a node goes on as long as they do."""
    paths = {node: pins.node_pin(lab.name, node) for node in lab.nodes}
    networks = {namespace_id(path): node_namespace(node) for node, path in paths.items() if pins.is_pinned(path)}
    return list(inhabitants(networks)) if networks else []
