"""``dataplane datapath show flows``: the forwarder's flow table as it is now.

It only arranges one look in the words of the configuration; nothing here reads the kernel.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dataplane.cli.output import Section, Table
from dataplane.cli.top_text import COLOURS, NO_FLOWS
from dataplane.model.flow import FlowEntry, FlowState
from dataplane.model.limit import BURST_NS
from dataplane.model.traffic import NO_LIMIT
from dataplane.observe.connection_traffic import connection_traffic
from dataplane.observe.top import address_text, ends_text, protocol_name

if TYPE_CHECKING:
    from dataplane.config import Network
    from dataplane.observe.top import Look

_COLUMNS = ("protocol", "source", "destination", "connection", "router interface", "bytes", "burst used", "state")


def flows_document(network: "Network", look: "Look") -> dict[str, Any]:
    """The table, the flows with the most bytes first.

    Returns:
        ``size`` and ``used`` places (0 where there is no table, since nothing has a limit), ``overflow_packets`` of
        flows that found no place since the maps were made, and ``flows``: bytes since each was given its place. An idle
        one has sent so little of late that its place is free for others.
    """
    ends = connection_traffic(network, look.traffic)
    connections = {end.router_interface: end.connection for end in ends}
    table = look.flows
    found = sorted(table.entries(), key=lambda one: (-one.bytes, one.key)) if table is not None else []
    return {
        "size": table.size if table is not None else 0,
        "used": table.used if table is not None else 0,
        "overflow_packets": sum(end.throttled.overflow for end in ends),
        "flows": [_flow(one, look, connections) for one in found],
    }


def _flow(one: FlowEntry, look: "Look", connections: Mapping[str, str]) -> dict[str, Any]:
    key = one.key
    interface = look.leg_names.get(key.leg, f"leg {key.leg}")
    limit = look.traffic.limits.get(interface, NO_LIMIT).flow
    return {
        "protocol": protocol_name(key.protocol),
        "source": address_text(key.source),
        "source_port": key.source_port,
        "destination": address_text(key.destination),
        "destination_port": key.destination_port,
        "connection": connections.get(interface),
        "router_interface": interface,
        "bytes": one.bytes,
        "flow_cap": limit or None,
        "burst_used": round(max(one.used_ns, 0) / BURST_NS, 3),
        "state": (one.state if limit or one.state is not FlowState.POLICED else FlowState.UNDER).value,
    }


def flows_sections(document: Mapping[str, Any]) -> Iterator[Section]:
    """The table for people."""
    if not document["size"]:
        yield NO_FLOWS
        return
    yield (
        f"{document['used']:,} of {document['size']:,} places are in use; "
        f"{document['overflow_packets']:,} packets found none"
    )
    if document["flows"]:
        yield ""
        yield Table(_COLUMNS, [_row(flow) for flow in document["flows"]], COLOURS)


def _row(flow: Mapping[str, Any]) -> tuple[str, ...]:
    ports = flow["source_port"], flow["destination_port"]
    return (
        flow["protocol"],
        *ends_text((flow["source"], flow["destination"]), ports),
        flow["connection"] or "-",
        flow["router_interface"],
        f"{flow['bytes']:,}",
        f"{flow['burst_used']:.0%}",
        flow["state"],
    )
