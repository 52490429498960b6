"""The real program on made frames: loaded with maps of its own, filled with a state, asked what it decides.

Nothing is attached and nothing is sent, so that it harms no traffic. Must never judge what comes out.
"""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath import libbpf, limiter, loader
from dataplane.datapath.fib import memory
from dataplane.model.forwarding import REASONS, Forwarding, How, Leaf, LegState, Reason, Verdict
from dataplane.model.simulation import Count, Hook, Run, Step

_VERDICTS: Mapping[str, Mapping[int, Verdict]] = {
    # TC_ACT_REDIRECT, TC_ACT_UNSPEC, TC_ACT_SHOT; XDP_REDIRECT, XDP_PASS, XDP_DROP.
    "tc": {7: Verdict.FORWARD, 0xFFFFFFFF: Verdict.PASS, 2: Verdict.DROP},
    "xdp": {4: Verdict.FORWARD, 2: Verdict.PASS, 1: Verdict.DROP},
}
_COUNT_BYTES = 16


class Simulator:
    """A loaded, traced program with the state of one network in its maps.

    Args:
        fds: of its programs and maps, by name.
        trace: the trace map, as memory.
    """

    def __init__(self, fds: Mapping[str, int], sizes: maps.Sizes, trace: mmap.mmap) -> None:
        self._fds, self._sizes = fds, sizes
        self._trace = maps.Trace.from_buffer(trace)
        self._runs = {"tc": libbpf.TestRun(fds[maps.TC]), "xdp": libbpf.TestRun(fds[maps.XDP])}

    def fill(self, state: Forwarding) -> None:
        """Write a state into the maps; entries of a state before it stay where this one has none, but for routes.

        Raises:
            OSError: a map is too small.
            NoRoomError: the FIB is.
        """
        fill(self._fds, state, self._sizes)

    @property
    def sizes(self) -> maps.Sizes:
        """Of its maps."""
        return self._sizes

    def map(self, name: str) -> int:
        """The descriptor of a map, good for as long as this is open."""
        return self._fds[name]

    def set_clock(self, now_ns: int) -> None:
        """Say what time it is for limits (D4), in ns: a run has no clock of its own."""
        self._trace.now = now_ns

    @property
    def leaf(self) -> int:
        """The leaf of its leg's shaper that the last run's packet waits in, from 1; 0: it does not."""
        return int(self._trace.leaf)

    def set_leg(self, leg: int, state: LegState) -> None:
        """Say that a leg is up, down or gone: one byte."""
        libbpf.update(self._fds["dp_leg"], leg.to_bytes(4, "little"), bytes([state]))

    def run(self, hook: Hook, port: int, frame: bytes) -> Run:
        """Let the program decide on a frame that comes in by a port.

        Raises:
            OSError: the kernel cannot make such a frame.
        """
        trace = self._trace
        trace.port = port
        code, after = self._runs[hook].run(frame)
        steps = tuple(
            Step(step.port, step.table, Leaf.of(step.leaf), step.group, step.bucket, step.nexthop)
            for step in trace.step[: trace.routers]
        )
        how = How(trace.how) if trace.how else None
        # Any other code would be an accident of the program, XDP_ABORTED above all: a KeyError is right.
        return Run(_VERDICTS[hook][code], Reason(trace.reason), after, trace.out, how, steps)

    def raw(self, hook: Hook, port: int, frame: bytes) -> tuple[int, bytes]:
        """What the program returns, in the kernel's own number, and the frame after it."""
        self._trace.port = port
        return self._runs[hook].run(frame)

    def counters(self, port: int) -> dict[Reason, Count]:
        """Frames by reason at a port, over all CPUs; port 0 stands for all that have no entry."""
        found = {reason: self._count("dp_reason", maps.reason_index(port, reason)) for reason in Reason}
        return {reason: count for reason, count in found.items() if count.packets}

    def leg_counter(self, leg: int) -> Count:
        """Frames that left by a leg, over all CPUs."""
        return self._count("dp_leg_count", leg)

    def unnamed_reasons(self, port: int) -> int:
        """Frames at a port by numbers that are no reason: always 0."""
        known = {int(reason) for reason in Reason}
        numbers = (number for number in range(REASONS) if number not in known)
        return sum(self._count("dp_reason", maps.reason_index(port, number)).packets for number in numbers)

    def _count(self, name: str, index: int) -> Count:
        size = _COUNT_BYTES * libbpf.possible_cpus()
        values = memoryview(libbpf.lookup(self._fds[name], index.to_bytes(4, "little"), size) or b"").cast("Q")
        return Count(sum(values[::2]), sum(values[1::2]))


def fill(fds: Mapping[str, int], state: Forwarding, sizes: maps.Sizes) -> None:
    """Write a state into the maps of a program that nobody else writes to.

    Args:
        fds: of its maps, by name.

    Raises:
        OSError: a map is too small.
        NoRoomError: the FIB is.
    """
    for name, entries in maps.entries(state, sizes).items():
        libbpf.update_batch(fds[name], entries.keys, entries.values, entries.count)
    if sizes.fib is not None:
        memory.fill(memory.Memory(fds), state, sizes.fib)


@contextmanager
def simulator(state: Forwarding, sizes: maps.Sizes | None = None) -> Iterator[Simulator]:
    """A program for a state, gone at the end.

    Raises:
        HostError: it cannot be compiled or loaded here.
        PermissionDenied: CAP_BPF or CAP_NET_ADMIN is missing.
    """
    room = sizes or maps.Sizes.of(state)
    with loader.tried(maps.spec(room, is_traced=True)) as fds:
        # The memory goes with the last look at it, not by a close: a failing test still holds a step of it.
        found = Simulator(fds, room, mmap.mmap(fds["dp_trace"], mmap.PAGESIZE))
        if room.flows:
            limiter.begin(fds["dp_limit_base"])
        found.fill(state)
        yield found
