"""An explanation of `why` as text and as a document: the summary, then each direction with a table of its routers."""

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from dataplane.cli.output import Section, Table
from dataplane.model.resource import NOWHERE, Origin

if TYPE_CHECKING:
    from dataplane.observe.why.explain import Direction, Explanation
    from dataplane.observe.why.hops import Hop
    from dataplane.observe.why.verdict import Verdict

_COLUMNS = ("at", "ttl", "comes in by", "table", "route", "goes out by", "line")


def summary(found: "Explanation") -> str:
    """The first line: ``ecs-1 -> ecs-2: DELIVERED; back: NO_RETURN_ROUTE at vpc-2``."""
    back = f"; back: {_result(found.back)}" if found.back is not None else ""
    return f"{found.source} -> {found.destination}: {_result(found.forward)}{back}"


def _result(way: "Direction") -> str:
    text = _coloured(way.verdict)
    if not way.verdict.code.is_delivered:
        return f"{text} at {way.verdict.where}"
    if way.disagreement is not None:
        cause = f", {way.blame.code} at {way.blame.where}" if way.blame is not None else ""
        return f"{text}, but not as configured{cause}"
    return text


def _coloured(verdict: "Verdict") -> str:
    return click.style(verdict.code.value, fg="green" if verdict.code.is_delivered else "red")


def explanation_sections(found: "Explanation") -> Iterable[Section]:
    """An explanation for people."""
    yield summary(found)
    for name, way in _ways(found):
        yield ""
        yield from _way(name, way, is_live=found.is_live)
    hosts = elsewhere(found)
    if hosts:
        yield ""
        yield f"note: {hosts}"


def elsewhere(found: "Explanation") -> str:
    """Which hosts on the way could not be asked, and how to ask them; empty where the kernels were not to be asked."""
    if not found.is_live or not found.elsewhere:
        return ""
    *others, last = found.elsewhere
    hosts, kernels = (
        (f"{', '.join(others)} and {last} are", "their kernels") if others else (f"{last} is", "its kernel")
    )
    return f"{hosts} shown as configured: run the same `dataplane why` there for {kernels}"


def _ways(found: "Explanation") -> Iterator[tuple[str, "Direction"]]:
    yield "forward", found.forward
    if found.back is not None:
        yield "back", found.back


def _way(name: str, way: "Direction", *, is_live: bool) -> Iterator[Section]:
    if way.packet is not None:
        yield f"{click.style(name, bold=True)}: {_packet(way)}{_views(way, is_live=is_live)}"
    if way.start is not None and way.start.via:
        yield f"the data centre sends it to {way.start.via}  {_line(way.start.origin)}".rstrip()
    hops = way.hops
    if way.verdict.code.is_delivered and hops and not hops[-1].route:
        hops = hops[:-1]  # where it arrived is the next line
    if hops:
        yield Table(_COLUMNS, [_row(hop) for hop in hops])
    yield from _conclusion(way)
    yield from (f"note: {text}" for text in way.notes)


def _packet(way: "Direction") -> str:
    packet = way.packet
    assert packet is not None
    ports = f" {packet.sport or 'any'} -> {packet.dport or 'any'}" if packet.sport or packet.dport else ""
    size = f", {packet.size_bytes} bytes, DF" if packet.size_bytes else ""
    return f"{packet.source} -> {packet.destination}, {packet.protocol}{ports}{size}"


def _views(way: "Direction", *, is_live: bool) -> str:
    if not is_live:
        return " (configuration alone)"
    if way.live is None:
        return ""
    return " (configuration and kernel agree)" if way.disagreement is None else " (as the kernel does it)"


def _row(hop: "Hop") -> tuple[str, ...]:
    # The folder is left to the lines below the table, to keep it narrow.
    line = "" if hop.origin == NOWHERE else f"{PurePath(hop.origin.file).name}:{hop.origin.line}"
    return (
        hop.where,
        str(hop.ttl),
        hop.ingress or "-",
        hop.table or "-",
        hop.route or "-",
        hop.egress or "-",
        line or "-",
    )


def _line(origin: Origin) -> str:
    return "" if origin == NOWHERE else f"{origin.file}:{origin.line}"


def _conclusion(way: "Direction") -> Iterator[str]:
    if way.disagreement is not None:
        yield f"{click.style('differs', fg='yellow')} {way.disagreement}"
    shown = [way.verdict]
    if way.blame is not None and way.blame != way.verdict:
        shown.append(way.blame)
    for verdict in shown:
        yield f"{_coloured(verdict)} at {verdict.where}: {verdict.text}" if verdict.text else _coloured(verdict)
        if not verdict.code.is_delivered:
            at = _line(verdict.origin)
            yield from [f"  to change: {verdict.remedy}"] if verdict.remedy else []
            yield from [f"  look at:   {at}"] if at else []


def explanation_document(found: "Explanation") -> dict[str, object]:
    """An explanation as the document of ``-o json``."""
    return {
        "source": found.source,
        "destination": found.destination,
        "is_good": found.is_good,
        "is_live": found.is_live,
        "summary": click.unstyle(summary(found)),
        "forward": _way_document(found.forward),
        "back": _way_document(found.back) if found.back is not None else None,
        "hosts_as_configured": list(found.elsewhere) if found.is_live else None,
    }


def _way_document(way: "Direction") -> dict[str, object]:
    packet = way.packet
    return {
        "packet": None
        if packet is None
        else {
            "source": str(packet.source),
            "destination": str(packet.destination),
            "protocol": packet.protocol,
            "sport": packet.sport or None,
            "dport": packet.dport or None,
            "size_bytes": packet.size_bytes or None,
            "ttl": packet.ttl,
        },
        "is_good": way.is_good,
        "verdict": _verdict_document(way.verdict),
        "configuration": {
            "verdict": _verdict_document(way.configured_verdict),
            "hops": [_hop_document(hop) for hop in way.configured_hops],
        },
        "kernel": None
        if way.live_verdict is None
        else {"verdict": _verdict_document(way.live_verdict), "hops": [_hop_document(hop) for hop in way.live_hops]},
        "disagreement": None if way.disagreement is None else way.disagreement.document(),
        "cause": _verdict_document(way.blame) if way.blame is not None else None,
        "notes": list(way.notes),
    }


def _verdict_document(verdict: "Verdict") -> dict[str, object]:
    return {
        "code": verdict.code.value,
        "meaning": verdict.code.meaning,
        "where": verdict.where,
        "text": verdict.text,
        "remedy": verdict.remedy,
        **_origin_document(verdict.origin),
    }


def _hop_document(hop: "Hop") -> dict[str, object]:
    return {
        "where": hop.where,
        "host": hop.host or None,
        "namespace": hop.namespace,
        "ttl": hop.ttl,
        "ingress": hop.ingress or None,
        "ingress_interface": hop.ingress_ifname,
        "rule": hop.rule or None,
        "table": hop.table or None,
        "table_number": hop.table_number,
        "route": hop.route or None,
        "kernel_route": hop.kernel_route or None,
        "egress": hop.egress or None,
        "egress_interface": hop.egress_ifname,
        "via": str(hop.via) if hop.via is not None else None,
        "kernel_answer": hop.kernel_answer or None,
        **_origin_document(hop.origin),
    }


def _origin_document(origin: Origin) -> dict[str, object]:
    known = origin != NOWHERE
    return {"file": origin.file if known else None, "line": origin.line if known else None}
