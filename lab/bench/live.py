"""Packets as fast as one processor can: a generator inside the kernel, receivers that count what arrives.

Owns ``live.c`` and the one call that lets frames loose (BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18). Knows no network.
"""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from dataplane.datapath import libbpf, loader
from dataplane.datapath.layout import MapSpec
from lab.bench.model import BenchError

TTL = 64
"""Of every frame that the generator writes."""
FRAME_BYTES = 60
"""On a wire the checksum makes it 64."""
TARGETS = 131_072

_TCX_INGRESS, _XDP = 46, 37
_XDP_DROP, _XDP_PASS = 1, 2
_LIVE_FRAMES = 2
_BATCH = 64
_FIRST_PORT = 1_000_000
_NANOSECONDS = 1e9


class _Job(ctypes.Structure):
    """``struct live_job``."""

    _fields_ = (
        ("macs", ctypes.c_uint8 * 12),
        ("action", ctypes.c_uint8),
        ("is_call", ctypes.c_uint8),
        ("zero", ctypes.c_uint16),
        ("source", ctypes.c_uint32),
        ("mask", ctypes.c_uint32),
    )


class _LiveSpec(loader.ProgramSpec):
    """A program that is the bench's own, and so lies here and not in ``ebpf/``."""

    @property
    def source(self) -> str:
        return Path(__file__).with_name("live.c").read_text(encoding="utf-8")


_SPEC = _LiveSpec(
    "live",
    ("live_generate", "live_receive_xdp", "live_receive_tc", "live_fib"),
    {
        "live_jobs": MapSpec(ctypes.c_uint32, _Job),
        "live_targets": MapSpec(ctypes.c_uint32, ctypes.c_uint32),
        "live_seed": MapSpec(ctypes.c_uint32, ctypes.c_uint32),
        "live_received": MapSpec(ctypes.c_uint32, ctypes.c_uint64),
        "live_next": MapSpec(ctypes.c_int, ctypes.c_uint32),
        "live_tx": MapSpec(ctypes.c_int, ctypes.c_int),
    },
    frozenset({"live_generate", "live_receive_xdp", "live_fib"}),
)


@dataclass(frozen=True, slots=True)
class Start:
    """Where frames begin their way.

    Args:
        ifindex: the device that they seem to have come in by, in the thread's namespace.
        macs: destination and source, as six bytes each.
        source: the address, in wire order.
        program: that decides on them at once, as XDP in a driver would; None: they go into the stack of the kernel.
    """

    ifindex: int
    macs: bytes
    source: bytes
    program: int | None


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of frames.

    Args:
        seconds: on the clock.
        processor_seconds: that the processor was at it, here and in its own thread for such work (ksoftirqd); not
            those in which others had it.
        delivered: the share of the frames that a receiver saw with the right TTL.
    """

    seconds: float
    processor_seconds: float
    delivered: float


@dataclass(frozen=True)
class Live:
    """The programs and maps of ``live.c``, loaded."""

    fds: dict[str, int]

    @property
    def fib(self) -> int:
        """xdp-forward's algorithm."""
        return self.fds["live_fib"]

    def aim(self, targets: bytes) -> None:
        """The destinations to draw from.

        Args:
            targets: addresses in wire order, a power of two of them.
        """
        count = len(targets) // 4
        keys = b"".join(number.to_bytes(4, "little") for number in range(count))
        libbpf.update_batch(self.fds["live_targets"], keys, targets, count)

    def send(self, start: Start, count: int, targets: int, routers: int) -> Sent:
        """Let frames loose on the processor that the thread is pinned to.

        Args:
            targets: how many of those that it is aimed at to use; a power of two.
            routers: that take one off the TTL of each.
        """
        before = self._received(TTL - routers)
        seconds, work = self._let_loose(start, count, targets, _XDP_PASS)
        return Sent(seconds, work, (self._received(TTL - routers) - before) / count)

    def drop(self, start: Start, count: int, targets: int) -> Sent:
        """The same frames, dropped as soon as they are written: what the generator alone costs."""
        seconds, work = self._let_loose(replace(start, program=None), count, targets, _XDP_DROP)
        return Sent(seconds, work, 1.0)

    def _let_loose(self, start: Start, count: int, targets: int, action: int) -> tuple[float, float]:
        """Seconds on the clock, and of the processor."""
        macs = (ctypes.c_uint8 * 12)(*start.macs)
        source = int.from_bytes(start.source, "little")
        job = _Job(macs, action, start.program is not None, 0, source, targets - 1)
        libbpf.update(self.fds["live_jobs"], bytes(4), bytes(job))
        if start.program is not None:
            libbpf.update(self.fds["live_next"], bytes(4), start.program.to_bytes(4, "little"))
        worked, began = _processor_seconds(), time.perf_counter()
        self._run(start.ifindex, count)
        return time.perf_counter() - began, _processor_seconds() - worked

    def _run(self, ifindex: int, count: int) -> None:
        context = b"".join(number.to_bytes(4, "little") for number in (0, FRAME_BYTES, 0, ifindex, 0, 0))
        frame, start = ctypes.create_string_buffer(FRAME_BYTES), ctypes.create_string_buffer(context, len(context))
        options = libbpf.TestRunOptions(
            size=ctypes.sizeof(libbpf.TestRunOptions),
            data_in=ctypes.addressof(frame),
            data_size_in=FRAME_BYTES,
            ctx_in=ctypes.addressof(start),
            ctx_size_in=len(context),
            repeat=count,
            flags=_LIVE_FRAMES,
            batch_size=_BATCH,
        )
        result = libbpf.library().bpf_prog_test_run_opts(self.fds["live_generate"], ctypes.byref(options))
        if result < 0:
            raise BenchError(
                f"the kernel lets no frames loose ({os.strerror(-result)}); it has to be Linux 5.18 or later"
            )

    def _received(self, ttl: int) -> int:
        data = libbpf.lookup(self.fds["live_received"], ttl.to_bytes(4, "little"), 8 * libbpf.possible_cpus()) or b""
        return sum(memoryview(data).cast("Q"))

    def receive(self, ifindex: int, *, is_xdp: bool) -> int:
        """Count and drop our frames at a device of the thread's namespace; the caller closes the link."""
        return attach(self.fds["live_receive_xdp" if is_xdp else "live_receive_tc"], ifindex, is_xdp=is_xdp)

    def let_fib_send(self, ifindex: int) -> None:
        """Let xdp-forward's algorithm send to a device of the thread's namespace."""
        libbpf.update(self.fds["live_tx"], (ifindex - _FIRST_PORT).to_bytes(4, "little"), ifindex.to_bytes(4, "little"))


def attach(program: int, ifindex: int, *, is_xdp: bool) -> int:
    """Attach a program to a device of the thread's namespace, for as long as the descriptor that is returned is open.

    Raises:
        BenchError: something is there already, or the kernel has no tcx (Linux 6.6).
    """
    link: int = libbpf.library().bpf_link_create(program, ifindex, _XDP if is_xdp else _TCX_INGRESS, None)
    if link < 0:
        code = -link if link < -1 else ctypes.get_errno()
        raise BenchError(f"a program cannot be attached to device {ifindex}: {os.strerror(code)}")
    return link


def _processor_seconds() -> float:
    """Of this thread, and of the processor's own thread for what is left of packets."""
    (processor,) = os.sched_getaffinity(0)
    ran = int(_thread_of(processor).read_text(encoding="ascii").split()[0])
    return time.thread_time() + ran / _NANOSECONDS


@cache
def _thread_of(processor: int) -> Path:
    """Where the kernel says how long it ran.

    Raises:
        BenchError: this process does not see it.
    """
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if comm.read_text(encoding="utf-8", errors="replace").strip() == f"ksoftirqd/{processor}":
                return comm.with_name("schedstat")
    raise BenchError(f"no ksoftirqd/{processor} to be seen, whose time counts; run it in the host's process namespace")


@contextmanager
def loaded() -> Iterator[Live]:
    """The programs with maps of their own, gone at the end.

    Raises:
        HostError: they cannot be compiled or loaded here.
    """
    with ExitStack() as stack:
        yield Live(stack.enter_context(loader.tried(_SPEC)))
