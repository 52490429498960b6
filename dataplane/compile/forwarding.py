"""From the desired kernel objects to the forwarder's state: the same rules, routes and next hops in the form of maps.

Fast and slow path are equal by construction, since the one is computed from the other. What the state cannot express
is passed to the kernel: never dropped, and never let through where the kernel would not.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from dataplane.compile.leg import GroupName
from dataplane.compile.scene import Link, Scene
from dataplane.model import names
from dataplane.model.desired import Desired
from dataplane.model.forwarding import (
    Forwarding,
    Group,
    GroupMode,
    Hop,
    How,
    Leaf,
    LeafKind,
    Learned,
    LegState,
    Member,
    Port,
    PortKind,
    Reason,
    Table,
    stop,
)
from dataplane.model.ids import IdKind, Numbering
from dataplane.model.kernel import KernelRoute, Nexthop, NexthopGroup, RouteType, Rule
from dataplane.model.limit import Limit

NOBODY = IPv4Address(0)
"""The allowed source of a port whose instance has no address: nothing comes from 0.0.0.0 that could be forwarded."""

_TENANTS = (PortKind.INSTANCE, PortKind.SERVICE)
_STOPS = {
    RouteType.UNREACHABLE: stop(Reason.UNREACHABLE),
    RouteType.PROHIBIT: stop(Reason.PROHIBITED),
    RouteType.BLACKHOLE: stop(Reason.BLACKHOLE),
}


def compile_forwarding(desired: Desired, learned: Learned | None = None) -> Forwarding:
    """The state that forwards as the desired kernel objects do.

    Args:
        learned: MACs that the kernel finds by itself; what needs one that is not in it goes by the kernel.
    """
    scene = Scene((wish.object for wish in desired.wanted.values()), learned or Learned())
    return _Compiler(desired, scene).compile()


class _Compiler:
    """One run."""

    def __init__(self, desired: Desired, scene: Scene) -> None:
        self._scene = scene
        self._numbering = Numbering(desired.book)
        self._used = desired.used
        self._probed = frozenset(probe.number for probe in desired.probes) if desired.is_probing else frozenset[int]()
        self._names = {(kind, number): name for (kind, name), number in desired.book.numbers.items()}
        self._legs = {name: number for (kind, name), number in desired.book.numbers.items() if kind == "leg"}
        self._hops: dict[int, Hop] = {}
        self._groups: dict[int, Group] = {}
        self._states: dict[int, LegState] = {}
        self._limits: dict[int, Limit] = {}
        self._down = desired.leg_states

    def compile(self) -> Forwarding:
        ports = {link.port: self._port(link) for link in self._scene.links.values()}
        # Tables that no port looks up are the router's own, such as those of probes.
        looked_up = {(port.namespace, port.table) for port in ports.values() if port.table}
        tables = {table: self._table(namespace, table) for namespace, table in sorted(looked_up)}
        return Forwarding(
            ports,
            tables,
            self._hops,
            self._groups,
            self._states,
            {leg: self._name("leg", leg) for leg in self._states},
            self._probed,
            self._limits,
            book=self._numbering.book(),
            used=self._used | self._numbering.used,
        )

    def _name(self, kind: IdKind, number: int) -> str:
        return self._names.get((kind, number), str(number))

    def _port(self, link: Link) -> Port:
        source = self._allowed_source(link)
        far = link.far
        return Port(
            link.port,
            link.ifindex,
            link.namespace,
            link.ifname,
            link.kind,
            self._name("port", link.port),
            self._table_of(link, source),
            link.mac,
            source,
            far.mac if far is not None and link.kind in _TENANTS else "",
            self._far_port(link),
        )

    def _far_port(self, link: Link) -> int:
        """The port at the other end of a link; 0 where that is no router."""
        if link.far is None or link.far.namespace not in self._scene.routers:
            return 0
        return names.parse_port_ifindex(link.far.ifindex) or 0

    def _allowed_source(self, link: Link) -> IPv4Address | None:
        """The one address that may send from an instance's port, be it the kernel's check or a rule that says so."""
        if self._scene.checks_source(link):
            known = self._scene.permanent[link.namespace, link.ifname]
            return known[0] if len(known) == 1 else NOBODY
        guarding = [rule.source for rule in self._rules(link) if rule.source is not None]
        if not guarding:
            return None
        (only, *others) = guarding
        return only.network_address if not others and only.prefixlen == 32 else NOBODY

    def _rules(self, link: Link) -> Iterator[Rule]:
        """The rules that may take a packet of an interface, by priority."""
        return (rule for rule in self._scene.rules[link.namespace] if rule.iif in (None, link.ifname))

    def _table_of(self, link: Link, source: IPv4Address | None) -> int:
        """The table that every packet of a port is looked up in; 0 where that depends on more than the port."""
        for rule in self._rules(link):
            if rule.destination is not None:
                return 0
            if rule.source is not None and source is None:
                return 0
            if rule.source is None or source in rule.source:
                return rule.table - names.TABLE_BASE if self._is_closed(rule) else 0
        return 0

    def _is_closed(self, rule: Rule) -> bool:
        """Whether a table answers for every address: else the kernel would go on to the next rule."""
        return any(route.destination.prefixlen == 0 for route in self._scene.routes[rule.namespace, rule.table])

    def _table(self, namespace: str, table: int) -> Table:
        best: dict[IPv4Network, KernelRoute] = {}
        for route in self._scene.routes[namespace, names.table_number(table)]:
            other = best.get(route.destination)
            if other is None or route.metric < other.metric:
                best[route.destination] = route
        leaves = {prefix: self._leaf(route) for prefix, route in best.items()}
        for route in best.values():
            if _is_on_link(route):
                leaves |= self._on_link(route, best)
        for address in self._own_addresses(namespace):
            leaves[IPv4Network(address)] = stop(Reason.LOCAL)
        return Table(table, namespace, self._name("table", table), leaves)

    def _own_addresses(self, namespace: str) -> Iterator[IPv4Address]:
        """What the kernel's table ``local`` has before all others: a router's addresses, and its subnets' broadcast."""
        for item in self._scene.addresses[namespace]:
            yield item.address.ip
            if item.address.network.prefixlen < 31:
                yield item.address.network.broadcast_address

    def _leaf(self, route: KernelRoute) -> Leaf:
        if route.type is not RouteType.UNICAST:
            return _STOPS[route.type]
        if route.nexthop is not None:
            return self._by_nexthop(route.namespace, route.nexthop)
        if _is_on_link(route):
            return self._by_line(route)
        address = route.via or route.destination.network_address
        return self._by_neighbour(route.namespace, route.ifname or "", address)

    def _by_line(self, route: KernelRoute) -> Leaf:
        """A line's own subnet (D20): to each address there itself, since the kernel finds MACs on a line as it goes."""
        link = self._scene.links.get((route.namespace, route.ifname or ""))
        if link is None or link.how is not How.LINE:
            return stop(Reason.NO_NEIGHBOUR)
        number = self._numbering.number("next_hop", f"{self._name('port', link.port)} {route.destination}")
        self._hops[number] = self._hop(number, link, None, leg=0)
        return Leaf(LeafKind.HOP, number)

    def _on_link(self, route: KernelRoute, best: dict[IPv4Network, KernelRoute]) -> dict[IPv4Network, Leaf]:
        """Whom the router has met in a subnet that it is itself in."""
        known = self._scene.neighbours[route.namespace, route.ifname or ""]
        inside = [IPv4Network(address) for address in known if address in route.destination]
        nearest = {
            host: max((prefix for prefix in best if host.subnet_of(prefix)), key=lambda prefix: prefix.prefixlen)
            for host in inside
        }
        return {
            host: self._by_neighbour(route.namespace, route.ifname or "", host.network_address)
            for host in inside
            if nearest[host] == route.destination
        }

    def _by_neighbour(self, namespace: str, ifname: str, address: IPv4Address) -> Leaf:
        link = self._scene.links.get((namespace, ifname))
        if link is None:
            return stop(Reason.KERNEL_ONLY)
        number = self._numbering.number("next_hop", f"{self._name('port', link.port)} {address}")
        self._hops[number] = self._hop(number, link, address, leg=0)
        return Leaf(LeafKind.HOP, number)

    def _by_nexthop(self, namespace: str, number: int) -> Leaf:
        item = self._scene.nexthops.get((namespace, number))
        if isinstance(item, Nexthop):
            return Leaf(LeafKind.HOP, self._leg(item))
        if isinstance(item, NexthopGroup):
            return Leaf(LeafKind.GROUP, self._group(item))
        return stop(Reason.KERNEL_ONLY)

    def _leg(self, item: Nexthop) -> int:
        """The id of a leg's next hop; it is the same one whether the leg is suspended or not (R15)."""
        number = self._numbering.number("next_hop", f"leg/{self._name('leg', item.id)}")
        link = self._scene.links.get((item.namespace, item.ifname or ""))
        if link is None or item.via is None:
            self._hops[number] = Hop(number, How.BLACKHOLE, leg=item.id)
            self._states[item.id] = LegState.GONE
        else:
            self._hops[number] = self._hop(number, link, item.via, item.id)
            self._states[item.id] = self._down.get(self._name("leg", item.id), LegState.UP)
            shaper = self._scene.shapers.get((item.namespace, link.ifname))
            if shaper is not None and (shaper.flow or shaper.bandwidth):
                self._limits[item.id] = Limit(shaper.flow, shaper.bandwidth, shaper.leaves)
        return number

    def _group(self, item: NexthopGroup) -> int:
        number = item.id - names.GROUP_BASE
        called = GroupName.of(self._names["group", number])
        members = []
        for router_interface in called.router_interfaces:
            leg = self._legs[router_interface]
            nexthop = self._scene.nexthops.get((item.namespace, leg))
            if isinstance(nexthop, Nexthop):
                members.append(Member(self._leg(nexthop), leg))
        self._groups[number] = Group(number, item.namespace, GroupMode(called.mode), tuple(members))
        return number

    def _hop(self, number: int, link: Link, address: IPv4Address | None, leg: int) -> Hop:
        """The next hop to an address behind a link; None: to the destination itself, on a line."""
        if link.how is How.LINE or address is None:
            # Nobody tells us whose MAC it is, and when that changes: the kernel's neighbour table decides each time.
            return Hop(number, link.how, link.port, link.ifindex, "", link.mac, link.mtu, 0, leg, address)
        return Hop(
            number,
            link.how,
            link.port,
            link.ifindex,
            self._scene.neighbours[link.namespace, link.ifname].get(address, ""),
            link.mac,
            link.mtu,
            self._far_port(link),
            leg,
        )


def _is_on_link(route: KernelRoute) -> bool:
    """Whether the next hop is the destination itself, of which there are several."""
    return route.ifname is not None and route.via is None and route.destination.prefixlen < 32
