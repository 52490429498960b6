"""The limits of connections: what one flow, and all together, may send by a router interface (R21, R117, D4, D5, D19).

Each host holds its own part of a router to them: nothing is exchanged between hosts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dataplane.compile.context import Compilation
from dataplane.compile.router import Router, router_of
from dataplane.config.network import Network
from dataplane.config.peering import FlowCap, PeeringConnection, PeeringEnd
from dataplane.config.values import bandwidth_text
from dataplane.model.describe import listed
from dataplane.model.kernel import Classifier, Shaper
from dataplane.model.resource import Resource
from dataplane.model.shaper import FORWARDER_LEAVES, KERNEL_LEAVES


@dataclass(frozen=True, slots=True)
class Limits:
    """What a router interface may send, in bits of IP packets a second; 0 is unlimited.

    Args:
        bandwidth: all flows together.
        flow: one 5-tuple.
    """

    bandwidth: int = 0
    flow: int = 0

    def __bool__(self) -> bool:
        return bool(self.bandwidth or self.flow)


def limits_of(network: Network, connection: PeeringConnection, end: PeeringEnd) -> Limits:
    """The limits in the direction in which an end of a connection sends: both have the initiator's bandwidth (D5)."""
    return Limits(connection.bandwidth or 0, _flow(network, connection, end))


def _flow(network: Network, connection: PeeringConnection, end: PeeringEnd) -> int:
    """The cap of one flow: from a VPC to a VBR, and the other way only where that is asked for (R117, R119)."""
    vbr = next((one.vbr for _, one in connection.ends() if one.vbr is not None), None)
    if vbr is None or connection.flow_cap == "off":
        return 0
    cap = connection.flow_cap or FlowCap()
    if end.vbr is not None and cap.direction != "both":
        return 0
    line = network.physical_connections[network.vbrs[vbr].physical_connection]
    return (connection.bandwidth or line.bandwidth or 0) // cap.divisor  # D19


def limit_words(network: Network, connection: PeeringConnection) -> str:
    """The limits of a connection as `status` shows them; empty where there are none."""
    words = [bandwidth_text(connection.bandwidth)] if connection.bandwidth else []
    flows = {"to the VPC" if end.vbr else "to the VBR": _flow(network, connection, end) for _, end in connection.ends()}
    words += [f"a flow {direction} {flow / 1e6:.4g}Mbps" for direction, flow in sorted(flows.items()) if flow]
    return ", ".join(words)


def has_limits(network: Network) -> bool:
    """Whether any connection has any."""
    connections = network.peering_connections.values()
    return any(limits_of(network, one, end) for one in connections for _, end in one.ends())


def compile_shapers(c: Compilation) -> None:
    """A shaper at the port of every leg with limits, and in its router what leads packets to its leaves."""
    if c.facts.limits_lack:
        return
    for router, legs in _limited_routers(c).items():
        leaves = _leaves(c, [limits for _, _, limits in legs])
        for connection_id, ifname, limits in legs:
            shaper = Shaper(router.namespace, ifname, limits.bandwidth, limits.flow, leaves)
            origin = c.loaded.origin("peering_connections", connection_id)
            c.add(shaper, Resource("peering_connection", connection_id), origin, router.unit)
        ifnames = frozenset(ifname for _, ifname, _ in legs)
        origin = c.loaded.origin(f"{router.kind}s", router.id)
        c.add(Classifier(router.namespace, ifnames, leaves), Resource(router.kind, router.id), origin, router.unit)


def _limited_routers(c: Compilation) -> dict[Router, list[tuple[str, str, Limits]]]:
    """The routers of this host with limited legs: connection, port and limits of each."""
    found: dict[Router, list[tuple[str, str, Limits]]] = {}
    for connection_id, connection in c.network.peering_connections.items():
        for role, end in connection.ends():
            limits = limits_of(c.network, connection, end)
            if limits and connection.joined(role)[1] is not None and c.is_end_here(end):
                leg = (connection_id, c.leg_ifname(end.router_interface), limits)
                found.setdefault(router_of(end), []).append(leg)
    return found


def _leaves(c: Compilation, limits: list[Limits]) -> int:
    """How many leaves the shapers of a router have: where a hash alone holds flows to a cap, so many that they seldom
    share one. At XDP it does so for TCP beyond its cap, which the kernel forwards.
    """
    is_forwarded = c.network.datapath.hook not in ("off", "xdp") and not c.facts.forwarder_lacks
    is_capped = any(one.flow for one in limits)
    return KERNEL_LEAVES if is_capped and not is_forwarded else FORWARDER_LEAVES


def limit_notes(c: Compilation) -> Iterator[str]:
    """What of the limits is not held on this host, or not as a whole."""
    limited = [
        (connection_id, end)
        for connection_id, connection in c.network.peering_connections.items()
        for role, end in connection.ends()
        if connection.joined(role)[1] is not None and limits_of(c.network, connection, end)
    ]
    if limited and c.facts.limits_lack:
        yield f"bandwidth and flow_cap of connections are not enforced: {c.facts.limits_lack} (R21, R117)"
    spread = sorted({one for one, end in limited if len(c.placement.hosts_of_end(end)) > 1})
    if spread:
        yield f"each host holds its own part to the limits of {listed(spread)}, whose routers are on several (D5)"
