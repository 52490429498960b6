"""Next hops: that they exist, belong to the router of the route, and fit its routing method (R49-R52, R65, R66)."""

from collections.abc import Iterator

from dataplane.config.next_hop import (
    ActiveStandbyHop,
    InstanceHop,
    LoadBalanceHop,
    NextHop,
    PhysicalConnectionHop,
    RouterInterfaceHop,
    router_interfaces_of,
)
from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup, RouteAt

MIN_MEMBERS = 2
MAX_MEMBERS = 4


def routes_gone(lookup: Lookup) -> Iterator[tuple[Path, Problem]]:
    """The routes that a deleted connection takes along in the profile tencent (R104), each with its warning."""
    if lookup.network.profile != "tencent":
        return
    for at in lookup.routes:
        gone = [name for name in router_interfaces_of(at.route.next_hop) if _is_gone(lookup, name)]
        if gone:
            message = f"the route {at} is left out: router interface {gone[0]} no longer exists"
            yield at.path, lookup.warning(at.path, message, "R104", "remove the route")


def _is_gone(lookup: Lookup, name: str) -> bool:
    return name not in lookup.network.router_interfaces and not lookup.is_router_interface_broken(name)


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about a route's next hop."""
    for at in lookup.routes:
        hop, path = at.route.next_hop, (*at.path, "next_hop")
        if isinstance(hop, InstanceHop):
            yield from _instance(lookup, at, (*path, "instance"), hop.instance)
        elif isinstance(hop, PhysicalConnectionHop):
            if at.vpc is not None:
                message = "a physical connection is a next hop of VBRs only"
                yield lookup.error(path, message, "R29", "write {router_interface: ...} towards the VBR")
        else:
            yield from _router_interfaces(lookup, at, _places(path, hop))
        if isinstance(hop, LoadBalanceHop | ActiveStandbyHop):
            yield from _group(lookup, at, path, hop)


def _instance(lookup: Lookup, at: RouteAt, path: Path, name: str) -> Iterator[Problem]:
    if at.vpc is None:
        message = f"an instance ({name}) is no next hop of a VBR"
        yield lookup.error(path, message, "R29", "write physical_connection or {router_interface: ...}")
        return
    instances = lookup.network.vpcs[at.vpc].instances
    if name in instances:
        if not instances[name].forwarding and not lookup.is_broken("vpcs", at.vpc, "instances", name, "forwarding"):
            message = f"instance {name} does not forward, so the route {at} leads nowhere"
            yield lookup.warning(path, message, "R66", f"write forwarding: true on {name}")
        return
    if lookup.is_broken("vpcs", at.vpc, "instances", name):
        return
    home = next((vpc_id for vpc_id, vpc in lookup.network.vpcs.items() if name in vpc.instances), None)
    if home is not None:
        message = f"instance {name} of the route {at} belongs to VPC {home}"
        yield lookup.error(path, message, "R65", f"use an instance of {at.vpc}, or a router interface")
    else:
        yield lookup.dangling(path, "instance", name, instances, "R65", f"for the route {at}")


def _places(path: Path, hop: NextHop) -> list[tuple[Path, str]]:
    """Each router interface of a next hop with the place where its id stands."""
    if isinstance(hop, RouterInterfaceHop):
        return [((*path, "router_interface"), hop.router_interface)]
    if isinstance(hop, ActiveStandbyHop):
        return [((*path, "active_standby", key), getattr(hop, key)) for key in ("active", "standby")]
    names = router_interfaces_of(hop)
    return [((*path, "load_balance", index), name) for index, name in enumerate(names)]


def _router_interfaces(lookup: Lookup, at: RouteAt, places: list[tuple[Path, str]]) -> Iterator[Problem]:
    known = lookup.network.router_interfaces
    for path, name in places:
        found = known.get(name)
        if found is None:
            if not lookup.is_router_interface_broken(name):
                own = [item.id for item in known.values() if at.vpc == item.vpc and at.vbr == item.vbr]
                yield lookup.dangling(path, "router interface", name, own or known, "R16", f"for the route {at}")
        elif (found.vpc, found.vbr) != (at.vpc, at.vbr):
            router = f"VPC {found.vpc}" if found.vpc is not None else f"VBR {found.vbr}"
            remedy = "use this router's own end of the connection"
            peer = known.get(found.peer or "")
            if peer is not None and (peer.vpc, peer.vbr) == (at.vpc, at.vbr):
                remedy += f": {peer.id}"
            message = f"router interface {name} of the route {at} belongs to {router}"
            yield lookup.error(path, message, "R65", remedy)


def _group(lookup: Lookup, at: RouteAt, path: Path, hop: LoadBalanceHop | ActiveStandbyHop) -> Iterator[Problem]:
    if at.vbr is not None:
        message = "groups of router interfaces are for the routes of a VPC to VBRs"
        yield lookup.error(path, message, "R49", "write {router_interface: ...} on a VBR")
        return
    if isinstance(hop, LoadBalanceHop):
        yield from _load_balance(lookup, path, hop)
    elif hop.active == hop.standby:
        message = f"{hop.active} is its own standby"
        yield lookup.error(path, message, "R50", "name two different router interfaces")
    for place, name in _places(path, hop):
        yield from _member(lookup, place, name, "R52" if isinstance(hop, LoadBalanceHop) else "R49")


def _load_balance(lookup: Lookup, path: Path, hop: LoadBalanceHop) -> Iterator[Problem]:
    names = [member.router_interface for member in hop.members]
    if not MIN_MEMBERS <= len(names) <= MAX_MEMBERS:
        message = f"load balancing over {len(names)} router interface{'s' * (len(names) != 1)}"
        yield lookup.error(path, message, "R51", f"name {MIN_MEMBERS} to {MAX_MEMBERS}")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(names) <= MAX_MEMBERS else []
    if twice:
        yield lookup.error(path, f"{twice[0]} is named twice", "R51", "name different router interfaces")
    weights = sorted({member.weight for member in hop.members})
    if len(weights) > 1:
        message = f"the weights differ: {', '.join(str(weight) for weight in weights)}"
        yield lookup.error(path, message, "R51", "give all members the same weight, or none")


def _member(lookup: Lookup, path: Path, name: str, rule: str) -> Iterator[Problem]:
    known = lookup.network.router_interfaces
    member = known.get(name)
    peer = known.get(member.peer) if member is not None and member.peer is not None else None
    if member is None or peer is None:
        return
    if peer.vpc is not None:
        message = f"{name} leads to VPC {peer.vpc}, and a group leads to VBRs"
        yield lookup.error(path, message, rule, f"write {{router_interface: {name}}}")
    elif not _has_health_check(lookup, member.connection):
        message = f"{member.connection} of {name} has no health check, so the leg counts as up for ever"
        yield lookup.warning(path, message, "R48", f"write health_check: on {member.connection}")


def _has_health_check(lookup: Lookup, connection: str) -> bool:
    """Whether a connection is watched, or would be if its health check were well formed."""
    is_broken = lookup.is_broken("peering_connections", connection, "health_check")
    return is_broken or lookup.network.peering_connections[connection].health_check is not None
