"""The desired kernel objects of this host's routers, arranged for looking things up. Pure.

The forwarder is compiled from them (``forwarding.py``): not from the configuration a second time, but from what the
kernel is told.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.config.host import DEFAULT_MTU_BYTES
from dataplane.model import names
from dataplane.model.forwarding import How, Learned, PortKind
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    Rule,
    Shaper,
    Sysctl,
    Veth,
    VethEnd,
    VlanLink,
    VxlanLink,
)

_VETH_KINDS = {
    "instance": PortKind.INSTANCE,
    "service": PortKind.SERVICE,
    "peering_connection": PortKind.TRANSIT,
}

Place = tuple[str, str]
"""An interface: namespace and name."""


@dataclass(frozen=True, slots=True)
class Link:
    """A router's interface.

    Args:
        mac: its own; empty where it is not known.
        mtu: in bytes.
        far: the other end of a veth.
    """

    namespace: str
    ifname: str
    ifindex: int
    kind: PortKind
    how: How
    mac: str
    mtu: int
    far: VethEnd | None = None

    @property
    def port(self) -> int:
        """Its port id."""
        return names.parse_port_ifindex(self.ifindex) or 0


class Scene:
    """Kernel objects by what one asks for.

    Args:
        objects: all desired objects; those outside of routers are left out.
        learned: what nobody asks for and the host has.
    """

    def __init__(self, objects: Iterable[KernelObject], learned: Learned) -> None:
        everything = list(objects)
        self.routers = frozenset(
            item.name for item in everything if isinstance(item, Namespace) and names.is_router_mark(item.mark)
        )
        self.links: dict[Place, Link] = {}
        self.rules: dict[str, list[Rule]] = defaultdict(list)
        self.routes: dict[tuple[str, int], list[KernelRoute]] = defaultdict(list)
        self.addresses: dict[str, list[Address]] = defaultdict(list)
        self.nexthops: dict[tuple[str, int], Nexthop | NexthopGroup] = {}
        self.neighbours: dict[Place, dict[IPv4Address, str]] = defaultdict(dict)
        self.permanent: dict[Place, list[IPv4Address]] = defaultdict(list)
        self.shapers: dict[Place, Shaper] = {}
        self._checked: set[Place] = set()
        for item in everything:
            self._add(item, learned)
        for rules in self.rules.values():
            rules.sort(key=lambda rule: rule.priority)

    def checks_source(self, link: Link) -> bool:
        """Whether the kernel itself checks sources at an interface."""
        return (link.namespace, link.ifname) in self._checked

    def _add(self, item: KernelObject, learned: Learned) -> None:
        if isinstance(item, Veth):
            self._add_veth(item)
        elif isinstance(item, VlanLink):
            place = (item.namespace, item.ifname)
            mac, mtu = learned.links.get(place, ("", DEFAULT_MTU_BYTES))
            self.links[place] = Link(*place, item.ifindex, PortKind.LINE, How.LINE, mac, mtu)
        elif isinstance(item, VxlanLink):
            place = (item.namespace, item.ifname)
            self.links[place] = Link(*place, item.ifindex, PortKind.TUNNEL, How.TUNNEL, item.mac, item.mtu)
        elif isinstance(item, Rule):
            self.rules[item.namespace].append(item)
        elif isinstance(item, KernelRoute):
            self.routes[item.namespace, item.table].append(item)
        elif isinstance(item, Address):
            self.addresses[item.namespace].append(item)
        elif isinstance(item, Nexthop | NexthopGroup):
            self.nexthops[item.namespace, item.id] = item
        elif isinstance(item, Neighbour):
            self.neighbours[item.namespace, item.ifname][item.address] = item.mac
            self.permanent[item.namespace, item.ifname].append(item.address)
        elif isinstance(item, Shaper):
            self.shapers[item.namespace, item.ifname] = item
        elif isinstance(item, Sysctl) and item.ifname and item.name.endswith("/rp_filter") and item.value == "1":
            self._checked.add((item.namespace, item.ifname))

    def _add_veth(self, item: Veth) -> None:
        kind, _ = names.parse_mark(item.mark) or ("", "")
        if item.a is None or item.b is None or kind not in _VETH_KINDS:
            return
        # redirect_peer needs the two ends in different namespaces.
        how = How.PEER if item.a.namespace != item.b.namespace else How.REDIRECT
        for near, far in ((item.a, item.b), (item.b, item.a)):
            if near.namespace in self.routers:
                place = (near.namespace, near.ifname)
                self.links[place] = Link(*place, near.ifindex, _VETH_KINDS[kind], how, near.mac, item.mtu, far)
