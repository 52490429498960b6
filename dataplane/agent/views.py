"""Plans and reports in words: what leaves the agent. Owns what carries the words, never the words.

The words are those of ``model/describe``.

A view holds no kernel object: those would have to be spelt on the wire, and the forwarder's has all routes in it. It is
made item by item as it is read, since the first plan of a thousand instances has tens of thousands of actions.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar, overload

from dataplane.agent.report import LegReport, Planned, Report, Status
from dataplane.model.describe import describe, describe_change, kind_of, namespace_of
from dataplane.model.forwarding import LegState
from dataplane.model.leg import LegVerdict
from dataplane.model.resource import Origin, Resource
from dataplane.model.traffic import NamedTraffic
from dataplane.observe.connections import ConnectionState
from dataplane.observe.status import ResourceState
from dataplane.plan.action import Action, Outcome, Verb

_From = TypeVar("_From")
_To = TypeVar("_To")


@dataclass(frozen=True, slots=True)
class ActionView:
    """An action as people and scripts are shown it.

    Args:
        kind: of the object (``route``, ``sysctl``).
        text: what is done, in the words of the kernel; for a change, what differs.
        object: the object in the words of the kernel; ``before`` likewise, for a change.
        owner: the resource that asks for it, where known; ``origin`` is its line.
    """

    verb: Verb
    kind: str
    namespace: str
    text: str
    object: str
    before: str | None
    owner: Resource | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class FailureView:
    """An action that was not done, and why (``plan.action.Outcome``)."""

    action: ActionView
    error: str
    is_conflict: bool = False
    is_held_back: bool = False


@dataclass(frozen=True, slots=True)
class PlanView:
    """What an apply would do (``agent.report.Planned``).

    Args:
        foreign: a sentence for each object that is not ours and in the way.
    """

    actions: Sequence[ActionView]
    notes: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, int]:
        """How many actions each verb has. None of them is put into words for that."""
        actions = self.actions.items if isinstance(self.actions, _Lazy) else self.actions
        counts = Counter(action.verb for action in actions)
        return {verb.value: counts[verb] for verb in Verb}


@dataclass(frozen=True, slots=True)
class ReportView:
    """What an apply did (``agent.report.Report``).

    Args:
        outcomes: how many actions were tried or held back.
    """

    planned: PlanView
    is_done: bool
    outcomes: int = 0
    failures: Sequence[FailureView] = ()
    rolled_back: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LegGroupView:
    """A group that a leg is in (``compile.leg_order.LegGroup``).

    Args:
        states: leg -> what the group may do with it, in order of preference.
        used: the legs that carry its traffic.
    """

    vpc: str
    mode: str
    states: Mapping[str, LegState]
    used: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LegView:
    """What a wish about a leg did (``agent.report.LegReport``, whose fields these are)."""

    leg: str
    verdict: LegVerdict | None
    groups: tuple[LegGroupView, ...]
    report: ReportView


@dataclass(frozen=True, slots=True)
class StatusView:
    """The applied configuration against the live kernel (``agent.report.Status``, whose fields these are).

    Args:
        foreign: a sentence for each object that is not ours and in the way.
    """

    is_healthy: bool
    resources: tuple[ResourceState, ...]
    sha256: str
    applied_at: str
    sources: tuple[str, ...]
    foreign: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unhealthy: tuple[ResourceState, ...] = ()
    leftovers: tuple[str, ...] = ()
    host: str = ""
    traffic: NamedTraffic | None = None
    connections: tuple[ConnectionState, ...] = ()


class _Lazy(Sequence[_To], Generic[_From, _To]):
    """Another sequence, each item turned into something else when it is asked for."""

    def __init__(self, items: Sequence[_From], turn: Callable[[_From], _To]) -> None:
        self.items, self._turn = items, turn

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> _To: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_To]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._turn(item) for item in self.items[index]]
        return self._turn(self.items[index])


_OF_STATUS = {field.name for field in fields(StatusView)} - {"is_healthy", "foreign"}


def action_view(action: Action) -> ActionView:
    """An action in words."""
    before = action.before
    is_change = action.verb is Verb.CHANGE and before is not None
    said = describe(action.object)
    return ActionView(
        action.verb,
        kind_of(action.object),
        namespace_of(action.object),
        describe_change(before, action.object) if is_change and before is not None else said,
        said,
        describe(before) if before is not None else None,
        action.owner,
        action.origin,
    )


def plan_view(planned: Planned) -> PlanView:
    """A plan in words."""
    return PlanView(
        _Lazy(planned.actions, action_view), planned.notes, tuple(foreign.text for foreign in planned.foreign)
    )


def status_view(status: Status) -> StatusView:
    """A status in words."""
    texts = tuple(foreign.text for foreign in status.foreign)
    kept = {field.name: getattr(status, field.name) for field in fields(status) if field.name in _OF_STATUS}
    return StatusView(is_healthy=status.is_healthy, foreign=texts, **kept)


def report_view(report: Report) -> ReportView:
    """A report in words."""
    return ReportView(
        plan_view(report.planned),
        report.is_done,
        len(report.outcomes),
        _Lazy(report.failures, _failure_view),
        report.rolled_back,
        report.remaining,
        report.seconds,
    )


def leg_view(found: LegReport) -> LegView:
    """A wish about a leg in words."""
    groups = (LegGroupView(group.name.vpc, group.name.mode, group.states, group.used) for group in found.groups)
    return LegView(found.leg, found.verdict, tuple(groups), report_view(found.report))


def _failure_view(outcome: Outcome) -> FailureView:
    return FailureView(action_view(outcome.action), outcome.error or "", outcome.is_conflict, outcome.is_held_back)
