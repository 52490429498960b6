"""The lab's vocabulary: nodes, flows, what a sniffer saw, what became of a flow. Frozen values, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from dataplane.accept.model import DrillResult, Result, Verdict
from dataplane.model.resource import NOWHERE, Origin


class Protocol(StrEnum):
    """How a flow is probed. ``trace`` asks each router on the way for its address by a TTL that ends there."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    TRACE = "trace"


class Expectation(StrEnum):
    """What a topology says about a flow."""

    REACH = "must_reach"
    NOT_REACH = "must_not_reach"


HOST_NAMESPACE = ""
"""How a host's own namespace is called among its named ones."""

UNDERLAY = "underlay"
"""The id of the node that joins the hosts of a network that spans several."""


def lab_name(host: str, namespace: str, hosts: Sequence[str]) -> str:
    """How a namespace of a host is called in a lab.

    Namespaces of several hosts may have one name, so there the host stands in front: ``host-2/dp-vpc-a``,
    ``host-2/`` for its own. With one host it is the name alone.
    """
    return f"{host}/{namespace}" if len(hosts) > 1 else namespace


def node_namespace(id: str) -> str:
    """How the namespace of a node around the hosts is called in a lab; no file and no host can have that name."""
    return f"node/{id}"


@dataclass(frozen=True, slots=True)
class Node:
    """What sends or receives: an instance, a service as one VPC has it, or a node around the hosts.

    Args:
        vpc: the VPC that it is in; None for a node around the hosts.
        namespace: its network namespace, as ``lab_name`` or ``node_namespace`` calls it.
        address: its own address; None where ``network.yaml`` leaves it to the product.
        what: the noun for people.
        host: the name of the host that it is on; empty for a node around the hosts.
    """

    id: str
    vpc: str | None
    namespace: str
    address: IPv4Address | None
    what: str = "instance"
    host: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.id}"


Way = tuple[tuple[str, ...], ...]
"""Steps of a way; each is one id, or several of which the packet passes one."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One thing to prove: from one node to one address, by one protocol.

    Args:
        source: the node that sends, from its own address.
        destination: the node that the address belongs to; None where nobody has it.
        address: where to.
        port: of UDP and TCP, where the destination listens; 0 for others.
        via: instances, nodes and routers that the packet passes beyond the two ends' own, in this order.
        back_via: the same of the answer.
        hops: for ``trace``: the address of each router on the way.
        answer: for ``must_not_reach``: the ICMP error that the sender gets, ``none`` for silence; empty: any.
        origin: the line of ``lab.yaml`` that declares it.
    """

    expectation: Expectation
    source: Node
    destination: Node | None
    address: IPv4Address
    protocol: Protocol
    port: int = 0
    via: Way = ()
    back_via: Way = ()
    hops: tuple[IPv4Address, ...] = ()
    answer: str = ""
    origin: Origin = NOWHERE

    @property
    def passes(self) -> frozenset[str]:
        """All ids that its packets may pass, there and back."""
        return frozenset(id for step in (*self.via, *self.back_via) for id in step)

    @property
    def target(self) -> str:
        """The destination as a person would name it."""
        if self.destination is None:
            return str(self.address)
        own = self.destination.address == self.address
        return self.destination.id if own else f"{self.destination.id} at {self.address}"

    def __str__(self) -> str:
        port = f"/{self.port}" if self.port else ""
        return f"{self.source.id} -> {self.target} {self.protocol}{port}"


class Direction(StrEnum):
    """Which part of an exchange a packet is. ``ask`` is the ARP request that may come before all others."""

    ASK = "ask"
    FORWARD = "forward"
    BACK = "back"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Mark:
    """How a packet is recognised as one of ours, and what else is read from it.

    Args:
        key: the probe that it belongs to.
        source: its sender's address; of an ICMP error, the router that complains.
        ttl: as it was on that wire; 0 where it could not be read.
        error: the name of an ICMP error, empty for others.
        packet: what tells the packets of one probe and direction apart, and no router changes.
    """

    key: bytes
    direction: Direction
    source: IPv4Address
    ttl: int
    error: str = ""
    packet: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet of ours on an interface.

    Args:
        time_ns: the kernel's time stamp: it orders the sightings of all namespaces.
        is_outgoing: it was leaving the namespace by that interface.
        is_counted: no sniffer saw it: the forwarder's counters say that it came in there (``lab/sight.py``).
    """

    time_ns: int
    namespace: str
    ifname: str
    is_outgoing: bool
    mark: Mark
    is_counted: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """Time, and along the way where that stands still.

        What the forwarder hands from router to router within one softirq keeps the time stamp of the first.
        """
        return self.time_ns, -self.mark.ttl


Place = tuple[str, str]
"""An interface: its namespace, as ``lab_name`` calls it, and its name."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a probe once its time is over.

    Args:
        sightings: of this probe alone, by time.
        arrived_from: the source address that the destination's socket saw; None if it saw nothing.
        is_answered: the sender got the destination's own answer, with the nonce.
        round_trip_ms: from the first packet to the answer, in milliseconds.
        send_error: why the sender's kernel refused to send; empty if it did not.
        lost: sniffers that lost packets meanwhile, by namespace: what they did not see proves nothing.
        hops: for ``trace``: who answered to TTL 1, 2, ...; None where nobody did; the last is the destination.
        strays: where the forwarder counted frames meanwhile that are on no way of a packet that was seen.
    """

    sightings: tuple[Sighting, ...] = ()
    arrived_from: IPv4Address | None = None
    is_answered: bool = False
    round_trip_ms: float | None = None
    send_error: str = ""
    lost: tuple[str, ...] = ()
    hops: tuple[IPv4Address | None, ...] = ()
    strays: tuple[Place, ...] = ()

    def seen(self, direction: Direction) -> list[Sighting]:
        """The sightings of one direction, by time."""
        return [sighting for sighting in self.sightings if sighting.mark.direction is direction]

    def error_at(self, namespace: str) -> Mark | None:
        """The first ICMP error about it that was seen in a namespace: the sender's, say."""
        return next((seen.mark for seen in self.seen(Direction.ERROR) if seen.namespace == namespace), None)


@dataclass(frozen=True, slots=True)
class FlowResult:
    """What became of a flow.

    Args:
        faults: what does not hold, one sentence each; none where the flow passed.
        path: the namespaces that the packet was seen in on its way forward, in order.
        counted: those of them that no sniffer saw it in: the forwarder's counters say so.
    """

    flow: Flow
    faults: tuple[str, ...]
    path: tuple[str, ...] = ()
    round_trip_ms: float | None = None
    answer: Mark | None = None
    counted: frozenset[str] = frozenset()

    @property
    def passed(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True)
class ForwarderUse:
    """What the forwarder of a host did while flows were proven.

    Args:
        ports: hook -> how many ports it sits under there.
        packets: how many it forwarded.
    """

    host: str
    ports: Mapping[str, int]
    packets: int


@dataclass(frozen=True, slots=True)
class Proof:
    """All results of a run.

    Args:
        results: in the order of the flows.
        forwarders: of each host; none of a host where the kernel alone forwards.
        rates: of the streams that were declared.
        drills: of the legs that were cut.
    """

    results: tuple[FlowResult, ...]
    forwarders: tuple[ForwarderUse, ...] = ()
    rates: tuple[Result, ...] = ()
    drills: tuple[DrillResult, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything holds that the topology declares."""
        verdicts = [found.verdict for found in self.rates] + [found.verdict for found in self.drills]
        return all(result.passed for result in self.results) and Verdict.FAILED not in verdicts
