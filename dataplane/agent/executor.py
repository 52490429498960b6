"""Performs a plan stage by stage: what depends on a failure is held back, everything else goes on (style, rule 5)."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dataplane.model.flow import FlowTable
from dataplane.model.host import HostFacts
from dataplane.model.kernel import KernelObject, Key, provides
from dataplane.model.observation import Observation
from dataplane.model.traffic import Traffic
from dataplane.plan.action import Action, Outcome, Verb
from dataplane.plan.planner import Plan
from dataplane.plan.stage import Stage


class Driver(Protocol):
    """What a round needs of the kernel; a fake one can stand in."""

    def observe(self, desired: Iterable[KernelObject] = ()) -> Observation:
        """Our objects, and the foreign ones in the way of the desired ones."""
        ...

    def perform(self, actions: Sequence[Action]) -> list[Outcome]:
        """Perform the actions of one stage and report on each, in the same order."""
        ...

    def facts(self, *, has_lines: bool = True, has_forwarder: bool = True, has_limits: bool = True) -> HostFacts:
        """What this host can do, as far as it matters."""
        ...

    def line_drops(self) -> Mapping[str, int]:
        """Frames dropped on lines, by reason."""
        ...

    def traffic(self) -> Traffic:
        """What the forwarder has counted."""
        ...

    def flows(self) -> FlowTable | None:
        """The forwarder's flow table; None where it has none."""
        ...

    def underlay_drops(self) -> Mapping[str, int]:
        """VXLAN packets dropped by the underlay filter, by reason."""
        ...

    def residents(self, namespaces: Iterable[str]) -> Mapping[str, Sequence[tuple[int, str]]]:
        """Which processes (id, command) live in which of the namespaces."""
        ...

    def nameless(self, marks: Iterable[str]) -> Mapping[str, Sequence[tuple[int, str]]]:
        """Which processes live in namespaces that carry one of these marks and have lost their names."""
        ...


Progress = Callable[[int, int, str], None]
"""Called with actions done, actions in all, and the name of the stage that comes."""


@dataclass
class Execution:
    """What became of a plan.

    Args:
        outcomes: of every action that was tried or held back, in order.
        unmade: keys that could not be made, and those that need them.
        waiting: the ones among them whose only fault is something outside: a foreign object in the way, a
            namespace to attach to that is not there. They wait without taking their unit down.
        failed_units: units with a failure of their own.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    unmade: set[Key] = field(default_factory=set)
    waiting: set[Key] = field(default_factory=set)
    failed_units: set[str] = field(default_factory=set)


def execute(
    plan: Plan, driver: Driver, progress: Progress | None = None, waiting: Container[Key] = frozenset()
) -> Execution:
    """Perform a plan.

    Removals of a unit that has failed are held back: it is going to be rolled back, or tried again.

    Args:
        waiting: keys of objects that are left alone this time, with all that needs them.
    """
    execution, total, done = Execution(), len(plan.actions), 0
    for stage, actions in plan.stages.items():
        if progress is not None:
            progress(done, total, stage.name.lower().replace("_", " "))
        ready = [action for action in actions if not _hold(action, stage, execution, waiting)]
        for outcome in driver.perform(ready) if ready else ():
            execution.outcomes.append(outcome)
            if outcome.error is not None:
                _note_failure(outcome, execution)
        done += len(actions)
    if progress is not None:
        progress(total, total, "done")
    return execution


def _hold(action: Action, stage: Stage, execution: Execution, waiting: Container[Key]) -> bool:
    if action.object.key in waiting:
        execution.outcomes.append(Outcome(action, "held back: it is tried again later", is_held_back=True))
        if action.verb is not Verb.DELETE:
            _mark_unmade(action.object, execution, is_waiting=True)
        return True
    missing = [need for need in action.object.needs() if need in execution.unmade]
    if action.verb is Verb.DELETE:
        needed = "its unit, which failed" if stage.is_removal and action.units & execution.failed_units else ""
        if any(need[0] == "namespace" for need in missing):
            needed = "its namespace, which is not there"  # such as the kernel's own rules of a new one
        if needed:
            execution.outcomes.append(Outcome(action, f"held back for {needed}", is_held_back=True))
        return bool(needed)
    if not missing:
        return False
    reason = f"held back: it needs {_name(missing[0])}, which is not there"
    execution.outcomes.append(Outcome(action, reason, is_held_back=True))
    _mark_unmade(action.object, execution, is_waiting=all(need in execution.waiting for need in missing))
    return True


def _note_failure(outcome: Outcome, execution: Execution) -> None:
    if outcome.action.verb is Verb.DELETE:
        return
    _mark_unmade(outcome.action.object, execution, is_waiting=outcome.is_conflict)
    if not outcome.is_conflict:
        execution.failed_units |= outcome.action.units


def _mark_unmade(item: KernelObject, execution: Execution, *, is_waiting: bool) -> None:
    execution.unmade.update(provides(item))
    if is_waiting:
        execution.waiting.update(provides(item))


def _name(key: Key) -> str:
    return " ".join(str(part) for part in key if part is not None)
