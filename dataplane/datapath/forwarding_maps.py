"""The forwarder's state as bytes: what lies where in the maps of ``ebpf/datapath.c``, and how large they have to be.

Owns the mirror of the C's structs; the loader compares it with bcc's view and with what the kernel recorded. Pure: it
writes nothing.
"""

import ctypes
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from dataplane.datapath import limit_maps
from dataplane.datapath.fib.change import leaves_of, words_of
from dataplane.datapath.fib.layout import BLOCK_WORDS, LEAVES, WORD_BYTES, Room
from dataplane.datapath.layout import MapSpec
from dataplane.datapath.loader import ProgramSpec
from dataplane.model.buckets import bucket_orders
from dataplane.model.forwarding import (
    BUCKETS,
    MAX_ROUTERS,
    REASONS,
    FibKind,
    Forwarding,
    Group,
    Hop,
    Leaf,
    Port,
)

TC = "dp_tc"
XDP = "dp_xdp"

PORT_PRESENT, PORT_CHECK_MAC, PORT_CHECK_SOURCE, PORT_TX = 1, 2, 4, 8

BPF_F_MMAPABLE = 1 << 10

_u8, _u16, _u32, _u64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
_Address = _u8 * 4
_Mac = _u8 * 6
_TABLE_BITS = 32
_NOBODY = b"\xff"
"""Ends a bucket's list of members."""
_FIB_KEY = struct.Struct("=II4s")
_U32 = struct.Struct("=I")


class _Count(ctypes.Structure):
    _fields_ = (("packets", _u64), ("bytes", _u64))


class _Port(ctypes.Structure):
    _fields_ = (("table", _u32), ("source", _Address), ("mac", _Mac), ("source_mac", _Mac), ("flags", _u32))


class _Key(ctypes.Structure):
    _fields_ = (("prefixlen", _u32), ("table", _u32), ("address", _Address))


class _Hop(ctypes.Structure):
    _fields_ = (
        ("port", _u32),
        ("ifindex", _u32),
        ("far", _u32),
        ("leg", _u32),
        ("mtu", _u16),
        ("how", _u16),
        ("to", _Mac),
        ("source_mac", _Mac),
    )


class _LineAnswer(ctypes.Structure):
    _fields_ = (("jiffy", _u64), ("port", _u32), ("via", _Address), ("is_known", _u32), ("zero", _u32))


class _Member(ctypes.Structure):
    _fields_ = (("nexthop", _u32), ("leg", _u32))


class TraceStep(ctypes.Structure):
    """``struct dp_trace_step``: one router of a traced run."""

    _fields_ = (
        ("port", _u32),
        ("table", _u32),
        ("leaf", _u32),
        ("group", _u32),
        ("bucket", _u32),
        ("nexthop", _u32),
    )


class Trace(ctypes.Structure):
    """``struct dp_trace``: in, the port; out, what the program decided."""

    _fields_ = (
        ("port", _u32),
        ("reason", _u32),
        ("routers", _u32),
        ("out", _u32),
        ("ifindex", _u32),
        ("how", _u32),
        ("step", TraceStep * MAX_ROUTERS),
        ("now", _u64),
        ("leaf", _u32),
        ("zero", _u32),
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the maps are: entries, and members of a group.

    Args:
        ports: one more than the highest port id; likewise for hops, groups and legs.
        routes: of all tables together; no matter where ``fib`` is given.
        members: of the largest group.
        flows: that the table of limits has room for; 0: nothing of limits is compiled in.
        fib: the room of a multibit FIB; None: an LPM trie.
        has_groups: whether the program knows groups; their maps are there either way.
    """

    ports: int
    routes: int
    hops: int
    groups: int
    legs: int
    members: int
    flows: int = 0
    fib: Room | None = None
    has_groups: bool = True

    @classmethod
    def of(cls, state: Forwarding) -> "Sizes":
        """Room for a state, in powers of two, so that not every small change of the network is another program."""
        return cls(
            _room(max(state.ports, default=0) + 1, 64),
            _room(state.routes, 1024) if state.fib is FibKind.LPM else 0,
            _room(max(state.hops, default=0) + 1, 64),
            _room(max(state.groups, default=0) + 1, 16),
            _room(max(state.legs, default=0) + 1, 16),
            _room(max((len(group.members) for group in state.groups.values()), default=0), 4),
            _room(state.flow_table, limit_maps.WAYS) if state.limits else 0,
            _fib_room(state) if state.fib is FibKind.MULTIBIT else None,
            bool(state.groups),
        )

    @property
    def defines(self) -> dict[str, int]:
        """As the C wants them."""
        return {
            "DP_PORTS": self.ports,
            **self._fib_defines,
            "DP_NEXTHOPS": self.hops,
            "DP_GROUPS": self.groups,
            "DP_LEGS": self.legs,
            "DP_MEMBERS": self.members,
            **limit_maps.defines(self.flows),
        }

    @property
    def features(self) -> dict[str, int]:
        """Likewise what makes another program for the same maps."""
        return {"DP_HAS_GROUPS": 1} if self.has_groups else {}

    @property
    def _fib_defines(self) -> dict[str, int]:
        if self.fib is None:
            return {"DP_FIB_LPM": 1, "DP_ROUTES": self.routes}
        return {
            "DP_FIB_WORDS": self.fib.block_words,
            "DP_FIB_WORDS_SHIFT": self.fib.block_words.bit_length() - 1,
            "DP_FIB_BLOCKS": self.fib.words // self.fib.block_words,
            "DP_TABLES": self.fib.tables,
            "DP_LEAVES": self.fib.leaves,
        }


def _room(needed: int, least: int) -> int:
    return max(least, 1 << (needed - 1).bit_length() if needed > 1 else 1)


def _fib_room(state: Forwarding) -> Room:
    """Room for the tables of a state and for what is written beside them when they change."""
    words, leaves = words_of(state.tables), len(leaves_of(state.tables))
    return Room(
        # Of a large table, only parts are exchanged; who wants another one altogether gets new maps.
        _room(2 * words, 1 << 12) if 2 * words <= BLOCK_WORDS else _eighths(words + words // 4),
        _room(max(state.tables, default=0) + 1, 64),
        min(_room(2 * leaves + 1, 256), LEAVES),
    )


def _eighths(words: int) -> int:
    """The next number of whole blocks that is a power of two and some eighths of it."""
    step = max(BLOCK_WORDS, 1 << words.bit_length() - 4)
    return -(-words // step) * step


def spec(sizes: Sizes, *, is_traced: bool = False) -> ProgramSpec:
    """The forwarder for maps of some size.

    Args:
        is_traced: it tells what it decided, router by router, and sends nothing (``simulate.py``).
    """

    class _Group(ctypes.Structure):
        _fields_ = (
            ("members", _u32),
            ("mode", _u32),
            ("member", _Member * sizes.members),
            ("order", _u8 * (BUCKETS * sizes.members)),
        )

    maps = {
        "dp_port": MapSpec(_u32, _Port),
        **_fib_maps(sizes.fib),
        "dp_nexthop": MapSpec(_u32, _Hop),
        "dp_group": MapSpec(_u32, _u32),
        "dp_group_slot": MapSpec(_u32, _Group),
        "dp_leg": MapSpec(_u32, _u8, BPF_F_MMAPABLE),
        "dp_leg_count": MapSpec(_u32, _Count),
        "dp_reason": MapSpec(_u32, _Count),
        "dp_tx": MapSpec(_u32, _u32),
        "dp_line": MapSpec(_u32, _LineAnswer),
        **(limit_maps.specs() if sizes.flows else {}),
    }
    defines = sizes.defines
    if is_traced:
        maps["dp_trace"] = MapSpec(_u32, Trace)
        defines = {**defines, "DP_TRACE": 1}
    return ProgramSpec("datapath", (TC, XDP), maps, frozenset({XDP}), defines, sizes.features)


def _fib_maps(room: Room | None) -> dict[str, MapSpec]:
    if room is None:
        return {"dp_fib": MapSpec(_Key, _u32)}

    block_words = room.block_words

    class _Block(ctypes.Structure):
        _fields_ = (("words", ctypes.c_char * (WORD_BYTES * block_words)),)

    return {
        "dp_fib": MapSpec(_u32, _Block, BPF_F_MMAPABLE),
        "dp_fib_table": MapSpec(_u32, _u64, BPF_F_MMAPABLE),
        "dp_fib_leaf": MapSpec(_u32, _u32, BPF_F_MMAPABLE),
    }


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of a map: keys and values, each one after the other without gaps."""

    count: int
    keys: bytes
    values: bytes


def entries(state: Forwarding, sizes: Sizes) -> Mapping[str, Entries]:
    """A state as map entries, in the order in which they may be written: referents before references.

    What no entry names stays zero, which every lookup takes for absent. A multibit FIB is no matter of entries.
    """
    limits = {"dp_limit": _join((_number(leg), value) for leg, value in limit_maps.limit_rows(state.limits))}
    return {
        **(limits if sizes.flows else {}),
        "dp_leg": _join((_number(leg), bytes([value])) for leg, value in state.legs.items()),
        "dp_nexthop": _join((_number(hop.id), bytes(_hop(hop))) for hop in state.hops.values()),
        "dp_group_slot": _join((_number(group.id), _group(group, sizes.members)) for group in state.groups.values()),
        # A slot is never overwritten; in maps that begin empty, each group has the one of its own number.
        "dp_group": _join((_number(group), _number(group)) for group in state.groups),
        "dp_fib": _join(
            (fib_key(table.id, prefix), leaf_value(leaf))
            for table in (state.tables.values() if sizes.fib is None else ())
            for prefix, leaf in table.routes.items()
        ),
        "dp_port": _join((_number(port.id), bytes(_port(port))) for port in state.ports.values()),
    }


def fib_key(table: int, prefix: IPv4Network) -> bytes:
    """The key of a route: the table's 32 bits belong to the prefix."""
    return _FIB_KEY.pack(_TABLE_BITS + prefix.prefixlen, table, prefix.network_address.packed)


def leaf_value(leaf: Leaf) -> bytes:
    """The value of a route."""
    return _U32.pack(leaf.number)


def reason_index(port: int, reason: int) -> int:
    """Where a port's counter of a reason is in ``dp_reason``."""
    return port * REASONS + reason


def mac_bytes(mac: str) -> bytes:
    """A MAC as it lies in a frame; zeros where there is none."""
    return bytes.fromhex(mac.replace(":", "")) if mac else bytes(6)


def _port(port: Port) -> _Port:
    flags = PORT_PRESENT | PORT_TX
    flags |= PORT_CHECK_MAC if port.source_mac else 0
    flags |= PORT_CHECK_SOURCE if port.source is not None else 0
    source = port.source.packed if port.source is not None else bytes(4)
    macs = (_Mac(*mac_bytes(mac)) for mac in (port.mac, port.source_mac))
    return _Port(port.table, _Address(*source), *macs, flags)


def _hop(hop: Hop) -> _Hop:
    to = mac_bytes(hop.mac) if hop.via is None else hop.via.packed + bytes(2)
    return _Hop(hop.port, hop.ifindex, hop.far, hop.leg, hop.mtu, hop.how, _Mac(*to), _Mac(*mac_bytes(hop.source_mac)))


def _group(group: Group, room: int) -> bytes:
    members = b"".join(bytes(_Member(member.hop, member.leg)) for member in group.members)
    orders = b"".join(bytes(order).ljust(room, _NOBODY) for order in bucket_orders(group))
    head = _number(len(group.members)) + _number(group.mode_number)
    return head + members.ljust(room * ctypes.sizeof(_Member), b"\0") + orders


def _number(value: int) -> bytes:
    return _U32.pack(value)


def _join(pairs: Iterable[tuple[bytes, bytes]]) -> Entries:
    listed = list(pairs)
    return Entries(len(listed), b"".join(key for key, _ in listed), b"".join(value for _, value in listed))
