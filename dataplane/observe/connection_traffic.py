"""Traffic of peering connections, both ways, out of the forwarder's counters of legs and ports.

Pure. It counts what the forwarder carried; what it passed to the kernel, and everything with ``hook: off``, is not in
it.
"""

from collections.abc import Mapping

from dataplane.config import Network
from dataplane.model.simulation import Count
from dataplane.model.traffic import NO_LIMIT, NOT_THROTTLED, NamedTraffic
from dataplane.observe.averages import Averages, Reading
from dataplane.observe.metrics_sources import ConnectionTraffic

_ZERO = Count(0, 0)


def connection_traffic(
    network: Network, traffic: NamedTraffic, averages: Averages | None = None
) -> tuple[ConnectionTraffic, ...]:
    """Every end of a connection that is on this host, with what it sent and received.

    Args:
        averages: as they are kept; None where nobody keeps them.
    """
    histories = averages.histories if averages is not None else {}
    found = []
    for connection_id, connection in network.peering_connections.items():
        for role, end in connection.ends():
            near, far = connection.joined(role)
            if end.router_interface not in traffic.legs:
                continue  # it is on another host, or leads nowhere
            other = far.router_interface if far is not None else ""
            received = traffic.legs.get(other) or _came_in(traffic, f"peering_tunnel/{connection_id}")
            reading = Reading(traffic.legs[near.router_interface], received)
            name = end.router_interface
            limit, throttled = traffic.limits.get(name, NO_LIMIT), traffic.throttled.get(name, NOT_THROTTLED)
            found.append(ConnectionTraffic(connection_id, name, reading, histories.get(name), limit, throttled))
    return tuple(found)


def readings(ends: tuple[ConnectionTraffic, ...]) -> Mapping[str, Reading]:
    """What ``Averages.after`` takes: the reading of each end, by router interface."""
    return {end.router_interface: end.counted for end in ends}


def _came_in(traffic: NamedTraffic, port: str) -> Count:
    """All frames that came in at a port, whatever became of them: each is counted there once.

    Where the other end is on another host, they come in by the connection's own tunnel.
    """
    counts = traffic.ports.get(port, {}).values()
    return Count(sum(count.packets for count in counts), sum(count.bytes for count in counts)) if counts else _ZERO
