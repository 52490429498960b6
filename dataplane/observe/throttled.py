"""Which connections are held back by their limits at this moment, in a sentence each. Pure."""

from collections import Counter
from collections.abc import Mapping

from dataplane.config import Network
from dataplane.config.values import bandwidth_text
from dataplane.model.flow import FlowState, FlowTable
from dataplane.model.limit import Limit
from dataplane.model.traffic import NO_LIMIT, NamedTraffic
from dataplane.observe.connection_traffic import connection_traffic

_HELD = (FlowState.QUEUED, FlowState.POLICED)


def throttled_now(
    network: Network, traffic: NamedTraffic, leg_names: Mapping[int, str], flows: FlowTable
) -> tuple[str, ...]:
    """A sentence for each end of a connection with flows that wait in its queues, or lose packets.

    Args:
        leg_names: leg id -> the router interface that it is.
    """
    held = _held(traffic, leg_names, flows)
    return tuple(
        f"connection {end.connection} is over its limits now at {end.router_interface} ({limit_text(end.limit)}): "
        f"flows {_states(held[end.router_interface])}; {end.throttled.dropped.packets:,} packets dropped so far"
        for end in connection_traffic(network, traffic)
        if end.router_interface in held
    )


def limit_text(limit: Limit) -> str:
    """``83.3Mbps a flow, 1Gbps in all``; empty where there is no limit."""
    parts = ((limit.flow, "a flow"), (limit.bandwidth, "in all"))
    return ", ".join(f"{bandwidth_text(int(float(f'{bits:.3g}')))} {words}" for bits, words in parts if bits)


def _held(traffic: NamedTraffic, leg_names: Mapping[int, str], flows: FlowTable) -> dict[str, Counter[FlowState]]:
    """Router interface -> how many flows are queued and policed; only those with any."""
    found: dict[str, Counter[FlowState]] = {}
    for entry in flows.busy():
        name = leg_names.get(entry.key.leg, "")
        # Where only the connection has a limit, no flow is policed for its own sake.
        if entry.state is FlowState.QUEUED or (
            entry.state is FlowState.POLICED and traffic.limits.get(name, NO_LIMIT).flow
        ):
            found.setdefault(name, Counter())[entry.state] += 1
    return found


def _states(states: Mapping[FlowState, int]) -> str:
    return ", ".join(f"{state.value}: {states[state]:,}" for state in _HELD if states[state])
