"""The agent behind the local API: each request is a call in the loop's thread, and waits for its answer there.

Owns the order of words and deeds of one request. Must never touch the kernel from a thread of the API's, but for the
forwarder's counters, whose maps belong to no namespace.
"""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dataplane.agent.api.service import (
    ApplyRequest,
    ApplyResult,
    DrillReport,
    DrillRequest,
    EventPage,
    LegRequest,
    Peer,
    PlanRequest,
    Said,
    TopRequest,
)
from dataplane.agent.daemon.loop import Agent
from dataplane.agent.report import LegReport, Planned, Report, Status
from dataplane.agent.session import Session
from dataplane.agent.watch import Watch
from dataplane.compile.leg_order import LegGroup, granted, leg_groups
from dataplane.errors import ConflictError, HostError
from dataplane.observe.health import GroupHealth, Health
from dataplane.observe.top import Top

_STEP_S = 0.2
_LOOKERS = 4
"""At what flows, at once: each holds two copies of the flow table, which may be 128 MB."""


class AgentService:
    """Answers for an agent.

    Args:
        session: looks at the host, without the lock that the agent holds.
        version: of the package.
    """

    def __init__(self, agent: Agent, session: Session, version: str) -> None:
        self._agent, self._session, self._version = agent, session, version
        self._lookers = threading.BoundedSemaphore(_LOOKERS)

    @property
    def version(self) -> str:
        """Of the package."""
        return self._version

    def status(self) -> Status:
        """The applied configuration against the live kernel."""
        return self._agent.calls.ask(self._session.status)

    def plan(self, asked: PlanRequest) -> Planned:
        """What an apply would do."""
        loaded = self._agent.options.reader.load_sources(asked.sources)
        return self._agent.calls.ask(lambda: self._session.plan(loaded, asked.here))

    def apply(self, asked: ApplyRequest, peer: Peer) -> ApplyResult:
        """Make the host as the files say, and keep it so."""
        loaded = self._agent.options.reader.load_sources(asked.sources)

        def apply() -> ApplyResult:
            agent = self._agent
            if asked.confirm_s is None and agent.confirmation.pending is not None:
                raise ConflictError("an apply waits for its confirmation: `dataplane confirm` first, or let it go back")
            before, here, waited = agent.keeper.loaded, agent.keeper.here, agent.confirmation.pending
            if asked.confirm_s is not None:
                agent.confirmation.begin(before.sources if before is not None else (), here, asked.confirm_s)
            try:
                report = agent.apply(loaded, asked.here, str(peer))
            except BaseException:
                if asked.confirm_s is not None:
                    agent.confirmation.take_back(waited)
                raise
            left = agent.confirmation.left_s()
            return ApplyResult(report, _utc_in(left) if left is not None else "")

        return self._agent.calls.ask(apply)

    def confirm(self, peer: Peer) -> Said:
        """Keep what was applied with ``confirm_s``."""

        def confirm() -> Said:
            if self._agent.confirmation.pending is None:
                raise ConflictError("nothing waits for a confirmation")
            self._agent.confirmation.end()
            self._agent.journal.append("network", "this host", "confirmed", cause=str(peer))
            return Said("confirmed: what was applied stays")

        return self._agent.calls.ask(confirm)

    def destroy(self, peer: Peer) -> Report:
        """Take away everything of ours."""
        return self._agent.calls.ask(lambda: self._agent.apply(None, "", str(peer)))

    def health(self) -> Health:
        """Every leg as its probes see it."""

        def health() -> Health:
            probing = self._agent.probing
            groups = (
                GroupHealth(group.name.text, len(group.states), sum(not state for state in group.states.values()))
                for group in self._groups()
            )
            return Health(probing.health(), tuple(groups), probing.prober_health())

        return self._agent.calls.ask(health)

    def top(self, asked: TopRequest, peer: Peer) -> Top:
        """What flows in the seconds that come."""

        def watch() -> Watch:
            keeper = self._agent.keeper
            if keeper.loaded is None:
                raise HostError("nothing is applied on this host, so that nothing flows")
            return self._session.watch(keeper.loaded, keeper.desired)

        if not self._lookers.acquire(blocking=False):
            raise ConflictError(f"{_LOOKERS} others look at what flows already: try again in a moment")
        try:
            found = self._agent.calls.ask(watch)
            return found.top_in(asked.seconds, asked.flows, asked.connection, lambda seconds: self._wait(seconds, peer))
        finally:
            self._lookers.release()

    def events(self, since: int, most: int) -> EventPage:
        """The first events with an id above one."""
        return EventPage(self._agent.journal.since(since, most), self._agent.journal.newest)

    def wait_for_events(self, since: int, seconds: float) -> None:
        """Return when there is a newer event, or after some seconds."""
        self._agent.journal.wait(since, seconds)

    def force_leg(self, asked: LegRequest, peer: Peer) -> LegReport:
        """Take a leg out of use, or put it back."""

        def force() -> LegReport:
            keeper = self._agent.keeper
            loaded = keeper.loaded
            if loaded is None:
                raise HostError("nothing is applied on this host, so that no leg is there")
            state, now = keeper.state(), datetime.now(UTC).isoformat(timespec="seconds")
            legs, groups = granted(
                loaded, keeper.here, state.legs, asked.leg, asked.force, now, is_forced=asked.is_forced
            )
            report = keeper.apply(loaded, keeper.here, str(peer), replace(state, legs=legs))
            self._agent.journal.append("leg", asked.leg, "forced", after=asked.force, cause=str(peer))
            return LegReport(asked.leg, legs.of(asked.leg), groups, report)

        return self._agent.calls.ask(force)

    def drill(self, asked: DrillRequest, peer: Peer) -> DrillReport:
        """Cut a leg in silence for a while, and say what that cost."""
        agent = self._agent

        def begin() -> None:
            agent.drill.begin(asked.leg, self._groups())
            agent.journal.append("leg", asked.leg, "drill", after="cut", cause=f"for {asked.seconds:g} s by {peer}")

        def end() -> DrillReport:
            took_over = tuple(
                dict.fromkeys(
                    leg
                    for group in self._groups()
                    if asked.leg in group.states
                    for leg in group.used
                    if leg != asked.leg
                )
            )
            is_fast = agent.keeper.is_fast
            report = agent.drill.report(asked.leg, asked.seconds, took_over, has_fast_path=is_fast)
            agent.drill.end()
            agent.journal.append("leg", asked.leg, "drill", after="mended", cause="; ".join(report.notes))
            return report

        agent.calls.ask(begin)
        try:
            self._wait(asked.seconds, peer)
        except BaseException:
            agent.calls.ask(agent.drill.end)
            raise
        return agent.calls.ask(end)

    def reload(self, peer: Peer) -> Said:
        """Read the agent's own files again."""
        return self._agent.calls.ask(lambda: Said(self._agent.read_files(str(peer))))

    def _groups(self) -> tuple[LegGroup, ...]:
        keeper = self._agent.keeper
        if keeper.loaded is None:
            return ()
        return leg_groups(keeper.loaded, keeper.here, keeper.desired.verdicts)

    def _wait(self, seconds: float, peer: Peer) -> None:
        """Let seconds go by, unless the agent ends, or nobody waits for the answer any more."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._agent.is_stopping and peer.is_there():
            time.sleep(min(_STEP_S, max(0.0, until - time.monotonic())))


def _utc_in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
