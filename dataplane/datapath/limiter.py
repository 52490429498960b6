"""The limiter's maps in the kernel: what they begin with, limits changed under traffic, and its counters.

Owns the clock that the programs measure by. Must never decide what a limit is.
"""

import mmap
import os
import time
from dataclasses import dataclass

from dataplane.datapath import libbpf
from dataplane.datapath.forwarding_maps import Entries
from dataplane.datapath.limit_maps import BASE, COUNTS, LIMIT

_COARSE = getattr(time, "CLOCK_MONOTONIC_COARSE", 6)
"""Linux's number of the clock that goes by ticks; its resolution is one tick, 1/HZ s."""
_KEY = bytes(4)


@dataclass(frozen=True, slots=True)
class LimitCount:
    """What became of packets beyond the limits of a leg; bytes are of IP packets.

    Args:
        delayed_packets: that waited in the leg's shaper; likewise bytes.
        dropped_packets: that were no TCP, or more than a flow's queue holds; likewise bytes.
        overflow_packets: of flows that found no entry and shared one bucket (D4).
        shared_packets: that met a flow of others in their leaf.
    """

    delayed_packets: int = 0
    delayed_bytes: int = 0
    dropped_packets: int = 0
    dropped_bytes: int = 0
    overflow_packets: int = 0
    shared_packets: int = 0


def tick_ns() -> int:
    """How long a tick of this kernel is, in ns: what the programs' clock (``bpf_jiffies64``) counts."""
    return round(time.clock_getres(_COARSE) * 10**9)


def begin(fd: int) -> None:
    """Fill ``dp_limit_base``: a seed that nobody else knows, and the length of a tick."""
    libbpf.update(fd, _KEY, BASE.pack(int.from_bytes(os.urandom(8), "little"), tick_ns()))


def write(fd: int, entries: Entries) -> None:
    """Store limits under traffic, number by number: what a system call copies could be read half-way.

    Args:
        fd: of ``dp_limit``.
    """
    if not entries.count:
        return
    size = int(libbpf.map_info(fd).max_entries) * LIMIT.size
    with mmap.mmap(fd, size) as memory, memoryview(memory) as seen, seen.cast("Q") as words:
        keys = memoryview(entries.keys).cast("I")
        values = memoryview(entries.values).cast("Q")
        each = LIMIT.size // 8
        for number, leg in enumerate(keys):
            for word in range(each):
                words[leg * each + word] = values[number * each + word]


def counts(fd: int) -> dict[int, LimitCount]:
    """Leg -> what its limits did, over all CPUs; only legs where they did anything.

    Args:
        fd: of ``dp_limit_count``.
    """
    found = {}
    for key, data in libbpf.read_all(fd, 4, COUNTS * 8 * libbpf.possible_cpus()):
        if any(data):
            values = memoryview(data).cast("Q")
            sums = (sum(values[place::COUNTS]) for place in range(COUNTS))
            found[int.from_bytes(key, "little")] = LimitCount(*sums)
    return found
