"""The order of side effects: references before referents, removals last, and fail closed (style, rule 5).

Creates go up the dependency order and deletes come down it. A rule is added after its table is complete and
removed after its replacement is in; but the rule of a port that is still to be made comes before the port, when its
table is closed and empty, and that of a port that goes, goes after it: no packet is ever looked up where its port does
not belong. The underlay filter is in before any link that VXLAN packets could come in by, and goes after the last one.
The forwarder is told once the kernel's own tables are complete, and before anything is taken out of them: its state
first, then the programs that look it up, and in the opposite order when they go.
A leg turns into a blackhole only after the groups have let it go or are gone themselves, because the kernel
refuses a blackhole among several members.
"""

from enum import IntEnum

from dataplane.model.kernel import (
    Address,
    FarEnd,
    FdbEntry,
    ForwarderState,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    PortProgram,
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
    FORWARDER_STATE = 14
    FAR_END = 15
    PROGRAM = 16
    PROGRAM_REMOVAL = 17
    FAR_END_REMOVAL = 18
    FORWARDER_STATE_REMOVAL = 19
    RULE_REMOVAL = 20
    ROUTE_REMOVAL = 21
    GROUP_REMOVAL = 22
    BLACKHOLE = 23
    NEXTHOP_REMOVAL = 24
    NEIGHBOUR_REMOVAL = 25
    ADDRESS_REMOVAL = 26
    LINK_REMOVAL = 27
    UNDERLAY_FILTER_REMOVAL = 28
    PORT_RULE_REMOVAL = 29
    CLOSING_ROUTE_REMOVAL = 30
    NAMESPACE_REMOVAL = 31

    @property
    def is_removal(self) -> bool:
        return self >= Stage.PROGRAM_REMOVAL


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
    ForwarderState: Stage.FORWARDER_STATE,
    FarEnd: Stage.FAR_END,
    PortProgram: Stage.PROGRAM,
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
    ForwarderState: Stage.FORWARDER_STATE_REMOVAL,
    PortProgram: Stage.PROGRAM_REMOVAL,
    FarEnd: Stage.FAR_END_REMOVAL,
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
