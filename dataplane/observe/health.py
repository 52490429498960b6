"""Health of legs and of the prober as others are told it: the local API, the metrics and the command line.

Plain values, made by whoever talks to the prober. Nothing here decides whether a leg is up.
"""

from dataclasses import dataclass

from dataplane.health.state import State

HealthState = State
"""The states of a leg, as the prober's machine has them (D1-D3)."""


@dataclass(frozen=True, slots=True)
class LegHealth:
    """One leg: what its probes say, and what traffic does.

    Args:
        leg: its router interface.
        connection: the peering connection that it belongs to.
        is_up: whether traffic may use it; before its first verdict it counts as up (D1).
        since: UTC, ISO 8601, when it got this state.
        cause: why it has it, in words.
        forced: ``up`` or ``down`` by hand; empty where its probes decide.
        is_damped: held down after too many flips (D1).
        is_frozen: nobody probes, so the verdict stays as it was (D3).
        has_carrier: whether the links that it needs are up.
        sent: probes since the leg was first probed; likewise ``replies`` in time and ``misses``.
        late: replies after the timeout.
        voided: misses that do not count, because the prober itself was late (D3).
        flips: changes between up and down.
        loss_ratio: of the last probes, 0 to 1; None before the first.
        round_trip_s: quantile (0.5, 0.9, 0.99, 1) and seconds, of the last replies.
    """

    leg: str
    connection: str
    state: HealthState
    is_up: bool
    since: str = ""
    cause: str = ""
    forced: str = ""
    is_damped: bool = False
    is_frozen: bool = False
    has_carrier: bool = True
    sent: int = 0
    replies: int = 0
    misses: int = 0
    late: int = 0
    voided: int = 0
    flips: int = 0
    loss_ratio: float | None = None
    round_trip_s: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """A next-hop group and how many of its legs carry traffic.

    Args:
        group: as the id book calls it.
        legs: members that the configuration names.
        healthy: those that are up; 0 means that ``on_all_down`` decides (D2).
    """

    group: str
    legs: int
    healthy: int


@dataclass(frozen=True, slots=True)
class ProberHealth:
    """The prober as a process.

    Args:
        is_running: whether it answers.
        lateness_s: the worst delay of its loop since its last sign of life, in seconds.
        wakes: of its loop since it started; ``late_wakes`` of them came more than a millisecond late.
        heartbeat_age_s: seconds since it was last heard of; None before the first time.
        restarts: how often the agent had to start it again.
    """

    is_running: bool
    lateness_s: float = 0.0
    heartbeat_age_s: float | None = None
    wakes: int = 0
    late_wakes: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """All that ``dataplane health`` shows."""

    legs: tuple[LegHealth, ...] = ()
    groups: tuple[GroupHealth, ...] = ()
    prober: ProberHealth | None = None
