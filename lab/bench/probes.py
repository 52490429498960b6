"""The prober on real namespaces: what a thousand legs cost (T9), and how soon a silent cut is seen (T8).

Owns the little world of a measurement: routers with source addresses, a data centre that answers, a map of legs that is
a plain file in memory. Must run in a sandbox (``lab.bench.sandbox``): its namespaces have fixed names.
"""

import mmap
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.health.client import Prober
from dataplane.health.legs_map import STRIDE_BYTES, UP
from dataplane.health.state import NS_PER_S, Settings, State
from dataplane.health.wire import Beat, LegSpec
from dataplane.kernel import netns, probe_socket
from lab.bench.model import BenchError

LEGS_PER_ROUTER = 10
DESTINATION = "172.31.0.1"
_CENTRE = "bench-idc"
_PUMP_S = 0.05
_LOOK_S = 0.0001
_SILENCE = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
_NEIGHBOUR = "169.254.0.1"
_CENTRE_MAC, _ROUTER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"


@dataclass(frozen=True, slots=True)
class ProbeFigures:
    """What probing cost over a while.

    Args:
        processor_share: of one core, user and system time of the prober, what its packets cost the kernel included.
        probes, replies: sent and answered in that time.
        late_ns: the latest wake-up in that time.
        late_wakes: wake-ups that came more than a millisecond late, of ``wakes``.
        resident_kb: memory of the prober.
        flips: changes of verdict in that time; nobody cut anything, so each is a false one.
    """

    legs: int
    seconds: float
    processor_share: float
    probes: int
    replies: int
    late_ns: int
    late_wakes: int
    wakes: int
    resident_kb: int
    flips: int


@dataclass
class Bench:
    """A prober with legs that are answered.

    Args:
        states: the map of legs as the forwarder would read it.
        silence: the file of the data centre's ``icmp_echo_ignore_all``.
    """

    prober: Prober
    specs: list[LegSpec]
    states: mmap.mmap
    silence: int
    events: list[object] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        """Hear what the prober says for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            select.select([self.prober.fileno()], [], [], min(left, _PUMP_S))
            self.events += self.prober.pump()

    def settle(self, limit_s: float = 60.0) -> None:
        """Wait until every leg has proved itself.

        Raises:
            TimeoutError: one has not.
        """
        until = time.monotonic() + limit_s
        while sum(row.state is State.UP for row in self.prober.reports.values()) < len(self.specs):
            if time.monotonic() > until:
                raise TimeoutError(f"legs that are not up after {limit_s:.0f} s: {self.prober.failures}")
            self.run(_PUMP_S)

    def measure(self, seconds: float) -> ProbeFigures:
        """What the prober costs over a while."""
        before, began = self._mark(), time.monotonic()
        self.events.clear()
        self.run(seconds)
        after, took = self._mark(), time.monotonic() - began
        beats = [event for event in self.events if isinstance(event, Beat)]
        worked, probes, replies, wakes, late, flips = (b - a for a, b in zip(before, after, strict=True))
        return ProbeFigures(
            legs=len(self.specs),
            seconds=took,
            processor_share=worked / NS_PER_S / took,
            probes=probes,
            replies=replies,
            late_ns=max((beat.late_ns for beat in beats), default=0),
            late_wakes=late,
            wakes=wakes,
            resident_kb=_resident_kb(self.prober.pid or 0),
            flips=flips,
        )

    def cut(self, limit_s: float = 60.0) -> list[float]:
        """Let nobody answer any more, and no link say so: seconds until each leg is down in the map, then mend it.

        Raises:
            TimeoutError: a leg is still up.
        """
        down: dict[int, float] = {}
        os.pwrite(self.silence, b"1", 0)
        began = time.monotonic()
        try:
            while len(down) < len(self.specs):
                now = time.monotonic() - began
                for spec in self.specs:
                    if spec.number not in down and self.states[STRIDE_BYTES * spec.number] != UP:
                        down[spec.number] = now
                if now > limit_s:
                    raise TimeoutError(f"{len(self.specs) - len(down)} legs are still up {limit_s:.0f} s after the cut")
                time.sleep(_LOOK_S)
        finally:
            os.pwrite(self.silence, b"0", 0)
        self.run(_PUMP_S)
        return [down[spec.number] for spec in self.specs]

    def _mark(self) -> tuple[int, ...]:
        """Counters as they stand: processor time from the kernel, the rest as the prober reports it."""
        # Not the ticks of /proc/PID/stat: they are sampled by the same clock that wakes the prober.
        worked = Path(f"/proc/{self.prober.pid}/schedstat").read_text(encoding="ascii").split()[0]
        rows, beat = self.prober.reports.values(), self.prober.beat
        return (
            int(worked),
            sum(row.sent for row in rows),
            sum(row.replies for row in rows),
            beat.wakes if beat else 0,
            beat.late_wakes if beat else 0,
            sum(row.flips for row in rows),
        )


@contextmanager
def legs(count: int, settings: Settings) -> Iterator[Bench]:
    """A prober with so many legs, each from an address of its own in one of the routers (R42).

    Raises:
        DataplaneError: a socket cannot be opened.
        BenchError: the world cannot be built.
    """
    routers = -(-count // LEGS_PER_ROUTER)
    prober = Prober(probe_socket)
    try:
        for namespace, lines in _world(routers):
            _batch(lines, namespace)
        specs = [
            LegSpec(f"ri-{n}", n, _router(n // LEGS_PER_ROUTER), _source(n), DESTINATION, settings)
            for n in range(count)
        ]
        fd = os.memfd_create("dp_leg")
        os.truncate(fd, count * STRIDE_BYTES)
        states = mmap.mmap(fd, count * STRIDE_BYTES)
        prober.start()
        prober.use_map(fd, count)
        os.close(fd)
        prober.set_legs(specs)
        with netns.entered(_CENTRE):
            silence = os.open(_SILENCE, os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield Bench(prober, specs, states, silence)
        finally:
            os.close(silence)
            states.close()
    finally:
        prober.close()
        _batch([f"netns delete {name}" for name in (_CENTRE, *map(_router, range(routers)))])


def _world(routers: int) -> Iterator[tuple[str, list[str]]]:
    """Namespace by namespace what ``ip`` is told; the routers are wired as the product wires them (kernel.md, 3)."""
    yield "", [f"netns add {name}" for name in (_CENTRE, *map(_router, range(routers)))]
    centre = ["link set lo up", f"addr add {DESTINATION}/32 dev lo"]
    for n in range(routers):
        centre.append(
            f"link add up{n} address {_CENTRE_MAC} type veth peer name wire address {_ROUTER_MAC} netns {_router(n)}"
        )
        centre += [f"link set up{n} up", f"neigh add {_NEIGHBOUR} lladdr {_ROUTER_MAC} dev up{n} nud permanent"]
        centre.append(f"route add 10.{n >> 8}.{n & 255}.0/24 via {_NEIGHBOUR} dev up{n} onlink")
    yield _CENTRE, centre
    for n in range(routers):
        lines = [
            "link set lo up",
            "link set wire up",
            f"neigh add {_NEIGHBOUR} lladdr {_CENTRE_MAC} dev wire nud permanent",
        ]
        lines += [f"route add default via {_NEIGHBOUR} dev wire onlink"]
        lines += [f"addr add {_source(LEGS_PER_ROUTER * n + leg)}/32 dev lo" for leg in range(LEGS_PER_ROUTER)]
        yield _router(n), lines


def _batch(lines: list[str], namespace: str = "") -> None:
    place = ["-n", namespace] if namespace else []
    text = "".join(f"{line}\n" for line in lines).encode()
    done = subprocess.run(["ip", *place, "-batch", "-"], input=text, check=False, capture_output=True)
    if done.returncode != 0:
        raise BenchError(f"`ip -batch` failed{f' in {namespace}' if namespace else ''}: {done.stderr.decode()[-500:]}")


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def _source(number: int) -> str:
    router, leg = divmod(number, LEGS_PER_ROUTER)
    return f"10.{router >> 8}.{router & 255}.{leg + 1}"


def _router(number: int) -> str:
    return f"bench-r{number}"
