"""Tunnels: the VXLAN links by which this host's routers reach those of other hosts (kernel.md, section 6).

What a packet is meant for is told by the tunnel that it comes in by, so that nothing is decided twice:

- a *VPC tunnel* joins the parts of one VPC: what comes in is for an instance here;
- a *peering tunnel* joins the routers of a connection: what comes in came by a router interface (D16);
- a *next-hop tunnel* leads to one instance that is the next hop of routes: what comes in is handed to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.compile import crossing, sysctl
from dataplane.compile.context import Compilation
from dataplane.compile.ranges import Ranges
from dataplane.compile.router import Router, router_of
from dataplane.compile.sender import sources_across, sources_within
from dataplane.config.next_hop import InstanceHop
from dataplane.config.peering import PeeringEnd
from dataplane.config.placement import Placement
from dataplane.config.vswitch import SYSTEM_TABLE
from dataplane.model import names
from dataplane.model.kernel import FdbEntry, KernelObject, Neighbour, VxlanLink
from dataplane.model.resource import Origin, Resource

VPC_TUNNEL = "vpc_tunnel"
PEERING_TUNNEL = "peering_tunnel"
NEXT_HOP_TUNNEL = "next_hop_tunnel"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom a tunnel sends to.

    Args:
        neighbour: the address that routes name it by.
        mac: of its end of the tunnel.
    """

    host: str
    neighbour: IPv4Address
    mac: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends to us by a tunnel, and from which inner addresses."""

    host: str
    sources: Ranges


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One tunnel of this host.

    Args:
        kind: one of the three; with ``path`` its mark and the name of its port.
        router: whose link it is.
        owner: the resource that asks for it.
        vni: its VXLAN network id.
        mac: of this host's end.
        mtu: inside, in bytes.
    """

    kind: str
    path: str
    router: Router
    owner: Resource
    origin: Origin
    vni: int
    mac: str
    mtu: int
    receivers: tuple[Receiver, ...]
    senders: tuple[Sender, ...]


def compile_tunnels(c: Compilation) -> None:
    """Links, neighbours and forwarding entries of every tunnel of this host."""
    for tunnel in tunnels_of(c):
        for item in _objects(c, tunnel):
            c.add(item, tunnel.owner, tunnel.origin, tunnel.router.unit)


def tunnels_of(c: Compilation) -> Iterator[Tunnel]:
    """Every tunnel of this host."""
    for vpc_id, _ in c.vpcs():
        if c.placement.spans_hosts(vpc_id):
            yield _vpc_tunnel(c, vpc_id)
            for instance, is_here in next_hops_here(c, vpc_id):
                yield _next_hop_tunnel(c, vpc_id, instance, is_here=is_here)
    for connection_id, connection in c.network.peering_connections.items():
        for role, end in connection.ends():
            _, far = connection.joined(role)
            if far is not None and c.is_end_here(end):
                yield from _peering_tunnel(c, connection_id, end, far)


def next_hops_here(c: Compilation, vpc_id: str) -> Iterator[tuple[str, bool]]:
    """The running instances whose next-hop tunnels this host has an end of, and whether it is the instance's end."""
    for name, instance in c.network.vpcs[vpc_id].instances.items():
        if instance.state != "running":
            continue
        is_here = c.placement.host_of_instance(vpc_id, name) == c.here
        users = users_of_next_hop(c.placement, vpc_id, name)
        if c.here in users or (is_here and users):
            yield name, is_here


def users_of_next_hop(placement: Placement, vpc_id: str, instance: str) -> tuple[str, ...]:
    """The other hosts that look up a route by way of an instance."""
    vpc = placement.network.vpcs[vpc_id]
    tables = {
        name
        for name, table in vpc.route_tables.items()
        if any(isinstance(hop := route.next_hop, InstanceHop) and hop.instance == instance for route in table.routes)
    }
    if not tables:
        return ()
    here = placement.host_of_instance(vpc_id, instance)
    hosts = placement.hosts_of_vpc(vpc_id) if SYSTEM_TABLE in tables else ()
    using = [name for name, vswitch in vpc.vswitches.items() if vswitch.route_table in tables]
    own = {placement.host_of_vswitch(vpc_id, name) for name in using}
    return tuple(sorted({*hosts, *own} - {here}))


def _vpc_tunnel(c: Compilation, vpc_id: str) -> Tunnel:
    vpc = c.network.vpcs[vpc_id]
    others = [host for host in c.placement.hosts_of_vpc(vpc_id) if host != c.here]
    return Tunnel(
        VPC_TUNNEL,
        vpc_id,
        Router("vpc", vpc_id),
        Resource("vpc", vpc_id),
        c.loaded.origin("vpcs", vpc_id),
        vpc.vni or names.vni("vpc", vpc_id),
        _mac(VPC_TUNNEL, vpc_id, c.here),
        c.mtu(vpc_id),
        # Several ends need several neighbours: each is called by its underlay address, which says where it is.
        tuple(Receiver(host, c.network.hosts[host].address, _mac(VPC_TUNNEL, vpc_id, host)) for host in others),
        tuple(Sender(host, sources_within(c.placement, vpc_id, host)) for host in others),
    )


def _next_hop_tunnel(c: Compilation, vpc_id: str, instance: str, *, is_here: bool) -> Tunnel:
    users, host = users_of_next_hop(c.placement, vpc_id, instance), c.placement.host_of_instance(vpc_id, instance)
    receiver = Receiver(host, names.TRANSIT_NEIGHBOUR, _mac(NEXT_HOP_TUNNEL, instance, host))
    senders = tuple(Sender(user, sources_within(c.placement, vpc_id, user)) for user in users)
    return Tunnel(
        NEXT_HOP_TUNNEL,
        instance,
        Router("vpc", vpc_id),
        Resource("instance", instance),
        c.loaded.origin("vpcs", vpc_id, "instances", instance),
        c.network.vpcs[vpc_id].instances[instance].vni or names.vni("next_hop", instance),
        _mac(NEXT_HOP_TUNNEL, instance, c.here),
        c.mtu(vpc_id),
        () if is_here else (receiver,),
        senders if is_here else (),
    )


def _peering_tunnel(c: Compilation, connection_id: str, end: PeeringEnd, far: PeeringEnd) -> Iterator[Tunnel]:
    ways = crossing.ways_in(c.placement, end, far, c.here)
    if not ways.needs_tunnel:
        return
    target = crossing.target_of(c.placement, end, far, c.here)
    far_mac = names.mac_address("router_interface", far.router_interface)
    hosts = {*c.placement.hosts_of_end(end), *c.placement.hosts_of_end(far)}
    vpcs = [item.vpc for item in (end, far) if item.vpc is not None]
    yield Tunnel(
        PEERING_TUNNEL,
        connection_id,
        router_of(end),
        Resource("peering_connection", connection_id),
        c.loaded.origin("peering_connections", connection_id),
        c.network.peering_connections[connection_id].vni or names.vni("peering_connection", connection_id),
        names.mac_address("router_interface", end.router_interface),
        min([*(c.placement.tunnel_mtu(host) for host in hosts), *(c.mtu(vpc_id) for vpc_id in vpcs)]),
        () if target is None else (Receiver(target, names.TRANSIT_NEIGHBOUR, far_mac),),
        tuple(Sender(host, sources_across(c.placement, far, end, host)) for host in ways.senders),
    )


def _mac(kind: str, path: str, host: str) -> str:
    return names.mac_address(kind, f"{path}/{host}")


def _objects(c: Compilation, tunnel: Tunnel) -> Iterator[KernelObject]:
    namespace, ifname = tunnel.router.namespace, c.tunnel_ifname(tunnel.kind, tunnel.path)
    host = c.network.hosts[c.here]
    yield VxlanLink(
        names.mark(tunnel.kind, tunnel.path),
        namespace,
        ifname,
        names.port_ifindex(c.numbering.number("port", f"{tunnel.kind}/{tunnel.path}")),
        tunnel.mac,
        tunnel.vni,
        host.address,
        host.device,
        tunnel.mtu,
    )
    yield from sysctl.transit_sysctls(namespace, ifname)
    for receiver in tunnel.receivers:
        yield Neighbour(namespace, ifname, receiver.neighbour, receiver.mac)
        yield FdbEntry(namespace, ifname, receiver.mac, c.network.hosts[receiver.host].address)
