"""What a limit per flow costs and how much memory it takes (T11, T13): ours beside an LRU hash with a clock.

Owns ``limit_peer.c``. By BPF_PROG_TEST_RUN: no packet is sent. How exact limits are (T12) is ``accuracy.py``'s.
"""

import ctypes
import random
import re
import statistics
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataplane.datapath import flatten, libbpf, limit_maps, limiter, loader
from dataplane.datapath.forwarding_maps import Entries
from dataplane.datapath.layout import MapSpec
from dataplane.model.limit import Limit
from lab.bench import sandbox
from lab.bench.model import BenchError
from lab.bench.row import Kind, Row
from lab.child import in_child

LOOKUPS = 16
"""Packets of one run (``LIMIT_LOOKUPS``)."""
LEG = 1
POOL = 1 << 20
MILLION = 1 << 20
SIZES: tuple[tuple[int, int, float | None], ...] = (
    (1_024, 65_536, 12.0),
    (65_536, 262_144, 6.0),
    (MILLION, MILLION, None),
)
"""Flows at once, entries of both tables, and how many times cheaper than the peer a packet has to be (T11)."""
_WORDS = {1_024: "1k", 65_536: "64k", MILLION: "1M"}
_MOST_BYTES, _MOST_HARMED = 32.0, 0.01
_RATE_BITS_S = 10_000_000_000
_CAP_BITS_S = 83_333_333
_PROGRAMS = ("limit_floor", "limit_ours", "limit_peer")
_RUNS, _QUICK_RUNS = 20_000, 4_000
_PEER = "LRU hash, bpf_ktime_get_ns, token bucket"


class _Draw(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("turn", "mask", "taken", "rate", "burst"))


class _Words(ctypes.Structure):
    _fields_ = (("word", ctypes.c_uint64 * 2),)


class _Bucket(ctypes.Structure):
    _fields_ = (("tokens", ctypes.c_uint64), ("last_ns", ctypes.c_uint64))


class _Count(ctypes.Structure):
    _fields_ = (("packets", ctypes.c_uint64), ("bytes", ctypes.c_uint64))


class _Spec(loader.ProgramSpec):
    """A program that is the bench's own, around headers of the product."""

    @property
    def source(self) -> str:
        path = Path(__file__).with_name("limit_peer.c")
        return flatten.flat_text(path.read_text(encoding="utf-8"), path.name)


def _spec(flows: int) -> _Spec:
    maps = {
        **limit_maps.specs(),
        "dp_reason": MapSpec(ctypes.c_uint32, _Count),
        "limit_draw": MapSpec(ctypes.c_uint32, _Draw),
        "limit_pool": MapSpec(ctypes.c_uint32, _Words),
        "limit_lru": MapSpec(_Words, _Bucket),
    }
    defines = {
        **limit_maps.defines(flows),
        "DP_LEGS": 16,
        "DP_PORTS": 64,
        "LIMIT_POOL": POOL,
        "LIMIT_LRU": flows,
    }
    return _Spec("limits", _PROGRAMS, maps, frozenset(_PROGRAMS), defines)


@dataclass(frozen=True)
class Bench:
    """The programs, loaded, and a pool of flows."""

    fds: dict[str, int]

    def draw_from(self, flows: int) -> None:
        """Let the next runs draw from the first so many flows of the pool."""
        value = _Draw(0, flows - 1, 0, _RATE_BITS_S // 8, _RATE_BITS_S // 8 // 20)
        libbpf.update(self.fds["limit_draw"], bytes(4), bytes(value))

    def nanoseconds(self, program: str, runs: int = _RUNS) -> float:
        """What a packet takes on average."""
        run = libbpf.TestRun(self.fds[program])
        run.run(bytes(64), runs)
        return run.nanoseconds / LOOKUPS

    def bytes_per_entry(self, name: str) -> float:
        """What the kernel says that a map takes, by the flows that it has room for (Linux 6.4: all of it)."""
        fd = self.fds[name]
        told = re.search(r"^memlock:\s+(\d+)", Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii"), re.M)
        if told is None:
            raise BenchError("the kernel does not say how much memory a map takes")
        flows = int(libbpf.map_info(fd).max_entries) * (limit_maps.WAYS if name == "dp_flow" else 1)
        return round(int(told[1]) / flows, 1)  # a map has some bytes beside its entries

    def taken(self) -> int:
        """Packets that were let through since ``draw_from``."""
        value = libbpf.lookup(self.fds["limit_draw"], bytes(4), ctypes.sizeof(_Draw))
        return int(_Draw.from_buffer_copy(value or b"").taken)


@contextmanager
def loaded(flows: int, limit: Limit) -> Iterator[Bench]:
    """The programs with a table for so many flows, and a pool of random 5-tuples; all of it gone at the end."""
    chance = random.Random(11)
    with loader.tried(_spec(flows)) as fds:
        limiter.begin(fds["dp_limit_base"])
        limiter.write(fds["dp_limit"], Entries(1, struct.pack("=I", LEG), limit_maps.limit_value(limit)))
        pool = b"".join(_key(chance) for _ in range(POOL))
        keys = struct.pack(f"={POOL}I", *range(POOL))
        libbpf.update_batch(fds["limit_pool"], keys, pool, POOL)
        yield Bench(fds)


def measure_limits(rounds: int, is_quick: bool) -> list[Row]:
    """T11 and T13.

    Args:
        rounds: of each size.
        is_quick: fewer packets a round.

    Raises:
        HostError: a program cannot be compiled or loaded here.
    """
    rows, _ = in_child(lambda: (_in_sandbox(rounds, _QUICK_RUNS if is_quick else _RUNS), []))
    return rows


def _in_sandbox(rounds: int, runs: int) -> list[Row]:
    sandbox.enter()
    return [*(_cost(flows, table, target, rounds, runs) for flows, table, target in SIZES), *_memory(runs)]


def _cost(flows: int, table: int, target: float | None, rounds: int, runs: int) -> Row:
    """T11 at one size: what a packet takes, less what drawing its flow takes."""
    ours, peer, twins = [], [], []
    with loaded(table, Limit(_RATE_BITS_S, 0, limit_maps.LEAVES)) as bench:
        bench.draw_from(flows)
        for program in _PROGRAMS:
            bench.nanoseconds(program, 8 * flows // LOOKUPS + runs)
        for _ in range(rounds):
            floor, own, theirs, again, own_again = (
                bench.nanoseconds(program, runs)
                for program in ("limit_floor", "limit_ours", "limit_peer", "limit_floor", "limit_ours")
            )
            ours.append(own - floor)
            peer.append(theirs - floor)
            twins.append((own_again - again) / (own - floor))
    note = (
        f"ours {statistics.median(ours):.1f} ns, theirs {statistics.median(peer):.1f} ns a packet, less the drawing of "
        f"its flow; tables of {table:,} entries"
    )
    ratios = tuple(theirs / own for own, theirs in zip(ours, peer, strict=True))
    what = f"flow cap per packet, {flows:,} flows"
    return Row(f"T11/{_WORDS[flows]}", what, _PEER, ratios, target, note=note, twins=tuple(twins), size=float(flows))


def _memory(runs: int) -> list[Row]:
    """T13: bytes of an entry by the kernel's own account, and how many packets of a million flows found none free."""
    with loaded(MILLION, Limit(_CAP_BITS_S, 0, limit_maps.LEAVES)) as bench:
        ours, theirs = (bench.bytes_per_entry(name) for name in ("dp_flow", "limit_lru"))
        bench.draw_from(MILLION)
        for _ in range(8):
            bench.nanoseconds("limit_ours", runs)
        sent = 8 * runs * LOOKUPS
        count = limiter.counts(bench.fds["dp_limit_count"]).get(LEG, limiter.LimitCount())
    note = f"theirs {theirs:.0f} bytes, by the kernel's account of each map (fdinfo)"
    harmed = f"{sent:,} packets drawn from {MILLION:,} flows as fast as one processor can"
    return [
        Row("T13/bytes", "memory of a flow", _PEER, (ours,), _MOST_BYTES, True, "bytes", note, Kind.COUNTED),
        Row(
            "T13/harmed",
            "packets of a million flows that found no entry",
            "none",
            (count.overflow_packets / sent,),
            _MOST_HARMED,
            True,
            "of 1",
            harmed,
            Kind.COUNTED,
        ),
    ]


def _key(chance: random.Random) -> bytes:
    """A random flow of UDP, as it lies in an entry."""
    return struct.pack("=QIBBH", chance.getrandbits(64), chance.getrandbits(32), 17, 0, LEG)
