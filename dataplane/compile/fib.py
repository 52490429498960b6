"""From a route table to kernel routes, once per *view*: who looks it up decides what it may reach.

- ``LOCAL``: packets from the VPC's own instances, and what the router itself sends.
- ``FROM_RI``: packets that came in by a router interface; they leave by a local port only (D16).
- the view of one instance: packets that it forwards for others; routes through itself would loop.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from dataplane.compile.context import Compilation
from dataplane.compile.leg import group_number, group_of, legs_of
from dataplane.compile.rib import CLOUD_SERVICES, Rib, RibEntry, is_hidden
from dataplane.compile.sender import probe_sources_of
from dataplane.compile.service import services_of
from dataplane.compile.tunnel import NEXT_HOP_TUNNEL, VPC_TUNNEL
from dataplane.config.next_hop import InstanceHop
from dataplane.model import names
from dataplane.model.kernel import KernelRoute, Nexthop, NexthopGroup, RouteType

DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class View:
    """Who looks a table up.

    Args:
        suffix: tells the views of one route table apart in the id book.
        from_router_interface: D16 holds.
        instance: the instance whose own packets these are, if it is a next hop of the table.
    """

    suffix: str = ""
    from_router_interface: bool = False
    instance: str | None = None


LOCAL = View()
FROM_RI = View("/from_router_interface", from_router_interface=True)


def view_of_instance(instance: str) -> View:
    """The view of an instance that the table has as a next hop."""
    return View(f"/{instance}", instance=instance)


class FibBuilder:
    """Kernel routes of one VPC.

    Args:
        c: the compilation, read for addresses, ports and legs.
        vpc_id: the VPC.
    """

    def __init__(self, c: Compilation, vpc_id: str) -> None:
        self._c = c
        self._vpc_id = vpc_id
        self._vpc = c.network.vpcs[vpc_id]
        self._namespace = names.vpc_namespace(vpc_id)
        self._far_source = c.first_gateway(vpc_id)
        self._running: dict[str, list[str]] = {vswitch: [] for vswitch, _ in c.vswitches(vpc_id)}
        for instance_id, instance in c.instances(vpc_id):
            if instance.state == "running":
                self._running[instance.vswitch].append(instance_id)

    def table(self, rib: Rib, view: View) -> int:
        """The kernel's number of the table that holds a view."""
        return names.table_number(self._c.numbering.number("table", f"{self._vpc_id}/{rib.name}{view.suffix}"))

    def own_table(self, name: str) -> int:
        """The kernel's number of a table of the router itself; no id of a route table can be called like it."""
        return names.table_number(self._c.numbering.number("table", f"{self._vpc_id}//{name}"))

    def routes(self, rib: Rib, view: View) -> Iterator[tuple[KernelRoute, RibEntry | None]]:
        """All kernel routes of a view, each with the entry that it stands for (None: the closing route)."""
        table = self.table(rib, view)
        prefixes = frozenset(entry.destination for entry in rib.custom())
        for entry in rib.entries.values():
            if entry.next_hop is not None:
                yield self._custom(table, entry, view), entry
            elif entry.vswitch is not None and entry.vswitch not in self._running:
                yield self._elsewhere(table, entry.destination, self._host_of(entry.vswitch)), entry
            else:
                yield KernelRoute(self._namespace, table, entry.destination, RouteType.UNREACHABLE), entry
        yield from ((route, None) for route in self._remote_probes(table, prefixes))
        yield from ((route, None) for route in self._services(table, prefixes))
        # Also of vSwitches whose own entry is overridden: a custom route that is less specific hides nothing.
        for vswitch_id in self._running:
            yield from ((route, None) for route in self._attached(table, vswitch_id, prefixes))
        # Without it a miss would fall through into the next rule's table: a leak.
        yield self._closing(table), None

    def ports(self, table: int) -> Iterator[KernelRoute]:
        """Routes to the instances alone, without a closing route: by these the router knows its own ports."""
        for vswitch_id in self._running:
            yield from self._attached(table, vswitch_id, frozenset())

    def delivery(self, table: int) -> Iterator[KernelRoute]:
        """What another host's part of the VPC sends here is for an instance, and for nobody else."""
        yield from self.ports(table)
        yield self._closing(table)

    def hand_over(self, table: int, instance_id: str) -> Iterator[KernelRoute]:
        """What another host's part of the VPC sends here by way of an instance is handed to that instance."""
        everything = KernelRoute(self._namespace, table, DEFAULT_ROUTE, RouteType.BLACKHOLE)
        yield self._via_port(everything, instance_id)
        yield self._closing(table)

    def remote_ports(self, table: int) -> Iterator[KernelRoute]:
        """Routes to the vSwitches on other hosts."""
        for vswitch_id, vswitch in self._vpc.vswitches.items():
            if vswitch_id not in self._running:
                yield self._elsewhere(table, vswitch.cidr, self._host_of(vswitch_id))

    def hidden_in(self, rib: Rib) -> bool:
        """Whether a custom route of the table hides a running instance from it."""
        prefixes = frozenset(entry.destination for entry in rib.custom())
        return any(
            is_hidden(self._c.addresses[instance], self._vpc.vswitches[vswitch].cidr, prefixes)
            for vswitch, instances in self._running.items()
            for instance in instances
        )

    def groups(self, rib: Rib) -> Iterator[tuple[Nexthop | NexthopGroup, RibEntry]]:
        """The next-hop groups that the table's routes point at, and their places; each once."""
        seen: set[int] = set()
        for entry in rib.custom():
            number = group_number(self._c, self._vpc_id, entry.next_hop)
            if number is not None and number not in seen:
                seen.add(number)
                yield from ((item, entry) for item in group_of(self._c, self._vpc_id, entry.next_hop))

    def _closing(self, table: int) -> KernelRoute:
        return KernelRoute(self._namespace, table, DEFAULT_ROUTE, RouteType.UNREACHABLE, metric=names.MAX_METRIC)

    def _host_of(self, vswitch_id: str) -> str:
        return self._c.placement.host_of_vswitch(self._vpc_id, vswitch_id)

    def _elsewhere(self, table: int, destination: IPv4Network, host: str) -> KernelRoute:
        """To another host's part of the VPC, which knows its own instances."""
        return KernelRoute(
            self._namespace,
            table,
            destination,
            ifname=self._c.tunnel_ifname(VPC_TUNNEL, self._vpc_id),
            via=self._c.network.hosts[host].address,
            source=self._far_source,
        )

    def _remote_probes(self, table: int, prefixes: frozenset[IPv4Network]) -> Iterator[KernelRoute]:
        """The addresses that the other hosts probe from (D21): answers must find the one that asked."""
        for host in self._c.placement.hosts_of_vpc(self._vpc_id):
            if host != self._c.here:
                for _, source in probe_sources_of(self._c.placement, self._vpc_id, host):
                    if source not in prefixes:
                        yield self._elsewhere(table, source, host)

    def _attached(self, table: int, vswitch_id: str, prefixes: frozenset[IPv4Network]) -> Iterator[KernelRoute]:
        cidr = self._vpc.vswitches[vswitch_id].cidr
        near = frozenset(prefix for prefix in prefixes if prefix.overlaps(cidr))
        gateway = self._c.gateway(self._vpc_id, vswitch_id)
        for instance in self._running[vswitch_id]:
            address = self._c.addresses[instance]
            if not is_hidden(address, cidr, near):
                # ICMP errors to the instance come from its own gateway.
                yield KernelRoute(
                    self._namespace,
                    table,
                    IPv4Network(address),
                    ifname=self._c.instance_ifname(instance),
                    source=gateway,
                )

    def _services(self, table: int, prefixes: frozenset[IPv4Network]) -> Iterator[KernelRoute]:
        """Cloud services of the VPC's region (R133); all else of 100.64.0.0/10 stays unreachable."""
        for service in services_of(self._c, self._vpc_id).values():
            if not is_hidden(service.ip, CLOUD_SERVICES, prefixes):
                yield KernelRoute(
                    self._namespace,
                    table,
                    IPv4Network(service.ip),
                    ifname=self._c.service_ifname(self._vpc_id),
                    via=names.TRANSIT_NEIGHBOUR,
                    source=self._far_source,
                )

    def _custom(self, table: int, entry: RibEntry, view: View) -> KernelRoute:
        base = KernelRoute(self._namespace, table, entry.destination, RouteType.BLACKHOLE)
        if isinstance(entry.next_hop, InstanceHop):
            return self._via_instance(base, entry.next_hop.instance, view)
        if view.from_router_interface:
            return _typed(base, RouteType.PROHIBIT)
        group = group_number(self._c, self._vpc_id, entry.next_hop)
        nexthop = group if group is not None else legs_of(self._c, entry.next_hop)[0].id
        return KernelRoute(self._namespace, table, entry.destination, nexthop=nexthop, source=self._far_source)

    def _via_instance(self, base: KernelRoute, instance_id: str, view: View) -> KernelRoute:
        if view.instance == instance_id:
            return _typed(base, RouteType.UNREACHABLE)
        if self._vpc.instances[instance_id].state != "running":
            return base
        if self._c.placement.host_of_instance(self._vpc_id, instance_id) == self._c.here:
            return self._via_port(base, instance_id)
        return KernelRoute(
            base.namespace,
            base.table,
            base.destination,
            ifname=self._c.tunnel_ifname(NEXT_HOP_TUNNEL, instance_id),
            via=names.TRANSIT_NEIGHBOUR,
            source=self._far_source,
        )

    def _via_port(self, base: KernelRoute, instance_id: str) -> KernelRoute:
        return KernelRoute(
            base.namespace,
            base.table,
            base.destination,
            ifname=self._c.instance_ifname(instance_id),
            via=self._c.addresses[instance_id],
            source=self._c.gateway(self._vpc_id, self._vpc.instances[instance_id].vswitch),
        )


def _typed(route: KernelRoute, route_type: RouteType) -> KernelRoute:
    return KernelRoute(route.namespace, route.table, route.destination, route_type)
