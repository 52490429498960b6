"""Kernel objects in the words of the configuration: whose namespace, which port, which line of which file.

Pure: built from a checked configuration and what was compiled from it. It names things and never judges them.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from dataplane.config import Loaded
from dataplane.config.next_hop import NextHop, router_interfaces_of
from dataplane.model import names
from dataplane.model.desired import Desired, Wanted
from dataplane.model.kernel import KernelRoute, Key, Rule, Veth, VlanLink
from dataplane.model.resource import NOWHERE, Origin, Resource
from dataplane.observe.why.scene import MAIN_TABLE, Place
from dataplane.observe.why.trace import Step


@dataclass(frozen=True, slots=True)
class Host:
    """An instance as an end of a walk.

    Args:
        namespace: where its interface lives.
        ifname: that interface.
        router: the namespace of its VRouter.
        port: the VRouter's interface to it.
        forwards: it may be a next hop for others (R66).
    """

    id: str
    vpc: str
    vswitch: str
    address: IPv4Address
    is_running: bool
    namespace: str
    ifname: str
    router: str
    port: str
    forwards: bool
    origin: Origin


class Atlas:
    """The words for one configuration.

    Args:
        loaded: the checked configuration.
        desired: what was compiled from it.
    """

    def __init__(self, loaded: Loaded, desired: Desired) -> None:
        self.loaded, self.network, self.desired = loaded, loaded.network, desired
        self.reasons = {declared.resource: declared.reason for declared in desired.declared}
        self._resources: dict[str, Resource] = {}
        self._ports: dict[Place, str] = {}
        self.interfaces: dict[Place, str] = {}
        self.lines: dict[str, VlanLink] = {}
        self.hosts: dict[str, Host] = {}
        for vpc_id in self.network.vpcs:
            self._resources[names.vpc_namespace(vpc_id)] = Resource("vpc", vpc_id)
        for vbr_id in self.network.vbrs:
            self._resources[names.vbr_namespace(vbr_id)] = Resource("vbr", vbr_id)
        for wish in desired.wanted.values():
            if isinstance(wish.object, Veth):
                self._read_veth(wish.object)
            elif isinstance(wish.object, VlanLink):
                self._read_line(wish.object)

    def _read_veth(self, veth: Veth) -> None:
        kind, path = names.parse_mark(veth.mark) or ("", "")
        if veth.a is None or veth.b is None:
            return
        near, far = (veth.a.namespace, veth.a.ifname), (veth.b.namespace, veth.b.ifname)
        if kind == "peering_connection":
            for role, place in zip(("initiator", "acceptor"), (near, far), strict=True):
                end = getattr(self.network.peering_connections[path], role)
                self.interfaces[place] = end.router_interface
                self._ports[place] = end.router_interface
            return
        self._ports[near] = path if kind == "instance" else f"{kind}s of {path}"
        self._resources[far[0]] = Resource(kind, path)
        if kind == "instance":
            self._read_instance(path, near, far)

    def _read_instance(self, instance_id: str, near: Place, far: Place) -> None:
        for vpc_id, vpc in self.network.vpcs.items():
            instance = vpc.instances.get(instance_id)
            if instance is not None:
                self.hosts[instance_id] = Host(
                    instance_id,
                    vpc_id,
                    instance.vswitch,
                    self.desired.addresses[instance_id],
                    instance.state == "running",
                    *far,
                    *near,
                    instance.forwarding,
                    self.loaded.origin("vpcs", vpc_id, "instances", instance_id),
                )

    def _read_line(self, link: VlanLink) -> None:
        _, vbr_id = names.parse_mark(link.mark) or ("", "")
        vbr = self.network.vbrs[vbr_id]
        self.lines[vbr_id] = link
        self._ports[link.namespace, link.ifname] = f"line {vbr.physical_connection}, VLAN {vbr.vlan}"

    def routers(self) -> tuple[str, ...]:
        """The namespaces of all routers."""
        return tuple(name for name, resource in self._resources.items() if resource.kind in ("vpc", "vbr"))

    def resource_at(self, namespace: str) -> Resource:
        """Whose namespace it is."""
        return self._resources.get(namespace, Resource("namespace", namespace))

    def place(self, namespace: str) -> str:
        """A namespace as a person calls it: ``vpc-1``, ``ecs-1``, ``services of vpc-1``."""
        resource = self.resource_at(namespace)
        return f"services of {resource.id}" if resource.kind == "service" else resource.id

    def port(self, namespace: str, ifname: str) -> str:
        """An interface with what is behind it, an instance or a router interface: ``ecs-1 (dpi1)``, ``ri-1 (dpr7)``."""
        words = self._ports.get((namespace, ifname))
        return f"{words} ({ifname})" if words else ifname

    def wanted(self, key: Key) -> Wanted | None:
        """Who asks for an object."""
        return self.desired.wanted.get(key)

    def table(self, rule: Rule | None) -> str:
        """The route table that a rule chooses, with the kernel's number: ``system, from RI (1004)``."""
        if rule is None:
            return ""
        if rule.table == MAIN_TABLE:
            return "main"
        wish = self.wanted(rule.key)
        name = self._table_name(wish, rule) if wish is not None else "not ours"
        return f"{name} ({rule.table})"

    def _table_name(self, wish: Wanted, rule: Rule) -> str:
        name = wish.owner.id.rpartition("/")[2] if wish.owner.kind == "route_table" else "routes"
        if wish.owner.kind == "health_check":
            return f"leg of {wish.owner.id}"
        if rule.iif is None or rule.iif == "lo":
            return name
        if (rule.namespace, rule.iif) in self.interfaces:
            return f"{name}, from RI"
        is_line = any((link.namespace, link.ifname) == (rule.namespace, rule.iif) for link in self.lines.values())
        return f"{name}, from line" if is_line else name

    def origin(self, step: Step) -> Origin:
        """The line that asks for the route that decided; of an instance's own route, the instance's line."""
        if step.route is None:
            return NOWHERE
        wish = self.wanted(step.route.key)
        if wish is None:
            return NOWHERE
        host = self.host_of(step.route)
        return host.origin if host is not None and wish.owner.kind != "route" else wish.origin

    def host_of(self, route: KernelRoute) -> Host | None:
        """The instance that a route of one address is about."""
        if route.destination.prefixlen < 32:
            return None
        address = route.destination.network_address
        return next((host for host in self.hosts_with(address) if host.router == route.namespace), None)

    def hosts_with(self, address: IPv4Address) -> list[Host]:
        """The instances of all VPCs with an address: VPCs that are not connected may share it (R88)."""
        return [host for host in self.hosts.values() if host.address == address]

    def interfaces_of(self, router: Resource, neighbour: Resource) -> list[str]:
        """The router interfaces of a router whose other end is at another one."""
        found = []
        for interface in self.network.router_interfaces.values():
            peer = self.network.router_interfaces.get(interface.peer or "")
            if peer is not None and _router(interface.vpc, interface.vbr) == router:
                found += [interface.id] if _router(peer.vpc, peer.vbr) == neighbour else []
        return found

    def next_hop_of(self, route: KernelRoute) -> NextHop | None:
        """The next hop that the file has in the entry behind a kernel route; None where the route is no user's."""
        wish = self.wanted(route.key)
        if wish is None or wish.owner.kind != "route":
            return None
        router = self.resource_at(route.namespace)
        if router.kind == "vbr":
            entries = self.network.vbrs[router.id].routes
        else:
            table = self.network.vpcs[router.id].route_tables.get(wish.owner.id.split("/")[1])
            entries = table.routes if table is not None else ()
        return next((entry.next_hop for entry in entries if entry.destination == route.destination), None)

    def peers_used_by(self, route: KernelRoute) -> tuple[str, ...]:
        """The router interfaces that the file's entry behind a kernel route names."""
        next_hop = self.next_hop_of(route)
        return router_interfaces_of(next_hop) if next_hop is not None else ()


def _router(vpc: str | None, vbr: str | None) -> Resource:
    kind: Literal["vpc", "vbr"] = "vpc" if vpc is not None else "vbr"
    return Resource(kind, vpc or vbr or "")
