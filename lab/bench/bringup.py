"""Bring-up: whole commands at three sizes, beside ``ip -batch`` making the same objects (performance.md, T16)."""

import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.bench import networks, sandbox
from lab.bench.bringup_tables import AT_TC, FIRST_APPLY, GOALS, Samples, tables
from lab.bench.model import BenchError, Context, Result
from lab.bench.peer_scripts import PeerScripts, require_same, write_scripts
from lab.bench.row import Kind, Row, size_word
from lab.bench.run import Run, run, wait_for_the_kernel
from lab.bench.statistics import Quartiles, paired_ratios

TITLE = "check, plan, apply and destroy at 100, 300 and 1000 instances, and with 10,000 routes"
ROUNDS, QUICK_ROUNDS = 5, 1
ROWS = {"T16": Kind.END_TO_END}

_SIZES = {100: 5, 300: 10, 1000: 20}
"""Instances, and over how many VPCs they are spread."""

_LARGEST = max(_SIZES)
_GOAL, _WITH_GOAL = 2, (100, 1000)
_MOST_S, _MOST_PLAN_S = 5, 0.3
"""T16: times `ip -batch`; seconds of 1000 instances, and of a plan of them with nothing to do."""
_VPCS, _ROUTES = 100, 10_000
_TWIN_SIZE = 300
_TWIN_PAIRS = 4
_NOTHING_TO_DO = "this host is as the files say"
_STATE = Path("/var/lib/dataplane/state.sqlite")

_NOTES = (
    "Whole commands, as a user types them, from their start to their end; medians of the rounds, and quartiles. "
    "Variants are interleaved within a round, in an order drawn from the seed. Between two of them the kernel is "
    "given the time to take namespaces down.",
    "`ip -batch`: the same objects, derived from the product's own desired state, and looked at with the product's "
    "eyes afterwards. One `ip -batch` makes all namespaces; then a shell in each sets its sysctls with `echo` and "
    "becomes the `ip -batch` for the rest. It does not check, plan, remember or verify, and apply does; only the "
    "marks of addresses are missing, for which iproute2 6.1 has no word.",
    "Writes: an apply with nothing to do is run once more under a count of netlink requests that are no questions, "
    "of files opened for writing, of mounts, of new namespaces, and of changes in the state folder.",
)


@dataclass(slots=True)
class _Bench:
    """One measurement in the making.

    Args:
        files: instances -> the network of that size; 0 is the one of many routes.
        at_tc: the largest one with the forwarder under every port.
        scripts: instances -> the peer's.
        samples: (size, what) -> seconds in each round.
        work: (size, what) -> processor seconds in each round.
        memory: (size, what) -> bytes, the most of all rounds.
        writes: size -> what an apply with nothing to do wrote, by kind.
        control: what a first apply of the smallest network wrote, counted in the same way.
    """

    context: Context
    files: dict[int, Path]
    changed: Path
    at_tc: Path
    scripts: dict[int, PeerScripts]
    samples: Samples = field(default_factory=lambda: defaultdict(list))
    work: Samples = field(default_factory=lambda: defaultdict(list))
    memory: dict[tuple[int, str], int] = field(default_factory=dict)
    writes: dict[int, dict[str, int]] = field(default_factory=dict)
    control: dict[str, int] = field(default_factory=dict)

    @classmethod
    def prepare(cls, context: Context) -> "_Bench":
        """Write networks and scripts."""
        folder = context.folder
        texts = {size: networks.peered(vpcs, size) for size, vpcs in _SIZES.items()}
        files = {size: folder / f"{size}.yaml" for size in texts}
        scripts = {}
        for size, text in texts.items():
            files[size].write_text(text)
            scripts[size] = write_scripts(text, folder / f"peer-{size}")
        files[0], changed = folder / "routes.yaml", folder / "routes-changed.yaml"
        files[0].write_text(networks.routed(_VPCS, _ROUTES))
        changed.write_text(networks.routed(_VPCS, _ROUTES, with_change=True))
        at_tc = folder / "tc.yaml"
        at_tc.write_text(networks.peered(_SIZES[_LARGEST], _LARGEST, "tc"))
        return cls(context, files, changed, at_tc, scripts)

    def command(self, *words: str | Path) -> Run:
        """One command of the product."""
        return run([sys.executable, "-m", "dataplane", *words], self.context.root)

    def timed(self, size: int, what: str, *words: str | Path) -> Run:
        """The same, kept under a name."""
        done = self.command(*words)
        self.samples[size, what].append(done.seconds)
        self.work[size, what].append(done.processor_seconds)
        self.memory[size, what] = max(self.memory.get((size, what), 0), done.peak_bytes)
        return done

    def ours(self, size: int) -> None:
        """All that the product does with one network, from an empty host to an empty host."""
        file = self.files[size]
        self.timed(size, "check", "check", file)
        self.timed(size, "plan --offline", "plan", "--offline", file)
        self.timed(size, "apply", "apply", file)
        before = _identity(_STATE)
        again = self.timed(size, "second apply", "apply", file)
        if _NOTHING_TO_DO not in again.output or _identity(_STATE) != before:
            raise BenchError(f"the second apply of {size} instances changed something: {again.output}")
        if size not in self.writes:
            self.writes[size] = self.audited(file)
        self.inside(size)
        if size == 0:
            self.timed(size, "change of one route", "apply", self.changed)
        self.timed(size, "destroy", "destroy", "--yes")
        wait_for_the_kernel()

    def with_forwarder(self) -> None:
        """The largest network with the forwarder under every port, which nothing else brings up."""
        self.timed(_LARGEST, f"apply{AT_TC}", "apply", self.at_tc)
        again = self.timed(_LARGEST, f"second apply{AT_TC}", "apply", self.at_tc)
        if _NOTHING_TO_DO not in again.output:
            raise BenchError(f"the second apply at tc changed something: {again.output}")
        self.timed(_LARGEST, f"destroy{AT_TC}", "destroy", "--yes")
        wait_for_the_kernel()

    def audited(self, file: Path) -> dict[str, int]:
        """What an apply writes, by kind."""
        done = run([sys.executable, "-m", "lab.bench.audit", "apply", file], self.context.root)
        writes: dict[str, int] = json.loads(done.output)["writes"]
        return writes

    def count_first_apply(self) -> None:
        """What the counter says of an apply that makes everything.

        Raises:
            BenchError: nothing; so it would not notice a write elsewhere, either.
        """
        self.control = self.audited(self.files[min(_SIZES)])
        if set(self.control) != {"netlink requests", "files", "mount", "unshare", "state files"}:
            raise BenchError(f"the count of writes is blind: a first apply has only {self.control}")
        self.command("destroy", "--yes")
        wait_for_the_kernel()

    def inside(self, size: int) -> None:
        """How long the product takes to plan once it is loaded, as a process that stays would."""
        done = run([sys.executable, "-m", "lab.bench.inside", self.files[size]], self.context.root)
        for what, seconds in json.loads(done.output).items():
            self.samples[size, what].append(seconds)

    def peer(self, size: int) -> None:
        """``ip -batch`` with the same network. Looked at once, whether it is the same."""
        scripts = self.scripts[size]
        is_first = not self.samples[size, "ip -batch"]
        done = run(scripts.make, self.context.root)
        self.samples[size, "ip -batch"].append(done.seconds)
        self.work[size, "ip -batch"].append(done.processor_seconds)
        if is_first:
            require_same(scripts)
        run(scripts.remove, self.context.root)
        wait_for_the_kernel()

    def twins(self) -> list[float]:
        """The same thing measured twice, in pairs: how many times longer the first took."""
        pairs: tuple[list[float], list[float]] = ([], [])
        for _ in range(_TWIN_PAIRS):
            for samples in pairs:
                samples.append(self.command("apply", self.files[_TWIN_SIZE]).seconds)
                self.command("destroy", "--yes")
                wait_for_the_kernel()
        return paired_ratios(*pairs)


def measure(context: Context) -> Result:
    """Run everything, in a sandbox that this process does not leave.

    Raises:
        BenchError: a command failed, or the peer makes another network.
    """
    sandbox.enter()
    bench = _Bench.prepare(context)
    context.say("the same apply, twice in a row")
    bench.count_first_apply()  # also the first run, which compiles and fills caches
    twins = bench.twins()
    order = random.Random(context.seed)
    for number in range(context.rounds):
        context.say(f"round {number + 1} of {context.rounds}")
        for variant in _shuffled(bench, order):
            variant()
    return _result(bench, twins)


def _shuffled(bench: _Bench, order: random.Random) -> Sequence[Callable[[], None]]:
    """Every variant of a round; a size's own and its peer's are neighbours, in any order."""
    sizes = [*_SIZES, 0]
    order.shuffle(sizes)
    variants: list[Callable[[], None]] = []
    for size in sizes:
        pair: list[Callable[[], None]] = [lambda size=size: bench.ours(size)]  # type: ignore[misc]
        if size in bench.scripts:
            pair.append(lambda size=size: bench.peer(size))  # type: ignore[misc]
        if size == _LARGEST:
            pair.append(bench.with_forwarder)
        order.shuffle(pair)
        variants += pair
    return variants


def _by_name(samples: Samples) -> dict[str, dict[str, Any]]:
    return {
        f"{size or 'routes'}/{what}": {**Quartiles.of(seconds).document(), "samples": seconds}
        for (size, what), seconds in samples.items()
    }


def _identity(file: Path) -> tuple[int, int]:
    """Differs as soon as a file was written or exchanged."""
    status = file.stat()
    return status.st_mtime_ns, status.st_ino


def _rows(bench: _Bench, twins: Sequence[float]) -> Iterator[Row]:
    """Each size beside the peer, and what the largest one may take."""
    for size in _SIZES:
        seconds = [bench.samples[size, what] for what in ("ip -batch", "apply")]
        medians = (Quartiles.of(found).median for found in reversed(seconds))
        yield Row(
            f"T16/{size_word(size)}",
            f"instances brought up, at {size:,}",
            "`ip -batch`",
            tuple(paired_ratios(*seconds)),
            _GOAL if size in _WITH_GOAL else None,
            note=" s beside ".join(f"{median:.2f}" for median in medians) + " s",
            kind=Kind.END_TO_END,
            twins=tuple(twins),
            size=size,
        )
    for word, what, most in (("apply", "apply", _MOST_S), ("plan", "plan when loaded", _MOST_PLAN_S)):
        yield Row(
            f"T16/{word}",
            f"{what}, {_LARGEST:,} instances",
            "",
            tuple(bench.samples[_LARGEST, what]),
            most,
            is_at_most=True,
            unit="s",
            kind=Kind.END_TO_END,
            twins=tuple(twins),
        )


def _result(bench: _Bench, twins: Sequence[float]) -> Result:
    ratios = {size: paired_ratios(bench.samples[size, "ip -batch"], bench.samples[size, "apply"]) for size in _SIZES}
    document = {
        "twins": [round(ratio, 4) for ratio in twins],
        "seconds": _by_name(bench.samples),
        "processor_seconds": _by_name(bench.work),
        "peak_bytes": {f"{size or 'routes'}/{what}": peak for (size, what), peak in bench.memory.items()},
        "peer_over_apply": {str(size): Quartiles.of(values).document() for size, values in ratios.items()},
        "writes_of_second_apply": {str(size or "routes"): counts for size, counts in bench.writes.items()},
        "writes_of_first_apply": bench.control,
        "goals": GOALS,
    }
    notes = (*_NOTES, f"The same apply measured twice: factor {Quartiles.of(twins).median:.2f}.")
    return Result(
        document,
        tables(bench.samples, bench.work, bench.memory, ratios, {**bench.writes, FIRST_APPLY: bench.control}),
        notes,
        list(_rows(bench, twins)),
    )
