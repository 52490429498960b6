"""What the data centre's router (the CPE) needs at its end of the lines: addresses and routes. Pure.

It reads the configuration and computes values; ``cpe_text.py`` writes them down for a kind of router. It
never builds anything: the router is the data centre's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from dataplane.config.network import Network
from dataplane.config.next_hop import ActiveStandbyHop, LoadBalanceHop, router_interfaces_of
from dataplane.config.peering import PeeringConnection, RouterInterface

CLOUD_SERVICES = IPv4Network("100.64.0.0/10")
SERVICE_HALVES = frozenset(CLOUD_SERVICES.subnets(prefixlen_diff=1))
"""As which a VBR has them, since the whole is reserved in a VPC (R134)."""


@dataclass(frozen=True, slots=True)
class Line:
    """The router's end of a VBR's line.

    Args:
        interface: the router's own interface that the line ends at.
        vlan: the 802.1Q VLAN id on it (R26).
        address: the router's, with the mask of the line's subnet (R27).
        gateway: the VBR's address on the line.
        probes: pairs of source and destination of the health checks that the router must answer (R39).
    """

    vbr: str
    physical_connection: str
    data_centre: str | None
    interface: str
    vlan: int
    address: IPv4Interface
    gateway: IPv4Address
    probes: tuple[tuple[IPv4Address, IPv4Address], ...] = ()


@dataclass(frozen=True, slots=True)
class CpeRoute:
    """A static route of the router.

    Args:
        vbrs: the lines that it goes by, the preferred one first.
        is_balanced: the lines share the flows; else the second one stands by.
        rule: the rule that asks for it.
        reason: why, for the comment beside it.
    """

    destination: IPv4Network
    vbrs: tuple[str, ...]
    rule: str
    reason: str
    is_balanced: bool = False


@dataclass(frozen=True, slots=True)
class Cpe:
    """All that one router needs.

    Args:
        hints: what a person should know besides, a sentence each.
    """

    lines: tuple[Line, ...]
    routes: tuple[CpeRoute, ...]
    hints: tuple[str, ...] = ()

    def line(self, vbr: str) -> Line:
        """The line of one of its VBRs."""
        return next(line for line in self.lines if line.vbr == vbr)


def cpe_of(network: Network, vbrs: Sequence[str], interfaces: Mapping[str, str]) -> Cpe:
    """What the router that ends the lines of some VBRs needs.

    Args:
        vbrs: ids of the network, in the order of preference where nothing else says it.
        interfaces: VBR id -> the router's interface that its line ends at.

    Raises:
        KeyError: the network has no VBR of that id.
    """
    merged: dict[IPv4Network, CpeRoute] = {}
    for vbr in vbrs:
        for route in _routes(network, vbr):
            known = merged.get(route.destination)
            merged[route.destination] = route if known is None else _joined(known, route)
    routes = tuple(_with_preference(network, route) for route in merged.values())
    lines = tuple(_line(network, vbr, interfaces[vbr]) for vbr in vbrs)
    return Cpe(lines, routes, tuple(_hints(network, lines, routes)))


def _joined(first: CpeRoute, second: CpeRoute) -> CpeRoute:
    return first if second.vbrs[0] in first.vbrs else replace(first, vbrs=(*first.vbrs, *second.vbrs))


def _line(network: Network, vbr_id: str, interface: str) -> Line:
    vbr = network.vbrs[vbr_id]
    connection = network.physical_connections[vbr.physical_connection]
    return Line(
        vbr=vbr_id,
        physical_connection=vbr.physical_connection,
        data_centre=connection.data_centre,
        interface=interface,
        vlan=vbr.vlan,
        address=IPv4Interface((vbr.peer_ip, vbr.local_ip.network.prefixlen)),
        gateway=vbr.local_ip.ip,
        probes=tuple(
            (source, item.health_check.destination)
            for _, item in _connections(network, vbr_id)
            if item.health_check is not None
            for source in item.health_check.source
        ),
    )


def _routes(network: Network, vbr: str) -> Iterator[CpeRoute]:
    """The routes to all that is behind one VBR: user's prefixes, probes' sources, cloud services."""
    sources = _probe_sources(network, vbr)
    services: list[IPv4Network] = []
    into_vpcs = [
        (route.destination, network.router_interfaces.get(name))
        for route in network.vbrs[vbr].routes
        for name in router_interfaces_of(route.next_hop)
    ]
    for destination, router_interface in into_vpcs:
        if destination.subnet_of(CLOUD_SERVICES):
            services.append(destination)
        elif destination not in sources:
            yield CpeRoute(destination, (vbr,), "R31", _towards(network, router_interface))
    for source, connection in sources.items():
        yield CpeRoute(source, (vbr,), "R44", f"the health check of {connection}, answered over its own line")
    if set(services) >= SERVICE_HALVES:
        services = [CLOUD_SERVICES, *(prefix for prefix in services if prefix not in SERVICE_HALVES)]
    for prefix in services:
        yield CpeRoute(prefix, (vbr,), "R135", "cloud services (AnyTunnel)")
    yield from _declared(network, vbr)


def _declared(network: Network, vbr: str) -> Iterator[CpeRoute]:
    """What the configuration says of the data centre; mostly the same once more."""
    data_centre = _data_centre(network, vbr)
    if data_centre is None:
        return
    for route in network.data_centres[data_centre].routes:
        if vbr in route.via:
            yield CpeRoute(route.destination, (vbr,), "R31", f"declared by data centre {data_centre}")


def _probe_sources(network: Network, vbr: str) -> dict[IPv4Network, str]:
    """The sources of the health checks that watch a VBR's line, as /32, with their connection (R44)."""
    return {
        IPv4Network(source): name
        for name, item in _connections(network, vbr)
        if item.health_check is not None
        for source in item.health_check.source
    }


def _connections(network: Network, vbr: str) -> Iterator[tuple[str, PeeringConnection]]:
    for name, item in network.peering_connections.items():
        if item.initiator is not None and item.initiator.vbr == vbr:
            yield name, item


def _data_centre(network: Network, vbr: str) -> str | None:
    wanted = network.physical_connections[network.vbrs[vbr].physical_connection].data_centre
    return wanted if wanted in network.data_centres else None


def _peer(network: Network, router_interface: RouterInterface | None) -> RouterInterface | None:
    peer = router_interface.peer if router_interface is not None else None
    return network.router_interfaces.get(peer) if peer is not None else None


def _towards(network: Network, router_interface: RouterInterface | None) -> str:
    peer = _peer(network, router_interface)
    if router_interface is None or peer is None or peer.vpc is None:
        return "a VPC whose end of the connection is missing still"
    is_suspended = "suspended" in (router_interface.state, peer.state)
    state = ", suspended at present (R15)" if is_suspended else ""
    return f"VPC {peer.vpc} ({network.vpcs[peer.vpc].cidr}) behind {router_interface.vbr}{state}"


def _with_preference(network: Network, route: CpeRoute) -> CpeRoute:
    """Which of several lines comes first: as the data centre's routes say, else as the VPCs choose theirs."""
    if len(route.vbrs) < 2:
        return route
    preferred = [pair for pair in _active_standby(network) if set(pair) == set(route.vbrs)]
    is_balanced = not preferred and _is_balanced(network, route.vbrs)
    for data_centre in network.data_centres.values():
        for declared in data_centre.routes:
            if declared.destination == route.destination and set(route.vbrs) <= set(declared.via):
                ordered = tuple(vbr for vbr in declared.via if vbr in route.vbrs)
                return replace(route, vbrs=ordered, is_balanced=is_balanced)
    return replace(route, vbrs=preferred[0] if preferred else route.vbrs, is_balanced=is_balanced)


def _is_balanced(network: Network, vbrs: Sequence[str]) -> bool:
    """Whether some VPC shares its flows among these VBRs (R51): then the way back does so as well."""
    return any(set(vbrs) <= set(members) for members in _groups(network, LoadBalanceHop))


def _active_standby(network: Network) -> Iterator[tuple[str, ...]]:
    """The pairs of VBRs of which a VPC prefers the first (R50)."""
    return (members for members in _groups(network, ActiveStandbyHop) if len(members) == 2)


def _groups(network: Network, kind: type[LoadBalanceHop | ActiveStandbyHop]) -> Iterator[tuple[str, ...]]:
    """For each group of that kind in a VPC's routes, the VBRs behind its members."""
    for vpc in network.vpcs.values():
        for table in vpc.route_tables.values():
            for route in table.routes:
                if isinstance(route.next_hop, kind):
                    members = (network.router_interfaces.get(name) for name in router_interfaces_of(route.next_hop))
                    peers = (_peer(network, member) for member in members)
                    yield tuple(peer.vbr for peer in peers if peer is not None and peer.vbr is not None)


def _hints(network: Network, lines: Sequence[Line], routes: Sequence[CpeRoute]) -> Iterator[str]:
    shown = {line.vbr for line in lines}
    for line in lines:
        others = [
            vbr
            for vbr in network.vbrs
            if vbr not in shown and line.data_centre is not None and _data_centre(network, vbr) == line.data_centre
        ]
        if others:
            yield (
                f"{', '.join(others)} {'ends' if len(others) == 1 else 'end'} at data centre {line.data_centre} too: "
                f"if at this very router, print them together (--with {others[0]}), or their routes replace these"
            )
            break
    for line in lines:
        if not any(line.vbr in route.vbrs for route in routes):
            yield f"VBR {line.vbr} has no route to a VPC, so nothing is known to be behind it (R28)"
