"""From nodes and wires as they are written to what is to be built around the host. Pure.

It finds the interface at which each VBR's line comes in, and complains about what nothing brings into being.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from dataplane.config.network import Network
from lab.around import End, NodeSpec, WireSpec
from lab.expand import Complain, Path


@dataclass(frozen=True, slots=True)
class Wire:
    """A cable; a place is the id of a node or the name of the host.

    Args:
        mtu: of both ends, in bytes.
    """

    first: End
    second: End
    mtu: int


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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that stands around a host.

    Args:
        host: the host's name, as wires name it.
    """

    host: str
    nodes: tuple[PlannedNode, ...] = ()
    wires: tuple[Wire, ...] = ()


@dataclass(slots=True)
class Surveyor:
    """Makes surroundings out of a file, and complains about what cannot be built.

    Args:
        host: the name of the topology's host.
    """

    host: str
    network: Network
    nodes: Mapping[str, NodeSpec]
    wires: Sequence[WireSpec]
    complain: Complain
    _vlans: int = 0

    def survey(self) -> Surroundings:
        """The surroundings; what was complained about is left out."""
        self._check_wires()
        nodes = tuple(self._node(id, spec) for id, spec in self.nodes.items())
        wires = tuple(Wire(wire.ends[0], wire.ends[1], wire.mtu) for wire in self.wires)
        return Surroundings(self.host, nodes, wires)

    def _check_wires(self) -> None:
        places = [self.host, *self.nodes]
        if self.host in self.nodes:
            self.complain(("nodes", self.host), f"`{self.host}` is the host already", "choose another id")
        taken: dict[End, int] = {}
        for number, wire in enumerate(self.wires):
            for end in wire.ends:
                path: Path = ("wires", number, "ends")
                if end.place not in places:
                    self.complain(path, f"there is no node or host `{end.place}`", f"known here: {', '.join(places)}")
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
            if interface.parent not in self._ends() or interface.parent.place == self.host:
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
            parent = self._far_end(End(self.host, device))
            if parent is None:
                remedy = f"add {{ends: [{self.host}/{device}, {spec.trunk or id}/{device}]}} to wires"
                self.complain(path, f"no wire ends at {device} of {self.host}, the line of {name}", remedy)
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
