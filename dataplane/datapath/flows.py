"""The flow table of limits as memory: which flows there are, what they have sent, how far they are over their limit.

Owns how ``dp_flow`` is read. It asks the kernel for nothing: whoever reads sees what the programs write at that moment.
Must never write there.
"""

import mmap
import os
import re
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from dataplane.datapath import forwarder, libbpf, limiter
from dataplane.datapath.limit_maps import WAYS
from dataplane.model.limit import BURST_NS

_ENTRY = struct.Struct(">IIHHBB")
_LEG = struct.Struct("=H")
_TIMES = struct.Struct("=QQ")
_BYTES = 32
_LEG_AT, _TIMES_AT = 14, 16
_TIMER_LIST = Path("/proc/timer_list")


@dataclass(frozen=True, slots=True)
class Flow:
    """One entry: a 5-tuple as it was sent, by a leg.

    Args:
        sport: 0 for fragments and protocols without ports, of which the three other fields are the flow (D4);
            likewise ``dport``.
        leg: the leg's number.
        bytes: of IP packets that were let through since the entry was taken.
        tat_ns: until when it has spent its rate, by the clock of ``Flows.now_ns``.
        leaf: of its leg's shaper, that its packets wait in, from 1; 0: they do not wait.
    """

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    sport: int
    dport: int
    leg: int
    bytes: int
    tat_ns: int
    leaf: int

    def is_throttled(self, now_ns: int) -> bool:
        """Whether it is beyond its burst, or waits."""
        return bool(self.leaf and self.tat_ns > now_ns) or self.tat_ns > now_ns + BURST_NS


class Flows:
    """The mapped table; ``opened`` makes and closes it.

    Args:
        memory: the table.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._offset_ns: int | None = None

    @property
    def room(self) -> int:
        """How many flows it has room for."""
        return len(self._memory) // _BYTES

    def snapshot(self) -> bytes:
        """All of it, as it is at this moment: 32 bytes for each entry (``flow_table.TableBytes`` reads them)."""
        return self._memory[:]

    def __iter__(self) -> Iterator[Flow]:
        """Each entry that a flow has had; those whose time has come are others' to take, and still tell their bytes."""
        data = self.snapshot()
        empty = bytes(_BYTES)
        for at in range(0, len(data), _BYTES):
            if data[at : at + _BYTES] == empty:
                continue
            source, destination, sport, dport, protocol, leaf = _ENTRY.unpack_from(data, at)
            (leg,) = _LEG.unpack_from(data, at + _LEG_AT)
            tat_ns, sent = _TIMES.unpack_from(data, at + _TIMES_AT)
            yield Flow(IPv4Address(source), IPv4Address(destination), protocol, sport, dport, leg, sent, tat_ns, leaf)

    def now_ns(self) -> int:
        """The clock that ``tat_ns`` is of: the kernel's ticks, to a tick.

        It goes as the monotonic clock does, from another beginning; that is asked for once (``/proc/timer_list``).
        """
        if self._offset_ns is None:
            self._offset_ns = _jiffies() * limiter.tick_ns() - time.monotonic_ns()
        return time.monotonic_ns() + self._offset_ns


@contextmanager
def opened() -> Iterator[Flows | None]:
    """The flow table of the present network namespace; None where no forwarder is loaded, or no leg has a limit.

    It stays good when maps are replaced, and then nobody writes there any more: open it again after each apply.

    Raises:
        PermissionDenied: the caller may not open BPF objects.
    """
    with forwarder.adopted() as present:
        fd = os.dup(present.flows_fd) if present is not None and present.flows_fd is not None else None
    if fd is None:
        yield None
        return
    try:
        size = int(libbpf.map_info(fd).max_entries) * WAYS * _BYTES
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as memory:
            yield Flows(memory)
    finally:
        os.close(fd)


def _jiffies() -> int:
    """The kernel's tick count."""
    found = re.search(r"^jiffies: (\d+)", _TIMER_LIST.read_text(encoding="ascii"), re.M)
    if found is None:
        raise OSError(f"{_TIMER_LIST} tells no jiffies on this {sys.platform} kernel")
    return int(found[1])
