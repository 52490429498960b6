"""Kernel objects as frozen values: what compile asks for and what observe reports, in the same types.

Two objects with equal ``key`` are the same thing; two equal objects need no action. Every object
names its namespace by reference: a name under /run/netns, ``pid:N`` for an attached process, or
``names.HOST``. Numbers that the kernel assigns by itself never appear here.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from dataplane.model import names
from dataplane.model.key import Key as Key
from dataplane.model.program import FarEnd as FarEnd
from dataplane.model.program import ForwarderState as ForwarderState
from dataplane.model.program import PortProgram as PortProgram
from dataplane.model.queues import DeviceQueues as DeviceQueues
from dataplane.model.shaper import Classifier as Classifier
from dataplane.model.shaper import Shaper as Shaper
from dataplane.model.vxlan import Admission as Admission
from dataplane.model.vxlan import FdbEntry as FdbEntry
from dataplane.model.vxlan import UnderlayFilter as UnderlayFilter
from dataplane.model.vxlan import VxlanLink as VxlanLink


@dataclass(frozen=True, slots=True)
class Namespace:
    """A named network namespace of ours.

    Args:
        name: its name under /run/netns.
        mark: the alias on its ``lo``, set before the name becomes visible (``names.mark``).
        up: whether ``lo`` is; without it no address on it is anybody's.
    """

    name: str
    mark: str
    up: bool = True

    @property
    def key(self) -> Key:
        return ("namespace", self.name)

    def needs(self) -> tuple[Key, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A sysctl in a namespace.

    Args:
        name: the path below /proc/sys, with slashes (``net/ipv4/conf/dpi7/rp_filter``).
        value: the value as the kernel prints it.
        at_least: a higher number that is already there is left alone (thresholds of the host).
        ifname: the interface that must exist first, if the sysctl is one of an interface.
    """

    namespace: str
    name: str
    value: str
    at_least: bool = False
    ifname: str | None = None

    @property
    def key(self) -> Key:
        return ("sysctl", self.namespace, self.name)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace), ("link", self.namespace, self.ifname))


@dataclass(frozen=True, slots=True)
class VethEnd:
    """One end of a veth pair; both ends carry the pair's mark as their alias."""

    namespace: str
    ifname: str
    ifindex: int
    mac: str
    up: bool = True


@dataclass(frozen=True, slots=True)
class Veth:
    """A veth pair, born with each end in its own namespace.

    Args:
        mark: names the pair (``dataplane instance/ecs-1``); it is the identity.
        a: the end that the pair is created from (a router's). None only when observed broken.
        b: the other end. None when observed without it, as when it was moved out of our sight.
        mtu: of both ends, in bytes.
    """

    mark: str
    a: VethEnd | None
    b: VethEnd | None
    mtu: int

    @property
    def key(self) -> Key:
        return ("veth", self.mark)

    @property
    def ends(self) -> tuple[VethEnd, ...]:
        return tuple(end for end in (self.a, self.b) if end is not None)

    def needs(self) -> tuple[Key, ...]:
        return tuple(("namespace", end.namespace) for end in self.ends)


class VlanMode(StrEnum):
    """How a VLAN link is made: by the kernel's 8021q, or by a veth and tc programs where the kernel has none."""

    KERNEL = "8021q"
    TC = "tc"


@dataclass(frozen=True, slots=True)
class VlanLink:
    """A link in a border router's namespace that speaks one VLAN on a device of the host (R26, R27).

    Its MAC and its carrier are the parent's. They are no desired state, since the parent is not ours; in tc mode,
    where nobody sees to them, ``follows_parent`` says whether they agree.

    Args:
        mark: names the link (``dataplane line/vbr-1``); it is the identity.
        namespace: of the router.
        ifname: there.
        ifindex: there.
        parent: the device in the namespace that the command runs in.
        vlan: the 802.1Q VLAN id, 1 to 4094.
        mode: how it is made.
        far_ifname: in tc mode, the veth's other end, in the parent's namespace; else None.
        far_ifindex: of that end; else None.
    """

    mark: str
    namespace: str
    ifname: str
    ifindex: int
    parent: str
    vlan: int
    mode: VlanMode
    far_ifname: str | None = None
    far_ifindex: int | None = None
    follows_parent: bool = True
    up: bool = True

    @property
    def key(self) -> Key:
        return ("vlan", self.mark)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace),)


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address on an interface."""

    namespace: str
    ifname: str
    address: IPv4Interface

    @property
    def key(self) -> Key:
        return ("address", self.namespace, self.ifname, self.address)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace), ("link", self.namespace, self.ifname))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour: an address behind an interface, and its MAC."""

    namespace: str
    ifname: str
    address: IPv4Address
    mac: str

    @property
    def key(self) -> Key:
        return ("neighbour", self.namespace, self.ifname, self.address)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace), ("link", self.namespace, self.ifname))


@dataclass(frozen=True, slots=True)
class Nexthop:
    """A next-hop object: through a transit link, or a blackhole (its leg is gone or suspended).

    Args:
        id: the leg's id, unique in the namespace together with group numbers.
        ifname: the transit link's end here; None makes it a blackhole.
        via: the neighbour on it (always onlink).
    """

    namespace: str
    id: int
    ifname: str | None = None
    via: IPv4Address | None = None

    @property
    def key(self) -> Key:
        return ("nexthop", self.namespace, self.id)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace), ("link", self.namespace, self.ifname))


@dataclass(frozen=True, slots=True)
class NexthopGroup:
    """A resilient next-hop group: only the flows of a member that leaves move (kernel.md, section 3).

    Args:
        id: its next-hop id (``names.group_number``).
        members: pairs of next-hop id and weight (1 to 255), in ascending order of id.
        buckets: slots that flows hash to.
    """

    namespace: str
    id: int
    members: tuple[tuple[int, int], ...]
    buckets: int = 256

    @property
    def key(self) -> Key:
        return ("nexthop", self.namespace, self.id)

    def needs(self) -> tuple[Key, ...]:
        return tuple(("nexthop", self.namespace, member) for member, _ in self.members)


class RouteType(StrEnum):
    """What a kernel route does with a packet."""

    UNICAST = "unicast"
    UNREACHABLE = "unreachable"
    BLACKHOLE = "blackhole"
    PROHIBIT = "prohibit"


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """A route in one table of one namespace.

    Args:
        table: the kernel's table number (``names.table_number``; 254 is ``main``).
        nexthop: id of a next-hop object or group; excludes ``ifname`` and ``via``.
        ifname: the device; with ``via`` the route is onlink.
        source: preferred source address, so that ICMP errors come from the right gateway.
        metric: 0, or ``names.MAX_METRIC`` for the route that closes a table.
    """

    namespace: str
    table: int
    destination: IPv4Network
    type: RouteType = RouteType.UNICAST
    nexthop: int | None = None
    ifname: str | None = None
    via: IPv4Address | None = None
    source: IPv4Address | None = None
    metric: int = 0

    @property
    def key(self) -> Key:
        return ("route", self.namespace, self.table, self.destination, self.metric)

    def needs(self) -> tuple[Key, ...]:
        needed: list[Key] = [("namespace", self.namespace), ("link", self.namespace, self.ifname)]
        if self.nexthop is not None:
            needed.append(("nexthop", self.namespace, self.nexthop))
        if self.source is not None:
            # The kernel refuses a preferred source that is no address of the router, and drops the route with it.
            needed.append(("source", self.namespace, self.source))
        return tuple(needed)


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule of a router. All of it is identity: a changed rule is a new one and an old one."""

    namespace: str
    priority: int
    table: int
    iif: str | None = None
    source: IPv4Network | None = None
    destination: IPv4Network | None = None

    @property
    def key(self) -> Key:
        return ("rule", self.namespace, self.priority, self.table, self.iif, self.source, self.destination)

    def needs(self) -> tuple[Key, ...]:
        # Not before the table is closed: a miss would fall through into the next rule's table.
        closing: Key = ("route", self.namespace, self.table, IPv4Network("0.0.0.0/0"), names.MAX_METRIC)
        return (("namespace", self.namespace), closing)


KernelObject = (
    Namespace
    | Sysctl
    | UnderlayFilter
    | Veth
    | VlanLink
    | VxlanLink
    | FdbEntry
    | Address
    | Neighbour
    | Nexthop
    | NexthopGroup
    | KernelRoute
    | Rule
    | Shaper
    | Classifier
    | ForwarderState
    | PortProgram
    | FarEnd
    | DeviceQueues
)


def provides(item: KernelObject) -> tuple[Key, ...]:
    """The keys that other objects may need of this one: its own, one per link end, the source that an address is."""
    if isinstance(item, Address):
        return (item.key, ("source", item.namespace, item.address.ip))
    if isinstance(item, Veth):
        return (item.key, *(("link", end.namespace, end.ifname) for end in item.ends))
    if isinstance(item, VlanLink | VxlanLink):
        return (item.key, ("link", item.namespace, item.ifname))
    if isinstance(item, DeviceQueues):
        return ()  # a card that cannot have them forwards as well: nothing waits for them
    return (item.key,)


def link_ends(item: KernelObject) -> tuple[tuple[str, str, int], ...]:
    """Namespace, name and ifindex of every interface that an object brings."""
    if isinstance(item, Veth):
        return tuple((end.namespace, end.ifname, end.ifindex) for end in item.ends)
    if isinstance(item, VxlanLink):
        return ((item.namespace, item.ifname, item.ifindex),)
    if isinstance(item, VlanLink):
        near = (item.namespace, item.ifname, item.ifindex)
        if item.far_ifname is None or item.far_ifindex is None:
            return (near,)
        return (near, (names.HOST, item.far_ifname, item.far_ifindex))
    return ()


def born_with(item: KernelObject) -> tuple[Rule, ...]:
    """What the kernel puts into a new object by itself and we do not want: a router namespace's default rules.

    ``main`` and ``default`` hold nothing of ours; a miss must not fall through to them (kernel.md, section 2).
    """
    if isinstance(item, Namespace) and names.is_router_mark(item.mark):
        return (Rule(item.name, 32766, 254), Rule(item.name, 32767, 253))
    return ()
