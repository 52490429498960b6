"""From samples of counters and the words of tools to figures (R128, R170). Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean

from dataplane.accept import parse
from dataplane.accept.ceiling import IP_TCP_BYTES, IP_UDP_BYTES
from dataplane.accept.language import MeasureKind
from dataplane.accept.model import FlowFigure, Latency, Measure, Second, Tool

_BITS = 8
_SETTLE_S, _TAIL_S = 1.0, 0.5
_MOST_SETTLE, _MOST_TAIL = 0.25, 0.1
"""Parts of the duration: clients begin and end one after another, and that is not the rate of all."""


def steady(seconds: Sequence[Second], duration: float) -> list[Second]:
    """The intervals in which all clients were sending.

    Args:
        duration: how long each client sends.
    """
    first = min(_SETTLE_S, duration * _MOST_SETTLE)
    last = duration - min(_TAIL_S, duration * _MOST_TAIL)
    length = max((two.at - one.at for one, two in pairwise(seconds)), default=0.0)
    inside = [second for second in seconds if second.at - length >= first - 1e-3 and second.at <= last]
    return inside or [second for second in seconds if second.at <= duration]


def counted_value(kind: MeasureKind, seconds: Sequence[Second]) -> float | None:
    """The figure of a measure out of its steady intervals; None where there are none.

    Of TCP, the headers that were counted are taken off: what is left is payload, however the kernel had merged packets.
    """
    if not seconds:
        return None
    packets, bits = mean(second.packets for second in seconds), mean(second.bits for second in seconds)
    if kind is MeasureKind.PACKET_RATE:
        return packets
    return max(bits - packets * IP_TCP_BYTES * _BITS, 0.0) if kind is MeasureKind.STREAM else bits


def flow_figure(measure: Measure, number: int, text: str) -> FlowFigure:
    """What a client has printed, as a figure in the unit of the measure."""
    flow = measure.flows[number]
    if measure.tool is Tool.NETPERF:
        return _of_netperf(measure, number, text)
    found = parse.iperf(text)
    error = parse.iperf_error(text)
    if found is None or error:
        return FlowFigure(flow, None, error or "iperf3 printed no figures")
    lost = found.lost / found.total if found.lost is not None and found.total else None
    if measure.kind is MeasureKind.PACKET_RATE:
        return FlowFigure(flow, found.packets_per_second, lost=lost)
    return FlowFigure(flow, found.throughput * _headers(measure), lost=lost)


def _headers(measure: Measure) -> float:
    """iperf3 counts payload; bandwidths are of IP packets."""
    return 1.0 if not measure.message_bytes else (measure.message_bytes + IP_UDP_BYTES) / measure.message_bytes


def _of_netperf(measure: Measure, number: int, text: str) -> FlowFigure:
    flow = measure.flows[number]
    said = text.strip().splitlines()
    value: float | None = None
    lost: float | None = None
    if measure.kind is MeasureKind.REQUESTS:
        requests = parse.netperf_requests(text)
        value = requests.per_second if requests is not None else None
    else:
        stream = parse.netperf_stream(text)
        if stream is not None:
            value, lost = stream.packets_per_second, stream.lost
    error = "" if value is not None else (said[-1] if said else "netperf printed nothing")
    return FlowFigure(flow, value, error, lost)


def worst_latency(texts: Sequence[str]) -> Latency | None:
    """Of several clients of netperf, which keep their round trips to themselves: the worst one's of each percentile."""
    found = [one for one in map(parse.netperf_requests, texts) if one is not None]
    if not found:
        return None
    return Latency(
        max(one.p50_us for one in found) / 1000,
        max(one.p90_us for one in found) / 1000,
        max(one.p99_us for one in found) / 1000,
        max(one.max_us for one in found) / 1000,
    )


def merged_latency(bins: Mapping[float, int], longest_ns: float) -> Latency | None:
    """Percentiles over the round trips of all clients of our own pair.

    Args:
        bins: nanoseconds -> how many round trips took about that.
        longest_ns: the longest one.
    """
    total = sum(bins.values())
    if not total:
        return None
    ordered = sorted(bins.items())

    def percentile(part: float) -> float:
        seen = 0
        for nanoseconds, count in ordered:
            seen += count
            if seen >= part * total:
                return nanoseconds / 1e6
        return longest_ns / 1e6

    return Latency(percentile(0.5), percentile(0.9), percentile(0.99), longest_ns / 1e6)
