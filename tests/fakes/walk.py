"""Where does this packet go? A plain model of policy routing over kernel objects, written without the compiler.

Rules by priority, then longest prefix and metric in their table, then on through veths from router to router.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Nexthop,
    NexthopGroup,
    RouteType,
    Rule,
    Veth,
    VlanLink,
)


@dataclass(frozen=True)
class Fate:
    """The end of a packet: a verdict, where, and the routers that it passed."""

    verdict: str
    where: str
    routers: tuple[str, ...] = ()


class Walk:
    def __init__(self, objects: Iterable[KernelObject]) -> None:
        self._objects = list(objects)
        self._far: dict[tuple[str, str], tuple[str, str]] = {}
        for item in self._objects:
            if isinstance(item, Veth) and item.a and item.b and item.a.up and item.b.up:
                a, b = (item.a.namespace, item.a.ifname), (item.b.namespace, item.b.ifname)
                self._far[a], self._far[b] = b, a

    def send(self, instance_namespace: str, destination: str, ifname: str = "eth0", source: str = "") -> Fate:
        """Send a packet from an instance (by default from its own address); it has no way out but its veth."""
        sender = IPv4Address(source) if source else next(iter(self._addresses(instance_namespace)))
        return self._walk(self._far.get((instance_namespace, ifname)), sender, IPv4Address(destination))

    def arrive(self, router: str, source: str, destination: str) -> Fate:
        """A packet comes in by the line of a border router."""
        line = next(i for i in self._objects if isinstance(i, VlanLink) and i.namespace == router)
        return self._walk((router, line.ifname), IPv4Address(source), IPv4Address(destination))

    def _walk(self, place: tuple[str, str] | None, sender: IPv4Address, target: IPv4Address) -> Fate:
        routers: list[str] = []
        while place is not None and len(routers) < 8:
            namespace, iif = place
            routers.append(namespace)
            if target in self._addresses(namespace):
                return Fate("local", namespace, tuple(routers))
            route = self._lookup(namespace, iif, sender, target)
            if route is None:
                return Fate("fell through", namespace, tuple(routers))
            if route.type is not RouteType.UNICAST:
                return Fate(route.type.value, namespace, tuple(routers))
            oif = self._oif(route)
            if oif is None:
                return Fate("blackhole", namespace, tuple(routers))
            if any(isinstance(i, VlanLink) and (i.namespace, i.ifname) == (namespace, oif) for i in self._objects):
                return Fate("line", namespace, tuple(routers))
            place = self._beyond(namespace, oif, self._via(route), sender)
            if place is not None and not self._is_router(place[0]):
                return Fate("delivered", place[0], tuple(routers))
        return Fate("lost", str(place), tuple(routers))

    def _beyond(self, namespace: str, oif: str, via: IPv4Address | None, sender: IPv4Address) -> tuple[str, str] | None:
        """The router port, or the instance, at the other end of a link."""
        return self._far.get((namespace, oif))

    def _is_router(self, namespace: str) -> bool:
        return any(isinstance(item, Rule) and item.namespace == namespace for item in self._objects)

    def _addresses(self, namespace: str) -> set[IPv4Address]:
        return {i.address.ip for i in self._objects if isinstance(i, Address) and i.namespace == namespace}

    def _lookup(self, namespace: str, iif: str, sender: IPv4Address, target: IPv4Address) -> KernelRoute | None:
        rules = [i for i in self._objects if isinstance(i, Rule) and i.namespace == namespace]
        for rule in sorted(rules, key=lambda rule: rule.priority):
            if rule.iif not in (None, iif) or (rule.source is not None and sender not in rule.source):
                continue
            routes = [
                i
                for i in self._objects
                if isinstance(i, KernelRoute)
                and (i.namespace, i.table) == (namespace, rule.table)
                and target in i.destination
            ]
            if routes:
                return max(routes, key=lambda route: (route.destination.prefixlen, -route.metric))
        return None

    def _oif(self, route: KernelRoute) -> str | None:
        return route.ifname if route.nexthop is None else self._leg(route).ifname

    def _via(self, route: KernelRoute) -> IPv4Address | None:
        return route.via if route.nexthop is None else self._leg(route).via

    def _leg(self, route: KernelRoute) -> Nexthop:
        found = next(
            i
            for i in self._objects
            if isinstance(i, Nexthop | NexthopGroup) and i.namespace == route.namespace and i.id == route.nexthop
        )
        if isinstance(found, NexthopGroup):
            first = found.members[0][0]
            found = next(
                i for i in self._objects if isinstance(i, Nexthop) and i.namespace == route.namespace and i.id == first
            )
        return found
