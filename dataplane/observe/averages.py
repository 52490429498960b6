"""Five-minute averages of connections and the peak of the day (R112), out of counters that are read now and then.

Pure: counters, monotonic time and the date come in as arguments, and all of it goes through text and back, so that it
is kept over restarts. Rates are by the monotonic clock: a wall clock that is set moves a day's peak, never a rate.
"""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace

from dataplane.model.simulation import Count

INTERVAL_S = 300
"""R112: the average of an interval of five minutes."""
KEPT_INTERVALS = 12
_DAY_S = 86_400
_VERSION = 1
_ZERO = Count(0, 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a connection's counters say: frames that left by its router interface, and that came in by it."""

    sent: Count
    received: Count

    def since(self, before: "Reading") -> "Reading":
        """What has been counted since another reading; a counter that fell has begun anew at 0."""
        if all(now >= then for now, then in zip(self._numbers(), before._numbers(), strict=True)):
            return Reading(_less(self.sent, before.sent), _less(self.received, before.received))
        return self

    def _numbers(self) -> tuple[int, int, int, int]:
        return self.sent.packets, self.sent.bytes, self.received.packets, self.received.bytes


@dataclass(frozen=True, slots=True)
class Interval:
    """A finished interval.

    Args:
        seconds: how long it really was: five minutes, or as long as nobody looked.
        counted: in it.
    """

    seconds: float
    counted: Reading

    def bits_per_second(self) -> tuple[float, float]:
        """Sent and received."""
        return 8 * self.counted.sent.bytes / self.seconds, 8 * self.counted.received.bytes / self.seconds

    def packets_per_second(self) -> tuple[float, float]:
        """Sent and received."""
        return self.counted.sent.packets / self.seconds, self.counted.received.packets / self.seconds


@dataclass(frozen=True, slots=True)
class History:
    """The traffic of one connection as far as it is remembered.

    Args:
        last: the latest reading; None before the first, and after a reboot.
        began_ns: when the present interval began, monotonic.
        counted: in the present interval.
        intervals: the latest finished ones, oldest first.
        day: number of the day (UTC) that the peak belongs to.
        peak_bits: the highest average of that day, bits per second, of max(sent, received) (R112).
        peak_before: of the day before it that had any.
    """

    last: Reading | None = None
    began_ns: int = 0
    counted: Reading = Reading(_ZERO, _ZERO)
    intervals: tuple[Interval, ...] = ()
    day: int = 0
    peak_bits: float = 0.0
    peak_before: float = 0.0

    def after(self, reading: Reading, now_ns: int, wall_s: float) -> "History":
        """With one reading more.

        Args:
            now_ns: monotonic, nanoseconds.
            wall_s: seconds since 1970, for the day alone.
        """
        if self.last is None or now_ns < self.began_ns:
            return replace(self, last=reading, began_ns=now_ns, counted=Reading(_ZERO, _ZERO))
        fresh = reading.since(self.last)
        counted = Reading(_more(self.counted.sent, fresh.sent), _more(self.counted.received, fresh.received))
        seconds = (now_ns - self.began_ns) / 1e9
        if seconds < INTERVAL_S:
            return replace(self, last=reading, counted=counted)
        return replace(self, last=reading)._finished(Interval(seconds, counted), now_ns, int(wall_s // _DAY_S))

    def _finished(self, interval: Interval, now_ns: int, day: int) -> "History":
        bits, is_same_day = max(interval.bits_per_second()), day == self.day
        return replace(
            self,
            began_ns=now_ns,
            counted=Reading(_ZERO, _ZERO),
            intervals=(*self.intervals, interval)[-KEPT_INTERVALS:],
            day=day,
            peak_bits=max(self.peak_bits, bits) if is_same_day else bits,
            peak_before=self.peak_before if is_same_day else self.peak_bits,
        )

    @property
    def average(self) -> Interval | None:
        """The latest finished interval; None where there is none yet."""
        return self.intervals[-1] if self.intervals else None


@dataclass(frozen=True, slots=True)
class Averages:
    """The histories of all connections, by router interface."""

    histories: Mapping[str, History] = field(default_factory=dict)

    def after(self, readings: Mapping[str, Reading], now_ns: int, wall_s: float) -> "Averages":
        """With a reading of every connection that there is; what is no longer there is forgotten."""
        known = self.histories
        return Averages(
            {name: known.get(name, History()).after(reading, now_ns, wall_s) for name, reading in readings.items()}
        )

    def dump(self, boot: str) -> str:
        """As text.

        Args:
            boot: which boot of the host this is: monotonic time and counters mean nothing in another.
        """
        return json.dumps({"version": _VERSION, "boot": boot, "histories": self._plain()}, separators=(",", ":"))

    def _plain(self) -> dict[str, object]:
        return {name: astuple(history) for name, history in self.histories.items()}

    @classmethod
    def load(cls, text: str, boot: str) -> "Averages":
        """Out of text; what cannot be read is nothing, and after a reboot the present interval begins anew."""
        try:
            plain = json.loads(text)
            if plain["version"] != _VERSION:
                return cls()
            found = {str(name): _history(row) for name, row in plain["histories"].items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls()
        if plain["boot"] != boot:
            found = {name: replace(history, last=None) for name, history in found.items()}
        return cls(found)


def _history(row: list[object]) -> History:
    last, began, counted, intervals, day, peak, before = row
    if not isinstance(intervals, list):
        raise TypeError("intervals are a list")
    return History(
        _reading(last) if last is not None else None,
        _whole(began),
        _reading(counted),
        tuple(Interval(max(_number(seconds), 1.0), _reading(of)) for seconds, of in intervals[-KEPT_INTERVALS:]),
        _whole(day),
        _number(peak),
        _number(before),
    )


def _reading(row: object) -> Reading:
    if not isinstance(row, list):
        raise TypeError("a reading is a list")
    (sent_packets, sent_bytes), (received_packets, received_bytes) = row
    return Reading(
        Count(_whole(sent_packets), _whole(sent_bytes)), Count(_whole(received_packets), _whole(received_bytes))
    )


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a whole number is wanted")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError("a number is wanted")
    return float(value)


def _less(now: Count, then: Count) -> Count:
    return Count(now.packets - then.packets, now.bytes - then.bytes)


def _more(one: Count, other: Count) -> Count:
    return Count(one.packets + other.packets, one.bytes + other.bytes)
