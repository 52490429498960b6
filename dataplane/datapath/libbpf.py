"""The few calls of libbpf that the product makes: pinned objects opened, maps read and written.

Owns ctypes of libbpf.so.1. Every failure becomes an OSError with the kernel's errno. Must never compile anything.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from dataplane.errors import HostError, PermissionDenied

_LIBRARY = "libbpf.so.1"


class MapInfo(ctypes.Structure):
    """The beginning of ``struct bpf_map_info``; the kernel fills in as much as it is given room for."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
    )


class _ProgramInfo(ctypes.Structure):
    """The beginning of ``struct bpf_prog_info``."""

    _fields_ = (("type", ctypes.c_uint32), ("id", ctypes.c_uint32))


@cache
def _libbpf() -> ctypes.CDLL:
    """The library, loaded at first use."""
    try:
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError as error:
        raise HostError(f"{_LIBRARY} is missing; install it (Debian: apt install libbpf1)") from error
    pointer = ctypes.c_void_p
    library.bpf_obj_get.argtypes = (ctypes.c_char_p,)
    library.bpf_map_lookup_elem.argtypes = (ctypes.c_int, pointer, pointer)
    library.bpf_map_update_elem.argtypes = (ctypes.c_int, pointer, pointer, ctypes.c_uint64)
    library.bpf_map_delete_elem.argtypes = (ctypes.c_int, pointer)
    library.bpf_map_get_next_key.argtypes = (ctypes.c_int, pointer, pointer)
    library.bpf_obj_get_info_by_fd.argtypes = (ctypes.c_int, pointer, ctypes.POINTER(ctypes.c_uint32))
    return library


def _check(result: int, what: str) -> int:
    """Pass a good result on; turn a bad one into an OSError (libbpf returns the errno, negative)."""
    if result >= 0:
        return result
    code = -result if result < -1 else ctypes.get_errno()
    if code == errno.EPERM:
        raise PermissionDenied(f"{what} is not permitted; run it with sudo")
    raise OSError(code, f"{what}: {os.strerror(code)}")


def open_pinned(path: Path) -> int:
    """Open a pinned map or program; the caller closes the descriptor."""
    return _check(_libbpf().bpf_obj_get(os.fsencode(path)), f"opening {path}")


def program_id(fd: int) -> int:
    """The kernel's number of a program, unique until the next boot."""
    info = _ProgramInfo()
    _read_info(fd, info)
    return int(info.id)


def map_info(fd: int) -> MapInfo:
    """What the kernel recorded about a map when it was made."""
    info = MapInfo()
    _read_info(fd, info)
    return info


def _read_info(fd: int, info: ctypes.Structure) -> None:
    length = ctypes.c_uint32(ctypes.sizeof(info))
    _check(_libbpf().bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(length)), "asking about a BPF object")


def lookup(fd: int, key: bytes, value_bytes: int) -> bytes | None:
    """The value of a key; None where the map has no such key.

    Args:
        value_bytes: the size of a value; of a per-CPU map, that of the values of all possible CPUs together.
    """
    buffer = ctypes.create_string_buffer(value_bytes)
    try:
        _check(_libbpf().bpf_map_lookup_elem(fd, key, buffer), "reading a BPF map")
    except FileNotFoundError:
        return None
    return buffer.raw


def update(fd: int, key: bytes, value: bytes) -> None:
    """Write the value of a key, new or not. OSError with ENOSPC or E2BIG: the map is full."""
    _check(_libbpf().bpf_map_update_elem(fd, key, value, 0), "writing a BPF map")


def delete(fd: int, key: bytes) -> None:
    """Remove a key; none is fine."""
    try:
        _check(_libbpf().bpf_map_delete_elem(fd, key), "deleting from a BPF map")
    except FileNotFoundError:
        return


def keys(fd: int, key_bytes: int) -> Iterator[bytes]:
    """Every key of a map. Delete none while this runs: the walk would begin again."""
    following = ctypes.create_string_buffer(key_bytes)
    present: bytes | None = None
    while True:
        try:
            _check(_libbpf().bpf_map_get_next_key(fd, present, following), "walking through a BPF map")
        except FileNotFoundError:
            return
        present = following.raw
        yield present


def possible_cpus() -> int:
    """How many values a per-CPU map has for one key."""
    return _check(_libbpf().libbpf_num_possible_cpus(), "counting processors")
