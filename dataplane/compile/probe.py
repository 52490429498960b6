"""From health checks to probes: which legs of this host are probed, from where, and which links they need.

Runs after the passes that make links, since a probe is bound to those of its leg.
"""

from collections.abc import Iterator

from dataplane.compile.context import Compilation
from dataplane.compile.peering import why_not_forwarding
from dataplane.compile.sender import probe_source
from dataplane.config.peering import PeeringConnection
from dataplane.model import names
from dataplane.model.kernel import KernelObject, Veth, VlanLink, VxlanLink
from dataplane.model.probe import Probe


def probes_of(c: Compilation) -> tuple[Probe, ...]:
    """The probes of this host. A connection that does not forward is not probed: its legs are gone, not down."""
    links = _links(wish.object for wish in c.wanted.values())
    found = (_probe(c, name, one, links) for name, one in c.network.peering_connections.items())
    return tuple(probe for probe in found if probe is not None)


def _probe(c: Compilation, name: str, connection: PeeringConnection, links: dict[tuple[str, str], int]) -> Probe | None:
    check = connection.health_check
    end = next((end for _, end in connection.ends() if end.vpc is not None), None)
    if check is None or end is None or why_not_forwarding(connection) or not c.is_end_here(end):
        return None
    vpc_id = end.vpc or ""
    source = probe_source(c.placement, name, vpc_id, c.here)
    if source is None:
        return None
    namespace = names.vpc_namespace(vpc_id)
    places = ((namespace, ifname) for ifname in c.arrival_ifnames(end.router_interface))
    return Probe(
        leg=end.router_interface,
        connection=name,
        number=c.leg(end.router_interface),
        namespace=namespace,
        source=source.network_address,
        destination=check.destination,
        arrivals=tuple(links[place] for place in places if place in links),
        links=((namespace, links[namespace, c.leg_ifname(end.router_interface)]), *_beyond(c, connection, links)),
        interval_ms=check.interval_ms,
        timeout_ms=check.timeout_ms or 0,
        fall=check.fall,
        rise=check.rise,
        hold_down_ms=check.hold_down_ms,
        is_damped=check.damping == "on",
        is_last_resort=check.on_all_down == "use_all",
        device=_device(c, connection),
    )


def _device(c: Compilation, connection: PeeringConnection) -> str:
    """What the line is on, where it is on this host: a stand-in of 802.1Q follows it only round by round."""
    end = next((end for _, end in connection.ends() if end.vbr is not None), None)
    if end is None or not c.is_end_here(end):
        return ""
    return c.network.physical_connections[c.network.vbrs[end.vbr or ""].physical_connection].device


def _beyond(
    c: Compilation, connection: PeeringConnection, links: dict[tuple[str, str], int]
) -> tuple[tuple[str, int], ...]:
    """The VBR's own end of the connection and its line, where they are on this host."""
    end = next((end for _, end in connection.ends() if end.vbr is not None), None)
    if end is None or not c.is_end_here(end):
        return ()
    namespace = names.vbr_namespace(end.vbr or "")
    ifnames = (*c.arrival_ifnames(end.router_interface), c.line_ifname(end.vbr or ""))
    return tuple((namespace, links[namespace, ifname]) for ifname in ifnames if (namespace, ifname) in links)


def _links(objects: Iterator[KernelObject]) -> dict[tuple[str, str], int]:
    """(namespace, ifname) -> ifindex of every link that is asked for."""
    found = {}
    for item in objects:
        if isinstance(item, VlanLink | VxlanLink):
            found[item.namespace, item.ifname] = item.ifindex
        elif isinstance(item, Veth):
            found |= {(end.namespace, end.ifname): end.ifindex for end in item.ends}
    return found
