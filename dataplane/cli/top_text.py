"""What ``dataplane top`` shows, as a document and as tables; nothing here reads counters or the clock."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from dataplane.cli.output import Section, Table, count
from dataplane.model.flow import FlowState
from dataplane.observe.top import ConnectionRate, FlowRate, Rate, Top, ends_text

Order = Literal["rate", "share", "throttled", "name"]
ORDERS: tuple[Order, ...] = ("rate", "share", "throttled", "name")

NO_FLOWS = (
    "no flows: they are counted where a connection has a limit, and none here has; "
    "write `bandwidth: 1Gbps` beside its ends, and apply"
)
COLOURS: Mapping[str, str] = {FlowState.QUEUED: "yellow", FlowState.POLICED: "red"}
_THOUSAND = 1_000
_UNITS = ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s")
_NONE = "-"
_CONNECTIONS = ("connection", "router interface", "sent", "received", "bandwidth", "share", "queued/s", "dropped/s")
_FLOWS = ("protocol", "source", "destination", "connection", "router interface", "rate", "share of cap", "state")


def top_document(found: Top, order: Order) -> dict[str, Any]:
    """An interval for programs; rates are in bits of IP packets per second."""
    has_flows = found.flows_seen is not None
    return {
        "seconds": round(found.seconds, 3),
        "connections": [_connection(end) for end in ordered_connections(found, order)],
        "flows": [_flow(flow) for flow in ordered_flows(found, order)] if has_flows else None,
        "flows_seen": found.flows_seen,
        "flow_table": {"used": found.table_used, "size": found.table_size} if has_flows else None,
    }


def _connection(end: ConnectionRate) -> dict[str, Any]:
    return {
        "connection": end.connection,
        "router_interface": end.router_interface,
        "sent": _rate(end.sent),
        "received": _rate(end.received),
        "bandwidth": end.bandwidth or None,
        "flow_cap": end.flow or None,
        "share": _ratio(end.share),
        "queued": _rate(end.delayed),
        "dropped": _rate(end.dropped),
        "overflow_packets_per_second": round(end.overflow, 1),
        "shared_queue_packets_per_second": round(end.shared, 1),
    }


def _flow(flow: FlowRate) -> dict[str, Any]:
    return {
        "protocol": flow.protocol,
        "source": flow.source,
        "source_port": flow.source_port,
        "destination": flow.destination,
        "destination_port": flow.destination_port,
        "connection": flow.connection,
        "router_interface": flow.router_interface,
        "bits_per_second": round(flow.bits),
        "flow_cap": flow.limit or None,
        "share": _ratio(flow.share),
        "state": flow.state.value,
    }


def _rate(rate: Rate) -> dict[str, float]:
    return {"bits_per_second": round(rate.bits), "packets_per_second": round(rate.packets, 1)}


def _ratio(share: float | None) -> float | None:
    return round(share, 4) if share is not None else None


def ordered_connections(found: Top, order: Order) -> Sequence[ConnectionRate]:
    """The ends in the order that is asked for, those of one connection together: the one with the highest first."""
    keys: Mapping[Order, Callable[[ConnectionRate], float]] = {
        "rate": lambda end: end.sent.bits + end.received.bits,
        "share": lambda end: end.share or 0.0,
        "throttled": lambda end: end.throttled,
        "name": lambda end: 0.0,
    }
    key = keys[order]
    highest: dict[str, float] = {}
    for end in found.connections:
        highest[end.connection] = max(key(end), highest.get(end.connection, 0.0))
    return sorted(found.connections, key=lambda end: (-highest[end.connection], end.connection, end.router_interface))


def ordered_flows(found: Top, order: Order) -> Sequence[FlowRate]:
    """The flows in the order that is asked for, the highest first; at `throttled`, those that are held back."""
    if order == "name":
        return sorted(found.flows, key=lambda flow: (flow.connection, flow.router_interface, ends_of(flow)))
    keys: Mapping[Order, Callable[[FlowRate], float]] = {
        "rate": lambda flow: 0.0,
        "share": lambda flow: flow.share or 0.0,
        "throttled": lambda flow: float(flow.state in COLOURS),
    }
    key = keys[order]
    return sorted(found.flows, key=lambda flow: (-key(flow), -flow.bits, ends_of(flow)))


def top_sections(found: Top, order: Order) -> Iterator[Section]:
    """An interval for people."""
    yield _summary(found)
    yield ""
    yield Table(_CONNECTIONS, [_connection_row(end) for end in ordered_connections(found, order)])
    if found.flows_seen is None:
        return
    yield ""
    if found.flows:
        yield Table(_FLOWS, [_flow_row(flow) for flow in ordered_flows(found, order)], COLOURS)
    else:
        yield "no flow meets a limit now"
    if found.flows_seen > len(found.flows):
        yield f"and {count(found.flows_seen - len(found.flows), 'flow')} more: --flows shows them"


def _summary(found: Top) -> str:
    sent, received = (sum(getattr(end, way).bits for end in found.connections) for way in ("sent", "received"))
    said = [f"{count(len(found.connections), 'router interface')}: {bits(sent)} sent, {bits(received)} received"]
    if found.flows_seen is not None:
        states = Counter(flow.state for flow in found.flows)
        held = ", ".join(
            f"{states[state]:,} {state.value}" for state in FlowState if state in COLOURS and states[state]
        )
        said.append(count(found.flows_seen, "flow") + (f" ({held})" if held else ""))
        said.append(f"flow table {found.table_used:,} of {found.table_size:,}")
    overflow = sum(end.overflow for end in found.connections)
    if overflow:
        said.append(f"{overflow:,.0f} packets/s without a place in it")
    return "; ".join(said)


def _connection_row(end: ConnectionRate) -> tuple[str, ...]:
    return (
        end.connection,
        end.router_interface,
        bits(end.sent.bits),
        bits(end.received.bits),
        bits(end.bandwidth) if end.bandwidth else _NONE,
        _percent(end.share),
        f"{end.delayed.packets:,.0f}",
        f"{end.dropped.packets:,.0f}",
    )


def _flow_row(flow: FlowRate) -> tuple[str, ...]:
    source, destination = ends_of(flow)
    rate = bits(flow.bits)
    return (
        flow.protocol,
        source,
        destination,
        flow.connection,
        flow.router_interface,
        rate,
        _percent(flow.share),
        flow.state.value,
    )


def ends_of(flow: FlowRate) -> tuple[str, str]:
    """From where to where."""
    return ends_text((flow.source, flow.destination), (flow.source_port, flow.destination_port))


def _percent(share: float | None) -> str:
    return f"{share:.0%}" if share is not None else _NONE


def bits(rate: float) -> str:
    """``83.3 Mbit/s``: three digits, and never a rate of nothing that is something."""
    for unit in _UNITS[:-1]:
        if rate < 999.5:  # what would be shown as 1000 is one of the next unit
            return f"{rate:.0f} {unit}" if unit == _UNITS[0] or rate >= 99.95 else f"{rate:.3g} {unit}"
        rate /= _THOUSAND
    return f"{rate:.3g} {_UNITS[-1]}"
