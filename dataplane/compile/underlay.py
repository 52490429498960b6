"""The underlay of this host: what it takes of the VXLAN packets that reach it, and from whom (P7)."""

from dataplane.compile.context import Compilation
from dataplane.compile.ranges import NO_ADDRESS, Ranges
from dataplane.compile.tunnel import Tunnel, tunnels_of
from dataplane.model.desired import Declared
from dataplane.model.kernel import Admission, UnderlayFilter
from dataplane.model.resource import Resource


def compile_underlay(c: Compilation) -> None:
    """The filter, on a host that has tunnels."""
    host = c.network.hosts.get(c.here)
    if host is None:
        return
    tunnels = list(tunnels_of(c))
    resource, origin = Resource("host", c.here), c.loaded.origin("hosts", c.here)
    to = {receiver.host for tunnel in tunnels for receiver in tunnel.receivers}
    others = sorted(to | {sender.host for tunnel in tunnels for sender in tunnel.senders})
    if tunnels:
        c.add(UnderlayFilter(host.device, _admissions(c, tunnels)), resource, origin)
    reason = "" if tunnels else "nothing on it reaches another host"
    detail = f"{len(tunnels)} tunnels, to {', '.join(others)}" if tunnels else ""
    c.declare(Declared(resource, origin, "Available", reason, f"underlay {host.address} on {host.device}", "", detail))


def _admissions(c: Compilation, tunnels: list[Tunnel]) -> frozenset[Admission]:
    sources: dict[tuple[str, int], Ranges] = {}
    for tunnel in tunnels:
        for sender in tunnel.senders:
            place = (sender.host, tunnel.vni)
            sources[place] = sources.get(place, NO_ADDRESS) | sender.sources
    return frozenset(
        Admission(c.network.hosts[host].address, vni, first, last)
        for (host, vni), ranges in sources.items()
        for first, last in ranges.addresses()
    )
