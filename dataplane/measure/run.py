"""One measure: servers, clients, and the receivers' interfaces read once a second (R170)."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address

from dataplane.accept.figures import counted_value, flow_figure, merged_latency, steady, worst_latency
from dataplane.accept.language import MeasureKind
from dataplane.accept.model import Figures, FlowFigure, Latency, Measure, Second, Tool
from dataplane.accept.way import End
from dataplane.measure.exchange import middle_of
from dataplane.measure.place import Count, Counter, Places, counters
from dataplane.measure.programs import Program, asked, need, served

INTERVAL_S = 1.0
_MOST_OF_DURATION = 0.1
"""A short measure is looked at ten times, so that its beginning and end can be left out."""
_OVERTIME_S = 20.0
_BITS = 8

OnSecond = Callable[[Second], None]
"""Called with each interval as it is counted."""


def run(measure: Measure, places: Places, on_second: OnSecond | None = None) -> Figures:
    """Do a measure to its end.

    Args:
        places: of the ends that are here; a server that is not among them is somebody else's and runs already.

    Raises:
        HostError: a tool is missing, a server does not listen, or an interface is not there.
    """
    need(measure.tool)
    is_received = all(flow.receiver.id in places for flow in measure.flows)
    with (
        served(measure, places),
        counters(_looked_at(measure, is_received), places, is_received=is_received) as looked,
        asked(measure, places) as clients,
    ):
        seconds = _watch(measure, looked, clients, on_second)
        texts = [client.text for client in clients]
    flows, latency = _told(measure, texts)
    if measure.kind is MeasureKind.REQUESTS:
        known = [flow.value for flow in flows if flow.value is not None]
        value = sum(known) if known else None
    else:
        value = counted_value(measure.kind, steady(seconds, measure.seconds))
    return Figures(value, is_received, tuple(seconds), flows, latency)


def _looked_at(measure: Measure, is_received: bool) -> Mapping[str, IPv4Address]:
    ends: list[End] = [flow.receiver if is_received else flow.sender for flow in measure.flows]
    return {end.id: end.address for end in ends}


def _watch(
    measure: Measure, looked: Sequence[Counter], clients: Sequence[Program], on_second: OnSecond | None
) -> list[Second]:
    """Read the counters until every client is over, or long overdue."""
    interval = min(INTERVAL_S, measure.seconds * _MOST_OF_DURATION)
    start = before = time.monotonic()
    last = _read(looked)
    seconds: list[Second] = []
    while not all(client.is_over() for client in clients):
        if time.monotonic() - start > measure.seconds + _OVERTIME_S:
            break
        due = start + (len(seconds) + 1) * interval
        time.sleep(max(due - time.monotonic(), 0))
        now, count = time.monotonic(), _read(looked)
        length = now - before
        packets, octets = count.packets - last.packets, count.bytes - last.bytes
        seconds.append(Second(now - start, packets / length, octets * _BITS / length))
        before, last = now, count
        if on_second is not None:
            on_second(seconds[-1])
    return seconds


def _read(looked: Sequence[Counter]) -> Count:
    return sum((counter.read() for counter in looked), Count(0, 0))


def _told(measure: Measure, texts: Sequence[str]) -> tuple[tuple[FlowFigure, ...], Latency | None]:
    """What the clients say of their own flows, and of round trips."""
    if measure.tool is Tool.OWN:
        return _of_own(measure, texts)
    flows = tuple(flow_figure(measure, number, text) for number, text in enumerate(texts))
    return flows, worst_latency(texts) if measure.kind is MeasureKind.REQUESTS else None


def _of_own(measure: Measure, texts: Sequence[str]) -> tuple[tuple[FlowFigure, ...], Latency | None]:
    flows: list[FlowFigure] = []
    bins: dict[float, int] = {}
    longest = 0.0
    for flow, text in zip(measure.flows, texts, strict=True):
        try:
            said = json.loads(text)
        except ValueError:
            lines = text.strip().splitlines()
            flows.append(FlowFigure(flow, None, lines[-1] if lines else "the client said nothing"))
            continue
        flows.append(FlowFigure(flow, said["count"] / said["seconds"]))
        longest = max(longest, said["max_ns"])
        for number, count in said["bins"].items():
            middle = middle_of(int(number))
            bins[middle] = bins.get(middle, 0) + count
    return tuple(flows), merged_latency(bins, longest)
