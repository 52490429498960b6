"""One-shot rounds: observe, compile, plan, apply, verify (design, section 7).

Owns the order of these steps and the state between them. Must never know what a VPC is made of (compile) nor how
the kernel is spoken to (kernel).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dataplane.agent import lock
from dataplane.agent.executor import Driver, Execution, Progress, execute
from dataplane.agent.report import LegReport, Planned, Report, Status
from dataplane.agent.rollback import rollback_plan
from dataplane.agent.store import Applied, State, Store
from dataplane.compile.adopt import adopted_book, adopted_memory
from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarder import following
from dataplane.compile.leg_order import LegWish, granted
from dataplane.compile.lifecycle import forbidden_changes, remember
from dataplane.config import InvalidConfig, Loaded, load_sources
from dataplane.errors import HostError
from dataplane.model import names
from dataplane.model.describe import describe, describe_change, listed
from dataplane.model.desired import NOTHING, Desired, Wanted
from dataplane.model.forwarding import Verdict
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook
from dataplane.model.kernel import (
    Address,
    FarEnd,
    ForwarderState,
    KernelObject,
    Key,
    Namespace,
    PortProgram,
    Sysctl,
    Veth,
)
from dataplane.model.memory import Memory
from dataplane.model.observation import Observation
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.model.traffic import Traffic, named
from dataplane.observe.status import resource_states
from dataplane.plan.action import Action, Verb
from dataplane.plan.planner import Plan, make_plan

_MAX_REMAINING_LINES = 50
_FORWARDER = (ForwarderState, PortProgram, FarEnd)


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round has gathered before it changes anything."""

    here: str
    state: State
    desired: Desired
    observation: Observation
    plan: Plan
    residents: tuple[str, ...] = ()

    def planned(self) -> Planned:
        notices = (self.state.notice,) if self.state.notice else ()
        changes = (*_removals(self.desired, self.observation), *_host_changes(self.plan))
        notes = (*notices, *self._other_host(), *changes, *self.residents, *self.desired.notes)
        return Planned(self.plan.actions, notes, self.observation.foreign)

    def _other_host(self) -> tuple[str, ...]:
        before = self.state.applied.host
        if not before or not self.here or before == self.here:
            return ()
        return (f"this host was {before} at the last apply, and is {self.here} now",)


class Session:
    """The network of one host, as one command sees it.

    Args:
        state_dir: where state between runs is kept (/var/lib/dataplane).
        run_dir: where the lock is (/run/dataplane).
        progress: told before each stage of an apply.
        driver: the kernel's, where none is given.
    """

    def __init__(
        self, state_dir: Path, run_dir: Path, progress: Progress | None = None, driver: Driver | None = None
    ) -> None:
        self._own_driver = driver
        self._store = Store(state_dir)
        self._run_dir = run_dir
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
            return _Round(here, State(), desired, Observation(), make_plan(desired.wanted, {})).planned()
        return self._prepare(loaded, here).planned()

    def apply(self, loaded: Loaded, here: str = "") -> Report:
        """Make the host as the configuration says, and verify that it is.

        Args:
            here: the id of this host; empty where the file names no hosts.

        Raises:
            InvalidConfig: as ``plan``.
            ConflictError: another run is changing this host.
            HostError: state cannot be written; nothing was changed then.
        """
        started = time.monotonic()
        with lock.held(self._run_dir):
            return self._apply(loaded, self._prepare(loaded, here), started)

    def destroy(self) -> Report:
        """Take away everything of ours: the empty desired state, which needs no file.

        Raises:
            ConflictError: another run is changing this host.
        """
        started = time.monotonic()
        with lock.held(self._run_dir):
            return self._apply(None, self._prepare(None, ""), started)

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
        started = time.monotonic()
        with lock.held(self._run_dir):
            state = self._store.load()
            if not state.applied.sources:
                raise HostError(
                    "nothing is applied on this host, so that no leg is there: `dataplane apply FILE` first"
                )
            loaded, here = load_sources(state.applied.sources), state.applied.host
            now = datetime.now(UTC).isoformat(timespec="seconds")
            legs, groups = granted(loaded, here, state.legs, leg, wish, now, is_forced=is_forced)
            report = self._apply(loaded, self._prepare(loaded, here, replace(state, legs=legs)), started)
        return LegReport(leg, legs.of(leg), groups, report)

    def status(self) -> Status:
        """The last applied configuration against the live kernel."""
        state = self._store.load()
        if not state.applied.sources:
            observation = self._driver().observe(())
            return Status((), "", "", (), notes=(state.notice,) if state.notice else (), leftovers=_ours(observation))
        loaded = load_sources(state.applied.sources)
        here = state.applied.host
        desired = self._compile(loaded, state, here)
        observation = self._driver().observe([wish.object for wish in desired.wanted.values()])
        resources, unhealthy = resource_states(desired, observation.objects, observation.absent)
        files = tuple(source.name for source in state.applied.sources)
        traffic = self._driver().traffic()
        notes = (*desired.notes, *_forwarded(traffic), *_drops(self._driver(), traffic))
        wish = desired.wanted.get(FORWARDER_STATE_KEY)
        counted = named(traffic, wish.object.forwarding) if wish and isinstance(wish.object, ForwarderState) else None
        seen, at, host = observation.foreign, state.applied.at, state.applied.host
        return Status(resources, loaded.sha256, at, files, seen, notes, unhealthy, host=host, traffic=counted)

    def _driver(self) -> Driver:
        if self._own_driver is not None:
            return self._own_driver
        from dataplane.kernel.driver import KernelDriver  # Late: `plan --offline` does without the kernel.

        return KernelDriver()

    def _facts(self, loaded: Loaded) -> HostFacts | None:
        """What this host can do; asked only where it decides how something is built, since asking has its price."""
        has_lines, has_forwarder = bool(loaded.network.vbrs), loaded.network.datapath.hook != "off"
        if not has_lines and not has_forwarder:
            return None
        return self._driver().facts(has_lines=has_lines, has_forwarder=has_forwarder)

    def _compile(self, loaded: Loaded, state: State, here: str) -> Desired:
        facts, addresses = self._facts(loaded), state.memory.addresses()
        return compile_network(loaded, state.book, addresses, facts, here, state.legs)

    def _prepare(self, loaded: Loaded | None, here: str, state: State | None = None) -> _Round:
        """Everything up to the plan; changes nothing.

        Args:
            state: what is to be remembered; None: what is.
        """
        driver, state = self._driver(), state or self._store.load()
        if state.is_new:
            objects = driver.observe(_places(loaded, here)).objects.values()
            state = replace(state, book=adopted_book(objects), memory=adopted_memory(objects))
        desired = replace(NOTHING, book=state.book)
        if loaded is not None:
            desired = self._compile(loaded, state, here)
            problems = forbidden_changes(loaded, desired, state.memory)
            if problems:
                raise InvalidConfig(tuple(problems))
        observation = driver.observe([wish.object for wish in desired.wanted.values()])
        plan = make_plan(desired.wanted, observation.objects)
        return _Round(here, state, desired, observation, plan, _residents(plan, driver))

    def _apply(self, loaded: Loaded | None, this: _Round, started: float) -> Report:
        driver = self._driver()
        if not this.plan.actions:
            self._keep(loaded, this, Execution(), is_clean=True, is_rid=True)
            return Report(this.planned(), seconds=time.monotonic() - started)
        # The ids first: an interrupted apply must not give them to others.
        self._store.save(replace(this.state, book=this.desired.book, is_new=False, notice=""))
        execution = execute(this.plan, driver, self._progress)
        rolled_back = tuple(sorted(execution.failed_units))
        if rolled_back:
            self._roll_back(this, driver, execution)
        followed = self._follow(this, driver, execution)
        remaining = () if rolled_back else self._verify(this, driver, execution, followed)
        failed = [outcome.action for outcome in execution.outcomes if outcome.error]
        is_rid = not rolled_back and not remaining and not any(action.verb is Verb.DELETE for action in failed)
        self._keep(loaded, this, execution, is_clean=not remaining and not failed, is_rid=is_rid)
        seconds = time.monotonic() - started
        return Report(this.planned(), tuple(execution.outcomes), rolled_back, remaining, seconds)

    def _roll_back(self, this: _Round, driver: Driver, execution: Execution) -> None:
        wanted = this.desired.wanted
        objects = [wish.object for wish in wanted.values()]
        now = driver.observe([*objects, *this.observation.objects.values()])
        back = rollback_plan(wanted, this.observation.objects, now.objects, execution.failed_units)
        undone = execute(back, driver)
        execution.outcomes += [outcome for outcome in undone.outcomes if outcome.error is not None]

    def _follow(self, this: _Round, driver: Driver, execution: Execution) -> dict[Key, Wanted]:
        """Bring the forwarder in line with a kernel that is not as the file says; the wishes that it then has.

        One that cannot be told any more is taken off: the kernel forwards by what is asked for now.
        """
        if not execution.unmade or FORWARDER_STATE_KEY not in this.desired.wanted:
            return {}
        now = driver.observe([wish.object for wish in this.desired.wanted.values()])
        present = {key: item for key, item in now.objects.items() if isinstance(item, _FORWARDER)}
        wishes: dict[Key, Wanted] = {}
        if FORWARDER_STATE_KEY in execution.unmade:
            present.pop(FORWARDER_STATE_KEY, None)
        else:
            wishes = following(this.desired, now.objects)
        # What has failed a moment ago is not tried again.
        for key in execution.unmade & (wishes.keys() | present.keys()):
            wishes.pop(key, None)
            present.pop(key, None)
        done = execute(make_plan(wishes, present), driver)
        execution.outcomes += [outcome for outcome in done.outcomes if outcome.error is not None]
        return wishes

    def _verify(
        self, this: _Round, driver: Driver, execution: Execution, followed: Mapping[Key, Wanted]
    ) -> tuple[str, ...]:
        """Lines for every difference that is left and was not reported as a failure."""
        wanted = {key: wish for key, wish in this.desired.wanted.items() if key not in execution.unmade}
        wanted |= {key: wish for key, wish in followed.items() if key in wanted}
        observation = driver.observe([wish.object for wish in {**this.desired.wanted, **followed}.values()])
        reported = {outcome.action.object.key for outcome in execution.outcomes if outcome.error is not None}
        plan = make_plan(wanted, observation.objects)
        left = [action for action in plan.actions if action.object.key not in reported]
        return tuple(_difference(action) for action in left[:_MAX_REMAINING_LINES])

    def _keep(self, loaded: Loaded | None, this: _Round, execution: Execution, *, is_clean: bool, is_rid: bool) -> None:
        """Remember what was applied.

        Args:
            is_clean: nothing is left to do; only then are the ids of what is gone forgotten.
            is_rid: all that the file no longer names is gone, and so are the facts about it: what still waits for a
                namespace of somebody else's must not keep others from being written anew (R75).
        """
        book = this.desired.book.keep(this.desired.used) if is_clean else this.desired.book
        memory = remember(loaded, this.desired, execution.failed_units) if loaded is not None else Memory()
        if not is_rid:
            memory = Memory({**this.state.memory.facts, **memory.facts})
        if loaded is None and is_clean:
            self._store.remove()
            return
        sources = loaded.sources if loaded is not None else ()
        at = this.state.applied.at
        if (sources, this.here) != (this.state.applied.sources, this.state.applied.host) or this.plan.actions:
            at = datetime.now(UTC).isoformat(timespec="seconds") if sources else ""
        # A leg that the file no longer names is forgotten.
        legs = this.state.legs.keep(loaded.network.router_interfaces if loaded is not None else ())
        self._store.save(State(book, memory, Applied(sources, at, this.here), legs))


def _places(loaded: Loaded | None, here: str) -> list[KernelObject]:
    """Addresses wherever the file asks for one: they lead an agent without memory to instances that are attached."""
    if loaded is None or not _is_any_attached(loaded):
        return []
    wanted = compile_network(loaded, IdBook(), {}, here=here).wanted.values()
    return [wish.object for wish in wanted if isinstance(wish.object, Address)]


def _is_any_attached(loaded: Loaded) -> bool:
    instances = (instance for vpc in loaded.network.vpcs.values() for instance in vpc.instances.values())
    return any(instance.attach is not None for instance in instances)


def _ours(observation: Observation) -> tuple[str, ...]:
    """The resources whose namespaces are here, by their marks; an empty file that creation left, by its name."""
    found = (item for item in observation.objects.values() if isinstance(item, Namespace))
    marks = ((item, names.parse_mark(item.mark)) for item in found)
    return tuple(sorted(" ".join(mark) if mark is not None else f"namespace {item.name}" for item, mark in marks))


def _removals(desired: Desired, observation: Observation) -> tuple[str, ...]:
    """What goes away, said before anything else (R16)."""
    marks = {
        item.mark
        for key, item in observation.objects.items()
        if isinstance(item, Namespace | Veth) and key not in desired.wanted
    }
    gone = sorted(parsed for mark in marks if (parsed := names.parse_mark(mark)) is not None)
    return (f"removes {listed([f'{kind} {path}' for kind, path in gone])}: no longer asked for",) if gone else ()


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


def _host_changes(plan: Plan) -> tuple[str, ...]:
    """What is changed outside our namespaces, said before it is done."""
    raised = [
        describe(action.object)
        for action in plan.actions
        if isinstance(action.object, Sysctl) and action.object.namespace == names.HOST
    ]
    return (f"raises settings of this host, and leaves them so: {'; '.join(raised)}",) if raised else ()


def _residents(plan: Plan, driver: Driver) -> tuple[str, ...]:
    """A sentence for every namespace that is to go, or has lost its name already, while processes live in it."""
    changed = [(action.verb, action.object) for action in plan.actions if isinstance(action.object, Namespace)]
    doomed = [item.name for verb, item in changed if verb is Verb.DELETE]
    born = {item.mark: item.name for verb, item in changed if verb is Verb.CREATE}
    going = (
        f"processes still live in {name}, which goes on without a name and without links until they end: "
        + _named(processes)
        for name, processes in driver.residents(doomed).items()
    )
    lost = (
        f"processes still live in a {born[mark]} that has lost its name, and are not in the new one: "
        + _named(processes)
        for mark, processes in driver.nameless(born).items()
    )
    return (*going, *lost)


def _named(processes: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{pid} ({command})" for pid, command in processes)


def _difference(action: Action) -> str:
    if action.verb is Verb.CHANGE and action.before is not None:
        return f"{describe_change(action.before, action.object)} still differs"
    return f"{describe(action.object)} is {'still there' if action.verb is Verb.DELETE else 'missing'}"
