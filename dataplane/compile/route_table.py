"""Route tables of VPCs: kernel tables for every view that is looked up, and the rules that choose them.

Rules cost time per packet, so there is one only where a port leaves the system table (kernel.md, section 2).
"""

from dataclasses import dataclass
from ipaddress import IPv4Network

from dataplane.compile.context import Compilation
from dataplane.compile.fib import DEFAULT_ROUTE, FROM_RI, LOCAL, FibBuilder, View, view_of_instance
from dataplane.compile.leg import next_hop_words, why_blackhole
from dataplane.compile.rib import SYSTEM, Rib, RibEntry, build_rib, guarded_instances, table_names
from dataplane.compile.tunnel import NEXT_HOP_TUNNEL, VPC_TUNNEL, next_hops_here
from dataplane.config.next_hop import InstanceHop
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import KernelRoute, RouteType, Rule
from dataplane.model.resource import Origin, Resource

PRIORITY_PORTS = 60
PRIORITY_FROM_RI = 100
PRIORITY_OWN_PORT = 140
PRIORITY_GUARDED = 145
"""Rules that name a source have a priority of their own: a rule without one would be "the same" to the kernel, which
then refuses to add it, and may delete the wrong one of the two."""
PRIORITY_CUSTOM_TABLE = 150
PRIORITY_SPOOFED = 160
PRIORITY_SYSTEM = 200


def compile_route_tables(c: Compilation) -> None:
    """Every route table of every VPC."""
    for vpc_id, _ in c.vpcs():
        _VpcTables(c, vpc_id).compile()


@dataclass
class _Lookup:
    """One rule to come: packets from ``iif`` look up a view of a table."""

    priority: int
    rib: Rib
    view: View
    iif: str | None
    source: IPv4Network | None = None


class _VpcTables:
    """The tables and rules of one VPC."""

    def __init__(self, c: Compilation, vpc_id: str) -> None:
        self._c, self._vpc_id = c, vpc_id
        self._namespace = names.vpc_namespace(vpc_id)
        self._fib = FibBuilder(c, vpc_id)
        self._ribs = {name: build_rib(c, vpc_id, name) for name in table_names(c, vpc_id)}

    def compile(self) -> None:
        lookups = [_Lookup(PRIORITY_SYSTEM, self._ribs[SYSTEM], LOCAL, None), *self._by_port(), *self._by_interface()]
        tables = {(lookup.rib.name, lookup.view): lookup for lookup in lookups}
        for lookup in tables.values():
            self._add_routes(lookup.rib, lookup.view)
        for lookup in lookups:
            owner, origin = self._owner(lookup.rib)
            table = self._fib.table(lookup.rib, lookup.view)
            rule = Rule(self._namespace, lookup.priority, table, lookup.iif, lookup.source)
            self._c.add(rule, owner, origin, self._vpc_id)
        self._guard([lookup.iif for lookup in lookups if lookup.source is not None])
        if self._fib.hidden_in(self._ribs[SYSTEM]):
            self._add_ports_table()
        self._add_arrivals()
        for rib in self._ribs.values():
            self._add_groups(rib)
            self._declare(rib, [view for name, view in tables if name == rib.name])

    def _by_port(self) -> list[_Lookup]:
        """Instances that leave the system table: by their vSwitch's table, or as a next hop in their own; and
        those whose source is guarded by rules."""
        vpc = self._c.network.vpcs[self._vpc_id]
        next_hops = {name: _instance_next_hops(rib) for name, rib in self._ribs.items()}
        guarded = guarded_instances(self._c, self._vpc_id)
        lookups = []
        for instance_id, instance in self._c.instances(self._vpc_id):
            rib = self._ribs[vpc.vswitches[instance.vswitch].route_table]
            port = self._c.instance_ifname(instance_id)
            is_guarded = instance_id in guarded
            source = IPv4Network(self._c.addresses[instance_id]) if is_guarded else None
            is_next_hop = instance_id in next_hops[rib.name]
            view = view_of_instance(instance_id) if is_next_hop else LOCAL
            if is_guarded:
                lookups.append(_Lookup(PRIORITY_GUARDED, rib, view, port, source))
            elif is_next_hop or rib.name != SYSTEM:
                priority = PRIORITY_OWN_PORT if is_next_hop else PRIORITY_CUSTOM_TABLE
                lookups.append(_Lookup(priority, rib, view, port))
        return lookups

    def _guard(self, ports: list[str | None]) -> None:
        """What a guarded port's own rule did not take has a source that is not its own: into a blackhole."""
        if not ports:
            return
        owner, origin = self._owner(self._ribs[SYSTEM])
        table = self._fib.own_table("spoofed")
        hole = KernelRoute(self._namespace, table, DEFAULT_ROUTE, RouteType.BLACKHOLE, metric=names.MAX_METRIC)
        self._c.add(hole, owner, origin, self._vpc_id)
        for port in ports:
            self._c.add(Rule(self._namespace, PRIORITY_SPOOFED, table, port), owner, origin, self._vpc_id)

    def _by_interface(self) -> list[_Lookup]:
        """D16: what comes in by a router interface looks up the system table's second form."""
        interfaces = self._c.network.router_interfaces.values()
        return [
            _Lookup(PRIORITY_FROM_RI, self._ribs[SYSTEM], FROM_RI, ifname)
            for ri in interfaces
            if ri.vpc == self._vpc_id and ri.peer is not None
            for ifname in self._c.arrival_ifnames(ri.id)
        ]

    def _owner(self, rib: Rib) -> tuple[Resource, Origin]:
        path: tuple[str, ...] = ("vpcs", self._vpc_id, "route_tables", rib.name)
        return Resource("route_table", f"{self._vpc_id}/{rib.name}"), self._c.loaded.origin(*path)

    def _add_routes(self, rib: Rib, view: View) -> None:
        owner, origin = self._owner(rib)
        for route, entry in self._fib.routes(rib, view):
            by, at = (owner, origin) if entry is None else (entry.resource, entry.origin)
            self._c.add(route, by, at, self._vpc_id)

    def _add_groups(self, rib: Rib) -> None:
        for group, entry in self._fib.groups(rib):
            self._c.add(group, entry.resource, entry.origin, self._vpc_id)

    def _add_ports_table(self) -> None:
        """Where a custom route hides instances from the system table (R62), the router's own packets to them (ICMP
        errors, answers of the gateway) would follow that route: they look up the ports first."""
        owner, origin = self._owner(self._ribs[SYSTEM])
        table = self._fib.own_table("ports")
        for route in (*self._fib.ports(table), *self._fib.remote_ports(table)):
            self._c.add(route, owner, origin, self._vpc_id)
        self._c.add(Rule(self._namespace, PRIORITY_PORTS, table, "lo"), owner, origin, self._vpc_id)

    def _add_arrivals(self) -> None:
        """What comes in by a tunnel of the VPC was decided upon by the part that sent it (``tunnel.py``)."""
        if not self._c.placement.spans_hosts(self._vpc_id):
            return
        delivery = self._fib.own_table("delivery")
        tables = {delivery: self._fib.delivery(delivery)}
        lookups = {self._c.tunnel_ifname(VPC_TUNNEL, self._vpc_id): delivery}
        for instance, is_here in next_hops_here(self._c, self._vpc_id):
            # Where it only sends, nothing ought to come in by it; the source check looks there all the same.
            table = self._fib.own_table(f"to/{instance}") if is_here else delivery
            if is_here:
                tables[table] = self._fib.hand_over(table, instance)
            lookups[self._c.tunnel_ifname(NEXT_HOP_TUNNEL, instance)] = table
        owner, origin = Resource("vpc", self._vpc_id), self._c.loaded.origin("vpcs", self._vpc_id)
        for routes in tables.values():
            for route in routes:
                self._c.add(route, owner, origin, self._vpc_id)
        for ifname, table in lookups.items():
            self._c.add(Rule(self._namespace, PRIORITY_FROM_RI, table, ifname), owner, origin, self._vpc_id)

    def _declare(self, rib: Rib, views: list[View]) -> None:
        owner, origin = self._owner(rib)
        tables = ", ".join(str(self._fib.table(rib, view)) for view in views)
        where = f"table {tables} in {self._namespace}" if views else ""
        reason = "" if views else "no vswitch uses it"
        self._c.declare(Declared(owner, origin, "Available", reason, where, self._vpc_id))
        for entry in rib.entries.values():
            reason = self._why_blackhole(entry)
            state = "Blackhole" if reason else "Available"
            detail = next_hop_words(entry.next_hop)
            self._c.declare(Declared(entry.resource, entry.origin, state, reason, where, self._vpc_id, detail))
        for entry in rib.overridden:
            reason = "a custom route of the same prefix overrides this system route (R62)"
            resource = Resource("route", f"{entry.resource.id} (System)")
            self._c.declare(Declared(resource, entry.origin, "Rejected", reason, where, self._vpc_id, "System"))

    def _why_blackhole(self, entry: RibEntry) -> str:
        if isinstance(entry.next_hop, InstanceHop):
            instance = self._c.network.vpcs[self._vpc_id].instances[entry.next_hop.instance]
            return "" if instance.state == "running" else f"instance {entry.next_hop.instance} is stopped"
        return why_blackhole(self._c, entry.next_hop)


def _instance_next_hops(rib: Rib) -> frozenset[str]:
    hops = (entry.next_hop for entry in rib.custom())
    return frozenset(hop.instance for hop in hops if isinstance(hop, InstanceHop))
