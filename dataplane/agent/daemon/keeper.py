"""Keeps one network: applies what it is given, finds what hands have broken, mends it, and flips legs.

Owns what is applied, what is in trouble, and what has been counted. Everything happens on the thread of the agent's
loop, since namespaces belong to threads. Must never decide when: that is the loop's.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from dataplane.agent.backoff import Backoff
from dataplane.agent.daemon.probing import Flip, Probing
from dataplane.agent.executor import Driver, Progress, execute
from dataplane.agent.journal import Journal
from dataplane.agent.log import say
from dataplane.agent.reader import Reader
from dataplane.agent.report import Report
from dataplane.agent.round import Round, Rounds, Way
from dataplane.agent.store import State, Store
from dataplane.compile.flip import flipped
from dataplane.config import Loaded
from dataplane.errors import DataplaneError
from dataplane.kernel.monitor import Monitor
from dataplane.model.describe import describe, kind_of
from dataplane.model.desired import NOTHING, Desired
from dataplane.model.kernel import DeviceQueues, Key, Namespace, UnderlayFilter, VlanLink
from dataplane.model.leg import LegVerdict, LegVerdicts, LegWord
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.plan.action import Action, Outcome, Verb
from dataplane.plan.planner import make_plan

_MOST_LINES = 20
"""Repairs of one round that the journal tells one by one."""


@dataclass
class Tally:
    """What has come of all rounds since the start."""

    rounds: Counter[str] = field(default_factory=Counter)
    round_seconds: float = 0.0
    last_round_s: float = 0.0
    last_good_round_s: float = 0.0
    differences: int = 0
    foreign: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    overflows: int = 0


class Keeper:
    """The network of this host, as far as the agent has been told.

    Args:
        store: what is remembered between rounds.
        driver: the kernel's.
        monitor: tells of changes; told where to listen.
        probing: told what to probe.
        journal: what happened is appended to it.
        reader: reads what was applied last.
    """

    def __init__(
        self,
        store: Store,
        driver: Driver,
        monitor: Monitor,
        probing: Probing,
        journal: Journal,
        reader: Reader | None = None,
    ) -> None:
        self.tally = Tally()
        self.loaded: Loaded | None = None
        self.here = ""
        self.desired: Desired = NOTHING
        self.backoff: Backoff[Key] = Backoff()
        self.progress: Progress | None = None
        """Called before each stage of a round."""
        self._store, self._driver, self._monitor = store, driver, monitor
        self._probing, self._journal, self._reader = probing, journal, reader or Reader()
        self._obstacles: frozenset[object] = frozenset()
        self._rounds = Rounds(store, driver, is_probing=True)

    def remembered(self) -> tuple[Loaded | None, str]:
        """What was applied last on this host, and as which host; None where nothing is."""
        state = self._store.load()
        if state.notice:
            say(state.notice, level=logging.WARNING)
            self._journal.append("agent", "agent", "state lost", cause=state.notice)
        if not state.applied.sources:
            return None, ""
        return self._reader.load_sources(state.applied.sources), state.applied.host

    def state(self) -> State:
        """What is remembered."""
        return self._store.load()

    @property
    def is_fast(self) -> bool:
        """Whether the forwarder is under the ports."""
        return FORWARDER_STATE_KEY in self.desired.wanted

    def apply(self, loaded: Loaded | None, here: str, cause: str, state: State | None = None) -> Report:
        """Make this host as a configuration says; None takes everything away. What fails is held, and tried again.

        Args:
            cause: who asked, for the journal.
            state: what is to be remembered, where somebody has said something else of legs.

        Raises:
            InvalidConfig: it asks for a forbidden change; nothing was changed, and the one before stays.
            HostError: it cannot be remembered; the one before stays, and the next round sees to it.
        """
        this = self._rounds.prepare(loaded, here, state)
        self.backoff.forget_all()
        before = self.loaded, self.here
        # From now on it is what is wanted, whatever fails in this round: it is held, and tried again.
        self.loaded, self.here = loaded, here
        try:
            report = self._carry_out(this)
        except DataplaneError:
            self.loaded, self.here = before  # it could not even be remembered
            raise
        self._journal.append("network", here or "this host", "applied", after=_sum(loaded), cause=cause)
        say(f"applied by {cause}: {_summary(report)}", level=logging.INFO if report.is_done else logging.WARNING)
        return report

    def adopt(self, loaded: Loaded, here: str) -> Report:
        """Take over what an earlier agent, or a command, has applied: mend what differs, and listen from now on."""
        self.loaded, self.here = loaded, here
        return self.repair("the agent has started")

    def repair(self, cause: str) -> Report:
        """Compare everything, and mend what differs but for what waits for its next try.

        Args:
            cause: what made us look, for the journal.
        """
        this = self._rounds.prepare(self.loaded, self.here)
        now = time.monotonic()
        if self._obstacles - _obstacles(this):
            self.backoff.forgive()
        waiting = frozenset(
            action.object.key for action in this.plan.actions if self.backoff.is_waiting(action.object.key, now)
        )
        for resident in this.residents:
            say(resident, level=logging.WARNING)
            self._journal.append("network", self.here or "this host", "residents", cause=resident)
        report = self._carry_out(this, waiting)
        self._note_repairs([outcome for outcome in report.outcomes if outcome.error is None], cause)
        return report

    def flip(self, flips: Sequence[Flip]) -> None:
        """Bring the slow path, and what is remembered, in line with what the prober has decided (D1).

        The fast path has it already. Only what differs from the desired state before is written, and nothing is
        observed first: that is the next round's.
        """
        if self.loaded is None:
            return
        words: dict[str, LegWord] = {flip.leg: "up" if flip.is_up else "down" for flip in flips}
        at = _now()
        verdicts = _saying(self.desired.verdicts, words, at)
        if verdicts != self.desired.verdicts:
            found = flipped(self.desired, self.loaded, self.here, verdicts)
            execution = execute(make_plan(found.after, found.before), self._driver)
            self.desired = found.desired
            self._note_failures(execution.outcomes)
        # Traffic first: who dies before this line leaves a prober's successor to find out once more.
        state = self._store.load()
        said = _saying(state.legs, words, at)
        if said != state.legs:
            self._store.save(replace(state, legs=said, is_new=False, notice=""))
        for flip in flips:
            self._journal.append("leg", flip.leg, "state", flip.before, flip.after, flip.cause)
            level = logging.INFO if flip.is_up else logging.WARNING
            fields = {"router_interface": flip.leg, "peering_connection": flip.connection}
            say(
                f"leg {flip.leg} of {flip.connection}: {flip.before} -> {flip.after}: {flip.cause}",
                level=level,
                **fields,
            )

    def _carry_out(self, this: Round, waiting: Iterable[Key] = ()) -> Report:
        way = Way(
            rolls_back=False,
            waiting=frozenset(waiting),
            doubtful=self.backoff.failing(),
            before_verify=lambda: self._listen_anew(this.desired),
            progress=self.progress,
        )
        report = self._rounds.carry_out(this, way)
        self.desired, self._obstacles = this.desired, _obstacles(this)
        if not report.outcomes:
            self._listen(this.desired)
        self._probing.follow(this.desired.probes, this.desired.verdicts)
        self._note(report)
        return report

    def _listen_anew(self, desired: Desired) -> None:
        """What was heard until now is our own doing, or will be seen by the look that comes."""
        self._listen(desired)
        self._monitor.read()

    def _listen(self, desired: Desired) -> None:
        """Listen where the desired state has something."""
        objects = [wish.object for wish in desired.wanted.values()]
        spaces = [item.name for item in objects if isinstance(item, Namespace)]
        devices = [item.parent for item in objects if isinstance(item, VlanLink)]
        devices += [item.device for item in objects if isinstance(item, UnderlayFilter | DeviceQueues)]
        self._monitor.watch(spaces, devices)

    def _note(self, report: Report) -> None:
        tally, now = self.tally, time.time()
        is_failed = any(not outcome.is_held_back for outcome in report.failures) or bool(report.remaining)
        outcome = "failed" if is_failed else "changed" if report.outcomes else "unchanged"
        tally.rounds[outcome] += 1
        tally.round_seconds += report.seconds
        tally.last_round_s = now
        tally.differences = len(report.failures) + len(report.remaining)
        tally.foreign = len(report.planned.foreign)
        if not tally.differences:
            tally.last_good_round_s = now
        self._note_failures(report.failures)

    def _note_failures(self, outcomes: Iterable[Outcome]) -> None:
        now = time.monotonic()
        for outcome in outcomes:
            if outcome.error is None or outcome.is_held_back:
                continue
            key, kind = outcome.action.object.key, kind_of(outcome.action.object)
            self.backoff.failed(key, now)
            self.tally.failures[kind] += 1
            say(f"{outcome.error}{_asked_by(outcome.action)}", level=logging.WARNING, **_fields(outcome.action))
            self._journal.append(*_resource(outcome.action), "failed", cause=outcome.error)

    def _note_repairs(self, outcomes: Sequence[Outcome], cause: str) -> None:
        now = time.monotonic()
        for number, outcome in enumerate(outcomes):
            action = outcome.action
            self.tally.repairs[kind_of(action.object)] += 1
            if number < _MOST_LINES:
                words = f"{_VERBS[action.verb]} {describe(action.object)}"
                say(f"repaired: {words}{_asked_by(action)}", level=logging.WARNING, **_fields(action))
                self._journal.append(*_resource(action), "repaired", after=words, cause=f"{cause}{_asked_by(action)}")
            self._leave_off(action, now, is_told=number < _MOST_LINES)
        if len(outcomes) > _MOST_LINES:
            more = f"{len(outcomes) - _MOST_LINES} more objects"
            say(f"repaired: {more}", level=logging.WARNING)
            self._journal.append("network", self.here or "this host", "repaired", after=more, cause=cause)

    def _leave_off(self, action: Action, now: float, *, is_told: bool) -> None:
        """Have an object wait that is undone as often as it is mended, and say so (reliability B23)."""
        key = action.object.key
        if key == FORWARDER_STATE_KEY:
            self.backoff.forget(key)  # it follows what others do to the rest, and is wrong until it does
            return
        self.backoff.repaired(key, now)
        wait_s = self.backoff.waiting(now).get(key, now) - now
        if wait_s > 0 and is_told:
            words = f"somebody undoes it again and again: the next repair waits {wait_s:.0f} s"
            say(f"{describe(action.object)}: {words}", level=logging.WARNING, **_fields(action))
            self._journal.append(*_resource(action), "undone", after=describe(action.object), cause=words)


def _saying(verdicts: LegVerdicts, words: Mapping[str, LegWord], at: str) -> LegVerdicts:
    """Verdicts with the last word that health checks have on some legs."""
    for leg, word in words.items():
        verdicts = verdicts.saying(leg, LegVerdict(word, "health", at))
    return verdicts


_VERBS: Mapping[Verb, str] = {Verb.CREATE: "made", Verb.CHANGE: "put right", Verb.DELETE: "removed"}


def _obstacles(this: Round) -> frozenset[object]:
    """What others have put in our way, or have not brought yet."""
    return frozenset(foreign.key for foreign in this.observation.foreign) | this.observation.absent


def _asked_by(action: Action) -> str:
    """Who asked for the object, and on which line."""
    return f" (asked for by {action.owner}, {action.origin})" if action.owner is not None else ""


def _fields(action: Action) -> dict[str, str]:
    return {action.owner.kind: action.owner.id} if action.owner is not None else {}


def _resource(action: Action) -> tuple[str, str]:
    if action.owner is not None:
        return action.owner.kind, action.owner.id
    return kind_of(action.object), "this host"


def _summary(report: Report) -> str:
    done = len(report.outcomes) - len(report.failures)
    if report.is_done:
        return f"{done} changes in {report.seconds:.2f} s" if report.outcomes else "nothing to do"
    left = len(report.failures) + len(report.remaining)
    return f"{done} changes in {report.seconds:.2f} s, {left} differences are left and tried again"


def _sum(loaded: Loaded | None) -> str:
    return loaded.sha256 if loaded is not None else "nothing"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
