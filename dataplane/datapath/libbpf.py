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
_TEST_RUN_BYTES = 65_536
_ARRAY = 2
_BATCH_ENTRIES = 4_096
_BATCH_BYTES = 1 << 20
_RUN = 32
"""Values that are compared with zeros at once: of a port's counters, most are."""
_NAME_BYTES = 15
_LOG_BYTES = 1 << 20
_LAST_WORDS = 1200


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

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("tag", ctypes.c_uint8 * 8),
        ("lengths", ctypes.c_uint32 * 2),
        ("instructions", ctypes.c_uint64 * 2),
        ("load_time", ctypes.c_uint64),
        ("uid", ctypes.c_uint32),
        ("map_count", ctypes.c_uint32),
        ("map_ids", ctypes.c_uint64),
        ("name", ctypes.c_char * 16),
    )


class TestRunOptions(ctypes.Structure):
    """``struct bpf_test_run_opts``."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("data_in", ctypes.c_void_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


class _MapOptions(ctypes.Structure):
    """The beginning of ``struct bpf_map_create_opts``."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("btf_fds", ctypes.c_uint32 * 4),
        ("inner_map_fd", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
    )


class _ProgramOptions(ctypes.Structure):
    """``struct bpf_prog_load_opts`` of libbpf 1.0."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("numbers", ctypes.c_uint32 * 8),
        ("fds", ctypes.c_void_p),
        ("functions", ctypes.c_void_p),
        ("function_numbers", ctypes.c_uint32 * 2),
        ("lines", ctypes.c_void_p),
        ("line_numbers", ctypes.c_uint32 * 2),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log", ctypes.c_void_p),
    )


@cache
def library() -> ctypes.CDLL:
    """The library, loaded at first use."""
    try:
        found = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError as error:
        raise HostError(f"{_LIBRARY} is missing; install it (Debian: apt install libbpf1)") from error
    pointer = ctypes.c_void_p
    found.bpf_obj_get.argtypes = (ctypes.c_char_p,)
    found.bpf_map_lookup_elem.argtypes = (ctypes.c_int, pointer, pointer)
    found.bpf_map_update_elem.argtypes = (ctypes.c_int, pointer, pointer, ctypes.c_uint64)
    found.bpf_map_delete_elem.argtypes = (ctypes.c_int, pointer)
    found.bpf_map_update_batch.argtypes = (ctypes.c_int, pointer, pointer, ctypes.POINTER(ctypes.c_uint32), pointer)
    found.bpf_prog_get_fd_by_id.argtypes = (ctypes.c_uint32,)
    found.bpf_obj_pin.argtypes = (ctypes.c_int, ctypes.c_char_p)
    found.bpf_prog_load.argtypes = (ctypes.c_int, *(ctypes.c_char_p,) * 2, pointer, ctypes.c_size_t, pointer)
    found.bpf_map_create.argtypes = (ctypes.c_int, ctypes.c_char_p, *(ctypes.c_uint32,) * 3, pointer)
    found.bpf_map_lookup_batch.argtypes = (
        ctypes.c_int,
        *(pointer,) * 4,
        ctypes.POINTER(ctypes.c_uint32),
        pointer,
    )
    found.bpf_prog_test_run_opts.argtypes = (ctypes.c_int, pointer)
    found.bpf_map_get_next_key.argtypes = (ctypes.c_int, pointer, pointer)
    found.bpf_obj_get_info_by_fd.argtypes = (ctypes.c_int, pointer, ctypes.POINTER(ctypes.c_uint32))
    return found


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
    return _check(library().bpf_obj_get(os.fsencode(path)), f"opening {path}")


def pin(fd: int, path: Path) -> None:
    """Give a map or program a name in a BPF file system, by which it outlives us."""
    _check(library().bpf_obj_pin(fd, os.fsencode(path)), f"pinning {path}")


def make_map(kind: int, name: str, key_bytes: int, value_bytes: int, entries: int, flags: int) -> int:
    """Make a map; the caller closes the descriptor."""
    options = _MapOptions(size=ctypes.sizeof(_MapOptions), map_flags=flags)
    result = library().bpf_map_create(
        kind, name.encode()[:_NAME_BYTES], key_bytes, value_bytes, entries, ctypes.byref(options)
    )
    return _check(result, f"making the BPF map {name}")


def load_program(kind: int, name: str, code: bytes) -> int:
    """Let the verifier judge bytecode; the caller closes the descriptor.

    Raises:
        PermissionDenied: CAP_BPF or CAP_NET_ADMIN is missing.
        HostError: it is refused, with the verifier's last words.
    """
    log = ctypes.create_string_buffer(_LOG_BYTES)
    # A log costs the verifier time: only one that has refused is asked again, for its reasons.
    for options in (_ProgramOptions(), _ProgramOptions(log_level=1, log_size=_LOG_BYTES, log=ctypes.addressof(log))):
        options.size = ctypes.sizeof(_ProgramOptions)
        fd = int(
            library().bpf_prog_load(
                kind, name.encode()[:_NAME_BYTES], b"GPL", code, len(code) // 8, ctypes.byref(options)
            )
        )
        if fd >= 0:
            return fd
        if fd == -errno.EPERM:
            raise PermissionDenied("loading a BPF program is not permitted; run it with sudo")
    said = log.value.decode("utf-8", "replace").strip()[-_LAST_WORDS:]
    raise HostError(f"the kernel refuses the program {name}: {os.strerror(-fd)}" + (f"\n{said}" if said else ""))


def try_map() -> None:
    """Make the smallest of maps, and let it go: an OSError says why the kernel gives us none."""
    os.close(_check(library().bpf_map_create(_ARRAY, b"dp_try", 4, 4, 1, None), "making a BPF map"))


def program_id(fd: int) -> int:
    """The kernel's number of a program, unique until the next boot."""
    info = _ProgramInfo()
    _read_info(fd, info)
    return int(info.id)


def open_program(number: int) -> int:
    """Open a program by the kernel's number; the caller closes the descriptor. FileNotFoundError: there is none."""
    return _check(library().bpf_prog_get_fd_by_id(number), "opening a BPF program")


def program_name(fd: int) -> str:
    """What a program is called in the kernel: its function."""
    info = _ProgramInfo()
    _read_info(fd, info)
    return str(info.name.decode("ascii", "replace"))


def map_info(fd: int) -> MapInfo:
    """What the kernel recorded about a map when it was made."""
    info = MapInfo()
    _read_info(fd, info)
    return info


def _read_info(fd: int, info: ctypes.Structure) -> None:
    length = ctypes.c_uint32(ctypes.sizeof(info))
    _check(library().bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(length)), "asking about a BPF object")


def lookup(fd: int, key: bytes, value_bytes: int) -> bytes | None:
    """The value of a key; None where the map has no such key.

    Args:
        value_bytes: the size of a value; of a per-CPU map, that of the values of all possible CPUs together.
    """
    buffer = ctypes.create_string_buffer(value_bytes)
    try:
        _check(library().bpf_map_lookup_elem(fd, key, buffer), "reading a BPF map")
    except FileNotFoundError:
        return None
    return buffer.raw


def update(fd: int, key: bytes, value: bytes) -> None:
    """Write the value of a key, new or not. OSError with ENOSPC or E2BIG: the map is full."""
    _check(library().bpf_map_update_elem(fd, key, value, 0), "writing a BPF map")


def update_batch(fd: int, keys: bytes, values: bytes, count: int) -> None:
    """Write many entries in one call. OSError with ENOSPC or E2BIG: the map is full, and has taken those before.

    Args:
        keys: one after the other without gaps; so ``values``.
    """
    if count:
        done = ctypes.c_uint32(count)
        result = library().bpf_map_update_batch(fd, keys, values, ctypes.byref(done), None)
        _check(result, "writing many entries of a BPF map")


def read_all(
    fd: int, key_bytes: int, value_bytes: int, *, leaves_zeros_out: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Every entry of a map, many to a call. What changes meanwhile may be there or not.

    Args:
        value_bytes: the size of a value; of a per-CPU map, that of the values of all possible CPUs together.
        leaves_zeros_out: entries whose value is nothing but zeros are not told, and cost next to nothing.
    """
    most = max(1, min(_BATCH_ENTRIES, _BATCH_BYTES // value_bytes))
    found_keys = ctypes.create_string_buffer(most * key_bytes)
    values = ctypes.create_string_buffer(most * value_bytes)
    places = [ctypes.create_string_buffer(max(key_bytes, 4)) for _ in range(2)]
    before, after = None, places[0]
    while True:
        count = ctypes.c_uint32(most)
        is_last = False
        try:
            result = library().bpf_map_lookup_batch(fd, before, after, found_keys, values, ctypes.byref(count), None)
            _check(result, "reading many entries of a BPF map")
        except FileNotFoundError:
            is_last = True
        # Only what was filled in is copied, once.
        some_keys = ctypes.string_at(found_keys, count.value * key_bytes)
        some_values = ctypes.string_at(values, count.value * value_bytes)
        wanted = _not_zero(some_values, value_bytes) if leaves_zeros_out else range(count.value)
        for number in wanted:
            key = some_keys[number * key_bytes : (number + 1) * key_bytes]
            yield key, some_values[number * value_bytes : (number + 1) * value_bytes]
        if is_last:
            return
        before, after = after, places[after is places[0]]


def _not_zero(values: bytes, value_bytes: int) -> Iterator[int]:
    """The positions of values that have a byte that is not zero. Whole runs of zeros are passed over at once."""
    run = _RUN * value_bytes
    zeros = bytes(run)
    for begin in range(0, len(values), run):
        part = values[begin : begin + run]
        if part == zeros[: len(part)]:
            continue
        for at in range(0, len(part), value_bytes):
            if any(part[at : at + value_bytes]):
                yield (begin + at) // value_bytes


def delete(fd: int, key: bytes) -> None:
    """Remove a key; none is fine."""
    try:
        _check(library().bpf_map_delete_elem(fd, key), "deleting from a BPF map")
    except FileNotFoundError:
        return


def keys(fd: int, key_bytes: int) -> Iterator[bytes]:
    """Every key of a map. Delete none while this runs: the walk would begin again."""
    following = ctypes.create_string_buffer(key_bytes)
    present: bytes | None = None
    while True:
        try:
            _check(library().bpf_map_get_next_key(fd, present, following), "walking through a BPF map")
        except FileNotFoundError:
            return
        present = following.raw
        yield present


class TestRun:
    """A program that is run on made frames (``BPF_PROG_TEST_RUN``): nothing is sent, whatever it says.

    Args:
        fd: of the program; it must stay open.
        context: what the program gets beside the frame, in the kernel's own struct; empty for what that sets by itself.
    """

    def __init__(self, fd: int, context: bytes = b"") -> None:
        self._fd = fd
        self._out = ctypes.create_string_buffer(_TEST_RUN_BYTES)
        self._context = ctypes.create_string_buffer(context, len(context)) if context else None
        self._options = TestRunOptions(size=ctypes.sizeof(TestRunOptions), data_out=ctypes.addressof(self._out))
        if self._context is not None:
            self._options.ctx_in = ctypes.addressof(self._context)
            self._options.ctx_size_in = len(context)

    def run(self, frame: bytes, repeat: int = 1) -> tuple[int, bytes]:
        """Run it.

        Returns:
            What the program returned, and the frame as it is then.

        Raises:
            OSError: the kernel takes no such frame (shorter than an Ethernet header, or longer than it can make).
        """
        options = self._options
        options.data_in = ctypes.cast(ctypes.c_char_p(frame), ctypes.c_void_p)
        options.data_size_in, options.data_size_out, options.repeat = len(frame), _TEST_RUN_BYTES, repeat
        _check(library().bpf_prog_test_run_opts(self._fd, ctypes.byref(options)), "running a BPF program on a frame")
        return options.retval, ctypes.string_at(self._out, options.data_size_out)

    @property
    def nanoseconds(self) -> int:
        """What a run of the last call took on average."""
        return int(self._options.duration)


def possible_cpus() -> int:
    """How many values a per-CPU map has for one key."""
    return _check(library().libbpf_num_possible_cpus(), "counting processors")
