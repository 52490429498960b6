"""The order of side effects: references before referents, removals last, and fail closed (style, rule 5).

Creates go up the dependency order and deletes come down it. A rule is added after its table is complete and
removed after its replacement is in; but the rule of a port that is still to be made comes before the port, when its
table is closed and empty, and that of a port that goes, goes after it: no packet is ever looked up where its port does
not belong. A leg turns into a blackhole only after the groups have let it go or are gone themselves, because the kernel
refuses a blackhole among several members.
"""

from enum import IntEnum

from dataplane.model.kernel import (
    Address,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    Rule,
    Sysctl,
    Veth,
    VlanLink,
)
from dataplane.plan.action import Action, Verb


class Stage(IntEnum):
    """A dependency level; actions of one stage do not depend on each other."""

    CLEAR = 0
    NAMESPACE = 1
    SYSCTL = 2
    CLOSING_ROUTE = 3
    PORT_RULE = 4
    LINK = 5
    LINK_SYSCTL = 6
    ADDRESS = 7
    NEIGHBOUR = 8
    NEXTHOP = 9
    GROUP = 10
    ROUTE = 11
    RULE = 12
    RULE_REMOVAL = 13
    ROUTE_REMOVAL = 14
    GROUP_REMOVAL = 15
    BLACKHOLE = 16
    NEXTHOP_REMOVAL = 17
    NEIGHBOUR_REMOVAL = 18
    ADDRESS_REMOVAL = 19
    LINK_REMOVAL = 20
    PORT_RULE_REMOVAL = 21
    CLOSING_ROUTE_REMOVAL = 22
    NAMESPACE_REMOVAL = 23

    @property
    def is_removal(self) -> bool:
        return self >= Stage.RULE_REMOVAL


_MAKING: dict[type, Stage] = {
    Namespace: Stage.NAMESPACE,
    Veth: Stage.LINK,
    VlanLink: Stage.LINK,
    Address: Stage.ADDRESS,
    Neighbour: Stage.NEIGHBOUR,
    NexthopGroup: Stage.GROUP,
    Rule: Stage.RULE,
}

_REMOVING: dict[type, Stage] = {
    Namespace: Stage.NAMESPACE_REMOVAL,
    Veth: Stage.LINK_REMOVAL,
    VlanLink: Stage.LINK_REMOVAL,
    Address: Stage.ADDRESS_REMOVAL,
    Neighbour: Stage.NEIGHBOUR_REMOVAL,
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
