"""What the language can say and this version does not build: one sentence each, said by plan and apply."""

from dataplane.config.network import Network


def notes(network: Network) -> tuple[str, ...]:
    """The sentences that apply to a network."""
    connections = network.peering_connections.values()
    found = {
        "bandwidth and flow_cap of connections are checked but not enforced yet (R21, R117)": any(
            connection.bandwidth is not None for connection in connections
        ),
        "health checks are checked but not sent yet: every leg counts as up (R39)": any(
            connection.health_check is not None for connection in connections
        ),
    }
    return tuple(sentence for sentence, is_asked_for in found.items() if is_asked_for)
