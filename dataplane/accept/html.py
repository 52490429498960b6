"""An acceptance as one HTML file that stands alone: no script, no font, no picture from elsewhere. Pure."""

from collections.abc import Iterator, Sequence
from html import escape

from dataplane.accept import svg
from dataplane.accept.figures import counted_value
from dataplane.accept.judge import ABOVE
from dataplane.accept.language import MeasureKind
from dataplane.accept.model import KIND_WORDS, Acceptance, DrillResult, Result, Second, Verdict
from dataplane.accept.report import (
    beside_rows,
    closing,
    drill_row,
    figure_text,
    latency_text,
    limits_text,
    reason,
    share_text,
)
from dataplane.accept.style import STYLE

_UNITS = {
    MeasureKind.BANDWIDTH: "bit/s of IP packets",
    MeasureKind.STREAM: "bit/s of payload",
    MeasureKind.PACKET_RATE: "packets/s",
    MeasureKind.REQUESTS: "packets/s",
}
_NUMBERS = ("Figure", "Ceiling", "Share")
_VERDICTS = {
    Verdict.PASSED: "Every measure has reached what was asked of it.",
    Verdict.FAILED: "Something has not reached what was asked of it: it is named below.",
    Verdict.DISTURBED: "The machine was too noisy: this run neither passes nor fails the network.",
    Verdict.SKIPPED: "Nothing could be measured here.",
}
_METHOD = (
    "What counts is the receiver's own network interface, read once a second while all clients send (R128, R170); "
    "the first and the last second are left out. Bandwidths count IP packets as the limits do (D4), TCP streams their "
    "payload. The bars of single flows are what the tools themselves report. A ceiling follows from the "
    "configuration alone: flows, their cap, bandwidths, legs and the MTU (R117, R122). The first measure is done "
    "twice; where the two differ by more than a tenth, the run is called disturbed and proves nothing."
)


_OVERTIME_S = 0.05
"""What is counted later than that belongs to clients that are ending."""


def html(runs: Sequence[Acceptance]) -> str:
    """The report of a run; of further ones, with other hooks, a table side by side."""
    run = runs[0]
    body = "\n".join((*_head(run), *_overview(run), *_beside(runs), *_drills(run), *_details(run), *_facts(run)))
    title = escape(run.title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}: {run.verdict}</title>'
        f"<style>{STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def _head(run: Acceptance) -> Iterator[str]:
    began = escape(run.facts.get("began", ""))
    yield f'<header class="{run.verdict}"><p class="kicker">Acceptance report</p><h1>{escape(run.title)}</h1>'
    yield f'<p class="when">{began}{" &middot; forwarder: " + escape(run.hook) if run.hook else ""}</p>'
    yield f'<div class="verdict"><strong>{run.verdict}</strong><span>{_VERDICTS[run.verdict]}</span></div>'
    above = sum(result.share is not None and result.share > ABOVE for result in run.results)
    if above:
        yield f'<p class="fault">{above} of {len(run.results)} figures are above their ceilings: limits of the '
        yield "configuration are not enforced.</p>"
    yield "</header>"


def _overview(run: Acceptance) -> Iterator[str]:
    yield "<section><h2>At a glance</h2><table><thead><tr>"
    for heading in ("Measure", "Figure", "Ceiling", "Share", "", "Asked for", "Result"):
        yield f"<th class=n>{heading}</th>" if heading in _NUMBERS else f"<th>{heading}</th>"
    yield "</tr></thead><tbody>"
    for number, result in enumerate(run.results):
        measure = result.measure
        name = f'<a href="#m{number}">{_kind(result)}</a><small>{escape(measure.name)}, {measure.direction}</small>'
        yield f"<tr><td>{name}</td><td class=n>{figure_text(measure.kind, result.figures.value)}</td>"
        yield f"<td class=n>{figure_text(measure.kind, measure.ceiling.value)}</td>"
        yield f"<td class=n>{share_text(result)}</td>"
        yield f"<td>{svg.meter(result.share)}</td><td>{_asked(limits_text(measure.limits))}</td>"
        yield f"<td>{_badge(result.verdict)}</td></tr>"
    yield "</tbody></table></section>"


def _kind(result: Result) -> str:
    word = KIND_WORDS[result.measure.kind]
    return escape(word[:1].upper() + word[1:])


def _asked(text: str) -> str:
    """A limit as print has it."""
    return escape(text.replace(">=", "\u2265").replace("<=", "\u2264"))


def _badge(verdict: Verdict) -> str:
    return f'<span class="badge {verdict}">{verdict}</span>'


def _beside(runs: Sequence[Acceptance]) -> Iterator[str]:
    if len(runs) < 2:
        return
    yield "<section><h2>Side by side</h2><table><thead><tr><th>Measure</th>"
    heads = [f"hook: {run.hook}" for run in runs]
    yield "".join(f"<th class=n>{escape(head)}</th>" for head in (*heads, "Times")) + "</tr></thead><tbody>"
    for name, kind, direction, *figures, times in beside_rows(runs):
        yield f"<tr><td><b>{escape(kind[:1].upper() + kind[1:])}</b><small>{escape(name)}, {direction}</small></td>"
        yield "".join(f"<td class=n>{figure}</td>" for figure in figures) + f"<td class=n>{times}</td></tr>"
    yield "</tbody></table>"
    for run in runs:
        yield "".join(f"<p class=note>{escape(run.hook)}: {escape(text)}.</p>" for text in closing(run))
    yield "</section>"


def _drills(run: Acceptance) -> Iterator[str]:
    if not run.drills:
        return
    yield "<section><h2>Drills</h2><p class=note>A leg is cut in silence while datagrams pass, one a millisecond; "
    yield "the outage is what did not come (R54).</p><table><thead><tr>"
    yield "".join(f"<th>{word}</th>" for word in ("Leg", "Cut for", "Outage", "Asked for", "Taken over by", "Result"))
    yield "</tr></thead><tbody>"
    for drill in run.drills:
        *cells, _ = drill_row(drill)
        yield "<tr>" + "".join(f"<td>{_asked(cell)}</td>" for cell in cells) + f"<td>{_badge(drill.verdict)}</td></tr>"
        yield from _faults(drill)
    yield "</tbody></table></section>"


def _faults(drill: DrillResult) -> Iterator[str]:
    for fault in drill.faults:
        yield f'<tr><td colspan="6" class="fault">{escape(fault)}</td></tr>'


def _details(run: Acceptance) -> Iterator[str]:
    for number, result in enumerate(run.results):
        measure = result.measure
        yield f'<section class="measure" id="m{number}"><h3>{_kind(result)} <em>{escape(measure.name)}, '
        yield f"{measure.direction}</em>{_badge(result.verdict)}</h3>"
        yield f'<p class="big">{figure_text(measure.kind, result.figures.value)}</p>'
        yield f"<p>{escape(reason(result))}.</p>"
        for fault in result.faults:
            yield f'<p class="fault">{escape(fault)}</p>'
        for note in result.notes:
            if note != measure.skipped:
                yield f'<p class="note">{escape(note)}</p>'
        if not measure.skipped:
            yield from _plots(result)
        yield "</section>"


def _plots(result: Result) -> Iterator[str]:
    measure, figures = result.measure, result.figures
    ceiling, unit = measure.ceiling.value, _UNITS[measure.kind]
    points = [(second.at, _counted(measure.kind, second.packets, second.bits)) for second in figures.seconds]
    points = [point for point in points if point[0] <= measure.seconds + _OVERTIME_S]
    where = "at the receivers' interfaces" if figures.is_received else "at the senders' interfaces"
    title = f"{measure.label}, second by second"
    yield '<div class="plots"><figure>' + svg.line_chart(points, ceiling, unit, title, measure.seconds)
    yield f"<figcaption>Second by second, counted {where}</figcaption></figure>"
    bars = [(f"{flow.flow.number + 1}", flow.value or 0.0) for flow in figures.flows]
    each = ceiling / len(bars) if ceiling and bars else None
    words = "requests/s" if measure.kind is MeasureKind.REQUESTS else unit
    yield "<figure>" + svg.bar_chart(bars, each, words, f"{measure.label}, flow by flow")
    yield f"<figcaption>Flow by flow, as {measure.tool} reports{_by_leg(result)}</figcaption></figure></div>"
    latency = figures.latency
    if latency is not None:
        rungs = [("p50", latency.p50_ms), ("p90", latency.p90_ms), ("p99", latency.p99_ms), ("max", latency.max_ms)]
        limit = float(measure.limits.p99_ms) if measure.limits.p99_ms is not None else None
        yield '<div class="plots"><figure class="wide">' + svg.ladder(rungs, limit, latency_text(latency))
        yield "<figcaption>Round trips, of all requests</figcaption></figure></div>"


def _by_leg(result: Result) -> str:
    legs = list(dict.fromkeys(flow.leg for flow in result.measure.flows if flow.leg))
    return f"; by {escape(' and '.join(legs))}" if legs else ""


def _counted(kind: MeasureKind, packets: float, bits: float) -> float:
    as_counted = MeasureKind.PACKET_RATE if kind is MeasureKind.REQUESTS else kind
    return counted_value(as_counted, [Second(0, packets, bits)]) or 0.0


def _facts(run: Acceptance) -> Iterator[str]:
    yield "<section><h2>How it was measured</h2><p>" + escape(_METHOD) + "</p>"
    yield "".join(f"<p>{escape(text)}.</p>" for text in closing(run))
    yield '<table class="facts"><tbody>'
    for name, value in run.facts.items():
        yield f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
    yield "</tbody></table></section>"
