"""What the forwarder has counted: frames by port and reason, and by leg."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataplane.model.forwarding import Forwarding, Reason, Verdict
from dataplane.model.simulation import Count


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counters since the maps were made, in numbers of ours; only those with any frames.

    Args:
        ports: (port id, reason) -> frames that came in there; port 0 stands for all without an entry.
        legs: leg id -> frames that left by it.
    """

    ports: Mapping[tuple[int, Reason], Count] = field(default_factory=dict)
    legs: Mapping[int, Count] = field(default_factory=dict)

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
    """

    ports: Mapping[str, Mapping[Reason, Count]]
    legs: Mapping[str, Count]


def named(traffic: Traffic, state: Forwarding) -> NamedTraffic:
    """The counters of the ports and legs that a state has; what went through others long ago is left out."""
    ports: dict[str, dict[Reason, Count]] = {port.name: {} for port in state.ports.values()}
    for (number, reason), count in traffic.ports.items():
        port = state.ports.get(number)
        if port is not None:
            ports[port.name][reason] = count
    legs = {state.leg_names[leg]: traffic.legs.get(leg, Count(0, 0)) for leg in state.legs if leg in state.leg_names}
    return NamedTraffic(ports, legs)
