"""The words of health: states, verdicts, causes, and the settings of one leg.

Pure values. Must never hold time that it read itself: moments are monotonic nanoseconds and come in from outside.
"""

from dataclasses import dataclass
from enum import StrEnum

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
_AUTOMATIC_BELOW_NS = NS_PER_S
_LEAST_TIMEOUT_NS = 5 * NS_PER_MS
_ROUND_TRIPS = 4
_LEAST_GRACE_NS = 2 * NS_PER_MS


class State(StrEnum):
    """Where a leg stands. Rising still counts as down, falling as up, and unknown as up (D1)."""

    UNKNOWN = "unknown"
    RISING = "rising"
    UP = "up"
    FALLING = "falling"
    DOWN = "down"
    DISABLED = "disabled"


class Verdict(StrEnum):
    """What traffic may do with a leg."""

    UP = "up"
    DOWN = "down"


class Cause(StrEnum):
    """Why a leg changed."""

    LOST = "lost"
    ANSWERED = "answered"
    CARRIER = "carrier"
    HAND = "hand"
    DAMPED = "damped"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a leg is judged (D1).

    Args:
        interval_ns: between two probes.
        timeout_ns: how long a reply may take; 0 lets the round trip decide, as D1 says.
        fall: misses in a row until it is down.
        rise: replies in a row until it is up.
        hold_down_ns: how long it stays down at least.
        is_damped: whether more than 3 flips in 60 s hold it down for 60 s.
    """

    interval_ns: int
    timeout_ns: int = 0
    fall: int = 8
    rise: int = 3
    hold_down_ns: int = 0
    is_damped: bool = True

    def timeout_for(self, round_trip_ns: int) -> int:
        """The timeout in force, in nanoseconds; without a round trip yet (0) it is as long as it may be.

        Written as a key it counts, up to the interval. Otherwise: the interval from 1 s up, below that 5 ms or four
        times the round trip, whichever is more, the interval at most (D1).
        """
        if self.timeout_ns:
            return min(self.timeout_ns, self.interval_ns)
        if self.interval_ns >= _AUTOMATIC_BELOW_NS or not round_trip_ns:
            return self.interval_ns
        return min(self.interval_ns, max(_LEAST_TIMEOUT_NS, _ROUND_TRIPS * round_trip_ns))


def grace_of(timeout_ns: int) -> int:
    """How late a probe may be judged and still count as a miss (D3), in nanoseconds.

    Replies carry the time of their arrival, so a small delay of ours takes nothing from them. A long one says that the
    machine had no processor to give, and then neither had whoever should have answered.
    """
    return max(timeout_ns // 2, _LEAST_GRACE_NS)


@dataclass(frozen=True, slots=True)
class Transition:
    """A leg that changed.

    Args:
        before, after: never rising or falling, which settle nothing; equal where only damping began.
        verdict: what traffic may do from now on.
        at_ns: when, monotonic.
        lost_in_row: misses in a row at that moment.
    """

    before: State
    after: State
    verdict: Verdict
    cause: Cause
    at_ns: int
    lost_in_row: int
