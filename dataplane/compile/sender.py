"""What may come out of a tunnel: the inner source addresses that a router on another host can honestly send (P7).

VXLAN has no authentication. Whoever takes over one host must not be able to speak for the instances of others, so each
host says of each other one which sources it may bring.
"""

from ipaddress import IPv4Network

from dataplane.compile.ranges import ANY_ADDRESS, NO_ADDRESS, Ranges
from dataplane.compile.rib import CLOUD_SERVICES
from dataplane.config.peering import PeeringEnd
from dataplane.config.placement import Placement


def sources_within(placement: Placement, vpc_id: str, host: str) -> Ranges:
    """What a host's part of a VPC sends to another part: its own instances' packets, and what came in by a router
    interface, which is never from an address of the VPC; anything where an instance forwards for others."""
    if _forwards(placement, vpc_id, host):
        return ANY_ADDRESS
    strangers = ~_vswitches(placement, vpc_id) if _has_router_interface(placement, vpc_id) else NO_ADDRESS
    return _own(placement, vpc_id, host) | strangers


def sources_across(placement: Placement, near: PeeringEnd, far: PeeringEnd, host: str) -> Ranges:
    """What a host's part of a router sends by a connection: never from an address of the VPC at the other end.

    Args:
        near: the end that sends.
        far: the end that receives.
        host: the one that sends.
    """
    sent = ANY_ADDRESS
    if near.vpc is not None and not _forwards(placement, near.vpc, host):
        # D16: what leaves by a router interface came from a local port.
        sent = _own(placement, near.vpc, host) | Ranges.of([CLOUD_SERVICES])
    return sent & ~_vswitches(placement, far.vpc) if far.vpc is not None else sent


def probe_source(placement: Placement, connection_id: str, vpc_id: str, host: str) -> IPv4Network | None:
    """The address that a host's part of a VPC probes a connection from (D21): one of the list for each host in turn."""
    check = placement.network.peering_connections[connection_id].health_check
    hosts = placement.hosts_of_vpc(vpc_id)
    if check is None or host not in hosts or hosts.index(host) >= len(check.source):
        return None
    return IPv4Network(check.source[hosts.index(host)])


def probe_sources_of(placement: Placement, vpc_id: str, host: str) -> list[tuple[str, IPv4Network]]:
    """The connections that a host's part of a VPC probes, each with the address it probes from."""
    found = []
    for connection_id, connection in placement.network.peering_connections.items():
        if any(end.vpc == vpc_id for _, end in connection.ends()):
            source = probe_source(placement, connection_id, vpc_id, host)
            if source is not None:
                found.append((connection_id, source))
    return found


def _own(placement: Placement, vpc_id: str, host: str) -> Ranges:
    vswitches = placement.network.vpcs[vpc_id].vswitches
    local = [item.cidr for name, item in vswitches.items() if placement.host_of_vswitch(vpc_id, name) == host]
    return Ranges.of([*local, *(source for _, source in probe_sources_of(placement, vpc_id, host))])


def _vswitches(placement: Placement, vpc_id: str) -> Ranges:
    return Ranges.of(vswitch.cidr for vswitch in placement.network.vpcs[vpc_id].vswitches.values())


def _forwards(placement: Placement, vpc_id: str, host: str) -> bool:
    """Whether an instance there may send packets of others."""
    instances = placement.network.vpcs[vpc_id].instances
    return any(item.forwarding and placement.host_of_instance(vpc_id, name) == host for name, item in instances.items())


def _has_router_interface(placement: Placement, vpc_id: str) -> bool:
    return any(ri.vpc == vpc_id and ri.peer is not None for ri in placement.network.router_interfaces.values())
