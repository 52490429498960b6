"""The nouns of an acceptance: measures and their flows, what was counted, and what was made of it. Frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dataplane.accept.ceiling import Ceiling
from dataplane.accept.language import Direction, Limits, MeasureKind
from dataplane.accept.way import End

NO_LIMITS = Limits()


class Tool(StrEnum):
    """What sends and receives."""

    IPERF3 = "iperf3"
    NETPERF = "netperf"
    OWN = "own pair"


@dataclass(frozen=True, slots=True)
class Flow:
    """A client and its server (R124).

    Args:
        number: from 0, within its measure.
        server_port: where the server listens, which is its control connection's port too.
        client_port: of the client's data; chosen so that the forwarder gives the flow to ``leg``.
        leg: the router interface; empty where none is on the way.
        is_reversed: the server sends and the client receives (iperf3 -R): the servers are somebody else's.
    """

    number: int
    client: End
    server: End
    server_port: int
    client_port: int
    leg: str = ""
    is_reversed: bool = False

    @property
    def receiver(self) -> End:
        """At whose interface the truth is counted (R128)."""
        return self.client if self.is_reversed else self.server

    @property
    def sender(self) -> End:
        return self.server if self.is_reversed else self.client


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing to measure.

    Args:
        name: of its line in ``acceptance.yaml``.
        seconds: how long clients send.
        message_bytes: the payload of a datagram; 0 of TCP.
        offered: bits a second of payload that each client sends; None: what it can.
        skipped: why it cannot be done here; empty where it can.
    """

    name: str
    kind: MeasureKind
    direction: Direction
    tool: Tool
    flows: tuple[Flow, ...]
    seconds: float
    ceiling: Ceiling
    limits: Limits = NO_LIMITS
    message_bytes: int = 0
    offered: int | None = None
    skipped: str = ""

    @property
    def label(self) -> str:
        """How a person calls it."""
        return f"{self.name} {KIND_WORDS[self.kind]} {self.direction}"


KIND_WORDS: Mapping[MeasureKind, str] = {
    MeasureKind.BANDWIDTH: "bandwidth",
    MeasureKind.PACKET_RATE: "packet rate",
    MeasureKind.STREAM: "TCP stream",
    MeasureKind.REQUESTS: "requests",
}


@dataclass(frozen=True, slots=True)
class Second:
    """What receivers' interfaces counted in one interval (R170).

    Args:
        at: its end, in seconds since the clients began.
        packets: a second.
        bits: a second, of IP packets (without the Ethernet header).
    """

    at: float
    packets: float
    bits: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Round trips, in milliseconds; of several clients of netperf, the worst one's."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class FlowFigure:
    """What a flow's own tool says of it.

    Args:
        value: in the unit of the measure; None where the tool failed.
        error: what it said then.
        lost: the part of the datagrams that did not come, 0 to 1; None where nobody knows.
    """

    flow: Flow
    value: float | None
    error: str = ""
    lost: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a measure found.

    Args:
        value: in the unit of its kind, over the steady part; None where nothing could be measured.
        is_received: it was counted at the receivers' interfaces; else at the senders'.
        seconds: interval by interval, all receivers together.
        flows: in the order of the measure.
    """

    value: float | None
    is_received: bool = True
    seconds: tuple[Second, ...] = ()
    flows: tuple[FlowFigure, ...] = ()
    latency: Latency | None = None


class Verdict(StrEnum):
    """What became of a measure or drill."""

    PASSED = "passed"
    FAILED = "failed"
    DISTURBED = "disturbed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """A measure, its figures, and what is wrong with them.

    Args:
        faults: what does not hold, one sentence each.
        notes: what should be known beside.
    """

    measure: Measure
    figures: Figures
    verdict: Verdict
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """Of the ceiling, 1 for all of it."""
        value, ceiling = self.figures.value, self.measure.ceiling.value
        return value / ceiling if value is not None and ceiling else None


@dataclass(frozen=True, slots=True)
class Drill:
    """A leg to be cut (R54).

    Args:
        seconds: how long it stays cut.
        max_outage_s: the longest outage that is borne.
        client_port: of the datagrams that are sent meanwhile: one by which the forwarder takes this leg.
    """

    leg: str
    seconds: float
    source: End
    target: End
    max_outage_s: float
    client_port: int = 0


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What a drill showed.

    Args:
        outage_s: datagrams that did not come / their rate; None where it was not measured.
        said_s: the outage as the agent reckons it; None where it does not.
        took_over: the legs that carried the traffic meanwhile.
    """

    drill: Drill
    verdict: Verdict
    outage_s: float | None = None
    said_s: float | None = None
    sent: int = 0
    received: int = 0
    took_over: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat:
    """The A/A check: the first measure, done twice (performance.md, "How to measure").

    Args:
        ratio: of the second figure to the first.
    """

    label: str
    ratio: float

    @property
    def is_quiet(self) -> bool:
        """Whether the same thing measured twice came out the same."""
        return MIN_RATIO <= self.ratio <= MAX_RATIO


MIN_RATIO, MAX_RATIO = 0.9, 1.1


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A whole run.

    Args:
        hook: at which hook the forwarder forwarded, as far as it is known.
        facts: of the machine and the run: kernel, versions, load, command.
        repeat: None where nothing was measured.
    """

    title: str
    results: tuple[Result, ...]
    drills: tuple[DrillResult, ...] = ()
    repeat: Repeat | None = None
    hook: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Disturbed comes first: a noisy machine neither passes nor fails a network."""
        verdicts = [result.verdict for result in self.results] + [drill.verdict for drill in self.drills]
        if Verdict.DISTURBED in verdicts or (self.repeat is not None and not self.repeat.is_quiet):
            return Verdict.DISTURBED
        if Verdict.FAILED in verdicts:
            return Verdict.FAILED
        return Verdict.PASSED if Verdict.PASSED in verdicts else Verdict.SKIPPED
