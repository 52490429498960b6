"""Whether the machine is quiet enough to begin with: the same thing measured twice, for each kind of measure.

Groups measure twins among their own rounds too; this looks before minutes are spent, and is all that there is for
measures without twins of their own.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping

from dataplane.datapath import libbpf
from lab.bench import live, sandbox
from lab.bench.row import Kind
from lab.bench.statistics import is_quiet, paired_ratios
from lab.child import in_child

_PAIRS = 9
_ATTEMPTS = 3
_PAUSE_S = 3
_RUNS = 1_000_000
_TRIPS = 10_000
_FRAME = bytes(live.FRAME_BYTES)
_PROCESSOR = 1


def look(kind: Kind, say: Callable[[str], None]) -> list[float]:
    """The same thing measured twice in pairs: the ratios of a quiet attempt, or of the last one.

    Args:
        say: takes a line where it is tried again.

    Raises:
        HostError: a program cannot be loaded here.
    """
    twins: list[float] = []
    if kind.value is None:
        return twins
    for attempt in range(_ATTEMPTS):
        if attempt:
            say(f"noisy ({kind.name.lower()}): the same thing measured twice differs; again in {_PAUSE_S} s")
            time.sleep(_PAUSE_S)
        twins, _ = in_child(lambda: (_TWINS[kind](), []))
        if is_quiet(twins, kind.value):
            break
    return twins


def _pairs(measure: Callable[[], float]) -> list[float]:
    measure()  # once for nothing: caches
    found = [measure() for _ in range(2 * _PAIRS)]
    return paired_ratios(found[::2], found[1::2])


def _in_kernel() -> list[float]:
    """Nanoseconds of a small program."""
    sandbox.enter()
    _pin()
    with live.loaded() as programs:
        run = libbpf.TestRun(programs.fds["live_receive_xdp"])

        def once() -> float:
            run.run(_FRAME, _RUNS)
            return max(run.nanoseconds, 1)

        return _pairs(once)


def _end_to_end() -> list[float]:
    """Seconds of two processes that talk."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            ours.close()
            while theirs.recv(1):
                theirs.send(b"+")
        finally:
            os._exit(0)
    theirs.close()
    try:
        with ours:

            def once() -> float:
                began = time.perf_counter()
                for _ in range(_TRIPS):
                    ours.send(b"+")
                    ours.recv(1)
                return time.perf_counter() - began

            return _pairs(once)
    finally:
        os.waitpid(child, 0)


def _pin() -> None:
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_PROCESSOR if _PROCESSOR in own else min(own)})


_TWINS: Mapping[Kind, Callable[[], list[float]]] = {Kind.KERNEL: _in_kernel, Kind.END_TO_END: _end_to_end}
