"""The order of side effects: references before referents, removals last, and fail closed (style, rule 5).

Creates go up the dependency order and deletes come down it. A rule is added after its table is complete and
removed after its replacement is in; but the rule of a port that is still to be made comes before the port, when its
table is closed and empty, and that of a port that goes, goes after it: no packet is ever looked up where its port does
not belong. The underlay filter is in before any link that VXLAN packets could come in by, and goes after the last one.
A leg turns into a blackhole only after the groups have let it go or are gone themselves, because the kernel
refuses a blackhole among several members.
"""

from enum import IntEnum

from dataplane.model.kernel import (
    Address,
    FdbEntry,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    Rule,
    Sysctl,
    UnderlayFilter,
    Veth,
    VlanLink,
    VxlanLink,
)
from dataplane.plan.action import Action, Verb


class Stage(IntEnum):
    """A dependency level; actions of one stage do not depend on each other."""

    CLEAR = 0
    NAMESPACE = 1
    SYSCTL = 2
    CLOSING_ROUTE = 3
    PORT_RULE = 4
    UNDERLAY_FILTER = 5
    LINK = 6
    LINK_SYSCTL = 7
    ADDRESS = 8
    NEIGHBOUR = 9
    NEXTHOP = 10
    GROUP = 11
    ROUTE = 12
    RULE = 13
    RULE_REMOVAL = 14
    ROUTE_REMOVAL = 15
    GROUP_REMOVAL = 16
    BLACKHOLE = 17
    NEXTHOP_REMOVAL = 18
    NEIGHBOUR_REMOVAL = 19
    ADDRESS_REMOVAL = 20
    LINK_REMOVAL = 21
    UNDERLAY_FILTER_REMOVAL = 22
    PORT_RULE_REMOVAL = 23
    CLOSING_ROUTE_REMOVAL = 24
    NAMESPACE_REMOVAL = 25

    @property
    def is_removal(self) -> bool:
        return self >= Stage.RULE_REMOVAL


_MAKING: dict[type, Stage] = {
    Namespace: Stage.NAMESPACE,
    UnderlayFilter: Stage.UNDERLAY_FILTER,
    Veth: Stage.LINK,
    VlanLink: Stage.LINK,
    VxlanLink: Stage.LINK,
    Address: Stage.ADDRESS,
    Neighbour: Stage.NEIGHBOUR,
    FdbEntry: Stage.NEIGHBOUR,
    NexthopGroup: Stage.GROUP,
    Rule: Stage.RULE,
}

_REMOVING: dict[type, Stage] = {
    Namespace: Stage.NAMESPACE_REMOVAL,
    Veth: Stage.LINK_REMOVAL,
    VlanLink: Stage.LINK_REMOVAL,
    VxlanLink: Stage.LINK_REMOVAL,
    UnderlayFilter: Stage.UNDERLAY_FILTER_REMOVAL,
    Address: Stage.ADDRESS_REMOVAL,
    Neighbour: Stage.NEIGHBOUR_REMOVAL,
    FdbEntry: Stage.NEIGHBOUR_REMOVAL,
    Nexthop: Stage.NEXTHOP_REMOVAL,
    NexthopGroup: Stage.GROUP_REMOVAL,
    KernelRoute: Stage.ROUTE_REMOVAL,
    Rule: Stage.RULE_REMOVAL,
}


def stage_of(action: Action) -> Stage:
    """The stage of an action by itself; clearing the way, and which ports come and go, is decided by the planner."""
    item = action.object
    if action.verb is Verb.DELETE:
        if isinstance(item, KernelRoute) and item.metric:
            return Stage.CLOSING_ROUTE_REMOVAL
        return _REMOVING[type(item)]
    if isinstance(item, Sysctl):
        return Stage.SYSCTL if item.ifname is None else Stage.LINK_SYSCTL
    if isinstance(item, Nexthop):
        return Stage.BLACKHOLE if action.verb is Verb.CHANGE and item.ifname is None else Stage.NEXTHOP
    if isinstance(item, KernelRoute):
        return Stage.CLOSING_ROUTE if item.metric else Stage.ROUTE
    return _MAKING[type(item)]
