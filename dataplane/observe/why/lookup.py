"""One look-up in one namespace as the kernel makes it: rules by priority, the longest prefix, the next hop.

Pure, and of a `Scene` only. Packets that pass routers are the business of ``walk.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.model.kernel import KernelRoute, Nexthop, NexthopGroup, RouteType, Rule
from dataplane.model.path import Packet
from dataplane.observe.why.code import Code
from dataplane.observe.why.scene import LOOPBACK, Place, Scene
from dataplane.observe.why.trace import Ending

_ENDS = {
    RouteType.UNREACHABLE: Code.NO_ROUTE,
    RouteType.BLACKHOLE: Code.BLACKHOLE,
    RouteType.PROHIBIT: Code.PROHIBITED,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a look-up found.

    Args:
        leg: the next hop that carries the packet, where the route points at one.
        ending: the packet goes no further.
    """

    rule: Rule | None = None
    route: KernelRoute | None = None
    leg: Nexthop | None = None
    group: NexthopGroup | None = None
    egress: str | None = None
    via: IPv4Address | None = None
    ending: Ending | None = None


def decide(scene: Scene, namespace: str, ingress: str | None, packet: Packet, prefer: Mapping[str, str]) -> Decision:
    """Where a namespace sends a packet.

    Args:
        ingress: the interface that it came in by; None for a packet of its own.
        prefer: namespace -> the interface of a group's member that the flow is known to take.
    """
    for rule in scene.rules(namespace):
        if not _matches(rule, ingress or LOOPBACK, packet):
            continue
        route = scene.lookup(namespace, rule.table, packet.destination)
        if route is not None:
            return _follow(scene, rule, route, prefer.get(namespace))
    text = "no rule leads to a table that knows the destination"
    return Decision(ending=Ending(Code.NO_ROUTE, namespace, None, text))


def _matches(rule: Rule, iif: str, packet: Packet) -> bool:
    return (
        rule.iif in (None, iif)
        and (rule.source is None or packet.source in rule.source)
        and (rule.destination is None or packet.destination in rule.destination)
    )


def _follow(scene: Scene, rule: Rule, route: KernelRoute, preferred: str | None) -> Decision:
    if route.type is not RouteType.UNICAST:
        return Decision(rule, route, ending=Ending(_ENDS[route.type], route.namespace, route))
    if route.nexthop is None:
        return Decision(rule, route, egress=route.ifname, via=route.via)
    found = scene.nexthop(route.namespace, route.nexthop)
    group = found if isinstance(found, NexthopGroup) else None
    leg = _member(scene, group, preferred) if group is not None else found
    if not isinstance(leg, Nexthop):
        text = f"its next hop {route.nexthop} is missing"
        return Decision(rule, route, group=group, ending=Ending(Code.NO_ROUTE, route.namespace, route, text))
    if leg.ifname is None:
        return Decision(rule, route, leg, group, ending=Ending(Code.BLACKHOLE, route.namespace, leg))
    return Decision(rule, route, leg, group, leg.ifname, leg.via)


def _member(scene: Scene, group: NexthopGroup, preferred: str | None) -> Nexthop | None:
    """The member that a flow takes: the one that it is known to take, else the first that leads anywhere."""
    found = [scene.nexthop(group.namespace, number) for number, _ in group.members]
    legs = [leg for leg in found if isinstance(leg, Nexthop)]
    live = [leg for leg in legs if leg.ifname is not None]
    return next((leg for leg in live if leg.ifname == preferred), None) or next(iter(live or legs), None)


def members_of(scene: Scene, decision: Decision) -> tuple[str, ...]:
    """Every interface that a decision's flows may leave by."""
    if decision.group is None:
        return (decision.egress,) if decision.egress is not None else ()
    found = (scene.nexthop(decision.group.namespace, number) for number, _ in decision.group.members)
    return tuple(leg.ifname for leg in found if isinstance(leg, Nexthop) and leg.ifname is not None)


def source_check(scene: Scene, place: Place, egress: str, packet: Packet) -> Ending | None:
    """The kernel's check of a forwarded packet's source (rp_filter); None where it passes.

    The answer is looked up as if it came in by the interface that the packet leaves by, and must leave by the one that
    it came in by (dataplane/DESIGN.md, "Source checks").
    """
    namespace, ingress = place
    if scene.has_address(namespace, packet.source):
        return Ending(Code.SPOOFED, namespace, None, f"the source {packet.source} is the router's own address")
    values = (scene.sysctl(namespace, f"net/ipv4/conf/{scope}/rp_filter") or "0" for scope in ("all", ingress))
    mode = max(int(value) for value in values)
    if mode == 0:
        return None
    back = decide(scene, namespace, egress, packet.answer(), {})
    ways = members_of(scene, back)
    if ways if mode == 2 else ingress in ways:  # 2 is loose: any way will do
        return None
    text = (
        f"the source check of {ingress} (rp_filter={mode}) drops {packet.source}: "
        f"an answer to it would not leave by {ingress}"
    )
    name = f"net/ipv4/conf/{ingress}/rp_filter"
    return Ending(Code.SPOOFED, namespace, scene.objects.get(("sysctl", namespace, name)), text)
