"""What is remembered of the last probes of a leg, in bounded memory: losses, and how long replies took.

Pure numbers; must never grow with time.
"""

from array import array
from collections.abc import Sequence

LOSS_PROBES = 128
ROUND_TRIPS = 128
_SMOOTHING_SHIFT = 3


class Window:
    """The last probes: which were lost, and the round trips of those that were answered."""

    __slots__ = ("_count", "_known", "_lost_at", "_round_trips", "smoothed_ns")

    def __init__(self) -> None:
        self._count = 0
        self._lost_at: list[int] = []
        self._round_trips = array("Q", bytes(8 * ROUND_TRIPS))
        self._known = 0
        self.smoothed_ns = 0
        """Of all round trips, weighted towards the last ones; 0 before the first (D1's automatic timeout)."""

    def lost(self) -> None:
        """Note a probe without a reply."""
        self._count += 1
        self._lost_at = [number for number in self._lost_at if number > self._count - LOSS_PROBES]
        self._lost_at.append(self._count)

    def answered(self, round_trip_ns: int) -> None:
        """Note a reply in time; a round trip of 0 is not known, and only the reply counts."""
        self._count += 1
        if round_trip_ns:
            self.took(round_trip_ns)

    def took(self, round_trip_ns: int) -> None:
        """Note a round trip alone: of a reply in time, or of one that came too late and still teaches something."""
        smoothed = self.smoothed_ns
        self.smoothed_ns = smoothed + (round_trip_ns - smoothed >> _SMOOTHING_SHIFT) if smoothed else round_trip_ns
        self._round_trips[self._known % ROUND_TRIPS] = round_trip_ns
        self._known += 1

    def loss(self) -> tuple[int, int]:
        """How many of the last probes were lost, and of how many."""
        return sum(number > self._count - LOSS_PROBES for number in self._lost_at), min(self._count, LOSS_PROBES)

    def percentiles(self, shares: Sequence[int]) -> tuple[int, ...]:
        """Round trips in nanoseconds, by nearest rank: at least this percentage of them took no longer. 0: none yet."""
        ordered = sorted(self._round_trips[: self._known])
        if not ordered:
            return (0,) * len(shares)
        return tuple(ordered[max(0, -(-share * len(ordered) // 100) - 1)] for share in shares)
