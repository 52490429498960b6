"""What the language can say and nobody does: this version does not build it, or no agent runs. One sentence each."""

from dataplane.config.network import Network


def notes(network: Network, *, is_probing: bool) -> tuple[str, ...]:
    """The sentences that apply to a network.

    Args:
        is_probing: an agent runs here, and sends health checks.
    """
    connections = network.peering_connections.values()
    found = {
        "health checks are sent by `dataplane agent`, and none runs here: each leg stays as it was last found (D3)": (
            not is_probing and any(connection.health_check is not None for connection in connections)
        ),
    }
    return tuple(sentence for sentence, is_asked_for in found.items() if is_asked_for)
