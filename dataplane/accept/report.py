"""An acceptance as words, rows and one document. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from dataplane.accept.ceiling import rate_text
from dataplane.accept.language import Limits, MeasureKind
from dataplane.accept.model import (
    KIND_WORDS,
    Acceptance,
    DrillResult,
    FlowFigure,
    Latency,
    Result,
    Verdict,
)

COLUMNS = ("measure", "kind", "direction", "flows", "tool", "figure", "ceiling", "share", "limit", "result")
DRILL_COLUMNS = ("drill", "cut for", "outage", "limit", "taken over by", "result")
BESIDE_COLUMNS = ("measure", "kind", "direction")
COLOURS: Mapping[str, str] = {"passed": "green", "failed": "red", "disturbed": "yellow", "skipped": "yellow"}


def figure_text(kind: MeasureKind, value: float | None) -> str:
    """A figure with its unit."""
    if value is None:
        return "-"
    if kind in (MeasureKind.BANDWIDTH, MeasureKind.STREAM):
        return rate_text(value)
    unit = "packets/s" if kind is MeasureKind.PACKET_RATE else "requests/s"
    return f"{value:,.0f} {unit}"


def unit_of(kind: MeasureKind) -> str:
    """The unit of a kind's figures in documents."""
    return {
        MeasureKind.BANDWIDTH: "bits_per_second",
        MeasureKind.STREAM: "payload_bits_per_second",
        MeasureKind.PACKET_RATE: "packets_per_second",
        MeasureKind.REQUESTS: "requests_per_second",
    }[kind]


def share_text(result: Result) -> str:
    """``99 %``."""
    return f"{result.share * 100:.0f} %" if result.share is not None else "-"


def limits_text(limits: Limits) -> str:
    """What must be reached, in few words."""
    parts = []
    if limits.share is not None:
        parts.append(f">= {limits.share} %")
    if limits.most is not None:
        parts.append(f"<= {limits.most} %")
    if limits.rate is not None:
        parts.append(f">= {rate_text(limits.rate)}")
    parts += [f">= {wanted:,}/s" for wanted in (limits.packets, limits.requests) if wanted is not None]
    if limits.p99_ms is not None:
        parts.append(f"p99 <= {limits.p99_ms} ms")
    return ", ".join(parts) or "-"


def latency_text(latency: Latency) -> str:
    """The percentiles in a line."""
    return (
        f"round trips: {latency.p50_ms:.3g} ms (p50), {latency.p90_ms:.3g} ms (p90), "
        f"{latency.p99_ms:.3g} ms (p99), {latency.max_ms:.3g} ms at most"
    )


def summary(run: Acceptance) -> str:
    """The line to read first."""
    counts = Counter(str(result.verdict) for result in run.results) + Counter(
        str(drill.verdict) for drill in run.drills
    )
    parts = ", ".join(f"{counts[word]} {word}" for word in ("passed", "failed", "skipped") if counts[word])
    hook = f"; forwarder: {run.hook}" if run.hook else ""
    return f"{run.title}: {run.verdict} ({parts or 'nothing was measured'}){hook}"


def row(result: Result) -> tuple[str, ...]:
    """A measure as a row of ``COLUMNS``."""
    measure = result.measure
    return (
        measure.name,
        KIND_WORDS[measure.kind],
        str(measure.direction),
        str(len(measure.flows)),
        str(measure.tool),
        figure_text(measure.kind, result.figures.value),
        figure_text(measure.kind, measure.ceiling.value),
        share_text(result),
        limits_text(measure.limits),
        str(result.verdict),
    )


def drill_row(result: DrillResult) -> tuple[str, ...]:
    """A drill as a row of ``DRILL_COLUMNS``."""
    known = result.outage_s if result.outage_s is not None else result.said_s
    return (
        result.drill.leg,
        f"{result.drill.seconds:g} s",
        f"{known * 1000:,.0f} ms" if known is not None else "-",
        f"<= {result.drill.max_outage_s * 1000:,.0f} ms",
        ", ".join(result.took_over) or "-",
        str(result.verdict),
    )


def sentences(run: Acceptance) -> Iterator[str]:
    """Each figure beside its ceiling, and why, in words (R122); then what is to be known of the run."""
    for result in run.results:
        yield f"{result.measure.label}: {reason(result)}"
        if result.figures.latency is not None:
            yield f"{result.measure.label}: {latency_text(result.figures.latency)}"
        for note in result.notes:
            if note != result.measure.skipped:
                yield f"{result.measure.label}: {note}"
    yield from closing(run)


def closing(run: Acceptance) -> Iterator[str]:
    """What is to be known of the whole run: was the machine quiet?"""
    if run.repeat is not None:
        again = f"{run.repeat.label}, done twice: the second figure is {run.repeat.ratio:.2f} of the first"
        quiet = "which is quiet enough" if run.repeat.is_quiet else "so something else disturbed the run"
        yield f"{again}, {quiet} (0.9 to 1.1)"


def reason(result: Result) -> str:
    """``8 flows of at most 83.33 Mbit/s ...: 666.7 Mbit/s at most; 659 Mbit/s is 99 %``."""
    measure, value = result.measure, result.figures.value
    if measure.skipped:
        return f"skipped: {measure.skipped}"
    figure = figure_text(measure.kind, value)
    if measure.ceiling.value is None:
        return f"{figure}; no ceiling: {measure.ceiling.reason}"
    can = figure_text(measure.kind, measure.ceiling.value)
    return f"{measure.ceiling.reason}: {can} at most; {figure} is {share_text(result)}"


def faults(run: Acceptance) -> Iterator[str]:
    """Everything that does not hold."""
    for result in run.results:
        yield from (f"{result.measure.label}: {fault}" for fault in result.faults)
    for drill in run.drills:
        yield from (f"drill of {drill.drill.leg}: {fault}" for fault in drill.faults)
    if run.verdict is Verdict.DISTURBED:
        yield "the run was disturbed: it neither passes nor fails; do it again on a quiet machine"


def document(run: Acceptance) -> dict[str, object]:
    """Everything, for programs."""
    return {
        "title": run.title,
        "verdict": str(run.verdict),
        "hook": run.hook,
        "facts": dict(run.facts),
        "repeat": None
        if run.repeat is None
        else {"measure": run.repeat.label, "ratio": round(run.repeat.ratio, 4), "is_quiet": run.repeat.is_quiet},
        "measures": [measure_document(result) for result in run.results],
        "drills": [drill_document(drill) for drill in run.drills],
    }


def measure_document(result: Result) -> dict[str, object]:
    """A measure, for programs."""
    measure, figures = result.measure, result.figures
    latency = figures.latency
    return {
        "name": measure.name,
        "kind": str(measure.kind),
        "direction": str(measure.direction),
        "tool": str(measure.tool),
        "unit": unit_of(measure.kind),
        "value": _rounded(figures.value),
        "ceiling": _rounded(measure.ceiling.value),
        "reason": measure.ceiling.reason,
        "share": round(result.share, 4) if result.share is not None else None,
        "verdict": str(result.verdict),
        "faults": list(result.faults),
        "notes": list(result.notes),
        "duration_s": measure.seconds,
        "message_bytes": measure.message_bytes or None,
        "offered_bits_per_second": measure.offered,
        "is_counted_at_receiver": figures.is_received,
        "latency_ms": None
        if latency is None
        else {"p50": latency.p50_ms, "p90": latency.p90_ms, "p99": latency.p99_ms, "max": latency.max_ms},
        "seconds": [
            {"at": round(second.at, 3), "packets": round(second.packets), "bits": round(second.bits)}
            for second in figures.seconds
        ],
        "flows": [_flow_document(flow) for flow in figures.flows],
    }


def _flow_document(found: FlowFigure) -> dict[str, object]:
    flow = found.flow
    return {
        "client": flow.client.id,
        "server": flow.server.id,
        "client_port": flow.client_port,
        "server_port": flow.server_port,
        "leg": flow.leg or None,
        "value": _rounded(found.value),
        "lost": round(found.lost, 5) if found.lost is not None else None,
        "error": found.error or None,
    }


def drill_document(result: DrillResult) -> dict[str, object]:
    """A drill, for programs; times in seconds."""
    return {
        "leg": result.drill.leg,
        "seconds": result.drill.seconds,
        "outage_s": _rounded(result.outage_s),
        "agent_says_s": _rounded(result.said_s),
        "max_outage_s": result.drill.max_outage_s,
        "sent": result.sent,
        "received": result.received,
        "took_over": list(result.took_over),
        "verdict": str(result.verdict),
        "faults": list(result.faults),
    }


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None else None


def beside_rows(runs: Sequence[Acceptance]) -> Iterator[tuple[str, ...]]:
    """The same measures of several runs side by side: the figures, and what the first is times the last."""
    for same in zip(*(run.results for run in runs), strict=True):
        measure = same[0].measure
        values = [result.figures.value for result in same]
        first, last = values[0], values[-1]
        times = f"{first / last:.2f}" if first and last else "-"
        figures = [figure_text(measure.kind, value) for value in values]
        yield (measure.name, KIND_WORDS[measure.kind], str(measure.direction), *figures, times)
