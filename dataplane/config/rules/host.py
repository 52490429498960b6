"""Networks of several hosts: the underlay, what runs where, and what VXLAN needs (R88; kernel.md, section 6)."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from dataplane.config.next_hop import InstanceHop
from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup
from dataplane.model import names

_SAY_WHERE = ("hosts", "regions", "access_points", "physical_connections", "vbrs")


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about hosts."""
    yield from _addresses(lookup)
    yield from _vnis(lookup)
    if any(lookup.has_broken_under(kind) for kind in _SAY_WHERE):
        return  # where things are is not known: what was cut out has an error of its own
    yield from _zones(lookup)
    yield from _ends(lookup)
    yield from _mtus(lookup)


def _addresses(lookup: Lookup) -> Iterator[Problem]:
    seen: dict[IPv4Address, str] = {}
    for name, host in lookup.network.hosts.items():
        first = seen.setdefault(host.address, name)
        if first != name:
            message = f"host {first} has the address {host.address} too, and packets for one would reach the other"
            yield lookup.error(("hosts", name, "address"), message, None, "give each host its own")


def _vnis(lookup: Lookup) -> Iterator[Problem]:
    """R88: one VNI, one thing. Those that are computed from ids count where the network has several hosts."""
    seen: dict[int, str] = {}
    for path, what, written, computed in _numbered(lookup):
        if written is None and len(lookup.network.hosts) < 2:
            continue
        vni = written if written is not None else computed
        first = seen.setdefault(vni, what)
        if first != what:
            how = "has" if written is not None else "gets"
            message = f"{what} {how} the VNI {vni}, as {first}, and their packets would mix"
            yield lookup.error((*path, "vni"), message, "R88", "write a vni: of its own")


def _numbered(lookup: Lookup) -> Iterator[tuple[Path, str, int | None, int]]:
    """What may need a VNI: its path, its name, the VNI in the file, and the one that its id gives."""
    network = lookup.network
    for vpc_id, vpc in network.vpcs.items():
        yield ("vpcs", vpc_id), f"VPC {vpc_id}", vpc.vni, names.vni("vpc", vpc_id)
    for name, connection in network.peering_connections.items():
        yield (
            ("peering_connections", name),
            f"peering connection {name}",
            connection.vni,
            names.vni("peering_connection", name),
        )
    for vpc_id, vpc in network.vpcs.items():
        routes = [route for table in vpc.route_tables.values() for route in table.routes]
        hops = {hop.instance for route in routes if isinstance(hop := route.next_hop, InstanceHop)}
        for name, instance in vpc.instances.items():
            if name in hops or instance.vni is not None:
                yield ("vpcs", vpc_id, "instances", name), f"instance {name}", instance.vni, names.vni("next_hop", name)


def _zones(lookup: Lookup) -> Iterator[Problem]:
    """A VPC is on hosts that have names, or on none: one that asks would not know where the others look for it."""
    for vpc_id, vpc in lookup.network.vpcs.items():
        hosts = lookup.placement.hosts_of_vpc(vpc_id)
        for name, vswitch in vpc.vswitches.items() if len(hosts) > 1 and "" in hosts else ():
            if not lookup.placement.host_of_vswitch(vpc_id, name):
                path = ("vpcs", vpc_id, "vswitches", name, "zone")
                named = ", ".join(host for host in hosts if host)
                message = f"zone {vswitch.zone} names no host, and other parts of VPC {vpc_id} are on {named}"
                remedy = f"write regions: {{{vpc.region}: {{zones: {{{vswitch.zone}: {{host: ...}}}}}}}}"
                yield lookup.error(path, message, None, remedy)


def _ends(lookup: Lookup) -> Iterator[Problem]:
    """Likewise the two ends of a connection."""
    for joined in lookup.joined:
        if not all(end.vpc in lookup.network.vpcs or end.vbr in lookup.network.vbrs for end, _ in joined.sides()):
            continue
        initiator, acceptor = (set(lookup.placement.hosts_of_end(end)) for end, _ in joined.sides())
        are_known = (initiator | acceptor) - {""} <= lookup.network.hosts.keys()
        if are_known and (initiator == {""}) != (acceptor == {""}):
            one, other = ("initiator", "acceptor") if initiator == {""} else ("acceptor", "initiator")
            named = ", ".join(sorted((initiator | acceptor) - {""}))
            message = f"its {one} is on no host by name, and its {other} is on {named}"
            yield lookup.error(joined.path, message, None, "write host: in the zones and access points of both")


def _mtus(lookup: Lookup) -> Iterator[Problem]:
    for vpc_id, vpc in lookup.network.vpcs.items():
        largest = lookup.placement.largest_mtu(vpc_id)
        if vpc.mtu is not None and lookup.placement.spans_hosts(vpc_id) and vpc.mtu > largest:
            message = f"an MTU of {vpc.mtu} does not fit between its hosts, which have {largest} left inside VXLAN"
            remedy = f"write {largest} or less, or a larger hosts.*.mtu"
            yield lookup.error(("vpcs", vpc_id, "mtu"), message, None, remedy)
