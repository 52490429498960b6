"""The command lines of netperf and iperf3, as R124 and R127 write them, and with what we add to run them. Pure."""

from collections.abc import Iterator, Sequence

from dataplane.accept.language import MeasureKind
from dataplane.accept.model import Flow, Measure, Tool

LATENCIES = "P50_LATENCY,P90_LATENCY,P99_LATENCY,MEAN_LATENCY,MAX_LATENCY,TRANSACTION_RATE"
"""What netperf is asked for of a TCP_RR, in microseconds and requests a second; ``parse.netperf_requests`` reads it."""
_CONNECT_MS = 5_000


def server_command(tool: Tool, port: int) -> list[str]:
    """A server that stays in the foreground; empty for our own pair."""
    if tool is Tool.NETPERF:
        return ["netserver", "-p", str(port), "-4", "-D"]
    return ["iperf3", "-s", "-i", "1", "-p", str(port), "--forceflush"] if tool is Tool.IPERF3 else []


def client_command(measure: Measure, flow: Flow, processors: int) -> list[str]:
    """A client, with the port that leads it by its leg, pinned to a processor.

    Args:
        processors: how many there are; clients take turns.
    """
    if measure.tool is Tool.NETPERF:
        return _netperf(measure, flow, measure.seconds, data_port=flow.client_port)
    words = _iperf(measure, flow, measure.seconds, flow.number % processors)
    extra = ["--cport", str(flow.client_port), "-f", "k", "--connect-timeout", str(_CONNECT_MS)]
    return words + extra


def _netperf(measure: Measure, flow: Flow, seconds: float, data_port: int = 0) -> list[str]:
    is_requests = measure.kind is MeasureKind.REQUESTS
    test = "TCP_RR" if is_requests else "UDP_STREAM"
    words = ["netperf", "-H", str(flow.server.address), "-p", str(flow.server_port), "-t", test, "-l", f"{seconds:g}"]
    # -R 1: without it netperf's UDP goes to neighbours only (SO_DONTROUTE), and not by a router.
    options = ["-o", LATENCIES] if is_requests else ["-m", str(measure.message_bytes), "-R", "1"]
    # The far end's data port is the client's too: netserver takes any other one, and the flow another leg.
    ports = ["-P", f"{data_port},{data_port}"] if data_port else []
    return [*words, "--", *options, *ports]


def _iperf(measure: Measure, flow: Flow, seconds: float, processor: int) -> list[str]:
    udp = []
    if measure.offered is not None:
        udp = ["-u", "-l", str(measure.message_bytes), "-b", _rate(measure.offered)]
    where = ["-c", str(flow.server.address), "-i", "1", "-p", str(flow.server_port), "-A", str(processor)]
    return ["iperf3", *udp, "-t", f"{seconds:g}", *where, *(["-R"] if flow.is_reversed else [])]


def _rate(bits: int) -> str:
    """``100m``, as R127 writes it."""
    return f"{bits // 10**6}m" if bits % 10**6 == 0 else str(bits)


def printed(measures: Sequence[Measure], processors: int) -> Iterator[str]:
    """What a person types who runs an end by hand: servers first, then clients, end by end (R124, R125, R127).

    Args:
        processors: how many there are where the clients run: iperf3 refuses to be pinned to another one.
    """
    for measure in measures:
        if measure.skipped or measure.tool is Tool.OWN:
            continue
        yield f"# {measure.label}, {measure.tool}"
        for flow in measure.flows:
            yield f"{flow.server.id}: {' '.join(_printed_server(measure.tool, flow.server_port))}"
        for flow in measure.flows:
            words = (
                _netperf(measure, flow, measure.seconds)
                if measure.tool is Tool.NETPERF
                else _iperf(measure, flow, measure.seconds, (flow.number + 1) % processors)
            )
            yield f"{flow.client.id}: {' '.join(words)}"


def _printed_server(tool: Tool, port: int) -> list[str]:
    if tool is Tool.NETPERF:
        return ["netserver", "-p", str(port)]
    return ["iperf3", "-s", "-i", "1", "-p", str(port)]
