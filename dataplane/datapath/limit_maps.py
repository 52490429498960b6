"""The maps of limits as bytes (``ebpf/lib/limit.h``): what lies where, and what a limit is in them. Pure."""

import ctypes
import struct
from collections.abc import Mapping

from dataplane.datapath.layout import MapSpec
from dataplane.model.limit import Limit

WAYS = 4
"""Entries of a set, in which a flow has its place (``DP_WAYS``)."""

LEAVES = 64
"""Room for leaves of a leg (``DP_LEAVES``)."""

COST_SHIFT = 20
"""A cost is in ns for a byte, times 2 to this."""

BPF_F_MMAPABLE = 1 << 10

LIMIT = struct.Struct("=QQII")
BASE = struct.Struct("=QQ")
COUNTS = 6
"""Numbers of a leg's counter, of 8 bytes each (``struct dp_limit_count``)."""

_u8, _u16, _u32, _u64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
_NS_PER_BIT_S = 8 * 10**9


class _Limit(ctypes.Structure):
    _fields_ = (("flow", _u64), ("bandwidth", _u64), ("leaves", _u32), ("zero", _u32))


class _State(ctypes.Structure):
    _fields_ = (("tat", _u64), ("overflow", _u64), ("is_full", _u64), ("zero", _u64 * 5))


class _Base(ctypes.Structure):
    _fields_ = (("seed", _u64), ("tick_ns", _u64))


class FlowEntry(ctypes.Structure):
    """``struct dp_flow_entry``: numbers of the wire are bytes here."""

    _fields_ = (
        ("source", _u8 * 4),
        ("destination", _u8 * 4),
        ("sport", _u16),
        ("dport", _u16),
        ("protocol", _u8),
        ("leaf", _u8),
        ("leg", _u16),
        ("tat", _u64),
        ("bytes", _u64),
    )


class _Set(ctypes.Structure):
    _fields_ = (("way", FlowEntry * WAYS),)


class _Count(ctypes.Structure):
    _fields_ = (
        ("delayed_packets", _u64),
        ("delayed_bytes", _u64),
        ("dropped_packets", _u64),
        ("dropped_bytes", _u64),
        ("overflow_packets", _u64),
        ("shared_packets", _u64),
    )


def specs() -> dict[str, MapSpec]:
    """The maps."""
    return {
        "dp_limit": MapSpec(_u32, _Limit, BPF_F_MMAPABLE),
        "dp_limit_state": MapSpec(_u32, _State),
        "dp_limit_base": MapSpec(_u32, _Base),
        "dp_flow": MapSpec(_u32, _Set, BPF_F_MMAPABLE),
        "dp_leaf": MapSpec(_u32, _u64),
        "dp_limit_count": MapSpec(_u32, _Count),
    }


def defines(flows: int) -> dict[str, int]:
    """As the C wants them.

    Args:
        flows: entries of the flow table; 0: nothing of limits.
    """
    return {"DP_LIMITS": 1, "DP_FLOW_SETS": flows // WAYS} if flows else {}


def cost(bits_s: int) -> int:
    """What a byte costs at a rate, in ns times 2 ** ``COST_SHIFT``; 0 where there is no limit. At least 1 ns in 2**20.

    Args:
        bits_s: of IP packets, a second.
    """
    return max(1, (_NS_PER_BIT_S << COST_SHIFT) // bits_s) if bits_s else 0


def limit_value(limit: Limit) -> bytes:
    """A limit as it lies in ``dp_limit``."""
    return LIMIT.pack(cost(limit.flow), cost(limit.bandwidth), limit.leaves, 0)


def limit_rows(limits: Mapping[int, Limit]) -> list[tuple[int, bytes]]:
    """Leg and value of each limit."""
    return [(leg, limit_value(limit)) for leg, limit in sorted(limits.items())]
