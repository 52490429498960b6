"""The FIB alone: look-ups against the LPM trie (T4), bytes per route (T5), and loading against `ip -batch` (T6).

Both structures are the product's own (``ebpf/lib/fib.h``), compiled into a loop of 64 look-ups; the empty loop is
subtracted. By itself: ``python -m lab.bench.fib [--quick]``.
"""

import contextlib
import ctypes
import mmap
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath import libbpf, loader
from dataplane.datapath.fib import below, wide
from dataplane.datapath.fib.change import Change
from dataplane.datapath.fib.layout import BLOCK_WORDS, Room
from dataplane.datapath.fib.memory import Memory
from dataplane.datapath.fib.space import Space
from dataplane.datapath.layout import MapSpec
from dataplane.model.forwarding import Leaf, LeafKind
from lab.bench import fib_tables, sandbox
from lab.bench.row import Row
from lab.bench.statistics import Quartiles, paired_ratios

SIZES = {"1k": 1_000, "100k": 100_000, "1M": 1_000_000}
DESTINATIONS = {"256": 1 << 8, "4k": 1 << 12, "64k": 1 << 16, "1M": 1 << 20}
TARGETS = {("1M", "1M"): 10.0, ("1M", "64k"): 20.0}
LOOKUPS = 64
BYTES, LOADING = 8.0, 100.0
_PROGRAMS = ("fib_floor_chased", "fib_floor_free", "fib_chased", "fib_free")
_TABLE = 1
_KEYS = 1 << 20
_RUNS = 400
_FRAME = bytes(64)


class _Keys(ctypes.Structure):
    _fields_ = (("addresses", ctypes.c_char * (4 * _KEYS)),)


class _Run(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("at", "mask", "zero", "seen"))


class _FibSpec(loader.ProgramSpec):
    """The product's header with the bench's loop behind it."""

    @property
    def source(self) -> str:
        header = files("ebpf").joinpath("lib/fib.h").read_text(encoding="utf-8")
        loop = Path(__file__).with_name("fib.c").read_text(encoding="utf-8")
        return f"#include <uapi/linux/bpf.h>\n{header}{loop}"


@dataclass
class Loaded:
    """One structure in the kernel, with the loop."""

    fds: Mapping[str, int]

    def __post_init__(self) -> None:
        self._keys = np.frombuffer(mmap.mmap(self.fds["fib_keys"], 4 * _KEYS), np.uint32)
        self._run = np.frombuffer(mmap.mmap(self.fds["fib_runs"], mmap.PAGESIZE), np.uint32)
        self._programs = {name: libbpf.TestRun(self.fds[name]) for name in _PROGRAMS}

    def ask_for(self, addresses: NDArray[np.uint32], count: int) -> None:
        """Look some of the addresses up from now on."""
        self._keys[:] = addresses
        self._run[0], self._run[1] = 0, count - 1

    def leaves(self) -> int:
        """All answers of the next 64 look-ups together."""
        self._programs["fib_free"].run(_FRAME)
        return int(self._run[3])

    def nanoseconds(self, way: str) -> float:
        """Of one look-up without the loop's own time."""
        took = []
        for name in (f"fib_{way}", f"fib_floor_{way}"):
            self._programs[name].run(_FRAME, _RUNS)
            took.append(self._programs[name].nanoseconds / LOOKUPS)
        return max(took[0] - took[1], 0.1)


def main() -> None:
    """Print the rows."""
    for row in measure_fib(5 if "--quick" in sys.argv else 15, "--quick" in sys.argv):
        found = Quartiles.of(row.ratios)
        print(
            f"{row.id:24} {found.low:9.2f} {found.median:9.2f} {found.high:9.2f} {row.unit:6} {row.target} {row.note}"
        )


def measure_fib(rounds: int, is_quick: bool = False) -> list[Row]:
    """The rows T4, T5 and T6. This process gets a sandbox, for good.

    Args:
        is_quick: no table of a million routes.
    """
    sandbox.enter()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # which routes of `ip -batch` lead to
    rows = []
    for size, count in SIZES.items():
        if not (is_quick and size == "1M"):
            routes = fib_tables.crowded(count)
            rows += [*_lookups(size, routes, rounds), *_bytes(size, count), _loading(size, routes, min(rounds, 5))]
    return rows


@contextlib.contextmanager
def _structures(routes: wide.Routes) -> Iterator[tuple[Loaded, Loaded]]:
    """A table in both; the multibit one and the trie."""
    room = _room(routes)
    count = len(routes.starts)
    sizes = (maps.Sizes(64, 0, 64, 16, 16, 4, fib=room), maps.Sizes(64, max(1024, count), 64, 16, 16, 4))
    with contextlib.ExitStack() as stack:
        ours, trie = (Loaded(stack.enter_context(loader.tried(_spec(one)))) for one in sizes)
        _load(Memory(ours.fds), routes, room)
        keys = np.empty((count, 3), np.uint32)
        keys[:, 0], keys[:, 1], keys[:, 2] = 32 + routes.lengths, _TABLE, routes.starts.byteswap()
        values = (np.uint32(Leaf(LeafKind.HOP, 0).number) | routes.leaves).astype(np.uint32)
        libbpf.update_batch(trie.fds["dp_fib"], keys.tobytes(), values.tobytes(), count)
        yield ours, trie


def _room(routes: wide.Routes) -> Room:
    """More than any table of so many routes takes."""
    return Room((4 * len(routes.starts) // BLOCK_WORDS + 2) * BLOCK_WORDS, 64, 256)


def _spec(sizes: maps.Sizes) -> loader.ProgramSpec:
    known = {name: one for name, one in maps.spec(sizes).maps.items() if name.startswith("dp_fib")}
    known["fib_keys"] = MapSpec(ctypes.c_uint32, _Keys, maps.BPF_F_MMAPABLE)
    known["fib_runs"] = MapSpec(ctypes.c_uint32, _Run, maps.BPF_F_MMAPABLE)
    kind = "trie" if sizes.fib is None else "multibit"
    return _FibSpec(f"fib-{kind}", _PROGRAMS, known, frozenset(_PROGRAMS), sizes.defines)


def _load(memory: Memory, routes: wide.Routes, room: Room) -> None:
    """From the parsed table to a table that packets are led by; the leaves are in."""
    content, space = memory.content(), Space(room, ())
    slot, pieces, _ = below.change(wide.make(routes), 0, content, lambda: space, False)
    leaves = tuple((place, Leaf(LeafKind.HOP, place).number) for place in range(1, fib_tables.LEAVES + 1))
    memory.write(Change(leaves, tuple(pieces), (), ((_TABLE, slot),)), lambda: None)


def _lookups(size: str, routes: wide.Routes, rounds: int) -> list[Row]:
    """T4: with the next key waiting for the answer, and not."""
    rows = []
    addresses = fib_tables.destinations(routes, _KEYS)
    with _structures(routes) as (ours, trie):
        for name, count in DESTINATIONS.items():
            for one in (ours, trie):
                one.ask_for(addresses, count)
            if any(ours.leaves() != trie.leaves() for _ in range(100)):
                raise AssertionError(f"the two structures differ about a table of {size} routes")
            for way, target in (("chased", TARGETS.get((size, name))), ("free", None)):
                pairs = [(trie.nanoseconds(way), ours.nanoseconds(way)) for _ in range(rounds)]
                peer, own = ([pair[n] for pair in pairs] for n in (0, 1))
                note = f"{Quartiles.of(own).median:.1f} against {Quartiles.of(peer).median:.1f} ns"
                said = "the next key waits for the answer" if way == "chased" else "independent keys"
                rows.append(
                    Row(
                        f"T4/{size}/{name}/{way}",
                        f"look-up among {size} routes, {name} destinations, {said}",
                        "the LPM trie",
                        tuple(paired_ratios(peer, own)),
                        target,
                        note=note,
                    )
                )
    return rows


def _bytes(size: str, count: int) -> list[Row]:
    """T5: of what the table leads to; the maps have a quarter more."""
    rows = []
    for kind, routes in (("crowded", fib_tables.crowded(count)), ("anywhere", fib_tables.anywhere(count))):
        table = wide.make(routes)
        found = (table.words.nbytes + table.root.nbytes) / count
        target = BYTES if count >= 100_000 and kind == "crowded" else None
        rows.append(Row(f"T5/{size}/{kind}", f"bytes per route, {kind}", "", (found,), target, True, "bytes"))
    return rows


def _loading(size: str, routes: wide.Routes, rounds: int) -> Row:
    """T6: the same routes by `ip -batch`, into an empty table each time."""
    room = _room(routes)
    own, peer = [], []
    with (
        loader.tried(_spec(maps.Sizes(64, 0, 64, 16, 16, 4, fib=room))) as fds,
        tempfile.NamedTemporaryFile("w") as batch,
    ):
        memory = Memory(fds)
        pairs = zip(routes.starts.tolist(), routes.lengths.tolist(), strict=True)
        batch.writelines(f"route add {IPv4Address(start)}/{length} dev lo table 77\n" for start, length in pairs)
        batch.flush()
        for number in range(rounds):
            began = time.perf_counter()
            _load(memory, routes, room)
            own.append(time.perf_counter() - began)
            if number < 3:  # the peer takes many times as long
                began = time.perf_counter()
                subprocess.run(["ip", "-batch", batch.name], check=True, capture_output=True)
                peer.append(time.perf_counter() - began)
                subprocess.run(["ip", "route", "flush", "table", "77"], check=True, capture_output=True)
    note = f"{Quartiles.of(own).median * 1000:.0f} ms against {Quartiles.of(peer).median:.2f} s"
    target = LOADING if size == "1M" else None
    ratios = tuple(paired_ratios(peer, own[: len(peer)]))
    return Row(f"T6/{size}", f"{size} routes loaded and visible", "ip -batch", ratios, target, note=note)


if __name__ == "__main__":
    main()
