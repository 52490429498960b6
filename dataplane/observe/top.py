"""What is flowing now: rates of connections and of the heaviest flows, out of two looks at the counters.

Pure: looks and their times come in as arguments. It counts what the forwarder carried; what it passed to the kernel,
and everything with ``hook: off``, is not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.config import Network
from dataplane.model.flow import FlowKey, FlowState, FlowTable
from dataplane.model.simulation import Count
from dataplane.model.traffic import NO_LIMIT, NOT_THROTTLED, NamedTraffic, Throttled
from dataplane.observe.averages import Reading
from dataplane.observe.connection_traffic import connection_traffic
from dataplane.observe.flow_rates import FlowBytes, flow_bytes, heaviest
from dataplane.observe.metrics_sources import ConnectionTraffic

MOST_FLOWS = 1_000
"""In one answer."""

_ETHERNET_BYTES = 14
"""Of each frame; limits are of IP bytes (D4)."""
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class Look:
    """The counters at one moment.

    Args:
        at_ns: when the traffic was read, by the monotonic clock; likewise ``flows_at_ns``, a moment later.
        leg_names: leg id -> the router interface that it is.
        flows: None where the forwarder has no flow table, since nothing has a limit.
    """

    at_ns: int
    traffic: NamedTraffic
    leg_names: Mapping[int, str]
    flows: FlowTable | None = None
    flows_at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """Per second."""

    bits: float
    packets: float


@dataclass(frozen=True, slots=True)
class ConnectionRate:
    """One end of a peering connection on this host.

    Args:
        sent: left by its router interface, in bits of IP packets; likewise ``received``.
        bandwidth: the limit of what it sends, bits per second; 0: none. Likewise ``flow``, of each flow.
        delayed: went by a queue; ``dropped``: was too much.
        overflow: packets per second of flows that the flow table had no place for.
        shared: packets per second that shared a queue with another flow's.
    """

    connection: str
    router_interface: str
    sent: Rate
    received: Rate
    bandwidth: int
    flow: int
    delayed: Rate
    dropped: Rate
    overflow: float
    shared: float

    @property
    def share(self) -> float | None:
        """Of its bandwidth, that it sends; None where it has none."""
        return self.sent.bits / self.bandwidth if self.bandwidth else None

    @property
    def throttled(self) -> float:
        """Packets per second that its limits delayed or dropped."""
        return self.delayed.packets + self.dropped.packets


@dataclass(frozen=True, slots=True)
class FlowRate:
    """One flow, as it left by a router interface.

    Args:
        protocol: ``tcp``, ``udp``, ``icmp``, or a number.
        source_port: 0 where there is none, or where it is of fragments (D4); likewise ``destination_port``.
        bits: of IP packets let through, per second.
        limit: bits per second; 0: it has none of its own.
    """

    source: str
    destination: str
    protocol: str
    source_port: int
    destination_port: int
    connection: str
    router_interface: str
    bits: float
    limit: int
    state: FlowState

    @property
    def share(self) -> float | None:
        """Of its limit; None where it has none."""
        return self.bits / self.limit if self.limit else None


@dataclass(frozen=True, slots=True)
class Top:
    """What flowed in an interval.

    Args:
        seconds: how long that was.
        connections: every end on this host.
        flows: the heaviest ones, the heaviest first.
        flows_seen: how many there were in all; None where flows are not counted.
        table_used: places of the flow table that are taken; likewise ``table_size``.
    """

    seconds: float
    connections: tuple[ConnectionRate, ...]
    flows: tuple[FlowRate, ...] = ()
    flows_seen: int | None = None
    table_used: int = 0
    table_size: int = 0


def top(network: Network, before: Look, after: Look, most: int, connection: str = "") -> Top:
    """What flowed between two looks.

    Args:
        most: flows, at most.
        connection: only of this one; empty: of all.
    """
    seconds = _seconds(before.at_ns, after.at_ns)
    earlier = {end.router_interface: end for end in connection_traffic(network, before.traffic)}
    ends = [end for end in connection_traffic(network, after.traffic) if connection in ("", end.connection)]
    rates = tuple(_connection(earlier.get(end.router_interface), end, seconds) for end in ends)
    if after.flows is None:
        return Top(seconds, rates)
    connections = {end.router_interface: end.connection for end in ends}
    found = {
        key: flow for key, flow in _flows(before, after).items() if after.leg_names.get(key.leg, "") in connections
    }
    flows_seconds = _seconds(before.flows_at_ns, after.flows_at_ns)
    flows = tuple(_flow(flow, after, connections, flows_seconds) for flow in heaviest(found, most))
    return Top(seconds, rates, flows, len(found), after.flows.used, after.flows.size)


def _seconds(before_ns: int, after_ns: int) -> float:
    return max(after_ns - before_ns, 1) / 1e9


def _flows(before: Look, after: Look) -> Mapping[FlowKey, FlowBytes]:
    assert after.flows is not None
    limits = after.traffic.limits
    return flow_bytes(
        before.flows,
        after.flows,
        after.flows_at_ns - before.flows_at_ns,
        lambda leg: limits.get(after.leg_names.get(leg, ""), NO_LIMIT),
    )


def _connection(before: ConnectionTraffic | None, end: ConnectionTraffic, seconds: float) -> ConnectionRate:
    fresh = end.counted.since(before.counted) if before is not None else Reading(Count(0, 0), Count(0, 0))
    held = since(before.throttled, end.throttled) if before is not None else NOT_THROTTLED
    return ConnectionRate(
        end.connection,
        end.router_interface,
        _rate(fresh.sent, seconds, _ETHERNET_BYTES),
        _rate(fresh.received, seconds, _ETHERNET_BYTES),
        end.limit.bandwidth,
        end.limit.flow,
        _rate(held.delayed, seconds),
        _rate(held.dropped, seconds),
        held.overflow / seconds,
        held.shared / seconds,
    )


def since(before: Throttled, after: Throttled) -> Throttled:
    """What limits have done since another reading; a counter that fell has begun anew at 0."""
    pairs = ((before.delayed, after.delayed), (before.dropped, after.dropped))
    fell = any(now.packets < then.packets or now.bytes < then.bytes for then, now in pairs)
    if fell or after.overflow < before.overflow or after.shared < before.shared:
        return after
    delayed, dropped = (Count(now.packets - then.packets, now.bytes - then.bytes) for then, now in pairs)
    return Throttled(delayed, dropped, after.overflow - before.overflow, after.shared - before.shared)


def _rate(count: Count, seconds: float, less: int = 0) -> Rate:
    return Rate(max(0, count.bytes - less * count.packets) * 8 / seconds, count.packets / seconds)


def _flow(flow: FlowBytes, look: Look, connections: Mapping[str, str], seconds: float) -> FlowRate:
    key = flow.key
    interface = look.leg_names[key.leg]
    return FlowRate(
        address_text(key.source),
        address_text(key.destination),
        protocol_name(key.protocol),
        key.source_port,
        key.destination_port,
        connections[interface],
        interface,
        flow.bytes * 8 / seconds,
        look.traffic.limits.get(interface, NO_LIMIT).flow,
        flow.state,
    )


def address_text(number: int) -> str:
    """An address as it is written."""
    return str(IPv4Address(number))


def ends_text(addresses: tuple[str, str], ports: tuple[int, int]) -> tuple[str, str]:
    """``192.168.0.2:40000`` and where it goes; without ports where there are none."""
    if not any(ports):
        return addresses
    source, destination = (f"{address}:{port}" for address, port in zip(addresses, ports, strict=True))
    return source, destination


def protocol_name(number: int) -> str:
    """``tcp``, ``udp``, ``icmp``, or the number itself."""
    return _PROTOCOLS.get(number, str(number))
