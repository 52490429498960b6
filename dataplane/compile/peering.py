"""A peering connection between two routers of this host: a veth pair without addresses, one permanent
neighbour and one next-hop object at each end (kernel.md, section 3; D12).

The next-hop object is the *leg*: routes point at its id, and suspending the connection replaces it by a
blackhole in place (R15), so that no route is rewritten.
"""

from dataplane.compile import sysctl
from dataplane.compile.context import DEFAULT_MTU_BYTES, Compilation
from dataplane.compile.router import router_of
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
        ends = [end for end in (connection.initiator, connection.acceptor) if end is not None]
        units = [router_of(end).unit for end in ends]
        resource = Resource("peering_connection", connection_id)
        origin = c.loaded.origin("peering_connections", connection_id)
        for item in _objects(c, connection_id, connection):
            c.add(item, resource, origin, *units)
        reason = why_not_forwarding(connection)
        c.declare(
            Declared(
                resource,
                origin,
                _state(connection, reason),
                reason,
                kernel_object=_where(c, ends) if len(ends) == 2 else "",
                unit=units[0] if units else "",
            )
        )


def _state(connection: PeeringConnection, reason: str) -> str:
    if connection.initiator is None or connection.acceptor is None:
        return "Disconnected"  # R5: an end that has no peer added yet
    return "Inactive" if reason else "Active"


def _where(c: Compilation, ends: list[PeeringEnd]) -> str:
    return " <-> ".join(
        f"{c.router_interface_ifname(end.router_interface)} in {router_of(end).namespace}" for end in ends
    )


def _objects(c: Compilation, connection_id: str, connection: PeeringConnection) -> list[KernelObject]:
    initiator, acceptor = connection.initiator, connection.acceptor
    items: list[KernelObject] = []
    if initiator is not None and acceptor is not None:
        mtu = min(_mtu(c, initiator), _mtu(c, acceptor))
        mark = names.mark("peering_connection", connection_id)
        items.append(Veth(mark, _veth_end(c, initiator), _veth_end(c, acceptor), mtu))
        items += _transit(c, initiator, acceptor) + _transit(c, acceptor, initiator)
    is_blackhole = bool(why_not_forwarding(connection))
    items += [_leg(c, end, is_blackhole=is_blackhole) for end in (initiator, acceptor) if end is not None]
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
    ifname = c.router_interface_ifname(end.router_interface)
    return Nexthop(namespace, c.leg(end.router_interface), ifname, names.TRANSIT_NEIGHBOUR)
