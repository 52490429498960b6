"""One round: observe, compile, plan, apply, verify (design, section 7), for the commands and for the agent.

Owns the order of these steps and what is remembered between rounds. Must never know what a VPC is made of (compile) nor
how the kernel is spoken to (kernel). Whoever begins a round holds the lock.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from dataplane.agent.executor import Driver, Execution, Progress, execute
from dataplane.agent.held import FORWARDER, wanted_without
from dataplane.agent.report import Planned, Report
from dataplane.agent.rollback import rollback_plan
from dataplane.agent.store import Applied, State, Store
from dataplane.compile.adopt import adopted_book, adopted_memory
from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarder import following
from dataplane.compile.lifecycle import forbidden_changes, remember
from dataplane.compile.shaper import has_limits
from dataplane.config import InvalidConfig, Loaded
from dataplane.model import names
from dataplane.model.describe import describe, describe_change, listed
from dataplane.model.desired import NOTHING, Desired, Wanted
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook
from dataplane.model.kernel import (
    Address,
    KernelObject,
    Key,
    Namespace,
    Sysctl,
    Veth,
)
from dataplane.model.memory import CONNECTED_AT, Memory
from dataplane.model.observation import Observation
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.plan.action import Action, Verb
from dataplane.plan.planner import Plan, make_plan

_MAX_REMAINING_LINES = 50


@dataclass(frozen=True, slots=True)
class Round:
    """What one round has gathered before it changes anything.

    Args:
        loaded: the configuration; None: nothing is to be left.
        here: the id of this host; empty where the file names no hosts.
        started: when it began, by the monotonic clock.
    """

    loaded: Loaded | None
    here: str
    state: State
    desired: Desired
    observation: Observation
    plan: Plan
    residents: tuple[str, ...] = ()
    started: float = field(default_factory=time.monotonic)

    def planned(self) -> Planned:
        """What it would do, in values."""
        notices = (self.state.notice,) if self.state.notice else ()
        changes = (*_removals(self.desired, self.observation), *_host_changes(self.plan))
        notes = (*notices, *self._other_host(), *changes, *self.residents, *self.desired.notes)
        return Planned(self.plan.actions, notes, self.observation.foreign)

    def _other_host(self) -> tuple[str, ...]:
        before = self.state.applied.host
        if not before or not self.here or before == self.here:
            return ()
        return (f"this host was {before} at the last apply, and is {self.here} now",)


@dataclass(frozen=True, slots=True)
class Way:
    """How a round goes about it.

    Args:
        rolls_back: a unit that fails is taken back whole (P2); else it is held as it is, and tried again later.
        waiting: keys of objects that are not tried this time; what needs them is held back.
        doubtful: keys of objects that failed when they were last tried: the forwarder is told of them once they are
            there, and not before.
        before_verify: called when everything is written, and nothing of it has been looked at yet.
        progress: told before each stage.
    """

    rolls_back: bool = True
    waiting: frozenset[Key] = frozenset()
    doubtful: frozenset[Key] = frozenset()
    before_verify: Callable[[], object] = lambda: None
    progress: Progress | None = None


ONE_SHOT = Way()
"""As ``dataplane apply`` does it where no agent runs."""


class Rounds:
    """The rounds of one host.

    Args:
        store: where state between them is kept.
        driver: the kernel's.
        is_probing: a prober runs here, and stores verdicts by itself.
    """

    def __init__(self, store: Store, driver: Driver, *, is_probing: bool = False) -> None:
        self._store = store
        self._driver = driver
        self._is_probing = is_probing
        self._compiled: tuple[tuple[object, ...], Desired] | None = None

    def _facts(self, loaded: Loaded) -> HostFacts | None:
        """What this host can do; asked only where it decides how something is built, since asking has its price."""
        has_lines, has_forwarder = bool(loaded.network.vbrs), loaded.network.datapath.hook != "off"
        limited = has_limits(loaded.network)
        if not has_lines and not has_forwarder and not limited:
            return None
        return self._driver.facts(has_lines=has_lines, has_forwarder=has_forwarder, has_limits=limited)

    def compile(self, loaded: Loaded, state: State, here: str) -> Desired:
        """The desired state of this host, with what is remembered."""
        facts, addresses = self._facts(loaded), state.memory.addresses()
        inputs = (loaded, state.book, addresses, facts, here, state.legs)
        before = self._compiled
        # The same inputs give the same state (style, rule 3): an agent that compares again does not make it anew.
        if before is None or before[0][0] is not loaded or before[0][1:] != inputs[1:]:
            desired = compile_network(
                loaded, state.book, addresses, facts, here, state.legs, is_probing=self._is_probing
            )
            before = self._compiled = (inputs, desired)
        return before[1]

    def prepare(self, loaded: Loaded | None, here: str, state: State | None = None) -> Round:
        """Everything up to the plan; changes nothing.

        Args:
            loaded: the configuration; None: nothing is to be left.
            here: the id of this host; empty where the file names no hosts.
            state: what is to be remembered; None: what is.

        Raises:
            InvalidConfig: the file asks for a forbidden change (R75, R85) or for more addresses than there are.
        """
        with _collecting_later():
            return self._prepare(loaded, here, state)

    def _prepare(self, loaded: Loaded | None, here: str, state: State | None) -> Round:
        started = time.monotonic()
        driver, state = self._driver, state or self._store.load()
        if state.is_new:
            objects = driver.observe(_places(loaded, here)).objects.values()
            state = replace(state, book=adopted_book(objects), memory=adopted_memory(objects))
        desired = replace(NOTHING, book=state.book)
        if loaded is not None:
            desired = self.compile(loaded, state, here)
            problems = forbidden_changes(loaded, desired, state.memory)
            if problems:
                raise InvalidConfig(tuple(problems))
        observation = driver.observe([wish.object for wish in desired.wanted.values()])
        plan = make_plan(desired.wanted, observation.objects)
        return Round(loaded, here, state, desired, observation, plan, _residents(plan, driver), started)

    def carry_out(self, this: Round, how: Way = ONE_SHOT) -> Report:
        """Perform the plan, verify, remember.

        Raises:
            HostError: state cannot be written; nothing was changed then.
        """
        driver = self._driver
        if not this.plan.actions:
            self._keep(this, Execution(), is_clean=True, is_rid=True)
            return Report(this.planned(), seconds=time.monotonic() - this.started)
        # The ids first: an interrupted apply must not give them to others.
        self._store.save(replace(this.state, book=this.desired.book, is_new=False, notice=""))
        this, is_less = self._with_less(this, how.waiting | how.doubtful)
        execution = execute(this.plan, driver, how.progress, how.waiting)
        rolled_back = tuple(sorted(execution.failed_units)) if how.rolls_back else ()
        if rolled_back:
            self._roll_back(this, driver, execution)
        followed = self._follow(this, driver, execution, is_less=is_less)
        how.before_verify()
        remaining = () if rolled_back else self._verify(this, driver, execution, followed, is_less)
        failed = [outcome.action for outcome in execution.outcomes if outcome.error]
        is_rid = not rolled_back and not remaining and not any(action.verb is Verb.DELETE for action in failed)
        self._keep(this, execution, is_clean=not remaining and not failed, is_rid=is_rid)
        seconds = time.monotonic() - this.started
        return Report(this.planned(), tuple(execution.outcomes), rolled_back, remaining, seconds)

    def _with_less(self, this: Round, lacking: frozenset[Key]) -> tuple[Round, bool]:
        """A round whose plan asks the forwarder for no more than will be there, and whether that is less than all."""
        observation = this.observation
        wanted = wanted_without(this.desired, observation.objects, this.plan, lacking) if lacking else None
        if wanted is None or wanted is this.desired.wanted:
            return this, False
        # How far the forwarder is depends on what it is asked for.
        seen = self._driver.observe([wish.object for wish in wanted.values()])
        return replace(this, plan=make_plan(wanted, seen.objects), observation=seen), True

    def _roll_back(self, this: Round, driver: Driver, execution: Execution) -> None:
        wanted = this.desired.wanted
        objects = [wish.object for wish in wanted.values()]
        now = driver.observe([*objects, *this.observation.objects.values()])
        back = rollback_plan(wanted, this.observation.objects, now.objects, execution.failed_units)
        undone = execute(back, driver)
        execution.outcomes += [outcome for outcome in undone.outcomes if outcome.error is not None]

    def _follow(self, this: Round, driver: Driver, execution: Execution, *, is_less: bool) -> dict[Key, Wanted]:
        """Bring the forwarder in line with a kernel that is not as the file says; the wishes that it then has.

        One that cannot be told any more is taken off: the kernel forwards by what is asked for now.

        Args:
            is_less: the plan asked for less than the file; perhaps all of it is there all the same.
        """
        if not (execution.unmade or is_less) or FORWARDER_STATE_KEY not in this.desired.wanted:
            return {}
        now = driver.observe([wish.object for wish in this.desired.wanted.values()])
        present = {key: item for key, item in now.objects.items() if isinstance(item, FORWARDER)}
        wishes: dict[Key, Wanted] = {}
        if not execution.unmade:
            wishes = {key: wish for key, wish in this.desired.wanted.items() if isinstance(wish.object, FORWARDER)}
        elif FORWARDER_STATE_KEY in execution.unmade:
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
        self,
        this: Round,
        driver: Driver,
        execution: Execution,
        followed: dict[Key, Wanted],
        is_less: bool,
    ) -> tuple[str, ...]:
        """Lines for every difference that is left and was not reported as a failure."""
        wanted = {key: wish for key, wish in this.desired.wanted.items() if key not in execution.unmade}
        if is_less:
            wanted = {key: wish for key, wish in wanted.items() if not isinstance(wish.object, FORWARDER)} | followed
        else:
            wanted |= {key: wish for key, wish in followed.items() if key in wanted}
        observation = driver.observe([wish.object for wish in {**this.desired.wanted, **followed}.values()])
        reported = {outcome.action.object.key for outcome in execution.outcomes if outcome.error is not None}
        plan = make_plan(wanted, observation.objects)
        left = [action for action in plan.actions if action.object.key not in reported]
        return tuple(_difference(action) for action in left[:_MAX_REMAINING_LINES])

    def _keep(self, this: Round, execution: Execution, *, is_clean: bool, is_rid: bool) -> None:
        """Remember what was applied.

        Args:
            is_clean: nothing is left to do; only then are the ids of what is gone forgotten.
            is_rid: all that the file no longer names is gone, and so are the facts about it: what still waits for a
                namespace of somebody else's must not keep others from being written anew (R75).
        """
        loaded = this.loaded
        book = this.desired.book.keep(this.desired.used) if is_clean else this.desired.book
        now, memory = datetime.now(UTC).isoformat(timespec="seconds"), Memory()
        if loaded is not None:
            memory = remember(loaded, this.desired, execution.failed_units, this.state.memory, now)
        if not is_rid:
            # Dates are always the new ones: a connection that is suspended is connected no more.
            kept = {key: fact for key, fact in this.state.memory.facts.items() if key[2] != CONNECTED_AT}
            memory = Memory({**kept, **memory.facts})
        if loaded is None and is_clean:
            self._store.remove()
            return
        sources = loaded.sources if loaded is not None else ()
        at = this.state.applied.at
        if (sources, this.here) != (this.state.applied.sources, this.state.applied.host) or this.plan.actions:
            at = now if sources else ""
        # A leg that the file no longer names is forgotten.
        legs = this.state.legs.keep(loaded.network.router_interfaces if loaded is not None else ())
        self._store.save(State(book, memory, Applied(sources, at, this.here), legs))


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Have Python look for rubbish afterwards: what a round makes is kept, and looking at it again and again as it
    grows takes up to a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _places(loaded: Loaded | None, here: str) -> list[KernelObject]:
    """Addresses wherever the file asks for one: they lead an agent without memory to instances that are attached."""
    if loaded is None or not _is_any_attached(loaded):
        return []
    wanted = compile_network(loaded, IdBook(), {}, here=here).wanted.values()
    return [wish.object for wish in wanted if isinstance(wish.object, Address)]


def _is_any_attached(loaded: Loaded) -> bool:
    instances = (instance for vpc in loaded.network.vpcs.values() for instance in vpc.instances.values())
    return any(instance.attach is not None for instance in instances)


def _removals(desired: Desired, observation: Observation) -> tuple[str, ...]:
    """What goes away, said before anything else (R16)."""
    marks = {
        item.mark
        for key, item in observation.objects.items()
        if isinstance(item, Namespace | Veth) and key not in desired.wanted
    }
    gone = sorted(parsed for mark in marks if (parsed := names.parse_mark(mark)) is not None)
    return (f"removes {listed([f'{kind} {path}' for kind, path in gone])}: no longer asked for",) if gone else ()


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
