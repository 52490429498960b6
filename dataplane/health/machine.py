"""The rise/fall machine of one leg: from replies, misses, carrier and hands to a verdict (D1-D3).

Pure: it never reads a clock and never does I/O. What it is not told does not happen: without calls every verdict stays
as it is, which is what D3 asks for when nobody probes.
"""

from dataplane.health.state import NS_PER_S, Cause, Settings, State, Transition, Verdict, grace_of

DAMPING_FLIPS = 3
DAMPING_WINDOW_NS = 60 * NS_PER_S
DAMPING_HOLD_NS = 60 * NS_PER_S
_NO_DRILL, _IN_DRILL, _AFTER_DRILL = range(3)

# Bound once: the next lines run for every probe.
_UNKNOWN, _RISING, _UP, _FALLING, _DOWN = State.UNKNOWN, State.RISING, State.UP, State.FALLING, State.DOWN
_SETTLED = {_UNKNOWN: _UNKNOWN, _RISING: _DOWN, _UP: _UP, _FALLING: _UP, _DOWN: _DOWN}


class Machine:
    """One leg. All moments are monotonic nanoseconds and never go back.

    A verdict by hand lies over what the probes say: they go on below it, so that taking it back needs no new probes.

    Args:
        settings: how it is judged; may be exchanged at any time.
        now_ns: when it begins.
        verdict: where an earlier prober had left it; None where nothing is known, which counts as up (D1).
        since_ns: how long that has been so.
    """

    __slots__ = (
        "_drill",
        "_flipped",
        "_held_until_ns",
        "_state",
        "damped_until_ns",
        "flips",
        "forced",
        "good_in_row",
        "has_carrier",
        "lost_in_row",
        "settings",
        "since_ns",
        "voided",
    )

    def __init__(
        self, settings: Settings, now_ns: int, verdict: Verdict | None = None, since_ns: int | None = None
    ) -> None:
        self.settings = settings
        self._state = _UNKNOWN if verdict is None else _UP if verdict is Verdict.UP else _DOWN
        self.since_ns = now_ns if since_ns is None else since_ns
        self.forced: Verdict | None = None
        self.has_carrier = True
        self.good_in_row = self.lost_in_row = self.flips = self.voided = 0
        self.damped_until_ns = 0
        self._held_until_ns = self.since_ns + settings.hold_down_ns if self._state is _DOWN else 0
        self._flipped: list[int] = []
        self._drill = _NO_DRILL

    @property
    def state(self) -> State:
        """The state as it is shown."""
        return self._state if self.forced is None else State.DISABLED

    @property
    def verdict(self) -> Verdict:
        """What traffic may do now."""
        if self.forced is not None:
            return self.forced
        return Verdict.DOWN if self._state is _DOWN or self._state is _RISING else Verdict.UP

    def reply(self, now_ns: int) -> Transition | None:
        """A probe was answered in time."""
        self.lost_in_row = 0
        state = self._state
        if state is _UP:
            return None
        if state is _FALLING:
            self._state = _UP
            return None
        if not self.has_carrier:  # what was on its way when the link went proves nothing
            return None
        self.good_in_row += 1
        is_enough = self.good_in_row >= self.settings.rise
        if state is _UNKNOWN:
            return self._settle(_UP, Cause.ANSWERED, now_ns) if is_enough else None
        self._state = _RISING
        return self._rise(now_ns) if is_enough and now_ns >= self._held_until_ns else None

    def miss(self, now_ns: int) -> Transition | None:
        """A probe was not answered in time."""
        self.good_in_row = 0
        self.lost_in_row += 1
        state = self._state
        if state is _RISING:
            self._state = _DOWN
        if state is _RISING or state is _DOWN:
            return None
        if self.lost_in_row >= self.settings.fall:
            return self._fall(Cause.LOST, now_ns)
        if state is _UP:
            self._state = _FALLING
        return None

    def expire(self, deadline_ns: int, timeout_ns: int, now_ns: int) -> Transition | None:
        """A probe has no reply, and its time was over at the deadline: a miss, unless we look too late (D3)."""
        if now_ns - deadline_ns > grace_of(timeout_ns):
            self.voided += 1
            return None
        return self.miss(now_ns)

    def carrier(self, has_carrier: bool, now_ns: int) -> Transition | None:
        """A watched link went, or all of them are there. Going flips at once; coming back has to prove itself."""
        if has_carrier == self.has_carrier:
            return None
        self.has_carrier = has_carrier
        self.good_in_row = 0
        if has_carrier:
            return None
        if self._state is _RISING:
            self._state = _DOWN
        return None if self._state is _DOWN else self._fall(Cause.CARRIER, now_ns)

    def force(self, verdict: Verdict | None, now_ns: int) -> Transition | None:
        """Fix the verdict by hand, or with None let the probes have it back. Never counted as a flip (D1)."""
        if verdict is self.forced:
            return None
        before = self._shown()
        self.forced = verdict
        return self._note(before, Cause.HAND, now_ns)

    def drill(self, *, is_on: bool) -> None:
        """It is being cut on purpose, or is mended again. Such flips damp nothing, coming back included (D1)."""
        if is_on:
            self._drill = _IN_DRILL
        elif self._drill == _IN_DRILL:
            self._drill = _AFTER_DRILL if self._state is _DOWN or self._state is _RISING else _NO_DRILL

    def _rise(self, now_ns: int) -> Transition | None:
        """Enough replies: up, unless this would be a flip too many."""
        is_exempt = self._drill != _NO_DRILL
        if self._drill == _AFTER_DRILL:
            self._drill = _NO_DRILL
        if not is_exempt and self.settings.is_damped and self._recent_flips(now_ns) >= DAMPING_FLIPS:
            self._damp(now_ns)
            return None if self.forced is not None else self._note(_DOWN, Cause.DAMPED, now_ns, is_same=True)
        if not is_exempt:
            self._flipped.append(now_ns)
        self.flips += 1
        return self._settle(_UP, Cause.ANSWERED, now_ns)

    def _fall(self, cause: Cause, now_ns: int) -> Transition | None:
        """Down, and held there as long as it has to be."""
        self.flips += 1
        self._held_until_ns = now_ns + self.settings.hold_down_ns
        if self._drill == _NO_DRILL:
            recent = self._recent_flips(now_ns)
            self._flipped.append(now_ns)
            if self.settings.is_damped and recent >= DAMPING_FLIPS:
                self._damp(now_ns)
        return self._settle(_DOWN, cause, now_ns)

    def _damp(self, now_ns: int) -> None:
        self.damped_until_ns = now_ns + DAMPING_HOLD_NS
        self._held_until_ns = max(self._held_until_ns, self.damped_until_ns)

    def _recent_flips(self, now_ns: int) -> int:
        """How many flips lie within the window; older ones are forgotten, so the list stays short."""
        self._flipped = [moment for moment in self._flipped if now_ns - moment < DAMPING_WINDOW_NS][-DAMPING_FLIPS:]
        return len(self._flipped)

    def _settle(self, state: State, cause: Cause, now_ns: int) -> Transition | None:
        before, self._state = self._shown(), state
        self.good_in_row = 0
        if self.forced is not None:
            return None
        return self._note(before, cause, now_ns)

    def _shown(self) -> State:
        return State.DISABLED if self.forced is not None else _SETTLED[self._state]

    def _note(self, before: State, cause: Cause, now_ns: int, *, is_same: bool = False) -> Transition:
        if not is_same:
            self.since_ns = now_ns
        return Transition(before, self._shown(), self.verdict, cause, now_ns, self.lost_in_row)
