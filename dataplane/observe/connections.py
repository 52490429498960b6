"""Peering connections as their owners see them (R167): the status of both ends, what was ordered, since when. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from dataplane.config import Network
from dataplane.config.peering import PeeringEnd
from dataplane.model.memory import CONNECTED_AT, CREATED_AT, Memory
from dataplane.observe.status import ResourceState

KIND = "peering_connection"


@dataclass(frozen=True, slots=True)
class EndState:
    """One end of a connection.

    Args:
        router: ``vpc vpc-a`` or ``vbr vbr-1``.
        status: Active or Inactive (D7); Disconnected where the other end is missing (R5).
    """

    router_interface: str
    router: str
    status: str


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """A connection that has an end on this host.

    Args:
        status: of the whole, corrected by what the kernel has.
        bandwidth: in bits per second; None: none was ordered.
        created_at: when it was first applied here, in UTC, ISO 8601; None before that.
        connected_at: since when both its ends are there and active; None: they are not.
    """

    id: str
    status: str
    initiator: EndState | None
    acceptor: EndState | None
    bandwidth: int | None
    created_at: str | None
    connected_at: str | None


def connection_states(
    network: Network, resources: Iterable[ResourceState], memory: Memory
) -> tuple[ConnectionState, ...]:
    """Every connection of this host.

    Args:
        resources: as they are on this host.
        memory: what was remembered of connections.
    """
    found = []
    for state in resources:
        if state.resource.kind != KIND or state.resource.id not in network.peering_connections:
            continue  # the second are on their way out
        name = state.resource.id
        connection = network.peering_connections[name]
        is_whole = connection.initiator is not None and connection.acceptor is not None
        found.append(
            ConnectionState(
                name,
                state.state,
                _end(connection.initiator, is_whole=is_whole),
                _end(connection.acceptor, is_whole=is_whole),
                connection.bandwidth,
                memory.get(KIND, name, CREATED_AT),
                memory.get(KIND, name, CONNECTED_AT),
            )
        )
    return tuple(found)


def _end(end: PeeringEnd | None, *, is_whole: bool) -> EndState | None:
    if end is None:
        return None
    router = f"vpc {end.vpc}" if end.vpc is not None else f"vbr {end.vbr}"
    status = "Disconnected" if not is_whole else "Active" if end.state == "active" else "Inactive"
    return EndState(end.router_interface, router, status)
