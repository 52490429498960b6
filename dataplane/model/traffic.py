"""What the forwarder has counted: frames by port and reason, and by leg, and what limits did to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataplane.model.forwarding import Forwarding, Reason, Verdict
from dataplane.model.limit import Limit
from dataplane.model.simulation import Count

_NONE = Count(0, 0)


@dataclass(frozen=True, slots=True)
class Throttled:
    """What the limits of a leg have done to its packets (D4, D5).

    Args:
        delayed: went by a queue, since their flow or their connection was over its limit.
        dropped: were too much.
        overflow: packets of flows that the flow table had no place for, and that share a limit.
        shared: packets that had to share a queue with another flow's.
    """

    delayed: Count = _NONE
    dropped: Count = _NONE
    overflow: int = 0
    shared: int = 0


NOT_THROTTLED = Throttled()
NO_LIMIT = Limit(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counters since the maps were made, in numbers of ours; only those with any frames.

    Args:
        ports: (port id, reason) -> frames that came in there; port 0 stands for all without an entry.
        legs: leg id -> frames that left by it.
        throttled: leg id -> what its limits have done.
    """

    ports: Mapping[tuple[int, Reason], Count] = field(default_factory=dict)
    legs: Mapping[int, Count] = field(default_factory=dict)
    throttled: Mapping[int, Throttled] = field(default_factory=dict)

    def packets(self, verdict: Verdict) -> int:
        """Frames with a verdict, each counted once."""
        return sum(
            count.packets
            for (_, reason), count in self.ports.items()
            if reason.verdict is verdict and reason is not Reason.CONTINUED
        )

    def drops(self) -> dict[Reason, int]:
        """Frames that were dropped, by reason."""
        found: dict[Reason, int] = {}
        for (_, reason), count in self.ports.items():
            if reason.verdict is Verdict.DROP:
                found[reason] = found.get(reason, 0) + count.packets
        return found


@dataclass(frozen=True, slots=True)
class NamedTraffic:
    """Counters in the words of the configuration.

    Args:
        ports: what a port leads to (``instance/ecs-1``) -> frames that came in there, by reason.
        legs: router interface -> frames that left by it.
        limits: router interface -> its limits; only those with any.
        throttled: router interface -> what its limits have done; of each that has any.
    """

    ports: Mapping[str, Mapping[Reason, Count]]
    legs: Mapping[str, Count]
    limits: Mapping[str, Limit] = field(default_factory=dict)
    throttled: Mapping[str, Throttled] = field(default_factory=dict)


def named(traffic: Traffic, state: Forwarding) -> NamedTraffic:
    """The counters of the ports and legs that a state has; what went through others long ago is left out."""
    ports: dict[str, dict[Reason, Count]] = {port.name: {} for port in state.ports.values()}
    for (number, reason), count in traffic.ports.items():
        port = state.ports.get(number)
        if port is not None:
            ports[port.name][reason] = count
    legs = {state.leg_names[leg]: traffic.legs.get(leg, Count(0, 0)) for leg in state.legs if leg in state.leg_names}
    limits = {state.leg_names[leg]: limit for leg, limit in state.limits.items() if leg in state.leg_names}
    throttled = {
        state.leg_names[leg]: traffic.throttled.get(leg, NOT_THROTTLED)
        for leg in state.limits
        if leg in state.leg_names
    }
    return NamedTraffic(ports, legs, limits, throttled)
