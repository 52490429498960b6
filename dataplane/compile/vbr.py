"""A virtual border router: its namespace, its VLAN on the physical connection, its tables (R26-R29, D16, D20).

Who looks its table up decides what is reached:

- the router itself: everything;
- what came in by a router interface: the line, and other router interfaces only with ``transit: true``;
- what came in by the line: router interfaces only (split horizon, or VBR and data centre would play ping-pong).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from dataplane.compile import sysctl
from dataplane.compile.context import Compilation
from dataplane.compile.fib import DEFAULT_ROUTE
from dataplane.compile.leg import legs_of, next_hop_words, why_blackhole
from dataplane.compile.route_table import PRIORITY_FROM_RI, PRIORITY_SYSTEM
from dataplane.config.next_hop import NextHop, PhysicalConnectionHop
from dataplane.config.vbr import Vbr
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import (
    Address,
    DeviceQueues,
    KernelObject,
    KernelRoute,
    Namespace,
    RouteType,
    Rule,
    VlanLink,
    VlanMode,
)
from dataplane.model.resource import Origin, Resource

PRIORITY_FROM_LINE = 110


@dataclass(frozen=True, slots=True)
class _View:
    """Who looks the table up, and whether it may reach the line and the router interfaces."""

    suffix: str
    may_use_line: bool = True
    may_use_router_interfaces: bool = True


_LOCAL = _View("")
_FROM_LINE = _View("/from_line", may_use_line=False)
_FROM_RI = _View("/from_router_interface", may_use_router_interfaces=False)
_FROM_RI_TRANSIT = _View("/from_router_interface")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A route of the VBR's table; without a next hop it is the line's own subnet (D20)."""

    destination: IPv4Network
    resource: Resource
    origin: Origin
    next_hop: NextHop | None = None

    @property
    def is_line(self) -> bool:
        return self.next_hop is None or isinstance(self.next_hop, PhysicalConnectionHop)


def compile_vbrs(c: Compilation) -> None:
    """Every VBR, and the physical connections that they are on."""
    for vbr_id, vbr in c.vbrs():
        _VbrCompiler(c, vbr_id, vbr).compile()
    for name, line in c.network.physical_connections.items():
        if c.placement.host_of_line(name) != c.here:
            continue
        vbrs = [vbr_id for vbr_id, vbr in c.network.vbrs.items() if vbr.physical_connection == name]
        reason = "" if vbrs else "no VBR is on it"
        origin = c.loaded.origin("physical_connections", name)
        queues = line.queues
        if queues is not None and (queues.combined, queues.rps_cpus) != (None, None):
            item = DeviceQueues(line.device, queues.combined, queues.rps_cpus)
            c.add(item, Resource("physical_connection", name), origin)
        where = f"device {line.device} of this host"
        c.declare(Declared(Resource("physical_connection", name), origin, "Available", reason, where))


class _VbrCompiler:
    """One VBR."""

    def __init__(self, c: Compilation, vbr_id: str, vbr: Vbr) -> None:
        self._c, self._id, self._vbr = c, vbr_id, vbr
        self._namespace = names.vbr_namespace(vbr_id)
        self._unit = names.unit_of("vbr", vbr_id)
        self._resource, self._origin = Resource("vbr", vbr_id), c.loaded.origin("vbrs", vbr_id)
        self._line = c.line_ifname(vbr_id)

    def compile(self) -> None:
        link = self._link()
        items: list[KernelObject] = [
            Namespace(self._namespace, names.mark("vbr", self._id)),
            *sysctl.router_sysctls(self._namespace),
            link,
            *sysctl.transit_sysctls(self._namespace, self._line),
            Address(self._namespace, self._line, self._vbr.local_ip),
        ]
        for item in items:
            self._add(item)
        where = f"netns {self._namespace}, VLAN {link.vlan} on {link.parent} ({link.mode.value}) as {link.ifname}"
        self._c.declare(Declared(self._resource, self._origin, "Available", "", where, self._unit))
        entries = list(self._entries())
        for view, priority, interfaces in self._lookups():
            self._add_table(entries, view)
            for iif in interfaces:
                self._add(Rule(self._namespace, priority, self._table(view), iif))
        for entry in entries:
            self._declare(entry)

    def _add(self, item: KernelObject, entry: _Entry | None = None) -> None:
        owner, origin = (entry.resource, entry.origin) if entry is not None else (self._resource, self._origin)
        self._c.add(item, owner, origin, self._unit)

    def _link(self) -> VlanLink:
        c, vbr_id = self._c, self._id
        mode = VlanMode.KERNEL if c.facts.has_8021q else VlanMode.TC
        far = c.numbering.number("port", f"line/{vbr_id}/far") if mode is VlanMode.TC else None
        return VlanLink(
            names.mark("line", vbr_id),
            self._namespace,
            self._line,
            names.port_ifindex(c.line_port(vbr_id)),
            c.network.physical_connections[self._vbr.physical_connection].device,
            self._vbr.vlan,
            mode,
            names.port_ifname("w", far) if far is not None else None,
            names.port_ifindex(far) if far is not None else None,
        )

    def _entries(self) -> Iterator[_Entry]:
        subnet = self._vbr.local_ip.network
        yield _Entry(subnet, self._route_resource(subnet), self._origin)
        for number, route in enumerate(self._vbr.routes):
            origin = self._c.loaded.origin("vbrs", self._id, "routes", number)
            yield _Entry(route.destination, self._route_resource(route.destination), origin, route.next_hop)

    def _route_resource(self, destination: IPv4Network) -> Resource:
        return Resource("route", f"{self._id}/{destination}")

    def _lookups(self) -> list[tuple[_View, int, list[str | None]]]:
        ris = [ri for ri in self._c.network.router_interfaces.values() if ri.vbr == self._id and ri.peer is not None]
        from_ri = _FROM_RI_TRANSIT if self._vbr.transit else _FROM_RI
        lookups: list[tuple[_View, int, list[str | None]]] = [
            (_FROM_LINE, PRIORITY_FROM_LINE, [self._line]),
            (_LOCAL, PRIORITY_SYSTEM, [None]),
        ]
        if ris:
            lookups.append(
                (from_ri, PRIORITY_FROM_RI, [ifname for ri in ris for ifname in self._c.arrival_ifnames(ri.id)])
            )
        return lookups

    def _table(self, view: _View) -> int:
        return names.table_number(self._c.numbering.number("table", f"vbr//{self._id}{view.suffix}"))

    def _add_table(self, entries: list[_Entry], view: _View) -> None:
        table = self._table(view)
        for entry in entries:
            self._add(self._route(table, entry, view), entry)
        closing = KernelRoute(self._namespace, table, DEFAULT_ROUTE, RouteType.UNREACHABLE, metric=names.MAX_METRIC)
        self._add(closing)

    def _route(self, table: int, entry: _Entry, view: _View) -> KernelRoute:
        may_use = view.may_use_line if entry.is_line else view.may_use_router_interfaces
        source = self._vbr.local_ip.ip
        if not may_use:
            return KernelRoute(self._namespace, table, entry.destination, RouteType.PROHIBIT)
        if entry.is_line:
            via = None if entry.next_hop is None else self._vbr.peer_ip
            return KernelRoute(self._namespace, table, entry.destination, ifname=self._line, via=via, source=source)
        (leg,) = legs_of(self._c, entry.next_hop)
        return KernelRoute(self._namespace, table, entry.destination, nexthop=leg.id, source=source)

    def _declare(self, entry: _Entry) -> None:
        reason = why_blackhole(self._c, entry.next_hop)
        state = "Blackhole" if reason else "Available"
        where = f"table {self._table(_LOCAL)} in {self._namespace}"
        detail = next_hop_words(entry.next_hop)
        self._c.declare(Declared(entry.resource, entry.origin, state, reason, where, self._unit, detail))
