"""Which legs the traffic between two ends takes by the files, and what limits it there. Pure.

It reads what is configured, not what is installed: a ceiling must not follow a fault of the forwarder.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from dataplane.config.network import Network
from dataplane.config.next_hop import ActiveStandbyHop, LoadBalanceHop, NextHop, router_interfaces_of
from dataplane.config.peering import FlowCap, PeeringConnection, RouterInterface
from dataplane.config.placement import Placement
from dataplane.config.route_table import Route
from dataplane.config.vswitch import SYSTEM_TABLE
from dataplane.model.buckets import bucket_orders
from dataplane.model.forwarding import Group, GroupMode, Member


@dataclass(frozen=True, slots=True)
class WayLeg:
    """A leg, with what limits traffic on it.

    Args:
        name: the router interface that traffic leaves by.
        bandwidth: bits a second of the connection, or of its line where that is less (R21, D5); None: no limit.
        cap: bits a second of one flow (R117, D4, D19); None: no limit.
        divisor: what the cap is a part of the bandwidth by.
    """

    name: str
    connection: str
    bandwidth: int | None = None
    cap: float | None = None
    divisor: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """The first step of a direction: all further ones have one leg.

    Args:
        legs: those that carry traffic while all are healthy; none where no connection is on the way.
        firsts: for each bucket of the forwarder's hash, the place of its leg in ``legs``; empty with one leg.
        mtu: in bytes, of the ends.
    """

    legs: tuple[WayLeg, ...] = ()
    firsts: tuple[int, ...] = ()
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class End:
    """Who sends or receives.

    Args:
        vpc: the VPC that it is in; empty for whoever is outside.
        is_here: its namespace can be entered; else its own counters cannot be seen.
    """

    id: str
    address: IPv4Address
    vpc: str = ""
    is_here: bool = True


def way_between(network: Network, source: End, target: End) -> Way:
    """The way of what one end sends to another.

    Args:
        source: an instance of the network, or somebody in a data centre.
    """
    if source.vpc:
        hop = _vpc_hop(network, source, target.address)
        found = _of_hop(network, hop) if hop is not None else Way()
    else:
        found = _from_outside(network, target.address)
    return replace(found, mtu=_mtu(network, source.vpc or target.vpc))


def _mtu(network: Network, vpc_id: str) -> int:
    if not vpc_id:
        return 1500
    placement = Placement(network, next(iter(network.hosts), ""))
    return network.vpcs[vpc_id].mtu or placement.largest_mtu(vpc_id)


def _vpc_hop(network: Network, source: End, address: IPv4Address) -> NextHop | None:
    """The next hop of an instance's route; None where it is inside the VPC, or nowhere (R62, R63)."""
    vpc = network.vpcs[source.vpc]
    table = vpc.vswitches[vpc.instances[source.id].vswitch].route_table
    known = vpc.route_tables.get(table) or vpc.route_tables.get(SYSTEM_TABLE)
    best = _longest(known.routes if known is not None else (), address)
    local = [vswitch.cidr.prefixlen for vswitch in vpc.vswitches.values() if address in vswitch.cidr]
    return None if best is None or best.destination.prefixlen < max(local, default=-1) else best.next_hop


def _longest(routes: Iterable[Route], address: IPv4Address) -> Route | None:
    matching = [route for route in routes if address in route.destination]
    return max(matching, key=lambda route: route.destination.prefixlen, default=None)


def _of_hop(network: Network, hop: NextHop) -> Way:
    names = router_interfaces_of(hop)
    legs = tuple(_leg(network, network.router_interfaces[name]) for name in names)
    if isinstance(hop, ActiveStandbyHop):
        return Way(legs[:1])
    if not isinstance(hop, LoadBalanceHop):
        return Way(legs)
    weights = [member.weight for member in hop.members]
    members = tuple(Member(place, place, weight) for place, weight in enumerate(weights))
    orders = bucket_orders(Group(1, "", GroupMode.LOAD_BALANCE, members))
    return Way(legs, tuple(order[0] for order in orders))


def _from_outside(network: Network, address: IPv4Address) -> Way:
    """The data centre's router takes the first VBR that it is told (R31), and that has one route to the VPC (R28)."""
    told = [route for centre in network.data_centres.values() for route in centre.routes]
    matching = [route for route in told if address in route.destination]
    best = max(matching, key=lambda route: route.destination.prefixlen, default=None)
    borders = best.via[:1] if best is not None else tuple(network.vbrs)[:1] if len(network.vbrs) == 1 else ()
    for border in borders:
        route = _longest(network.vbrs[border].routes, address)
        if route is not None:
            return _of_hop(network, route.next_hop)
    return Way()


def _leg(network: Network, interface: RouterInterface) -> WayLeg:
    connection = network.peering_connections[interface.connection]
    peer = network.router_interfaces.get(interface.peer or "")
    border = interface.vbr or (peer.vbr if peer is not None else None)
    line = network.physical_connections[network.vbrs[border].physical_connection].bandwidth if border else None
    limits = [rate for rate in (connection.bandwidth, line) if rate is not None]
    cap = _flow_cap(connection, is_to_vbr=peer is not None and peer.vbr is not None) if border else None
    base = connection.bandwidth or line  # D19
    capped = base / cap.divisor if cap is not None and base is not None else None
    divisor = cap.divisor if capped is not None and cap is not None else 0
    return WayLeg(interface.id, interface.connection, min(limits, default=None), capped, divisor)


def _flow_cap(connection: PeeringConnection, *, is_to_vbr: bool) -> FlowCap | None:
    """R117, R119: from the VPC to the VBR, and back only where the file says so."""
    if connection.flow_cap == "off":
        return None
    cap = connection.flow_cap if isinstance(connection.flow_cap, FlowCap) else FlowCap()
    return cap if is_to_vbr or cap.direction == "both" else None
