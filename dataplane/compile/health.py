"""Health checks as far as they are routes: the source on the VRouter, and the leg that a probe is bound to.

A probe measures its own leg by construction, whatever the user's tables say (kernel.md, section 4).
"""

from ipaddress import IPv4Interface, IPv4Network

from dataplane.compile.context import Compilation
from dataplane.compile.fib import DEFAULT_ROUTE
from dataplane.compile.peering import why_not_forwarding
from dataplane.compile.sender import probe_source
from dataplane.config.health_check import HealthCheck
from dataplane.config.peering import PeeringEnd
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import Address, KernelObject, KernelRoute, RouteType, Rule
from dataplane.model.resource import Resource

PRIORITY_PROBE = 50


def compile_health_checks(c: Compilation) -> None:
    """The source, the rule and the leg table of every health check."""
    for connection_id, connection in c.network.peering_connections.items():
        check = connection.health_check
        ends = [end for end in (connection.initiator, connection.acceptor) if end is not None and end.vpc is not None]
        if check is None or not ends:
            continue
        resource = Resource("health_check", connection_id)
        origin = c.loaded.origin("peering_connections", connection_id, "health_check")
        (end,) = ends
        source = probe_source(c.placement, connection_id, end.vpc or "", c.here)
        if not c.is_end_here(end):
            continue
        if source is None:
            reason = "no address to probe from on this host: its leg counts as up (D21)"
            c.declare(Declared(resource, origin, "Available", reason, "", end.vpc or ""))
            continue
        for item in _objects(c, check, source, end, forwards=not why_not_forwarding(connection)):
            c.add(item, resource, origin, end.vpc or "")
        where = f"{source.network_address} on lo in {names.vpc_namespace(end.vpc or '')}"
        verdict = c.verdicts.of(end.router_interface)
        reason = f"its leg {end.router_interface} counts as up: nobody has probed it yet (D1)"
        if verdict is not None:
            reason = f"its leg {end.router_interface} is {verdict.words}"
        c.declare(Declared(resource, origin, "Available", reason, where, end.vpc or ""))


def _objects(
    c: Compilation, check: HealthCheck, source: IPv4Network, end: PeeringEnd, *, forwards: bool
) -> list[KernelObject]:
    namespace = names.vpc_namespace(end.vpc or "")
    table = names.table_number(c.numbering.number("table", f"{end.vpc}//leg/{end.router_interface}"))
    items: list[KernelObject] = [
        # On lo it also answers the data centre's own pings (R43).
        Address(namespace, "lo", IPv4Interface(str(source))),
        KernelRoute(namespace, table, DEFAULT_ROUTE, RouteType.UNREACHABLE, metric=names.MAX_METRIC),
        Rule(namespace, PRIORITY_PROBE, table, "lo", source, IPv4Network(check.destination)),
    ]
    if forwards:
        ifname = c.leg_ifname(end.router_interface)
        items.append(KernelRoute(namespace, table, DEFAULT_ROUTE, ifname=ifname, via=names.TRANSIT_NEIGHBOUR))
    return items
