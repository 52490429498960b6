"""What figures mean, held against the limits of the file: passed or failed, and why. Pure."""

from collections.abc import Iterator

from dataplane.accept.ceiling import rate_text
from dataplane.accept.model import Drill, DrillResult, Figures, Measure, Repeat, Result, Verdict

ABOVE = 1.05
"""More than this of a ceiling, and the limit is not there; less, and a burst of 50 ms (D4) may have been it."""
_RECEIVER_UNSEEN = "counted where it left: the receiver's interface was not seen (R128)"


def judge(measure: Measure, figures: Figures) -> Result:
    """A measure and what is wrong with it."""
    if measure.skipped:
        return Result(measure, figures, Verdict.SKIPPED, notes=(measure.skipped,))
    faults = (*_flow_faults(figures), *_limit_faults(measure, figures))
    return Result(
        measure, figures, Verdict.FAILED if faults else Verdict.PASSED, faults, tuple(_notes(measure, figures))
    )


def _flow_faults(figures: Figures) -> Iterator[str]:
    for found in figures.flows:
        if found.error:
            flow = found.flow
            yield f"flow {flow.number + 1} from {flow.client.id} to {flow.server.id}: {found.error}"
    if figures.value is None or figures.value <= 0:
        yield "nothing came"


def _limit_faults(measure: Measure, figures: Figures) -> Iterator[str]:
    limits, value, ceiling = measure.limits, figures.value or 0.0, measure.ceiling
    if limits.share is not None:
        if ceiling.value is None:
            yield f"there is no ceiling to have a share of ({ceiling.reason}): hold it against a rate"
        elif value * 100 < limits.share * ceiling.value:
            yield f"{_percent(value / ceiling.value)} of the ceiling is less than {limits.share} %"
    if limits.most is not None and ceiling.value is not None and value * 100 > limits.most * ceiling.value:
        yield f"{_percent(value / ceiling.value)} of the ceiling is more than {limits.most} %: it is not enforced"
    if limits.rate is not None and value < limits.rate:
        yield f"{rate_text(value)} is less than {rate_text(limits.rate)}"
    for wanted, what in ((limits.packets, "packets"), (limits.requests, "requests")):
        if wanted is not None and value < wanted:
            yield f"{value:,.0f} {what} a second are fewer than {wanted:,}"
    if limits.p99_ms is not None and (figures.latency is None or figures.latency.p99_ms > limits.p99_ms):
        found = "is not known" if figures.latency is None else f"is {figures.latency.p99_ms:.3g} ms"
        yield f"the round trip of the 99th percentile {found}, and must not be over {limits.p99_ms} ms"


def _notes(measure: Measure, figures: Figures) -> Iterator[str]:
    ceiling = measure.ceiling.value
    if ceiling and figures.value is not None and figures.value > ABOVE * ceiling:
        yield f"{_percent(figures.value / ceiling)} of the ceiling: the limit of the file is not enforced"
    if not figures.is_received:
        yield _RECEIVER_UNSEEN


def _percent(part: float) -> str:
    return f"{part * 100:.0f} %"


def judge_drill(
    drill: Drill, sent: int, received: int, outage_s: float | None, said_s: float | None, took_over: tuple[str, ...]
) -> DrillResult:
    """A drill and what is wrong with it.

    Args:
        sent: datagrams, before, during and after the cut.
        received: those of them that came.
        outage_s: those that did not come / their rate; None where the receiver is not ours.
        said_s: what the agent reckons.
    """
    faults = []
    known = outage_s if outage_s is not None else said_s
    if outage_s is not None and not received:
        faults.append("nothing came, neither before nor after the cut")
    elif known is None:
        faults.append("the outage could not be measured")
    elif known > drill.max_outage_s:
        faults.append(f"an outage of {known * 1000:,.0f} ms is longer than {drill.max_outage_s * 1000:,.0f} ms")
    if not took_over:
        faults.append(f"no other leg took over from {drill.leg}")
    verdict = Verdict.FAILED if faults else Verdict.PASSED
    return DrillResult(drill, verdict, outage_s, said_s, sent, received, took_over, tuple(faults))


def repeat_of(first: Result, again: Figures) -> Repeat | None:
    """The A/A check out of the first measure and its repetition; None where there is nothing to compare."""
    if not first.figures.value or again.value is None:
        return None
    return Repeat(first.measure.label, again.value / first.figures.value)
