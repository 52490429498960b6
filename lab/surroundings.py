"""From nodes and wires as they are written to what is to be built around the hosts. Pure.

It finds the interface at which each VBR's line comes in, and complains about what nothing brings into being.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from dataplane.config.network import Network
from dataplane.config.placement import Placement
from lab.around import End, NodeSpec, UnderlaySpec, WireSpec
from lab.expand import Complain, Path
from lab.impair import NO_IMPAIRMENT, Impairment
from lab.model import UNDERLAY

_LONGEST_PREFIX = 24
_SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
    # A data centre with two lines gets packets by one and answers by the other.
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
}


@dataclass(frozen=True, slots=True)
class Wire:
    """A cable; a place is the id of a node or the name of a host.

    Args:
        mtu: of both ends, in bytes.
        impairment: what it does to packets, in each direction.
    """

    first: End
    second: End
    mtu: int
    impairment: Impairment = NO_IMPAIRMENT


@dataclass(frozen=True, slots=True)
class Vlan:
    """A VLAN interface of a node.

    Args:
        number: unique among all of a lab, for the names of stand-ins.
        parent: the interface below it, of this node or of another one.
    """

    number: int
    ifname: str
    vlan: int
    parent: End


@dataclass(frozen=True, slots=True)
class CpeLine:
    """A line of a VBR that ends at a node; its VLAN interface is named as `dataplane cpe` names it."""

    vbr: str
    vlan: Vlan


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """What a node is made of.

    Args:
        cpe: the lines that it is the data centre's router of.
    """

    id: str
    addresses: tuple[tuple[str, IPv4Interface], ...]
    vlans: tuple[Vlan, ...]
    routes: tuple[tuple[IPv4Network, IPv4Address], ...]
    forwards: bool
    cpe: tuple[CpeLine, ...]

    @property
    def sysctls(self) -> Mapping[str, str]:
        """What is set below ``/proc/sys`` in it, before it has an interface."""
        return {**_SYSCTLS, "net/ipv4/ip_forward": str(int(self.forwards))}


@dataclass(frozen=True, slots=True)
class Underlay:
    """The switch that joins the hosts of a network that spans several.

    Args:
        ports: its interfaces; the one to a host has the host's name.
        uplinks: the device of each host, and the host's address with a mask that all hosts are within.
    """

    ports: tuple[str, ...]
    uplinks: tuple[tuple[End, IPv4Interface], ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that stands around the hosts.

    Args:
        hosts: their names, as wires name them.
        underlay: what joins them; None where the network names no hosts.
    """

    hosts: tuple[str, ...]
    nodes: tuple[PlannedNode, ...] = ()
    wires: tuple[Wire, ...] = ()
    underlay: Underlay | None = None


def _wire(spec: WireSpec) -> Wire:
    return Wire(spec.ends[0], spec.ends[1], spec.mtu, Impairment(spec.loss, spec.delay_ms, spec.rate or 0))


@dataclass(slots=True)
class Surveyor:
    """Makes surroundings out of a file, and complains about what cannot be built.

    Args:
        hosts: the names of the topology's hosts.
        underlay: what the file says of it; None where it says nothing.
    """

    hosts: tuple[str, ...]
    network: Network
    nodes: Mapping[str, NodeSpec]
    wires: Sequence[WireSpec]
    underlay: UnderlaySpec | None
    complain: Complain
    _vlans: int = 0

    def survey(self) -> Surroundings:
        """The surroundings; what was complained about is left out."""
        self._check_wires()
        nodes = [self._node(id, spec) for id, spec in self.nodes.items()]
        wires = [_wire(spec) for spec in self.wires]
        if not self.network.hosts:
            return Surroundings(self.hosts, tuple(nodes), tuple(wires))
        nodes.append(PlannedNode(UNDERLAY, (), (), (), forwards=False, cpe=()))
        wires += self._uplinks()
        ports = tuple(end.ifname for wire in wires for end in (wire.first, wire.second) if end.place == UNDERLAY)
        return Surroundings(self.hosts, tuple(nodes), tuple(wires), Underlay(ports, tuple(self._addresses())))

    def _uplinks(self) -> Iterator[Wire]:
        """The cable from each host's underlay device to the switch."""
        mtu = self.underlay.mtu if self.underlay is not None else None
        for id, host in self.network.hosts.items():
            largest = max(host.mtu for host in self.network.hosts.values())
            yield Wire(End(id, host.device), End(UNDERLAY, id), mtu or largest)

    def _addresses(self) -> Iterator[tuple[End, IPv4Interface]]:
        """The file names no mask, so the hosts get the longest one, /24 at most, that they are all neighbours by."""
        addresses = [host.address for host in self.network.hosts.values()]
        subnet = IPv4Network((addresses[0], _LONGEST_PREFIX), strict=False)
        while not all(address in subnet for address in addresses):
            subnet = subnet.supernet()
        for id, host in self.network.hosts.items():
            yield End(id, host.device), IPv4Interface((host.address, subnet.prefixlen))

    def _check_wires(self) -> None:
        places = [*self.hosts, *self.nodes, *([UNDERLAY] if self.network.hosts else [])]
        taken: dict[End, int] = {}
        uplinks = [end for wire in self._uplinks() for end in (wire.first, wire.second)]
        for number, wire in enumerate(self.wires):
            for end in wire.ends:
                path: Path = ("wires", number, "ends")
                if end.place not in places:
                    self.complain(path, f"there is no node or host `{end.place}`", f"known here: {', '.join(places)}")
                if end in uplinks:
                    self.complain(path, f"{end} is where the underlay's own cable ends", "use another interface")
                if taken.setdefault(end, number) != number:
                    self.complain(path, f"{end} is the end of another wire already", "use another interface")

    def _node(self, id: str, spec: NodeSpec) -> PlannedNode:
        vlans = list(self._written_vlans(id, spec))
        cpe = tuple(self._cpe(id, spec))
        brought = {end.ifname for end in self._ends() if end.place == id} | {vlan.ifname for vlan in vlans}
        for name in spec.interfaces:
            if name not in brought:
                path: Path = ("nodes", id, "interfaces", name)
                self.complain(path, f"nothing brings {id} an interface {name}", "add a wire, or vlan: and parent:")
        routes = tuple((route.destination, route.via) for route in spec.routes)
        return PlannedNode(id, spec.addresses, tuple(vlans), routes, spec.forwards, cpe)

    def _ends(self) -> Iterator[End]:
        for wire in self.wires:
            yield from wire.ends

    def _written_vlans(self, id: str, spec: NodeSpec) -> Iterator[Vlan]:
        for name, interface in spec.interfaces.items():
            if interface.vlan is None or interface.parent is None:
                continue
            if interface.parent not in self._ends() or interface.parent.place in self.hosts:
                path: Path = ("nodes", id, "interfaces", name, "parent")
                self.complain(path, f"{interface.parent} is not the end of a wire at a node", "name one that is")
            yield self._vlan(name, interface.vlan, interface.parent)

    def _vlan(self, ifname: str, vlan: int, parent: End) -> Vlan:
        self._vlans += 1
        return Vlan(self._vlans, ifname, vlan, parent)

    def _cpe(self, id: str, spec: NodeSpec) -> Iterator[CpeLine]:
        for number, name in enumerate(spec.cpe_of):
            vbr = self.network.vbrs.get(name)
            path: Path = ("nodes", id, "cpe_of", number)
            if vbr is None:
                known = ", ".join(self.network.vbrs) or "there is none"
                self.complain(path, f"`{name}` is not a VBR of this network", f"known here: {known}")
                continue
            device = self.network.physical_connections[vbr.physical_connection].device
            host = Placement(self.network, self.hosts[0]).host_of_vbr(name)
            parent = self._far_end(End(host, device))
            if parent is None:
                remedy = f"add {{ends: [{host}/{device}, {spec.trunk or id}/{device}]}} to wires"
                self.complain(path, f"no wire ends at {device} of {host}, the line of {name}", remedy)
            elif parent.place != (spec.trunk or id):
                remedy = f"write trunk: {parent.place}" if parent.place in self.nodes else "end the wire at this node"
                self.complain(path, f"the line of {name} comes in at {parent}, not here", remedy)
            else:
                yield CpeLine(name, self._vlan(f"{parent.ifname}.{vbr.vlan}", vbr.vlan, parent))

    def _far_end(self, end: End) -> End | None:
        for wire in self.wires:
            if end in wire.ends:
                return wire.ends[1] if wire.ends[0] == end else wire.ends[0]
        return None
