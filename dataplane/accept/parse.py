"""What netperf and iperf3 print, read into figures (R128-R130). Pure; unknown text is None, never a guess."""

import re
from dataclasses import dataclass

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_NETPERF_SENT = re.compile(rf"^\s*([0-9]+)\s+([0-9]+)\s+{_NUMBER}\s+([0-9]+)\s+([0-9]+)\s+{_NUMBER}\s*$", re.M)
_NETPERF_CAME = re.compile(rf"^\s*([0-9]+)\s+{_NUMBER}\s+([0-9]+)\s+{_NUMBER}\s*$", re.M)
_NETPERF_RR = re.compile(rf"^{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\s*$", re.M)
_IPERF = re.compile(
    rf"{_NUMBER}-{_NUMBER}\s+sec\s+{_NUMBER} ([KMGT]?)Bytes\s+{_NUMBER} ([KMGT]?)bits/sec"
    rf"(?:\s+{_NUMBER} ms\s+([0-9]+)/([0-9]+) \([^)]*\))?(.*)$",
    re.M,
)
_BINARY = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_IPERF_ERROR = re.compile(r"^iperf3: error - (.*)$", re.M)


@dataclass(frozen=True, slots=True)
class NetperfStream:
    """A UDP_STREAM of netperf (R130).

    Args:
        socket_bytes: of the sender's buffer.
        message_bytes: of one message.
        seconds: the elapsed time.
        sent: messages that were sent.
        errors: messages that could not be sent.
        received: messages that the other end got.
        throughput: bits a second that the other end got.
    """

    socket_bytes: int
    message_bytes: int
    seconds: float
    sent: int
    errors: int
    received: int
    throughput: float

    @property
    def packets_per_second(self) -> float:
        """What came (R128: messages okay / duration, of the receiver)."""
        return self.received / self.seconds

    @property
    def lost(self) -> float:
        """The part that did not come, 0 to 1."""
        return 1 - self.received / self.sent if self.sent else 0.0


@dataclass(frozen=True, slots=True)
class NetperfRequests:
    """A TCP_RR of netperf with ``-o`` of ``commands.LATENCIES``; times in microseconds."""

    p50_us: float
    p90_us: float
    p99_us: float
    mean_us: float
    max_us: float
    per_second: float


@dataclass(frozen=True, slots=True)
class IperfResult:
    """The last line of an iperf3 client: what the receiver got, where it says so (R130).

    Args:
        seconds: its length.
        transferred: payload bytes.
        throughput: bits a second of payload.
        jitter_ms: of UDP, else None.
        lost: datagrams; of UDP, else None.
        total: datagrams that were sent; of UDP, else None.
    """

    seconds: float
    transferred: float
    throughput: float
    jitter_ms: float | None = None
    lost: int | None = None
    total: int | None = None

    @property
    def packets_per_second(self) -> float | None:
        """Packets that the peer received / duration (R128)."""
        return (self.total - self.lost) / self.seconds if self.total is not None and self.lost is not None else None


def netperf_stream(text: str) -> NetperfStream | None:
    """The two lines of figures of a UDP_STREAM (R129)."""
    sent, came = _NETPERF_SENT.search(text), _NETPERF_CAME.search(text)
    if sent is None or came is None or not float(sent.group(3)):
        return None
    return NetperfStream(
        int(sent.group(1)),
        int(sent.group(2)),
        float(sent.group(3)),
        int(sent.group(4)),
        int(sent.group(5)),
        int(came.group(3)),
        float(came.group(4)) * _DECIMAL["M"],
    )


def netperf_requests(text: str) -> NetperfRequests | None:
    """The line of figures of a TCP_RR."""
    found = _NETPERF_RR.search(text)
    return NetperfRequests(*map(float, found.groups())) if found else None


def iperf(text: str) -> IperfResult | None:
    """The receiver's line of a client's text, else its last line of figures (R129)."""
    lines = list(_IPERF.finditer(text))
    if not lines:
        return None
    line = next((line for line in reversed(lines) if "receiver" in line.group(10)), lines[-1])
    start, end, transfer, size, rate, unit, jitter, lost, total, _ = line.groups()
    seconds = float(end) - float(start)
    if seconds <= 0:
        return None
    return IperfResult(
        seconds,
        float(transfer) * _BINARY[size],
        float(rate) * _DECIMAL[unit],
        float(jitter) if jitter is not None else None,
        int(lost) if lost is not None else None,
        int(total) if total is not None else None,
    )


def iperf_error(text: str) -> str:
    """What iperf3 says that went wrong; empty where it says nothing."""
    found = _IPERF_ERROR.search(text)
    return found.group(1) if found else ""
