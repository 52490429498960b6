"""Kernel objects arranged for walking: rules in order, routes by longest prefix, which interface is behind which.

Pure: it holds what somebody else read or compiled, and answers what the kernel would look up. It never knows what
a VPC is, and never asks a kernel.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.model import names
from dataplane.model.kernel import (
    Address,
    FdbEntry,
    KernelObject,
    KernelRoute,
    Key,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    Rule,
    Sysctl,
    UnderlayFilter,
    Veth,
    VethEnd,
    VlanLink,
    VxlanLink,
)
from dataplane.model.path import LinkState, NeighbourState
from dataplane.observe.why.code import Code
from dataplane.observe.why.elsewhere import host_of, identity

MAIN_TABLE = 254
LOOPBACK = "lo"
DEFAULT_MTU_BYTES = 1500

Place = tuple[str, str]
"""A namespace and an interface in it."""


@dataclass(frozen=True, slots=True)
class LinkView:
    """An interface as a walk needs it.

    Args:
        object: the veth, VLAN link or tunnel that it belongs to.
        far: the other end of a veth; None for a line and a tunnel, and for a veth whose other end is out of sight.
        trouble: why nothing passes; empty where it does.
        code: what kind of trouble it is.
    """

    object: Veth | VlanLink | VxlanLink
    far: Place | None
    mac: str
    far_mac: str
    mtu_bytes: int
    trouble: str = ""
    code: Code = Code.NO_LINK


class Scene:
    """One state of the network: what is desired, or what was observed.

    Args:
        objects: kernel objects of any namespaces.
        links: states of interfaces, of this host's own too, where somebody looked; else they are as their objects say.
        neighbours: what ARP knows, where somebody looked.
        vteps: underlay address -> its host; empty for this one.
    """

    def __init__(
        self,
        objects: Iterable[KernelObject],
        links: Iterable[LinkState] = (),
        neighbours: Iterable[NeighbourState] = (),
        vteps: Mapping[IPv4Address, str] | None = None,
    ) -> None:
        self.objects: Mapping[Key, KernelObject] = {identity(item): item for item in objects}
        self._vteps = vteps or {}
        self._states = {(state.namespace, state.ifname): state for state in links}
        self._unresolved = {(n.namespace, n.ifname, n.address) for n in neighbours if not n.is_resolved}
        self._rules: dict[str, list[Rule]] = defaultdict(list)
        self._routes: dict[tuple[str, int], list[KernelRoute]] = defaultdict(list)
        self._addresses: dict[str, list[Address]] = defaultdict(list)
        self._ends: dict[Place, Veth | VlanLink | VxlanLink] = {}
        self._tunnels: dict[tuple[str, int], VxlanLink] = {}
        self._filters: dict[str, UnderlayFilter] = {}
        self._namespaces: set[str] = set()
        self._routers: set[str] = set()
        for item in self.objects.values():
            self._arrange(item)
        for rules in self._rules.values():
            rules.sort(key=lambda rule: rule.priority)

    def _arrange(self, item: KernelObject) -> None:
        match item:
            case Namespace():
                self._namespaces.add(item.name)
                if names.is_router_mark(item.mark):
                    self._routers.add(item.name)
            case Rule():
                self._rules[item.namespace].append(item)
            case KernelRoute():
                self._routes[item.namespace, item.table].append(item)
            case Address():
                self._addresses[item.namespace].append(item)
            case Veth():
                for end in item.ends:
                    self._ends[end.namespace, end.ifname] = item
                    self._namespaces.add(end.namespace)
            case VlanLink():
                self._ends[item.namespace, item.ifname] = item
            case VxlanLink():
                self._ends[item.namespace, item.ifname] = item
                self._tunnels[host_of(item.namespace), item.vni] = item
            case UnderlayFilter():
                self._filters[host_of(item.namespace)] = item

    def has_namespace(self, namespace: str) -> bool:
        """Whether there is such a namespace."""
        return namespace in self._namespaces

    def is_router(self, namespace: str) -> bool:
        """Whether the namespace is a VPC's or a VBR's router."""
        return namespace in self._routers

    def has_address(self, namespace: str, address: IPv4Address) -> bool:
        """Whether some interface of the namespace has the address."""
        return any(item.address.ip == address for item in self._addresses.get(namespace, ()))

    def rules(self, namespace: str) -> list[Rule]:
        """The rules by priority; of a namespace that has none of ours, the one that every namespace is born with."""
        return self._rules.get(namespace) or (
            [] if namespace in self._routers else [Rule(namespace, 32766, MAIN_TABLE)]
        )

    def lookup(self, namespace: str, table: int, destination: IPv4Address) -> KernelRoute | None:
        """The route of a table that the longest prefix decides for, then the lowest metric."""
        found = [route for route in self._routes.get((namespace, table), ()) if destination in route.destination]
        if table == MAIN_TABLE and namespace not in self._routers:
            found += [route for route in self._connected(namespace) if destination in route.destination]
        return max(found, key=lambda route: (route.destination.prefixlen, -route.metric), default=None)

    def _connected(self, namespace: str) -> list[KernelRoute]:
        """The routes that the kernel adds for an interface's own subnet."""
        return [
            KernelRoute(namespace, MAIN_TABLE, item.address.network, ifname=item.ifname, source=item.address.ip)
            for item in self._addresses.get(namespace, ())
            if item.address.network.prefixlen < 32 and item.ifname != LOOPBACK
        ]

    def nexthop(self, namespace: str, number: int) -> Nexthop | NexthopGroup | None:
        """A next-hop object or group by its id."""
        found = self.objects.get(("nexthop", namespace, number))
        return found if isinstance(found, Nexthop | NexthopGroup) else None

    def neighbour_mac(self, place: Place, address: IPv4Address) -> str | None:
        """The MAC of a permanent neighbour; None where there is none."""
        found = self.objects.get(("neighbour", *place, address))
        return found.mac if isinstance(found, Neighbour) else None

    def is_unresolved(self, place: Place, address: IPv4Address) -> bool:
        """Whether ARP asked for an address and got no answer."""
        return (*place, address) in self._unresolved

    def sysctl(self, namespace: str, name: str) -> str | None:
        """The value of a sysctl; None where nobody looked."""
        found = self.objects.get(("sysctl", namespace, name))
        return found.value if isinstance(found, Sysctl) else None

    def vtep(self, place: Place, mac: str) -> IPv4Address | None:
        """The underlay address that a tunnel's forwarding entry has for a MAC; None where there is no entry."""
        found = self.objects.get(("fdb", *place, mac))
        return found.vtep if isinstance(found, FdbEntry) else None

    def host_at(self, vtep: IPv4Address) -> str | None:
        """The host that has an underlay address, empty for this one; None where none has it."""
        return self._vteps.get(vtep)

    def tunnel(self, host: str, vni: int) -> VxlanLink | None:
        """The link of a host that has a VNI: there is one at most."""
        return self._tunnels.get((host, vni))

    def underlay_filter(self, host: str) -> UnderlayFilter | None:
        """What a host lets in of tunnels; None where it has no filter."""
        return self._filters.get(host)

    def device_trouble(self, host: str, device: str) -> str:
        """Why nothing passes the device of a host; empty where it does, and where nobody looked."""
        return "" if host else self._trouble_here(device)

    def link(self, place: Place) -> LinkView | None:
        """The interface at a place; None where there is none of ours."""
        found = self._ends.get(place)
        if isinstance(found, VlanLink):
            return LinkView(found, None, "", "", self._mtu(place, DEFAULT_MTU_BYTES), self._line_trouble(found, place))
        if isinstance(found, VxlanLink):
            trouble, code = self._tunnel_trouble(found, place)
            return LinkView(found, None, found.mac, "", self._mtu(place, found.mtu), trouble, code)
        if not isinstance(found, Veth):
            return None
        near = next(end for end in found.ends if (end.namespace, end.ifname) == place)
        other = next((end for end in found.ends if end is not near), None)
        mtu = min(self._mtu(place, found.mtu), self._mtu(_place(other), found.mtu) if other else found.mtu)
        far, far_mac = (_place(other), other.mac) if other else (None, "")
        return LinkView(found, far, near.mac, far_mac, mtu, self._veth_trouble(near, other))

    def _veth_trouble(self, near: VethEnd, other: VethEnd | None) -> str:
        if not near.up:
            return f"{near.ifname} in {near.namespace} is down"
        if other is None:
            return f"the other end of {near.ifname} in {near.namespace} is missing"
        if not other.up:
            return f"{other.ifname} in {other.namespace}, the other end of {near.ifname}, is down"
        return self._carrier_trouble(_place(near))

    def _line_trouble(self, link: VlanLink, place: Place) -> str:
        if not link.up:
            return f"{link.ifname} in {link.namespace} is down"
        return self.device_trouble(host_of(link.namespace), link.parent) or self._carrier_trouble(place)

    def _tunnel_trouble(self, link: VxlanLink, place: Place) -> tuple[str, Code]:
        trouble = self.device_trouble(host_of(link.namespace), link.device)
        if trouble:
            return trouble, Code.NO_UNDERLAY
        down = "" if link.up else f"{link.ifname} in {link.namespace} is down"
        return down or self._carrier_trouble(place), Code.NO_TUNNEL

    def _trouble_here(self, device: str) -> str:
        state = self._states.get((names.HOST, device))
        if state is not None and not (state.is_up and state.has_carrier):
            return f"{device} of this host {'has no carrier' if state.is_up else 'is down'}"
        return f"{device} of this host is missing" if state is None and self._states else ""

    def _carrier_trouble(self, place: Place) -> str:
        state = self._states.get(place)
        if state is None or (state.is_up and state.has_carrier):
            return ""
        return f"{place[1]} in {place[0]} {'has no carrier' if state.is_up else 'is down'}"

    def _mtu(self, place: Place, otherwise: int) -> int:
        state = self._states.get(place)
        return state.mtu_bytes if state is not None and state.mtu_bytes else otherwise


def _place(end: VethEnd) -> Place:
    return end.namespace, end.ifname
