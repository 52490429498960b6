"""The order of side effects: references before referents, removals last, and fail closed (style, rule 5).

Creates go up the dependency order and deletes come down it. A rule is added after its table is complete and
removed after its replacement is in. A leg turns into a blackhole only after the groups have let it go,
because the kernel refuses a blackhole among several members.
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
)
from dataplane.plan.action import Action, Verb


class Stage(IntEnum):
    """A dependency level; actions of one stage do not depend on each other."""

    CLEAR = 0
    NAMESPACE = 1
    SYSCTL = 2
    LINK = 3
    LINK_SYSCTL = 4
    ADDRESS = 5
    NEIGHBOUR = 6
    NEXTHOP = 7
    GROUP = 8
    BLACKHOLE = 9
    CLOSING_ROUTE = 10
    ROUTE = 11
    RULE = 12
    RULE_REMOVAL = 13
    ROUTE_REMOVAL = 14
    GROUP_REMOVAL = 15
    NEXTHOP_REMOVAL = 16
    NEIGHBOUR_REMOVAL = 17
    ADDRESS_REMOVAL = 18
    LINK_REMOVAL = 19
    NAMESPACE_REMOVAL = 20

    @property
    def is_removal(self) -> bool:
        return self >= Stage.RULE_REMOVAL


_MAKING: dict[type, Stage] = {
    Namespace: Stage.NAMESPACE,
    Veth: Stage.LINK,
    Address: Stage.ADDRESS,
    Neighbour: Stage.NEIGHBOUR,
    NexthopGroup: Stage.GROUP,
    Rule: Stage.RULE,
}

_REMOVING: dict[type, Stage] = {
    Namespace: Stage.NAMESPACE_REMOVAL,
    Veth: Stage.LINK_REMOVAL,
    Address: Stage.ADDRESS_REMOVAL,
    Neighbour: Stage.NEIGHBOUR_REMOVAL,
    Nexthop: Stage.NEXTHOP_REMOVAL,
    NexthopGroup: Stage.GROUP_REMOVAL,
    KernelRoute: Stage.ROUTE_REMOVAL,
    Rule: Stage.RULE_REMOVAL,
}


def stage_of(action: Action) -> Stage:
    """The stage of an action (clearing the way is decided by the planner, which sees the collisions)."""
    item = action.object
    if action.verb is Verb.DELETE:
        return _REMOVING[type(item)]
    if isinstance(item, Sysctl):
        return Stage.SYSCTL if item.ifname is None else Stage.LINK_SYSCTL
    if isinstance(item, Nexthop):
        return Stage.BLACKHOLE if action.verb is Verb.CHANGE and item.ifname is None else Stage.NEXTHOP
    if isinstance(item, KernelRoute):
        return Stage.CLOSING_ROUTE if item.metric else Stage.ROUTE
    return _MAKING[type(item)]
