"""The stand-in for 8021q (``ebpf/vlan.c``): its programs and its maps, in Python's words.

Owns the mirror of the C's structs and reasons. Must never attach anything: that is the kernel driver's.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from dataplane.datapath import libbpf, loader
from dataplane.datapath.layout import MapSpec
from dataplane.errors import HostError

POP = "vlan_pop"
"""For the ingress of a parent."""
PUSH = "vlan_push"
"""For the ingress of a far end."""
GUARD = "vlan_guard"
"""For the egress of a far end."""


class Reason(IntEnum):
    """Why a frame went where it went: counter index, metric label and text in one (``enum dp_vlan_reason``)."""

    DELIVERED = 0
    PUSHED = 1
    UNTAGGED = 2
    UNKNOWN = 3
    DOUBLE_TAG = 4
    NO_LINK = 5
    REFUSED = 6
    HOSTS_OWN = 7

    @property
    def is_drop(self) -> bool:
        """Whether the frame went nowhere."""
        return self >= Reason.UNKNOWN

    @property
    def words(self) -> str:
        """The reason as a person reads it."""
        return _WORDS[self]


_WORDS = {
    Reason.DELIVERED: "delivered",
    Reason.PUSHED: "sent with a tag",
    Reason.UNTAGGED: "untagged, the host's own",
    Reason.UNKNOWN: "of a VLAN that no VBR has",
    Reason.DOUBLE_TAG: "with two tags",
    Reason.NO_LINK: "of a link that is gone",
    Reason.REFUSED: "that the kernel could not rewrite",
    Reason.HOSTS_OWN: "that the host itself sent",
}


class _Line(ctypes.Structure):
    """``struct dp_vlan_key`` and ``struct dp_vlan_line``: a VLAN on a parent."""

    _fields_ = (("parent", ctypes.c_uint32), ("vlan", ctypes.c_uint16), ("zero", ctypes.c_uint16))


SPEC = loader.ProgramSpec(
    "vlan",
    (POP, PUSH, GUARD),
    {
        "dp_vlan": MapSpec(_Line, ctypes.c_uint32),
        "dp_vlan_far": MapSpec(ctypes.c_uint32, _Line),
        "dp_vlan_reason": MapSpec(ctypes.c_uint32, ctypes.c_uint64),
    },
)


@dataclass(frozen=True, slots=True)
class Line:
    """A VLAN on a parent.

    Args:
        parent: its ifindex in the host's namespace.
        vlan: the VLAN id.
    """

    parent: int
    vlan: int

    def pack(self) -> bytes:
        return bytes(_Line(self.parent, self.vlan, 0))

    @classmethod
    def unpack(cls, data: bytes) -> "Line":
        found = _Line.from_buffer_copy(data)
        return cls(found.parent, found.vlan)


class VlanProgram:
    """The pinned programs and maps, opened; ``opened`` closes them."""

    def __init__(self, fds: Mapping[str, int]) -> None:
        self._fds = fds

    def program(self, name: str) -> int:
        """The descriptor of a program (``POP``, ``PUSH``, ``GUARD``), good for as long as this is open."""
        return self._fds[name]

    def program_id(self, name: str) -> int:
        """The kernel's number of a program."""
        return libbpf.program_id(self._fds[name])

    def lines(self) -> dict[int, Line]:
        """Where each far end's frames go: far ifindex -> line, of parent 0 where the way back does not lead to it."""
        found = {}
        for key, value in self._entries("dp_vlan_far", 4, ctypes.sizeof(_Line)):
            far = int.from_bytes(key, sys.byteorder)
            line = Line.unpack(value)
            back = libbpf.lookup(self._fds["dp_vlan"], line.pack(), 4)
            found[far] = line if back == key else Line(0, line.vlan)
        return found

    def enter(self, far: int, line: Line) -> None:
        """Connect a far end with a line, both ways; entries of that far end for other lines go first.

        Raises:
            HostError: a map is full (4096 lines).
        """
        self._forget_ways_to(far, keep=line)
        try:
            libbpf.update(self._fds["dp_vlan"], line.pack(), _u32(far))
            libbpf.update(self._fds["dp_vlan_far"], _u32(far), line.pack())
        except OSError as error:
            if error.errno not in (errno.E2BIG, errno.ENOSPC):
                raise
            raise HostError("the maps of the VLAN stand-in hold 4096 links at most; spread them over hosts") from error

    def forget(self, far: int) -> None:
        """Take a far end out of both maps; absent is fine. First the way in, so that nothing arrives half way."""
        self._forget_ways_to(far, keep=None)
        libbpf.delete(self._fds["dp_vlan_far"], _u32(far))

    def _forget_ways_to(self, far: int, keep: Line | None) -> None:
        kept = keep.pack() if keep is not None else None
        ways = [key for key, value in self._entries("dp_vlan", ctypes.sizeof(_Line), 4) if value == _u32(far)]
        for key in ways:
            if key != kept:
                libbpf.delete(self._fds["dp_vlan"], key)

    def counters(self) -> dict[Reason, int]:
        """Frames by reason since the program was loaded, over all CPUs."""
        cpus = libbpf.possible_cpus()
        counted = {}
        for reason in Reason:
            values = libbpf.lookup(self._fds["dp_vlan_reason"], _u32(reason), 8 * cpus) or b""
            counted[reason] = sum(memoryview(values).cast("Q"))
        return counted

    def _entries(self, name: str, key_bytes: int, value_bytes: int) -> Iterator[tuple[bytes, bytes]]:
        for key in list(libbpf.keys(self._fds[name], key_bytes)):
            value = libbpf.lookup(self._fds[name], key, value_bytes)
            if value is not None:
                yield key, value


def _u32(value: int) -> bytes:
    return bytes(ctypes.c_uint32(value))


@contextmanager
def opened(folder: Path) -> Iterator[VlanProgram]:
    """The program pinned in a folder, its descriptors closed at the end.

    Raises:
        OSError: a pin is missing.
    """
    fds: dict[str, int] = {}
    try:
        for name in (*SPEC.programs, *SPEC.maps):
            fds[name] = libbpf.open_pinned(folder / name)
        yield VlanProgram(fds)
    finally:
        for fd in fds.values():
            os.close(fd)


@contextmanager
def adopted() -> Iterator[VlanProgram | None]:
    """The program of the present network namespace as it stands; None where it is not loaded. Changes nothing."""
    if not loader.is_loaded(SPEC):
        yield None
        return
    with opened(loader.directory(SPEC)) as program:
        yield program


@contextmanager
def loaded() -> Iterator[VlanProgram]:
    """The program of the present network namespace, compiled and loaded first where it is missing.

    Raises:
        HostError: it cannot be.
    """
    with opened(loader.load(SPEC)) as program:
        yield program


def is_in_use() -> bool:
    """Whether the stand-in has been loaded here."""
    return bool(loader.pins(SPEC))


def has_pins() -> bool:
    """Whether pins are here, also those of a death half way, which ``adopted`` does not see."""
    return loader.has_pins(SPEC)


def unload() -> None:
    """Take the pins away, once no link is left."""
    loader.unload(SPEC)
