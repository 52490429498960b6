"""A leg taken down on purpose: cut in silence, watched until it has flipped, mended (R54).

Owns the cut that is under way, so that it ends with the agent at the latest. What is measured is the outage of the
flows on that leg: from the cut until nothing is sent there any more.
"""

import logging
import time
from collections.abc import Iterable

from dataplane.agent.api.service import DrillReport
from dataplane.agent.daemon.probing import Flip, Probing
from dataplane.agent.log import say
from dataplane.compile.leg_order import LegGroup
from dataplane.errors import ConflictError, UnknownError
from dataplane.health.state import NS_PER_S
from dataplane.kernel import cut, netns
from dataplane.model import names
from dataplane.model.forwarding import LegState
from dataplane.model.probe import Probe


class Drill:
    """The one drill that may be under way.

    Args:
        probing: says how a leg is probed, and whether it is up.
    """

    def __init__(self, probing: Probing) -> None:
        self._probing = probing
        self._probe: Probe | None = None
        self._cut_ns = self._down_ns = self._slow_ns = 0

    @staticmethod
    def mend_left() -> None:
        """Mend what an agent left that was killed during a drill: nobody else would, and the leg would stay dead."""
        routers = [name for name in netns.list_our_names() if names.is_router_namespace_name(name)]
        for namespace in cut.mend_all(routers):
            say(f"mended in {namespace} what a drill had cut, whose agent was killed", level=logging.WARNING)

    def begin(self, leg: str, groups: Iterable[LegGroup]) -> None:
        """Cut a leg, in the loop's thread.

        Raises:
            UnknownError: nobody probes such a leg.
            ConflictError: a drill is under way, the leg is down already, or no other leg of a group is healthy.
        """
        probe = self._probing.probe(leg)
        if probe is None:
            raise UnknownError(f"{leg} is no leg that is probed here; `dataplane health` lists them")
        if self._probe is not None:
            raise ConflictError(f"a drill of {self._probe.leg} is under way; wait until it has ended")
        (health,) = (one for one in self._probing.health() if one.leg == leg)
        if not health.is_up:
            raise ConflictError(f"{leg} is down already: {health.cause}")
        for group in groups:
            others = [one for one, state in group.states.items() if one != leg and state is LegState.UP]
            if leg in group.states and not others:
                raise ConflictError(f"no other leg of {group.name.text} is healthy: a drill would cut its traffic")
        self._down_ns = self._slow_ns = 0
        self._probing.drill(leg, is_on=True)
        try:
            cut.cut(_places(probe))
        except BaseException:
            self._probing.drill(leg, is_on=False)
            raise
        self._cut_ns = time.monotonic_ns()
        self._probe = probe

    def saw(self, flips: Iterable[Flip]) -> None:
        """What the prober has decided, once both paths have it; in the loop's thread."""
        for flip in flips:
            if self._probe is not None and flip.leg == self._probe.leg and not flip.is_up and not self._down_ns:
                self._down_ns, self._slow_ns = flip.at_ns, time.monotonic_ns()

    def end(self) -> None:
        """Mend the leg, in the loop's thread; where nothing is cut this does nothing."""
        if self._probe is not None:
            probe, self._probe = self._probe, None
            cut.mend(_places(probe))
            self._probing.drill(probe.leg, is_on=False)

    def report(self, leg: str, seconds: float, took_over: tuple[str, ...], *, has_fast_path: bool) -> DrillReport:
        """What it found.

        Args:
            has_fast_path: the forwarder sends, and had the flip at once; else the kernel does, and had it later.
        """
        if not self._down_ns:
            notes = (f"{leg} did not go down within {seconds:g} s: its check needs longer than that (R39)",)
            return DrillReport(leg, seconds, None, (), notes)
        fast, slow = (self._down_ns - self._cut_ns) / NS_PER_S, (self._slow_ns - self._cut_ns) / NS_PER_S
        notes = (f"flipped after {fast * 1000:.1f} ms in the fast path and {slow * 1000:.1f} ms in the slow one",)
        return DrillReport(leg, seconds, fast if has_fast_path else slow, took_over, notes)


def _places(probe: Probe) -> tuple[tuple[str, int], ...]:
    """The ends of the connection that are here: what comes in by them is what the leg carries."""
    return probe.links[:2]
