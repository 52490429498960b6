"""The network of one host as the commands see it: rounds under the lock, and looks without it.

Must never hold anything between two calls: each command is a process of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dataplane.agent import lock
from dataplane.agent.executor import Driver, Progress
from dataplane.agent.report import LegReport, Planned, Report, Status
from dataplane.agent.round import Round, Rounds, Way
from dataplane.agent.store import State, Store
from dataplane.agent.watch import Watch, forwarding_of
from dataplane.compile.compiler import compile_network
from dataplane.compile.leg_order import LegWish, granted
from dataplane.config import Loaded, Source, load_sources
from dataplane.errors import HostError
from dataplane.model import names
from dataplane.model.desired import Desired
from dataplane.model.forwarding import Forwarding, Verdict
from dataplane.model.ids import IdBook
from dataplane.model.kernel import ForwarderState, Namespace
from dataplane.model.observation import Observation
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.model.traffic import NamedTraffic, Traffic, named
from dataplane.observe.connections import connection_states
from dataplane.observe.status import resource_states
from dataplane.observe.throttled import throttled_now
from dataplane.plan.planner import make_plan


class Session:
    """The network of one host, as one command sees it.

    Args:
        state_dir: where state between runs is kept (/var/lib/dataplane).
        run_dir: where the lock is (/run/dataplane).
        progress: told before each stage of an apply.
        driver: the kernel's, where none is given.
        is_probing: an agent runs here, and it is the one that asks.
        store: the state file, where somebody has it already.
        read: checks texts.
    """

    def __init__(
        self,
        state_dir: Path,
        run_dir: Path,
        progress: Progress | None = None,
        driver: Driver | None = None,
        *,
        is_probing: bool = False,
        store: Store | None = None,
        read: Callable[[Sequence[Source]], Loaded] = load_sources,
    ) -> None:
        self._own_driver = driver
        self._is_probing = is_probing
        self._store = store or Store(state_dir)
        self._run_dir = run_dir
        self._read = read
        self._progress = progress

    def plan(self, loaded: Loaded, here: str = "", *, offline: bool = False) -> Planned:
        """What an apply of a configuration would do now.

        Args:
            here: the id of this host; empty where the file names no hosts.
            offline: against an empty host, without root.

        Raises:
            InvalidConfig: the file asks for a forbidden change (R75, R85) or for more addresses than there are.
        """
        if offline:
            desired = compile_network(loaded, IdBook(), {}, here=here)
            return Round(loaded, here, State(), desired, Observation(), make_plan(desired.wanted, {})).planned()
        return self._rounds().prepare(loaded, here).planned()

    def apply(self, loaded: Loaded, here: str = "") -> Report:
        """Make the host as the configuration says, and verify that it is.

        Args:
            here: the id of this host; empty where the file names no hosts.

        Raises:
            InvalidConfig: as ``plan``.
            ConflictError: another run is changing this host.
            HostError: state cannot be written; nothing was changed then.
        """
        with self._alone() as rounds:
            return rounds.carry_out(rounds.prepare(loaded, here), Way(progress=self._progress))

    def destroy(self) -> Report:
        """Take away everything of ours: the empty desired state, which needs no file.

        Raises:
            ConflictError: another run is changing this host.
        """
        with self._alone() as rounds:
            return rounds.carry_out(rounds.prepare(None, ""), Way(progress=self._progress))

    def order_leg(self, leg: str, wish: LegWish, *, is_forced: bool = False) -> LegReport:
        """Take a leg down or up by hand, on both paths, or leave it to its health check again; it is remembered.

        It is an apply of what was applied last, with another verdict on the leg.

        Args:
            leg: a router interface.
            is_forced: also where no healthy leg is left to a group then.

        Raises:
            HostError: nothing is applied here, or state cannot be written.
            UnknownError: no group of this host has the leg.
            ConflictError: it is a group's last healthy leg, or another run is changing this host.
        """
        with self._alone() as rounds:
            state = self._store.load()
            if not state.applied.sources:
                raise HostError(
                    "nothing is applied on this host, so that no leg is there: `dataplane apply FILE` first"
                )
            loaded, here = self._read(state.applied.sources), state.applied.host
            now = datetime.now(UTC).isoformat(timespec="seconds")
            legs, groups = granted(loaded, here, state.legs, leg, wish, now, is_forced=is_forced)
            this = rounds.prepare(loaded, here, replace(state, legs=legs))
            report = rounds.carry_out(this, Way(progress=self._progress))
        return LegReport(leg, legs.of(leg), groups, report)

    def status(self) -> Status:
        """The last applied configuration against the live kernel."""
        state = self._store.load()
        if not state.applied.sources:
            observation = self._driver().observe(())
            return Status((), "", "", (), notes=(state.notice,) if state.notice else (), leftovers=_ours(observation))
        loaded = self._read(state.applied.sources)
        here = state.applied.host
        desired = self._rounds().compile(loaded, state, here)
        observation = self._driver().observe([wish.object for wish in desired.wanted.values()])
        resources, unhealthy = resource_states(desired, observation.objects, observation.absent)
        files = tuple(source.name for source in state.applied.sources)
        traffic = self._driver().traffic()
        wish = desired.wanted.get(FORWARDER_STATE_KEY)
        forwarding = wish.object.forwarding if wish and isinstance(wish.object, ForwarderState) else None
        counted = named(traffic, forwarding) if forwarding is not None else None
        throttled = self._throttled(loaded, forwarding, counted)
        return Status(
            resources,
            loaded.sha256,
            state.applied.at,
            files,
            observation.foreign,
            (*desired.notes, *_forwarded(traffic), *throttled, *_drops(self._driver(), traffic)),
            unhealthy,
            host=here,
            traffic=counted,
            connections=connection_states(loaded.network, resources, state.memory),
        )

    def watch(self, loaded: Loaded, desired: Desired) -> Watch:
        """A network to look at what is flowing in it.

        Raises:
            HostError: no forwarder is under it.
        """
        return Watch(loaded.network, forwarding_of(desired), self._driver())

    def _throttled(self, loaded: Loaded, state: Forwarding | None, traffic: NamedTraffic | None) -> tuple[str, ...]:
        """Which connections are over their limits now."""
        if state is None or traffic is None or not state.limits:
            return ()
        flows = self._driver().flows()
        return throttled_now(loaded.network, traffic, state.leg_names, flows) if flows is not None else ()

    def _rounds(self) -> Rounds:
        return Rounds(self._store, self._driver(), is_probing=self._is_probing)

    @contextmanager
    def _alone(self) -> Iterator[Rounds]:
        """Rounds that change this host, with nobody else doing so."""
        with lock.held(self._run_dir):
            yield self._rounds()

    def _driver(self) -> Driver:
        if self._own_driver is not None:
            return self._own_driver
        from dataplane.kernel.driver import KernelDriver  # Late: `plan --offline` does without the kernel.

        return KernelDriver()


def _ours(observation: Observation) -> tuple[str, ...]:
    """The resources whose namespaces are here, by their marks; an empty file that creation left, by its name."""
    found = (item for item in observation.objects.values() if isinstance(item, Namespace))
    marks = ((item, names.parse_mark(item.mark)) for item in found)
    return tuple(sorted(" ".join(mark) if mark is not None else f"namespace {item.name}" for item, mark in marks))


def _forwarded(traffic: Traffic) -> tuple[str, ...]:
    """How many packets took the fast path, and how many it left to the kernel."""
    forwarded, passed = traffic.packets(Verdict.FORWARD), traffic.packets(Verdict.PASS)
    if not forwarded and not passed:
        return ()
    return (f"the forwarder has sent on {forwarded:,} packets, and passed {passed:,} to the kernel",)


def _drops(driver: Driver, traffic: Traffic) -> tuple[str, ...]:
    """What was dropped at ports, and what came in on lines and from other hosts and belongs to nobody, counted."""
    found = {
        "frames dropped by the forwarder": {reason.words: count for reason, count in traffic.drops().items()},
        "frames dropped on the lines": driver.line_drops(),
        "VXLAN packets dropped": driver.underlay_drops(),
    }
    return tuple(
        f"{what}: {', '.join(f'{number} {words}' for words, number in drops.items())}"
        for what, drops in found.items()
        if drops
    )
