"""A whole acceptance: every measure, the first one twice (the A/A check), then the drills."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from dataplane.accept.judge import judge, judge_drill, repeat_of
from dataplane.accept.model import Acceptance, Drill, DrillResult, Figures, Measure, Repeat, Result, Second, Verdict
from dataplane.measure.outage import streaming
from dataplane.measure.place import Places
from dataplane.measure.run import run

_BEFORE_S, _AFTER_S = 0.5, 0.5
"""Traffic must be seen to flow before a cut, and again after it."""


class Watcher(Protocol):
    """Whoever is told how far it is."""

    def begins(self, label: str, seconds: float) -> None: ...

    def counted(self, measure: Measure, second: Second) -> None: ...

    def ended(self, result: Result) -> None: ...

    def drilled(self, result: DrillResult) -> None: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What whoever cut a leg says of it.

    Args:
        outage_s: as it reckons; None where it does not.
        why_not: why the leg was not cut; empty where it was.
    """

    outage_s: float | None = None
    took_over: tuple[str, ...] = ()
    why_not: str = ""


Cut = Callable[[Drill], Said]
"""Cuts a leg in silence for the seconds of a drill, and returns when it is back."""

Cutting = AbstractContextManager[Cut]
"""Whoever can cut, made ready for the drills alone: under a load, quick probes are no help to a measure."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to be done.

    Args:
        is_repeated: whether the first measure is done twice, to see whether the machine is quiet.
    """

    title: str
    measures: Sequence[Measure]
    drills: Sequence[Drill] = ()
    is_repeated: bool = True


def accept(
    plan: Plan, places: Places, watcher: Watcher, cutting: Cutting, facts: Mapping[str, str], hook: str
) -> Acceptance:
    """Do it all.

    Args:
        places: of the ends that are here.
        cutting: entered where there are drills.
        hook: where the forwarder sits, for the report.

    Raises:
        HostError: a tool or an interface is missing.
    """
    results: list[Result] = []
    repeat: Repeat | None = None
    for measure in plan.measures:
        results.append(_measured(measure, places, watcher))
        if plan.is_repeated and repeat is None and _has_worked(results[-1]):
            watcher.begins(f"{measure.label}, again", measure.seconds)
            repeat = repeat_of(results[-1], run(measure, places, partial(watcher.counted, measure)))
    with cutting if plan.drills else nullcontext(_nobody) as cut:
        drills = [_drilled(drill, places, watcher, cut) for drill in plan.drills]
    return Acceptance(plan.title, tuple(results), tuple(drills), repeat, hook, facts)


def _has_worked(result: Result) -> bool:
    return bool(result.figures.value) and not any(flow.error for flow in result.figures.flows)


def _nobody(drill: Drill) -> Said:
    return Said(why_not=f"nobody is there to cut {drill.leg}")


def _measured(measure: Measure, places: Places, watcher: Watcher) -> Result:
    if measure.skipped:
        result = judge(measure, Figures(None))
    else:
        watcher.begins(measure.label, measure.seconds)
        result = judge(measure, run(measure, places, partial(watcher.counted, measure)))
    watcher.ended(result)
    return result


def _drilled(drill: Drill, places: Places, watcher: Watcher, cut: Cut) -> DrillResult:
    watcher.begins(f"drill of {drill.leg}", drill.seconds)
    if drill.target.id not in places:
        said, sent, received, outage = cut(drill), 0, 0, None
    else:
        with streaming(drill, places) as stream:
            time.sleep(_BEFORE_S)
            said = cut(drill)
            time.sleep(_AFTER_S)
        sent, received, outage = stream.sent, stream.received, stream.outage_s
    if said.why_not:
        result = DrillResult(drill, Verdict.FAILED, faults=(said.why_not,))
    else:
        result = judge_drill(drill, sent, received, outage, said.outage_s, said.took_over)
    watcher.drilled(result)
    return result
