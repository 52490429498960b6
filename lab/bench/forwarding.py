"""Forwarding through one router and through three, beside Linux (performance.md, T1, T1b, T10, T14)."""

import os
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from lab.bench import legs, live, networks, sandbox, streams, worlds
from lab.bench.forwarding_tables import (
    AGAIN,
    FIB,
    LINUX,
    TC,
    TO_STACK,
    XDP,
    Samples,
    Scene,
    document,
    scenes,
    tables,
)
from lab.bench.live import Live, Sent
from lab.bench.model import BenchError, Context, Result, TooNoisy
from lab.bench.statistics import END_TO_END, IN_KERNEL, Quartiles, is_quiet, paired_ratios
from lab.bench.worlds import ONE, THREE, World

TITLE = "packets through one router and three at each hook, and flows that move, beside Linux"
ROUNDS = 15

SIZES = (1_000, 75_000)
"""Routes; a table stands in one file, and a file holds 4 MB."""
_PACKETS = 200_000
_LEAST_DELIVERED = 0.999
_PROCESSOR = 1
_WAYS = {ONE.routers: ONE, THREE.routers: THREE}
_HOOKS = {LINUX: "off", TC: "tc", XDP: "xdp", TO_STACK: "xdp", FIB: "off"}
"""Variant -> the hook that its network is applied with."""

_NOTES = (
    "Each variant is the same network, applied by the product in a sandbox of its own with another `datapath.hook`; "
    "they stay up and are measured in turns within a round, in an order drawn from the seed. A ratio is of one round; "
    "shown are the median, the quartiles and the best. One processor does everything, and seconds are those in "
    "which it was at it (the thread and ksoftirqd), since what others do meanwhile is no part of it; the JSON has the "
    "clock's, too. Sockets go by the clock.",
    "Packets: a generator in the kernel (BPF_F_TEST_XDP_LIVE_FRAMES) writes frames of 60 bytes (64 with the checksum "
    "of a wire), all headers anew each time, UDP, TTL 64, and lets them come in at the first router's port: as XDP in "
    "a driver for the XDP variants, into the stack for the others. Through one router each goes to another address, "
    "drawn from all routes. Only packets with the right TTL that the receiving instance's device has seen count. Its "
    "cost, like the generator's, is in every figure.",
    "Receivers: a program that counts and drops, at XDP where packets arrive as frames, else at tc. "
    "`xdp, into the stack`: at tc as well, so that the kernel makes a socket buffer of each, which an application "
    "would need. `xdp-forward's algorithm` is re-made (lab/bench/live.c): parse, `bpf_fib_lookup`, TTL, redirect, at "
    "every port, over the same routes of the kernel. `Linux, again` is the same network measured twice.",
    streams.NOTE,
    legs.NOTE,
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
        streams: how many in a second on the clock.
    """

    context: Context
    order: random.Random
    samples: Samples = field(default_factory=lambda: defaultdict(list))
    on_the_clock: Samples = field(default_factory=lambda: defaultdict(list))
    delivered: dict[tuple[Scene, str], float] = field(default_factory=dict)
    streams: Samples = field(default_factory=lambda: defaultdict(list))

    def size(self, routes: int) -> None:
        """All that is measured with a number of routes."""
        here = [scene for scene in scenes(SIZES) if scene.routes == routes]
        destinations = networks.prefixes(routes)
        with self._variants(destinations) as variants:
            targets = _targets(destinations, self.order)
            for scene in here:  # once for nothing: caches
                for name in variants:
                    self._sample(scene, variants[name], targets)
            for number in range(self.context.rounds):
                self.context.say(f"{routes:,} routes, round {number + 1} of {self.context.rounds}")
                for scene in here:
                    for name in self._shuffled([*variants, AGAIN]):
                        self._measure(scene, name, variants[LINUX if name == AGAIN else name], targets)
                if routes == SIZES[0]:
                    self._stream(variants)

    @contextmanager
    def _variants(self, destinations: Sequence[IPv4Network]) -> Iterator[dict[str, _Variant]]:
        """The networks, up, with receivers at both ends."""
        with ExitStack() as stack:
            found = {}
            for name, hook in _HOOKS.items():
                self.context.say(f"apply, {len(destinations):,} routes, for: {name}")
                world = stack.enter_context(worlds.made(networks.forwarding(hook, destinations), self.context.root))
                programs = stack.enter_context(live.loaded())
                found[name] = _Variant(world, programs, programs.fib if name == FIB else world.program)
                if (hook == "xdp") != (world.program is not None):
                    raise BenchError(f"a network applied with hook {hook} does not run at it")
                for link in _prepare(found[name], is_fib=name == FIB, is_frames=name in (XDP, FIB)):
                    stack.callback(os.close, link)
            yield found

    def _measure(self, scene: Scene, name: str, variant: _Variant, targets: bytes) -> None:
        sent = self._sample(scene, variant, targets)
        if sent.delivered < _LEAST_DELIVERED:
            raise BenchError(f"{name}, {scene}: only {sent.delivered:.1%} of the packets arrived")
        self.samples[scene, name].append(_PACKETS * sent.delivered / sent.processor_seconds)
        self.on_the_clock[scene, name].append(_PACKETS * sent.delivered / sent.seconds)
        self.delivered[scene, name] = min(sent.delivered, self.delivered.get((scene, name), 1))

    def _sample(self, scene: Scene, variant: _Variant, targets: bytes) -> Sent:
        way = _WAYS[scene.routers]
        aims = targets if scene.routers == 1 else way.destination_ip.packed
        variant.live.aim(aims)
        with _pinned(), variant.world.inside(way.router):
            start = variant.world.start(way, variant.program)
            return variant.live.send(start, _PACKETS, len(aims) // 4, way.routers)

    def _stream(self, variants: Mapping[str, _Variant]) -> None:
        """Real sockets, through three routers."""
        for what in streams.WHAT:
            for name in self._shuffled([LINUX, TC, AGAIN]):
                world = variants[LINUX if name == AGAIN else name].world
                self.streams[what, name].append(streams.measure(what, world, THREE))

    def _shuffled(self, names: list[str]) -> list[str]:
        self.order.shuffle(names)
        return names

    def noise(self) -> list[str]:
        """Where the same thing measured twice differs too much, in words."""
        found = []
        for samples, bounds in ((self.samples, IN_KERNEL), (self.streams, END_TO_END)):
            for where in {where for where, name in samples if name == AGAIN}:
                ratios = paired_ratios(samples[where, AGAIN], samples[where, LINUX])
                if not is_quiet(ratios, bounds):
                    found.append(f"{where}: factor {Quartiles.of(ratios).median:.2f}, not within {bounds}")
        return sorted(found)


def measure(context: Context) -> Result:
    """Run everything, in sandboxes.

    Raises:
        TooNoisy: Linux measured twice differs too much.
        BenchError: packets were lost, or something could not be set up.
    """
    sandbox.enter()
    bench = _Bench(context, random.Random(context.seed))
    for routes in SIZES:
        bench.size(routes)
    context.say("flows that move")
    moved = legs.measure()
    noise = bench.noise()
    if noise and not context.is_forced:
        raise TooNoisy(
            f"the machine is too noisy to report anything: Linux forwarding, measured twice, differs ("
            f"{'; '.join(noise)}); wait until it is quiet, or say --force for a marked report"
        )
    measured = bench.samples, bench.delivered, bench.streams, moved
    found = {
        **document(*measured),
        "on_the_clock": [
            {"routers": scene.routers, "routes": scene.routes, "variant": name, "samples": rates}
            for (scene, name), rates in bench.on_the_clock.items()
        ],
        "packets": _PACKETS,
        "noise": noise,
        "notes": _NOTES,
    }
    return Result(found, tables(*measured), _NOTES, bool(noise))


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
