"""Forwarding through one router and through three, beside Linux, xdp-forward's algorithm and the ceiling (T1 to T3)."""

import os
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from lab.bench import live, networks, sandbox, worlds
from lab.bench.forwarding_tables import (
    AGAIN,
    CEILING,
    ECMP,
    FIB,
    FLOOR,
    LINUX,
    TC,
    TO_STACK,
    XDP,
    XDP_AGAIN,
    Samples,
    Scene,
    document,
    rows,
    scenes,
    tables,
)
from lab.bench.live import Live, Sent
from lab.bench.loads import Load
from lab.bench.model import BenchError, Context, Result
from lab.bench.row import Kind
from lab.bench.worlds import ONE, THREE, World

TITLE = "packets through one router and three at each hook, beside Linux and xdp-forward's algorithm"
ROUNDS, QUICK_ROUNDS = 15, 3
ROWS = {"T1": Kind.KERNEL, "T1b": Kind.KERNEL, "T2": Kind.KERNEL, "T3": Kind.KERNEL}

SIZES = (1_000, 100_000, 1_000_000)
"""Routes; those that the file does not hold are put into the same tables afterwards (``loads.py``)."""
_IN_FILE = 1_000
_PACKETS = 200_000
_LEAST_DELIVERED = 0.999
_PROCESSOR = 1
_WAYS = {ONE.routers: ONE, THREE.routers: THREE}
_HOOKS = {LINUX: "off", TC: "tc", XDP: "xdp", TO_STACK: "xdp", FIB: "off", ECMP: "xdp"}
"""Variant -> the hook that its network is applied with."""
_SAME = {AGAIN: LINUX, XDP_AGAIN: XDP, CEILING: XDP, FLOOR: XDP}
"""Variants that are measured in another one's network."""
_NEEDED = {
    "T1": (LINUX, AGAIN, TC, XDP, TO_STACK, FLOOR),
    "T1b": (LINUX, AGAIN, TC, XDP, FLOOR),
    "T2": (FIB, XDP, XDP_AGAIN, ECMP),
    "T3": (XDP, XDP_AGAIN, CEILING, FLOOR),
}
"""Target -> the variants that its rows are of, and those that are shown beside."""

_NOTES = (
    "Each variant is the same network, applied by the product in a sandbox of its own with another `datapath.hook`; "
    "they stay up and are measured in turns within a round, in an order drawn from the seed. A ratio is of one round. "
    "One processor does everything, and seconds are those in which it was at it (the thread and ksoftirqd), since what "
    "others do meanwhile is no part of it; the JSON has the clock's, too.",
    "Packets: a generator in the kernel (BPF_F_TEST_XDP_LIVE_FRAMES) writes frames of 60 bytes (64 with the checksum "
    "of a wire), all headers anew each time, UDP, TTL 64, and lets them come in at the first router's port: as XDP in "
    "a driver for the XDP variants, into the stack for the others. Through one router each goes to another address, "
    "drawn from all routes. Only packets with the right TTL that the receiving instance's device has seen count. Its "
    "cost, like the generator's, is in every figure.",
    f"Up to {_IN_FILE:,} routes are applied from a file; more are put into the same table by the product's own driver, "
    "and into the kernel's by `ip -batch`.",
    "Receivers: a program that counts and drops, at XDP where packets arrive as frames, else at tc. "
    "`xdp, into the stack`: at tc as well, so that the kernel makes a socket buffer of each, which an application "
    "would need. `xdp-forward's algorithm` is re-made (lab/bench/live.c): parse, `bpf_fib_lookup`, TTL, redirect, at "
    "every port, over the same routes of the kernel. `ceiling`: our program with a constant in the place of its "
    "look-up. `floor`: the generator's frames dropped at once. `again` is the same network measured twice.",
)


@dataclass(frozen=True, slots=True)
class _Variant:
    """What is measured: a network, and who decides on a frame at once (None: the stack gets it)."""

    world: World
    live: Live
    program: int | None


@dataclass(slots=True)
class _Bench:
    """One measurement in the making.

    Args:
        order: draws the order of variants.
        samples: packets in each second of the processor.
        on_the_clock: packets in each second, whoever had the processor.
        delivered: the least share of all rounds.
    """

    context: Context
    order: random.Random
    samples: Samples = field(default_factory=lambda: defaultdict(list))
    on_the_clock: Samples = field(default_factory=lambda: defaultdict(list))
    delivered: dict[tuple[Scene, str], float] = field(default_factory=dict)

    def size(self, routes: int) -> None:
        """All that is measured with a number of routes."""
        here = {scene: self._names(scene) for scene in scenes(SIZES) if scene.routes == routes}
        needed = {_SAME.get(name, name) for names in here.values() for name in names}
        if not needed:
            return
        destinations = networks.prefixes(routes)
        with self._variants(destinations, needed) as variants:
            targets = _targets(destinations, self.order)
            for scene, names in here.items():  # once for nothing: caches
                for name in names:
                    self._sample(scene, name, variants, targets)
            for number in range(self.context.rounds):
                self.context.say(f"{routes:,} routes, round {number + 1} of {self.context.rounds}")
                for scene, names in here.items():
                    for name in self._shuffled(names):
                        self._measure(scene, name, variants, targets)

    def _names(self, scene: Scene) -> list[str]:
        """The variants that are wanted there."""
        targets = ("T1b",) if scene.routers == THREE.routers else ("T1", "T2", "T3")
        found = {name: None for target in targets if self.context.wants(target) for name in _NEEDED[target]}
        return [name for name in found if name != TO_STACK or scene.routes == SIZES[0]]

    @contextmanager
    def _variants(self, destinations: Sequence[IPv4Network], needed: set[str]) -> Iterator[dict[str, _Variant]]:
        """The networks, up, with receivers at both ends."""
        in_file = destinations if len(destinations) <= _IN_FILE else destinations[:1]
        with ExitStack() as stack:
            found = {}
            for name, hook in _HOOKS.items():
                if name not in needed:
                    continue
                self.context.say(f"apply, {len(destinations):,} routes, for: {name}")
                more = destinations if len(destinations) > len(in_file) or name == ECMP else in_file[:1]
                is_asked = name == XDP and self.context.wants("T3")
                load = Load(in_file[0], more, name in (LINUX, FIB), name == ECMP, is_asked)
                world = stack.enter_context(worlds.made(networks.forwarding(hook, in_file), self.context.root, load))
                programs = stack.enter_context(live.loaded())
                found[name] = _Variant(world, programs, programs.fib if name == FIB else world.program)
                if (hook == "xdp") != (world.program is not None):
                    raise BenchError(f"a network applied with hook {hook} does not run at it")
                for link in _prepare(found[name], is_fib=name == FIB, is_frames=name in (XDP, FIB, ECMP)):
                    stack.callback(os.close, link)
            yield found

    def _measure(self, scene: Scene, name: str, variants: dict[str, _Variant], targets: bytes) -> None:
        sent = self._sample(scene, name, variants, targets)
        if sent.delivered < _LEAST_DELIVERED:
            raise BenchError(f"{name}, {scene}: only {sent.delivered:.1%} of the packets arrived")
        self.samples[scene, name].append(_PACKETS * sent.delivered / sent.processor_seconds)
        self.on_the_clock[scene, name].append(_PACKETS * sent.delivered / sent.seconds)
        self.delivered[scene, name] = min(sent.delivered, self.delivered.get((scene, name), 1))

    def _sample(self, scene: Scene, name: str, variants: dict[str, _Variant], targets: bytes) -> Sent:
        variant, way = variants[_SAME.get(name, name)], _WAYS[scene.routers]
        program = variant.world.ceiling if name == CEILING else variant.program
        aims = targets if scene.routers == 1 else way.destination_ip.packed
        variant.live.aim(aims)
        with _pinned(), variant.world.inside(way.router):
            start = variant.world.start(way, program)
            if name == FLOOR:
                return variant.live.drop(start, _PACKETS, len(aims) // 4)
            return variant.live.send(start, _PACKETS, len(aims) // 4, way.routers)

    def _shuffled(self, names: list[str]) -> list[str]:
        self.order.shuffle(names)
        return names


def measure(context: Context) -> Result:
    """Run everything, in sandboxes.

    Raises:
        BenchError: packets were lost, or something could not be set up.
    """
    sandbox.enter()
    bench = _Bench(context, random.Random(context.seed))
    for routes in SIZES[:1] if context.is_quick else SIZES:
        bench.size(routes)
    found = {
        **document(bench.samples, bench.delivered),
        "on_the_clock": [
            {"routers": scene.routers, "routes": scene.routes, "variant": name, "samples": rates}
            for (scene, name), rates in bench.on_the_clock.items()
        ],
        "packets": _PACKETS,
        "notes": _NOTES,
    }
    return Result(found, tables(bench.samples, bench.delivered), _NOTES, rows(bench.samples))


def _prepare(variant: _Variant, *, is_fib: bool, is_frames: bool) -> Iterator[int]:
    """Put receivers, and xdp-forward's algorithm where that is measured, in their places: the links that hold them."""
    for way in _WAYS.values():
        device = variant.world.device(way.destination)
        with variant.world.inside(way.destination):
            yield variant.live.receive(device["ifindex"], is_xdp=is_frames)
    if is_fib:
        for place, ifindex in variant.world.router_ports():
            with variant.world.inside(place):
                variant.live.let_fib_send(ifindex)
                yield live.attach(variant.live.fib, ifindex, is_xdp=True)


def _targets(destinations: Sequence[IPv4Network], chance: random.Random) -> bytes:
    """Addresses below the destinations, each of which is as likely."""
    drawn = chance.choices(destinations, k=live.TARGETS)
    return b"".join(prefix[chance.randrange(prefix.num_addresses)].packed for prefix in drawn)


@contextmanager
def _pinned() -> Iterator[None]:
    """This thread on one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_PROCESSOR if _PROCESSOR in before else min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
