"""The order of side effects: references before referents, removals last, and fail closed (style, rule 5).

Creates go up the dependency order and deletes come down it. A rule is added after its table is complete and
removed after its replacement is in; but the rule of a port that is still to be made comes before the port, when its
table is closed and empty, and that of a port that goes, goes after it: no packet is ever looked up where its port does
not belong. The underlay filter is in before any link that VXLAN packets could come in by, and goes after the last one.
The forwarder is told once the kernel's own tables are complete, and before anything is taken out of them: its state
first, then the programs that look it up, and in the opposite order when they go. Of a leg that goes, and nothing else,
it is told before the kernel's next hops change, since that is one store; of one that comes back after them (make before
break).
A port is shaped before a next hop leads to it, and until none does.
A next hop turns into a blackhole only after its group has let the others go or is gone itself, because the kernel
refuses a blackhole among several members.
"""

from enum import IntEnum

from dataplane.model.kernel import (
    Address,
    Classifier,
    DeviceQueues,
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
    Shaper,
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
    SHAPER = 10
    LEG_LOSS = 11
    NEXTHOP = 12
    GROUP = 13
    ROUTE = 14
    RULE = 15
    FORWARDER_STATE = 16
    FAR_END = 17
    PROGRAM = 18
    PROGRAM_REMOVAL = 19
    FAR_END_REMOVAL = 20
    FORWARDER_STATE_REMOVAL = 21
    RULE_REMOVAL = 22
    ROUTE_REMOVAL = 23
    GROUP_REMOVAL = 24
    BLACKHOLE = 25
    NEXTHOP_REMOVAL = 26
    SHAPER_REMOVAL = 27
    NEIGHBOUR_REMOVAL = 28
    ADDRESS_REMOVAL = 29
    LINK_REMOVAL = 30
    UNDERLAY_FILTER_REMOVAL = 31
    PORT_RULE_REMOVAL = 32
    CLOSING_ROUTE_REMOVAL = 33
    NAMESPACE_REMOVAL = 34

    @property
    def is_removal(self) -> bool:
        return self >= Stage.PROGRAM_REMOVAL


_MAKING: dict[type, Stage] = {
    Namespace: Stage.NAMESPACE,
    # Before links are made on the card: a driver may take it down and up for that.
    DeviceQueues: Stage.SYSCTL,
    UnderlayFilter: Stage.UNDERLAY_FILTER,
    Veth: Stage.LINK,
    VlanLink: Stage.LINK,
    VxlanLink: Stage.LINK,
    Address: Stage.ADDRESS,
    Neighbour: Stage.NEIGHBOUR,
    FdbEntry: Stage.NEIGHBOUR,
    Shaper: Stage.SHAPER,
    Classifier: Stage.SHAPER,
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
    Shaper: Stage.SHAPER_REMOVAL,
    Classifier: Stage.SHAPER_REMOVAL,
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
    if isinstance(action.before, ForwarderState) and action.before.is_loss:
        return Stage.LEG_LOSS
    if isinstance(item, Sysctl):
        return Stage.SYSCTL if item.ifname is None else Stage.LINK_SYSCTL
    if isinstance(item, Nexthop):
        return Stage.BLACKHOLE if action.verb is Verb.CHANGE and item.ifname is None else Stage.NEXTHOP
    if isinstance(item, KernelRoute):
        return Stage.CLOSING_ROUTE if item.metric else Stage.ROUTE
    return _MAKING[type(item)]
