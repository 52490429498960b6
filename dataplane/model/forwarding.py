"""The forwarder's state as frozen values: ports, tables, next hops, groups, legs, and the reasons for what it does.

The same words as in ``ebpf/lib``; numbers are dense ids of this host (the id book's), never the kernel's. Pure: how it
lies in maps is the matter of ``datapath/forwarding_maps.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv4Network

from dataplane.model.ids import IdBook, IdName
from dataplane.model.limit import FLOW_TABLE, Limit

BUCKETS = 256
"""Slots of a group that flows hash to, in both paths (``NexthopGroup.buckets``)."""

MAX_ROUTERS = 8
"""As many as the fast path walks before it hands a packet to the kernel (D17)."""


class Verdict(StrEnum):
    """What is done with a frame."""

    FORWARD = "forward"
    PASS = "pass"
    DROP = "drop"


class Reason(IntEnum):
    """Why a frame went where it went (``enum dp_reason``): counter index, metric label and text in one."""

    FORWARDED = 0
    CONTINUED = 1
    ARP = 8
    NOT_IPV4 = 9
    NOT_OURS = 10
    OPTIONS = 11
    MARTIAN = 12
    LOCAL = 13
    TTL = 14
    UNREACHABLE = 15
    PROHIBITED = 16
    NO_ROUTE = 17
    TOO_BIG = 18
    NO_NEIGHBOUR = 19
    KERNEL_ONLY = 20
    TOO_MANY_ROUTERS = 21
    SHAPED = 22
    NO_PORT = 32
    SHORT = 33
    TAGGED = 34
    SPOOFED_MAC = 35
    SPOOFED_ARP = 36
    SPOOFED_SOURCE = 37
    BAD_HEADER = 38
    BAD_LENGTH = 39
    BAD_CHECKSUM = 40
    BLACKHOLE = 41
    REFUSED = 42
    LIMIT = 43

    @property
    def verdict(self) -> Verdict:
        """What the number's range says is done."""
        if self < _FIRST_PASS:
            return Verdict.FORWARD
        return Verdict.PASS if self < _FIRST_DROP else Verdict.DROP

    @property
    def words(self) -> str:
        """The reason as a person reads it."""
        return _WORDS[self]


REASONS = 64
"""Room for reasons in a port's counters."""

_FIRST_PASS = 8
_FIRST_DROP = 32
_WORDS = {
    Reason.FORWARDED: "forwarded",
    Reason.CONTINUED: "handed on to the next router of the walk",
    Reason.ARP: "ARP, which the kernel answers",
    Reason.NOT_IPV4: "not IPv4: the kernel's",
    Reason.NOT_OURS: "not addressed to the port's MAC: the kernel's",
    Reason.OPTIONS: "IP options, which the kernel judges",
    Reason.MARTIAN: "an address that is never forwarded",
    Reason.LOCAL: "for an address of the router itself",
    Reason.TTL: "its TTL ends here; the kernel says so to the sender",
    Reason.UNREACHABLE: "no route leads there; the kernel says so to the sender",
    Reason.PROHIBITED: "forbidden on this way (D16); the kernel says so to the sender",
    Reason.NO_ROUTE: "nothing in the table; the kernel's",
    Reason.TOO_BIG: "larger than the MTU; the kernel fragments it or says so to the sender",
    Reason.NO_NEIGHBOUR: "the next hop's MAC is not known yet; the kernel asks for it",
    Reason.KERNEL_ONLY: "a way that only the kernel can go",
    Reason.TOO_MANY_ROUTERS: f"more than {MAX_ROUTERS} routers in a row (D17); the kernel's",
    Reason.SHAPED: "over its limit (D4); it waits in the kernel's shaper",
    Reason.NO_PORT: "came in by a port that has no entry",
    Reason.SHORT: "cut off within its headers",
    Reason.TAGGED: "with a VLAN tag on a port that speaks none",
    Reason.SPOOFED_MAC: "from a MAC that is not the sender's own",
    Reason.SPOOFED_ARP: "ARP in the name of somebody else",
    Reason.SPOOFED_SOURCE: "from an address that is not the sender's own",
    Reason.BAD_HEADER: "a broken IPv4 header",
    Reason.BAD_LENGTH: "a length that is not the packet's",
    Reason.BAD_CHECKSUM: "a wrong header checksum",
    Reason.BLACKHOLE: "into a blackhole: its next hop is gone or suspended",
    Reason.REFUSED: "that the kernel could not send",
    Reason.LIMIT: "over its flow's limit (D4)",
}


class PortKind(StrEnum):
    """What a port leads to."""

    INSTANCE = "instance"
    SERVICE = "service"
    TRANSIT = "transit"
    LINE = "line"
    TUNNEL = "tunnel"


@dataclass(frozen=True, slots=True)
class Port:
    """One interface of a router.

    Args:
        id: its port id, from 1.
        ifindex: of its device (``names.port_ifindex``).
        name: what it leads to in the words of the configuration (``instance/ecs-1``).
        table: the table that what comes in is looked up in; 0 where only the kernel can tell.
        mac: its own; empty where it is not known (a line's is its card's), and then nothing is forwarded from it.
        source: the one address that may send from it; None: any.
        source_mac: the one MAC that may; empty: any.
        far: the port at the other end of its link, where that is a router of this host; else 0.
    """

    id: int
    ifindex: int
    namespace: str
    ifname: str
    kind: PortKind
    name: str
    table: int = 0
    mac: str = ""
    source: IPv4Address | None = None
    source_mac: str = ""
    far: int = 0


class How(IntEnum):
    """How a packet leaves by a next hop (``DP_HOW_*``)."""

    PEER = 1
    REDIRECT = 2
    LINE = 3
    TUNNEL = 4
    BLACKHOLE = 5


@dataclass(frozen=True, slots=True)
class Hop:
    """A next hop: where a packet goes next, and how it looks then.

    Args:
        port: the port id that it leaves by; 0 for a blackhole.
        ifindex: of that port's device.
        mac: of whom it is sent to; empty where that is not known yet, and on a line, where only the kernel knows it.
        source_mac: of the port itself; empty where that is not known.
        mtu: of the link, in bytes of an IP packet.
        far: the port of the router that the link leads to, where the walk goes on; 0 where it leaves our routers.
        leg: the leg that it is; 0 for one that is none.
        via: on a line, the address of whom it is sent to; None there: the destination itself. None elsewhere.
    """

    id: int
    how: How
    port: int = 0
    ifindex: int = 0
    mac: str = ""
    source_mac: str = ""
    mtu: int = 0
    far: int = 0
    leg: int = 0
    via: IPv4Address | None = None


class LegState(IntEnum):
    """What traffic may do with a leg (``DP_LEG_*``); before its first verdict it counts as up (D1).

    DOWN legs are the last resort of a group whose legs are all down (D2, ``use_all``); DROPPED ones are not even that
    (``on_all_down: drop``). GONE is what the file says: suspended, or without its other end.
    """

    UP = 0
    DOWN = 1
    GONE = 2
    DROPPED = 3

    @property
    def words(self) -> str:
        """The state as a person reads it."""
        return "down" if self is LegState.DROPPED else self.name.lower()


class GroupMode(StrEnum):
    """How a group's members share its flows (R50, R51)."""

    LOAD_BALANCE = "load_balance"
    ACTIVE_STANDBY = "active_standby"


_MODE_NUMBERS = {GroupMode.LOAD_BALANCE: 1, GroupMode.ACTIVE_STANDBY: 2}


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group.

    Args:
        hop: the id of its next hop.
        leg: its leg, whose state decides whether it is used.
        weight: its share where members share (1 to 255).
    """

    hop: int
    leg: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    """A next-hop group.

    Args:
        members: in order of preference where one of them has all the traffic.
    """

    id: int
    namespace: str
    mode: GroupMode
    members: tuple[Member, ...]

    @property
    def mode_number(self) -> int:
        """The mode in the map."""
        return _MODE_NUMBERS[self.mode]


class LeafKind(IntEnum):
    """What a route says (``DP_LEAF_*``)."""

    PASS = 1
    DROP = 2
    HOP = 3
    GROUP = 4


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a route says.

    Args:
        value: a reason for PASS and DROP, else the id of a next hop or group.
    """

    kind: LeafKind
    value: int

    @property
    def number(self) -> int:
        """The 32 bits of it in the map: kind above, value below."""
        return self.kind << _KIND_SHIFT | self.value

    @classmethod
    def of(cls, number: int) -> "Leaf | None":
        """The leaf behind 32 bits; None for 0, which is no route."""
        return cls(LeafKind(number >> _KIND_SHIFT), number & (1 << _KIND_SHIFT) - 1) if number else None


_KIND_SHIFT = 28


def stop(reason: Reason) -> Leaf:
    """The leaf that ends a packet's way here."""
    return Leaf(LeafKind.DROP if reason.verdict is Verdict.DROP else LeafKind.PASS, reason)


@dataclass(frozen=True, slots=True)
class Table:
    """The routes that one kind of port looks up.

    Args:
        id: the id book's (``names.table_number`` is the kernel's table).
        name: how the id book calls it (``vpc-a/system``).
    """

    id: int
    namespace: str
    name: str
    routes: Mapping[IPv4Network, Leaf]


@dataclass(frozen=True, slots=True)
class Learned:
    """What is on the host and nobody asks for: without it, packets go by the kernel, which knows it.

    Args:
        links: (namespace, ifname) -> MAC and MTU in bytes, of lines, which have them from their card.
    """

    links: Mapping[tuple[str, str], tuple[str, int]] = field(default_factory=dict)


class FibKind(StrEnum):
    """What routes are looked up in (``datapath.fib``)."""

    MULTIBIT = "multibit"
    LPM = "lpm"


@dataclass(frozen=True, slots=True)
class Forwarding:
    """All that the forwarder of a host knows, by id.

    Args:
        legs: leg id -> state.
        leg_names: leg id -> the router interface that it is.
        probed: legs that a prober has found up or down and stored so in the map: it is quicker than who writes this.
        limits: leg id -> what it allows; legs without a limit are not in it.
        flow_table: room for flows, where there are limits: a power of two.
        book: the id book with the numbers that next hops were given; to be remembered before anything is written.
        used: the names in it that this state uses.
        fib: what its routes are looked up in.
    """

    ports: Mapping[int, Port] = field(default_factory=dict)
    tables: Mapping[int, Table] = field(default_factory=dict)
    hops: Mapping[int, Hop] = field(default_factory=dict)
    groups: Mapping[int, Group] = field(default_factory=dict)
    legs: Mapping[int, LegState] = field(default_factory=dict)
    leg_names: Mapping[int, str] = field(default_factory=dict)
    probed: frozenset[int] = frozenset()
    limits: Mapping[int, Limit] = field(default_factory=dict)
    flow_table: int = FLOW_TABLE
    book: IdBook = field(default_factory=IdBook)
    used: frozenset[IdName] = frozenset()
    fib: FibKind = FibKind.MULTIBIT

    @property
    def routes(self) -> int:
        """How many routes there are in all tables."""
        return sum(len(table.routes) for table in self.tables.values())
