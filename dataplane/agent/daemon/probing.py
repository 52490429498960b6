"""The prober as the agent sees it: told what to probe and where to write, heard when a leg flips.

Owns the translation between the compiler's probes and the prober's legs, and the moments of both clocks. Must never
decide whether a leg is up: that is the prober's machine, or a person's word.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dataplane.agent.log import say
from dataplane.datapath import legs, libbpf
from dataplane.health.client import Died, Prober
from dataplane.health.state import NS_PER_MS, NS_PER_S, Cause, Settings, State, Verdict
from dataplane.health.wire import Change, Event, Hello, LegReport, LegSpec, Trouble
from dataplane.kernel import probe_socket
from dataplane.model import names
from dataplane.model.leg import LegVerdicts
from dataplane.model.probe import Probe
from dataplane.observe.health import HealthState, LegHealth, ProberHealth

_QUANTILES = (0.5, 0.9, 0.99, 1.0)
_WORDS = {
    Cause.LOST: "no reply to its probes",
    Cause.ANSWERED: "its probes are answered",
    Cause.CARRIER: "a link that it needs has lost its carrier, or has it back",
    Cause.HAND: "by hand",
    Cause.DAMPED: "held down after too many flips (D1)",
}


@dataclass(frozen=True, slots=True)
class Flip:
    """A leg that changed.

    Args:
        leg: its router interface.
        is_up: whether traffic may use it now.
        before: in the prober's words; likewise ``after``.
        cause: why, in words.
        at_ns: when the fast path had it, monotonic.
    """

    leg: str
    connection: str
    is_up: bool
    before: str
    after: str
    cause: str
    at_ns: int


class Probing:
    """All probing of one agent.

    Args:
        prober: started by ``start``.
    """

    def __init__(self, prober: Prober | None = None) -> None:
        self._prober = prober if prober is not None else Prober(probe_socket)
        self._probes: dict[str, Probe] = {}
        self._forced: dict[str, Verdict] = {}
        self._map_id = 0
        self._causes: dict[str, str] = {}
        self._heard_ns = 0

    def start(self) -> None:
        """Start the prober's process."""
        self._prober.start()

    def close(self) -> None:
        """End it. Verdicts stay where they were written (D3)."""
        self._prober.close()

    def fileno(self) -> int:
        """Readable when ``flips`` has something to tell."""
        return self._prober.fileno()

    def follow(self, probes: Iterable[Probe], verdicts: LegVerdicts) -> None:
        """Probe these legs from now on, and write into the forwarder's present map.

        Args:
            verdicts: where a leg begins that is new to the prober, and what people said of legs.
        """
        self._probes = {probe.leg: probe for probe in probes}
        now = time.monotonic_ns()
        known = {
            leg: (Verdict.DOWN, now)
            for leg in self._probes
            if (found := verdicts.known.get((leg, "health"))) is not None and found.state == "down"
        }
        self._prober.set_legs(map(_spec, self._probes.values()), known)
        # What people said before the map, which is written at once: a leg that they took down is not to be used.
        self._force(verdicts)
        self._follow_map()

    def flips(self) -> tuple[Flip, ...]:
        """What has changed since the last call; keeps the prober alive. Call it at least every second."""
        found = []
        for event in self._prober.pump():
            if isinstance(event, Change) and event.leg in self._probes:
                found.append(self._flip(event))
            else:
                _tell(event)
            if not isinstance(event, Died):
                self._heard_ns = time.monotonic_ns()
        return tuple(found)

    def drill(self, leg: str, *, is_on: bool) -> None:
        """A leg is cut on purpose, or mended again: its flips damp nothing (D1)."""
        self._prober.drill(leg, is_on=is_on)

    @property
    def pids(self) -> dict[str, int]:
        """The prober's process, while there is one."""
        return {"prober": self._prober.pid} if self._prober.pid is not None else {}

    def probe(self, leg: str) -> Probe | None:
        """How a leg is probed; None: it is not."""
        return self._probes.get(leg)

    def health(self) -> tuple[LegHealth, ...]:
        """Every probed leg as it stands."""
        now = time.monotonic_ns()
        return tuple(self._health(probe, now) for probe in self._probes.values())

    def prober_health(self) -> ProberHealth:
        """The prober as a process."""
        beat = self._prober.beat
        if beat is None:
            return ProberHealth(self._prober.pid is not None, restarts=self._prober.deaths)
        return ProberHealth(
            self._prober.pid is not None,
            beat.late_ns / NS_PER_S,
            (time.monotonic_ns() - self._heard_ns) / NS_PER_S,
            beat.wakes,
            beat.late_wakes,
            self._prober.deaths,
        )

    def _flip(self, event: Change) -> Flip:
        seen = event.transition
        cause = _WORDS[seen.cause]
        if seen.cause is Cause.LOST:
            cause = f"{seen.lost_in_row} probes in a row without a reply"
        self._causes[event.leg] = cause
        connection = self._probes[event.leg].connection
        is_up = seen.verdict is Verdict.UP
        return Flip(event.leg, connection, is_up, seen.before, seen.after, cause, seen.at_ns)

    def _force(self, verdicts: LegVerdicts) -> None:
        wanted = {
            leg: Verdict(found.state)
            for leg in self._probes
            if (found := verdicts.known.get((leg, "hand"))) is not None
        }
        for leg in self._forced.keys() | wanted.keys():
            if self._forced.get(leg) is not wanted.get(leg):
                self._prober.force(leg, wanted.get(leg))
        self._forced = wanted

    def _follow_map(self) -> None:
        """Hand over the forwarder's map of legs, if it is another one than before."""
        fd = legs.legs_map_fd()
        if fd is None:
            if self._map_id:
                self._prober.use_map(-1, 0)
            self._map_id = 0
            return
        try:
            info = libbpf.map_info(fd)
            if info.id != self._map_id:
                self._prober.use_map(fd, info.max_entries)
                self._map_id = info.id
        finally:
            os.close(fd)

    def _health(self, probe: Probe, now: int) -> LegHealth:
        report = self._prober.reports.get(probe.leg)
        forced = self._forced.get(probe.leg)
        if report is None:
            cause = self._prober.failures.get(probe.leg, "not probed yet: it counts as up (D1)")
            is_up = forced is not Verdict.DOWN
            return LegHealth(probe.leg, probe.connection, HealthState.UNKNOWN, is_up, cause=cause, forced=forced or "")
        return LegHealth(
            leg=probe.leg,
            connection=probe.connection,
            state=report.shown_state(now),
            is_up=report.verdict is Verdict.UP,
            since=_wall(report.since_ns, now),
            cause=self._cause(report, now),
            forced=forced or "",
            is_damped=report.damped_until_ns > now,
            is_frozen=report.is_stale(now),
            has_carrier=report.has_carrier,
            sent=report.sent,
            replies=report.replies,
            misses=report.misses,
            late=report.late,
            voided=report.voided,
            flips=report.flips,
            loss_ratio=report.recent_lost / report.recent_probes if report.recent_probes else None,
            round_trip_s=tuple(
                (quantile, found / NS_PER_S) for quantile, found in zip(_QUANTILES, report.round_trip_ns, strict=True)
            )
            if report.replies
            else (),
        )

    def _cause(self, report: LegReport, now: int) -> str:
        if report.state is State.DISABLED:
            return _WORDS[Cause.HAND]
        if report.is_stale(now):
            return "nobody probes it: its verdict is frozen (D3)"
        if report.strays and not report.replies:
            return "its replies come back by another way: the data centre lacks the route of R44"
        return self._causes.get(report.name, "")


def _tell(event: Event | Died) -> None:
    """What the prober says of itself. Nothing flips when it has died: what nobody sends does not fail (D3)."""
    if isinstance(event, Hello):
        say(f"the prober runs as process {event.pid}: {'; '.join(event.words)}")
    elif isinstance(event, Trouble):
        say(f"the prober: {event.text}", level=logging.WARNING)
    elif isinstance(event, Died):
        how = f"signal {-event.code}" if event.code < 0 else f"code {event.code}"
        say(f"the prober has ended ({how}) and is started again; verdicts stay as they are (D3)", level=logging.ERROR)


def _spec(probe: Probe) -> LegSpec:
    settings = Settings(
        probe.interval_ms * NS_PER_MS,
        probe.timeout_ms * NS_PER_MS,
        probe.fall,
        probe.rise,
        probe.hold_down_ms * NS_PER_MS,
        probe.is_damped,
    )
    return LegSpec(
        probe.leg,
        probe.number,
        probe.namespace,
        str(probe.source),
        str(probe.destination),
        settings,
        probe.is_last_resort,
        probe.arrivals,
        (*probe.links, *_device_of(probe)),
    )


def _device_of(probe: Probe) -> tuple[tuple[str, int], ...]:
    """The device of a leg's line as a link; none where it is not there: a round says so, and waits for it."""
    with contextlib.suppress(OSError):
        if probe.device:
            return ((names.HOST, socket.if_nametoindex(probe.device)),)
    return ()


def _wall(moment_ns: int, now_ns: int) -> str:
    """A moment of the clock that nobody sets, as UTC."""
    at = datetime.now(UTC) - timedelta(microseconds=(now_ns - moment_ns) / 1000)
    return at.isoformat(timespec="milliseconds")
