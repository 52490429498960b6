"""What one route table says to its user: one entry per prefix, custom entries over system ones (R61-R63).

A route table is complete in itself: its system routes (100.64.0.0/10 and one per vSwitch) are part of it,
so that longest-prefix match runs over both kinds at once (kernel.md, section 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from dataplane.compile.context import Compilation
from dataplane.config.next_hop import InstanceHop, NextHop
from dataplane.model.resource import Origin, Resource

SYSTEM = "system"
CLOUD_SERVICES = IPv4Network("100.64.0.0/10")


@dataclass(frozen=True, slots=True)
class RibEntry:
    """One entry of a route table.

    Args:
        vswitch: the vSwitch that a system route stands for; None for cloud services and custom routes.
        next_hop: of a custom route; None for a system route.
    """

    destination: IPv4Network
    resource: Resource
    origin: Origin
    vswitch: str | None = None
    next_hop: NextHop | None = None


@dataclass(frozen=True, slots=True)
class Rib:
    """A route table of a VPC.

    Args:
        name: the table's id in the VPC; ``system`` for the system table.
        entries: the entry that counts for each prefix.
        overridden: system entries that a custom route of the same prefix replaces (R62).
    """

    vpc: str
    name: str
    entries: Mapping[IPv4Network, RibEntry]
    overridden: tuple[RibEntry, ...] = ()

    def custom(self) -> tuple[RibEntry, ...]:
        """The custom entries."""
        return tuple(entry for entry in self.entries.values() if entry.next_hop is not None)


def build_rib(c: Compilation, vpc_id: str, table: str) -> Rib:
    """The entries of one route table of a VPC."""
    system = {entry.destination: entry for entry in _system_entries(c, vpc_id, table)}
    custom = {entry.destination: entry for entry in _custom_entries(c, vpc_id, table)}
    overridden = tuple(entry for prefix, entry in system.items() if prefix in custom)
    return Rib(vpc_id, table, system | custom, overridden)


def table_names(c: Compilation, vpc_id: str) -> tuple[str, ...]:
    """The system table first (R57), then the custom ones of the file."""
    return (SYSTEM, *(name for name in c.network.vpcs[vpc_id].route_tables if name != SYSTEM))


def _system_entries(c: Compilation, vpc_id: str, table: str) -> list[RibEntry]:
    vpc_origin = c.loaded.origin("vpcs", vpc_id)
    entries = [RibEntry(CLOUD_SERVICES, route_resource(vpc_id, table, CLOUD_SERVICES), vpc_origin)]
    for vswitch_id, vswitch in c.network.vpcs[vpc_id].vswitches.items():
        origin = c.loaded.origin("vpcs", vpc_id, "vswitches", vswitch_id)
        resource = route_resource(vpc_id, table, vswitch.cidr)
        entries.append(RibEntry(vswitch.cidr, resource, origin, vswitch=vswitch_id))
    return entries


def _custom_entries(c: Compilation, vpc_id: str, table: str) -> list[RibEntry]:
    route_table = c.network.vpcs[vpc_id].route_tables.get(table)
    routes = route_table.routes if route_table is not None else ()
    path = ("vpcs", vpc_id, "route_tables", table, "routes")
    return [
        RibEntry(
            route.destination,
            route_resource(vpc_id, table, route.destination),
            c.loaded.origin(*path, number),
            next_hop=route.next_hop,
        )
        for number, route in enumerate(routes)
    ]


def route_resource(vpc_id: str, table: str, destination: IPv4Network) -> Resource:
    """How a route is called: the path to it."""
    return Resource("route", f"{vpc_id}/{table}/{destination}")


def is_hidden(address: IPv4Address, vswitch: IPv4Network, custom_prefixes: frozenset[IPv4Network]) -> bool:
    """Whether a custom route takes an instance's address away from its vSwitch's system route.

    An instance's /32 is an expansion of that system route, no route of its own: a custom route at least
    as specific as the vSwitch that covers the address wins (R62, kernel.md section 2).
    """
    return any(prefix.prefixlen >= vswitch.prefixlen and address in prefix for prefix in custom_prefixes)


def guarded_instances(c: Compilation, vpc_id: str) -> frozenset[str]:
    """Running instances whose source addresses the kernel's strict check would judge wrongly.

    It asks whether the answer would leave by the port that the packet came in by, in the table of the interface that it
    goes *out* by. Where a custom route takes an instance away from its vSwitch, the answer need not, and honest packets
    would be dropped; where one leads to an instance, the whole prefix would pass as its source, although it does not
    forward. Such ports are guarded by rules instead (``route_table.py``).
    """
    vpc = c.network.vpcs[vpc_id]
    used = {SYSTEM, *(vswitch.route_table for _, vswitch in c.vswitches(vpc_id))}
    tables = [vpc.route_tables[name].routes for name in used if name in vpc.route_tables]
    prefixes = [frozenset(route.destination for route in routes) for routes in tables]
    hops = (route.next_hop for routes in tables for route in routes)
    next_hops = {hop.instance for hop in hops if isinstance(hop, InstanceHop)}
    return frozenset(
        name
        for name, instance in c.instances(vpc_id)
        if instance.state == "running" and not instance.forwarding
        if name in next_hops
        or any(is_hidden(c.addresses[name], vpc.vswitches[instance.vswitch].cidr, table) for table in prefixes)
    )
