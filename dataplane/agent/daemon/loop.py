"""The agent's loop: waits for the kernel, the prober, the files, callers and the clock, and has the keeper act.

Owns *when*. One thread does everything that touches the kernel; it never sleeps while something is due, and a service
manager's watchdog is fed by this loop and nothing else (reliability A4).
"""

import logging
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.agent.daemon import memory
from dataplane.agent.daemon.calls import Calls
from dataplane.agent.daemon.confirm import Confirmation
from dataplane.agent.daemon.drill import Drill
from dataplane.agent.daemon.files import Files, errors_of
from dataplane.agent.daemon.keeper import Keeper
from dataplane.agent.daemon.probing import Probing
from dataplane.agent.journal import Journal
from dataplane.agent.log import say
from dataplane.agent.notify import Notifier
from dataplane.agent.reader import Reader
from dataplane.agent.report import Report
from dataplane.config import InvalidConfig, Loaded
from dataplane.errors import DataplaneError
from dataplane.kernel.monitor import Monitor

FULL_EVERY_S = 30.0
"""A comparison of everything comes as often, whether anybody has said that something changed or not (P3)."""
TOGETHER_S = 0.05
"""What is heard within so long is one event."""
MOST_STAGE_S = 200.0
"""What one stage of a round may take: 180 s where a slow machine compiles the forwarder (``datapath/loader.py``)."""
_TICK_S = 1.0
_FILES_KEPT = "files"
"""Under which the journal keeps which files were taken last."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an agent was started.

    Args:
        paths: the files it follows.
        host_of: which host this one is in a configuration; raises a ``DataplaneError`` where it is none of them.
        full_every_s: seconds from one comparison of everything to the next at the latest.
        reader: reads configurations.
    """

    paths: tuple[Path, ...]
    state_dir: Path
    run_dir: Path
    host_of: Callable[[Loaded], str]
    full_every_s: float = FULL_EVERY_S
    reader: Reader = field(default_factory=Reader)


class Agent:
    """The daemon.

    Args:
        keeper: acts. All others: what is listened to.
    """

    def __init__(
        self, options: Options, keeper: Keeper, monitor: Monitor, probing: Probing, journal: Journal, notifier: Notifier
    ) -> None:
        self.options, self.keeper, self.probing, self.journal = options, keeper, probing, journal
        self.calls = Calls()
        self.confirmation = Confirmation(options.state_dir)
        self.files = Files(options.paths, options.reader)
        self.drill = Drill(probing)
        self.is_config_valid = True
        self.reloads = {"applied": 0, "refused": 0}
        self.each_second: list[Callable[[], object]] = []
        """Called about once a second, for whoever samples something."""
        self._monitor, self._notifier = monitor, notifier
        # A long round is not a hung one, as long as it gets on (reliability A4).
        keeper.progress = lambda done, total, stage: notifier.busy(MOST_STAGE_S)
        self._selector = selectors.DefaultSelector()
        self._dirty_at: float | None = None
        self._why = ""
        self._not_before = self._full_at = self._second_at = 0.0
        self._is_stopping = self._is_hup = False

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._is_stopping

    def stop(self, *_: object) -> None:
        """End the loop soon; safe in a signal handler."""
        self._is_stopping = True
        self.calls.wake()

    def hang_up(self, *_: object) -> None:
        """Read the files again soon; safe in a signal handler."""
        self._is_hup = True
        self.calls.wake()

    def run(self) -> None:
        """Take over what is there, then keep it until somebody says stop. What is there then stays there."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        signal.signal(signal.SIGHUP, self.hang_up)
        for source in (self._monitor, self.probing, self.calls):
            self._selector.register(source, selectors.EVENT_READ)
        self.drill.mend_left()
        self.probing.start()
        self._begin()
        self._notifier.ready(self._status())
        while not self._is_stopping:
            self._selector.select(self._until_next())
            self._notifier.alive()
            self._turn()
        self._notifier.stopping()
        self.drill.end()
        say("stopped; the network stays and goes on forwarding")
        self.journal.append("agent", "agent", "stopped", cause="asked to")
        self.calls.close()
        self._selector.close()

    def apply(self, loaded: Loaded | None, here: str, cause: str) -> Report:
        """A new configuration, in the loop's thread (``calls.ask``). None takes everything away."""
        try:
            report = self.keeper.apply(loaded, here, cause)
        except DataplaneError:
            self.mark_dirty("an apply has failed")
            raise
        self._after_round(report)
        return report

    def read_files(self, cause: str) -> str:
        """Read the files, and apply them if they are sound.

        Returns:
            What came of it, as a sentence.

        Raises:
            InvalidConfig: they are not; nothing was changed.
        """
        try:
            loaded = self._read()
            if loaded is None:
                return "there is no file to follow, and nothing was changed"
            here = self.options.host_of(loaded)
            is_same = self._is_in_force(loaded, here)
            if is_same:
                # A hundred reloads are one: a round that tries everything, also what waits.
                self.keeper.backoff.forget_all()
                self.mark_dirty(cause)
            else:
                self.apply(loaded, here, cause)
        except (InvalidConfig, DataplaneError) as error:
            self.is_config_valid = False
            self.reloads["refused"] += 1
            lines = errors_of(error) if isinstance(error, InvalidConfig) else [str(error)]
            for line in lines:
                say(f"refused: {line}", level=logging.ERROR)
            more = f"{lines[0]}{f' and {len(lines) - 1} more' if len(lines) > 1 else ''}"
            self.journal.append("configuration", "files", "refused", cause=more)
            raise
        self.is_config_valid = True
        self.reloads["applied"] += 1
        self.journal.keep(_FILES_KEPT, loaded.sha256)
        files = ", ".join(source.name for source in loaded.sources)
        if is_same:
            return f"{files}: in force already; everything is looked at"
        self.confirmation.end()
        return f"applied {files}"

    def _is_in_force(self, loaded: Loaded, here: str) -> bool:
        keeper = self.keeper
        return keeper.loaded is not None and (keeper.loaded.sha256, keeper.here) == (loaded.sha256, here)

    def mark_dirty(self, why: str) -> None:
        """Have a round look at everything soon."""
        if self._dirty_at is None:
            self._dirty_at, self._why = time.monotonic(), why

    def _begin(self) -> None:
        """The first round: what was said last, be it by the files or by a caller."""
        remembered, here = self.keeper.remembered()
        self.journal.append("agent", "agent", "started", cause="the first round adopts what is there")
        try:
            loaded = self._read()
            # Files that were taken before a caller said something else are old news.
            is_news = loaded is not None and loaded.sha256 != self.journal.kept(_FILES_KEPT)
            if loaded is not None and (is_news or remembered is None):
                self.read_files("the files, at the start")
                return
        except DataplaneError as error:
            self.is_config_valid = False
            say(f"the files are not taken, what was applied last stays: {error}", level=logging.ERROR)
        if remembered is None:
            say("nothing is applied on this host; waiting for a file, or an apply")
            return
        self._after_round(self._try(lambda: self.keeper.adopt(remembered, here)))

    def _turn(self) -> None:
        """Everything that is due, the most urgent first."""
        self._flip()
        self.calls.do_next()  # one at a time: however many ask, flips come first
        if self._is_hup:
            self._is_hup = False
            self._try(lambda: self.read_files("SIGHUP"))
        changes = self._monitor.read()
        if changes:
            if changes.is_overrun:
                self.keeper.tally.overflows += 1
            self.mark_dirty("the kernel has lost messages" if changes.is_overrun else "something has changed here")
        now = time.monotonic()
        if now >= self._second_at:
            self._second_at = now + _TICK_S
            self._second()
        if self._is_round_due(now):
            self._round(self._why or "the periodic comparison")

    def _second(self) -> None:
        if self.confirmation.is_due():
            self._try(self._go_back)
        if self.files.have_changed():
            self._try(lambda: self.read_files("a change of the files"))
        for sample in self.each_second:
            self._try(sample)

    def _flip(self) -> None:
        flips = self.probing.flips()
        if flips:
            self._try(lambda: self.keeper.flip(flips))
            self.drill.saw(flips)
            self.mark_dirty("a leg has changed")

    def _round(self, why: str) -> None:
        self._dirty_at = None
        if self.keeper.loaded is None:
            self._full_at = time.monotonic() + self.options.full_every_s
            return
        report = self._try(lambda: self.keeper.repair(why))
        self._after_round(report)

    def _after_round(self, report: Report | None) -> None:
        """When the next one may come: a round is never more than a part of what the machine does."""
        memory.give_back()
        now = time.monotonic()
        self._dirty_at = None
        self._full_at = now + self.options.full_every_s
        self._not_before = now + max(TOGETHER_S, 2 * report.seconds if report is not None else 1.0)
        if report is None:
            self.mark_dirty("the last round failed")
        elif report.remaining:
            self.mark_dirty("somebody has changed what was being written")
        self._notifier.status(self._status())

    def _is_round_due(self, now: float) -> bool:
        if now >= self._full_at:
            return True
        retry = self.keeper.backoff.has_come_due(now)
        if retry and self._dirty_at is None:
            self.mark_dirty("its next try has come")
        return self._dirty_at is not None and now >= max(self._dirty_at + TOGETHER_S, self._not_before)

    def _until_next(self) -> float:
        """How long nothing is due, in seconds."""
        now = time.monotonic()
        moments = [self._second_at, self._full_at]
        if self._dirty_at is not None:
            moments.append(max(self._dirty_at + TOGETHER_S, self._not_before))
        return max(0.0, min(moments) - now)

    def _read(self) -> Loaded | None:
        """What the files say. Reading them starts a process: longer than a watchdog waits on a slow host."""
        self._notifier.busy(MOST_STAGE_S)
        return self.files.read()

    def _go_back(self) -> None:
        """Nobody has confirmed the last apply: back to what was before it."""
        pending = self.confirmation.pending
        if pending is None:
            return
        self._notifier.busy(MOST_STAGE_S)
        loaded = self.options.reader.load_sources(pending.sources) if pending.sources else None
        say("nobody confirmed the last apply: going back to what was before it", level=logging.WARNING)
        self.apply(loaded, pending.here, "no confirmation came")
        self.confirmation.end()

    def _try(self, call: Callable[[], object]) -> Report | None:
        """Do something that may fail; the agent goes on."""
        try:
            found = call()
        except DataplaneError as error:
            if not isinstance(error, InvalidConfig):
                say(str(error), level=logging.ERROR)
            self.keeper.tally.rounds["failed"] += 1
            self._not_before = time.monotonic() + 1.0
            self.mark_dirty("something has failed")
            return None
        return found if isinstance(found, Report) else None

    def _status(self) -> str:
        tally = self.keeper.tally
        if self.keeper.loaded is None:
            return "nothing is applied"
        left = f"{tally.differences} differences left" if tally.differences else "as the files say"
        return f"{left}; {sum(tally.repairs.values())} repairs"
