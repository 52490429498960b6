"""Kernel objects in the words of the configuration: whose namespace, which port, which line of which file.

Pure: built from a checked configuration and what was compiled from it. It names things and never judges them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from dataplane.config import Loaded
from dataplane.config.next_hop import NextHop, router_interfaces_of
from dataplane.config.placement import Placement
from dataplane.model import names
from dataplane.model.desired import Desired, Wanted
from dataplane.model.kernel import KernelObject, KernelRoute, Rule, Veth, VlanLink, VxlanLink
from dataplane.model.resource import NOWHERE, Origin, Resource
from dataplane.observe.why.elsewhere import at, host_of, identity, joined, name_of, namespace_of
from dataplane.observe.why.scene import MAIN_TABLE, Place, Scene
from dataplane.observe.why.trace import Step

VPC_TUNNEL, PEERING_TUNNEL, NEXT_HOP_TUNNEL = "vpc_tunnel", "peering_tunnel", "next_hop_tunnel"
"""The kinds in the marks of tunnels (``compile/tunnel.py``)."""

_PORT_NAME = re.compile(r"\bdp[a-z][0-9]+\b")


@dataclass(frozen=True, slots=True)
class Instance:
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
        desired: what was compiled from it for this host.
        here: the id of this host; empty where the configuration names no hosts.
        elsewhere: what was compiled from it for each other host. Its numbers and port names are not those that the
            other host really has: they are never shown.
    """

    def __init__(
        self, loaded: Loaded, desired: Desired, here: str = "", elsewhere: Mapping[str, Desired] | None = None
    ) -> None:
        self.loaded, self.network, self.here = loaded, loaded.network, here
        self.desired = joined(desired, elsewhere or {})
        self.reasons = {declared.resource: declared.reason for declared in self.desired.declared}
        self._resources: dict[str, Resource] = {}
        self._ports: dict[Place, str] = {}
        self.interfaces: dict[Place, str] = {}
        self.tunnels: dict[Place, str] = {}
        self.lines: dict[str, VlanLink] = {}
        self.instances: dict[str, Instance] = {}
        self.placement = placement = Placement(self.network, here)
        for vpc_id in self.network.vpcs:
            for host in placement.hosts_of_vpc(vpc_id):
                self._resources[self._at(host, names.vpc_namespace(vpc_id))] = Resource("vpc", vpc_id)
        for vbr_id in self.network.vbrs:
            namespace = self._at(placement.host_of_vbr(vbr_id), names.vbr_namespace(vbr_id))
            self._resources[namespace] = Resource("vbr", vbr_id)
        for wish in self.desired.wanted.values():
            if isinstance(wish.object, Veth):
                self._read_veth(wish.object)
            elif isinstance(wish.object, VlanLink):
                self._read_line(wish.object)
            elif isinstance(wish.object, VxlanLink):
                self._read_tunnel(wish.object)

    def _at(self, host: str, namespace: str) -> str:
        return at("" if host == self.here else host, namespace)

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
            declared = vpc.instances.get(instance_id)
            if declared is not None:
                self.instances[instance_id] = Instance(
                    instance_id,
                    vpc_id,
                    declared.vswitch,
                    self.desired.addresses[instance_id],
                    declared.state == "running",
                    *far,
                    *near,
                    declared.forwarding,
                    self.loaded.origin("vpcs", vpc_id, "instances", instance_id),
                )

    def _read_line(self, link: VlanLink) -> None:
        _, vbr_id = names.parse_mark(link.mark) or ("", "")
        vbr = self.network.vbrs[vbr_id]
        self.lines[vbr_id] = link
        self._ports[link.namespace, link.ifname] = f"line {vbr.physical_connection}, VLAN {vbr.vlan}"

    def _read_tunnel(self, link: VxlanLink) -> None:
        kind, path = names.parse_mark(link.mark) or ("", "")
        place = (link.namespace, link.ifname)
        self.tunnels[place] = kind
        self._ports[place] = f"tunnel to {path}" if kind == NEXT_HOP_TUNNEL else f"tunnel of {path}"
        if kind == PEERING_TUNNEL:
            router = self.resource_at(link.namespace)
            for _, end in self.network.peering_connections[path].ends():
                if _router(end.vpc, end.vbr) == router:
                    self.interfaces[place] = self._ports[place] = end.router_interface

    def routers(self) -> tuple[str, ...]:
        """The namespaces of the routers of this host."""
        routers = (name for name, resource in self._resources.items() if resource.kind in ("vpc", "vbr"))
        return tuple(name for name in routers if not host_of(name))

    def scene(self) -> Scene:
        """The network as the configuration has it, on all hosts."""
        return Scene((wish.object for wish in self.desired.wanted.values()), vteps=self.vteps())

    def elsewhere(self) -> list[KernelObject]:
        """The objects of all other hosts."""
        items = [wish.object for wish in self.desired.wanted.values()]
        return [item for item in items if host_of(namespace_of(item))]

    def vteps(self) -> dict[IPv4Address, str]:
        """Underlay address -> its host, as a scene wants it."""
        return {host.address: "" if id == self.here else id for id, host in self.network.hosts.items()}

    def host_at(self, namespace: str) -> str:
        """The id of the host that a namespace is on; empty where the configuration names no hosts."""
        return host_of(namespace) or self.here

    def resource_at(self, namespace: str) -> Resource:
        """Whose namespace it is."""
        if not name_of(namespace):
            return Resource("host", self.host_at(namespace))
        return self._resources.get(namespace, Resource("namespace", namespace))

    def place(self, namespace: str) -> str:
        """A namespace as a person calls it: ``vpc-1``, ``ecs-1``, ``services of vpc-1``, ``vpc-1 on host-2``."""
        resource = self.resource_at(namespace)
        if resource.kind == "host":
            return resource.id or "this host"
        words = f"services of {resource.id}" if resource.kind == "service" else resource.id
        return f"{words} on {host_of(namespace)}" if host_of(namespace) else words

    def port(self, namespace: str, ifname: str) -> str:
        """An interface with what is behind it, an instance or a router interface: ``ecs-1 (dpi1)``, ``ri-1 (dpr7)``;
        on another host, which gives names of its own, without its name."""
        words = self._ports.get((namespace, ifname))
        if words is None or host_of(namespace):
            return words or ifname
        return f"{words} ({ifname})"

    def in_words(self, namespace: str, text: str) -> str:
        """A sentence about a namespace without the names that only its host knows."""
        if not host_of(namespace):
            return text
        text = _PORT_NAME.sub(lambda found: self.port(namespace, found[0]), text)
        return text.replace(namespace, self.place(namespace)) if name_of(namespace) else text

    def way_out(self, step: Step) -> str:
        """The port that a step leaves by, with the next hop's address where that says more."""
        if step.crossing is not None:
            return f"tunnel to {self.place(step.crossing.to)} (VNI {step.crossing.vni})"
        if step.egress is None:
            return ""
        place = (step.namespace, step.egress)
        port = self.port(*place)
        # On a transit link the neighbour is always the same address, and says nothing.
        says_more = step.via is not None and place not in self.interfaces and place not in self.tunnels
        return f"{port} to {step.via}" if says_more else port

    def way_in(self, step: Step, before: Step | None) -> str:
        """The port that a step comes in by; of a tunnel, where it comes from."""
        if before is not None and before.crossing is not None:
            return f"tunnel from {self.host_at(before.namespace)} (VNI {before.crossing.vni})"
        return self.port(step.namespace, step.ingress) if step.ingress is not None else ""

    def wanted(self, item: KernelObject) -> Wanted | None:
        """Who asks for an object."""
        return self.desired.wanted.get(identity(item))

    def table(self, rule: Rule | None) -> str:
        """The route table that a rule chooses, with the kernel's number: ``system, from RI (1004)``."""
        if rule is None:
            return ""
        if rule.table == MAIN_TABLE:
            return "main"
        wish = self.wanted(rule)
        name = self._table_name(wish, rule) if wish is not None else "not ours"
        return name if host_of(rule.namespace) else f"{name} ({rule.table})"

    def _table_name(self, wish: Wanted, rule: Rule) -> str:
        kind = self.tunnels.get((rule.namespace, rule.iif or ""))
        if kind in (VPC_TUNNEL, NEXT_HOP_TUNNEL):
            return "delivery" if kind == VPC_TUNNEL else "next hop"
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
        wish = self.wanted(step.route)
        if wish is None:
            return NOWHERE
        instance = self.instance_of(step.route)
        return instance.origin if instance is not None and wish.owner.kind != "route" else wish.origin

    def instance_of(self, route: KernelRoute) -> Instance | None:
        """The instance that a route of one address is about."""
        if route.destination.prefixlen < 32:
            return None
        address = route.destination.network_address
        return next((instance for instance in self.instances_with(address) if instance.router == route.namespace), None)

    def instances_with(self, address: IPv4Address) -> list[Instance]:
        """The instances of all VPCs with an address: VPCs that are not connected may share it (R88)."""
        return [instance for instance in self.instances.values() if instance.address == address]

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
        wish = self.wanted(route)
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
