"""A peering connection between two routers of this host: a veth pair without addresses, one permanent
neighbour and one next-hop object at each end (kernel.md, section 3; D12).

The next-hop object is the *leg*: routes point at its id, and suspending the connection replaces it by a
blackhole in place (R15), so that no route is rewritten.
"""

from dataplane.compile import sysctl
from dataplane.compile.context import Compilation
from dataplane.compile.crossing import target_of
from dataplane.compile.router import router_of
from dataplane.compile.shaper import limit_words
from dataplane.config.host import DEFAULT_MTU_BYTES
from dataplane.config.peering import PeeringConnection, PeeringEnd
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import KernelObject, Neighbour, Nexthop, Veth, VethEnd
from dataplane.model.resource import Resource


def why_not_forwarding(connection: PeeringConnection) -> str:
    """Why a connection forwards nothing; empty where it does."""
    if connection.initiator is None or connection.acceptor is None:
        missing = "initiator" if connection.initiator is None else "acceptor"
        return f"waits for its {missing} to be configured (R3)"
    for role, end in (("initiator", connection.initiator), ("acceptor", connection.acceptor)):
        if end.state == "suspended":
            return f"its {role} {end.router_interface} is suspended (R15)"
    return ""


def compile_peerings(c: Compilation) -> None:
    """Links, neighbours and legs of every connection."""
    for connection_id, connection in c.network.peering_connections.items():
        ends = [end for _, end in connection.ends() if c.is_end_here(end)]
        if not ends:
            continue
        units = [router_of(end).unit for end in ends]
        resource = Resource("peering_connection", connection_id)
        origin = c.loaded.origin("peering_connections", connection_id)
        for item in _objects(c, connection_id, connection):
            c.add(item, resource, origin, *units)
        reason = why_not_forwarding(connection)
        state = _state(connection, reason)
        c.declare(
            Declared(
                resource,
                origin,
                state,
                reason or _legs_down(c, ends),
                kernel_object=_where(c, connection),
                unit=units[0],
                detail=limit_words(c.network, connection),
            )
        )


def _state(connection: PeeringConnection, reason: str) -> str:
    if connection.initiator is None or connection.acceptor is None:
        return "Disconnected"  # R5: an end that has no peer added yet
    return "Inactive" if reason else "Active"


def _legs_down(c: Compilation, ends: list[PeeringEnd]) -> str:
    """Which of its legs is down, and who says so; the connection itself forwards, and general routing uses it."""
    verdicts = ((end.router_interface, c.verdicts.of(end.router_interface)) for end in ends)
    return "; ".join(f"leg {leg} is {one.words}" for leg, one in verdicts if one is not None and one.state == "down")


def _where(c: Compilation, connection: PeeringConnection) -> str:
    """The links of a connection on this host, and the hosts that tunnels lead to."""
    if connection.initiator is None or connection.acceptor is None:
        return ""
    words = []
    for end, far in ((connection.initiator, connection.acceptor), (connection.acceptor, connection.initiator)):
        target = target_of(c.placement, end, far, c.here)
        to = f" to {target}" if target is not None else ""
        links = c.arrival_ifnames(end.router_interface) if c.is_end_here(end) else ()
        words += [f"{ifname} in {router_of(end).namespace}{to}" for ifname in links]
    return " <-> ".join(words)


def _objects(c: Compilation, connection_id: str, connection: PeeringConnection) -> list[KernelObject]:
    initiator, acceptor = connection.initiator, connection.acceptor
    items: list[KernelObject] = []
    ends = [end for _, end in connection.ends() if c.is_end_here(end)]
    if initiator is not None and acceptor is not None and len(ends) == 2:
        mtu = min(_mtu(c, initiator), _mtu(c, acceptor))
        mark = names.mark("peering_connection", connection_id)
        items.append(Veth(mark, _veth_end(c, initiator), _veth_end(c, acceptor), mtu))
        items += _transit(c, initiator, acceptor) + _transit(c, acceptor, initiator)
    is_blackhole = bool(why_not_forwarding(connection))
    items += [_leg(c, end, is_blackhole=is_blackhole) for end in ends]
    return items


def _mtu(c: Compilation, end: PeeringEnd) -> int:
    return c.mtu(end.vpc) if end.vpc is not None else DEFAULT_MTU_BYTES


def _veth_end(c: Compilation, end: PeeringEnd) -> VethEnd:
    return VethEnd(
        router_of(end).namespace,
        c.router_interface_ifname(end.router_interface),
        names.port_ifindex(c.router_interface_port(end.router_interface)),
        names.mac_address("router_interface", end.router_interface),
    )


def _transit(c: Compilation, end: PeeringEnd, other: PeeringEnd) -> list[KernelObject]:
    namespace, ifname = router_of(end).namespace, c.router_interface_ifname(end.router_interface)
    other_mac = names.mac_address("router_interface", other.router_interface)
    return [
        *sysctl.transit_sysctls(namespace, ifname),
        Neighbour(namespace, ifname, names.TRANSIT_NEIGHBOUR, other_mac),
    ]


def _leg(c: Compilation, end: PeeringEnd, *, is_blackhole: bool) -> Nexthop:
    namespace = router_of(end).namespace
    if is_blackhole:
        return Nexthop(namespace, c.leg(end.router_interface))
    ifname = c.leg_ifname(end.router_interface)
    return Nexthop(namespace, c.leg(end.router_interface), ifname, names.TRANSIT_NEIGHBOUR)
