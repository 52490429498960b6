"""Real sockets through three routers, beside Linux (performance.md, T14). The race itself is the tunnels' too (T15)."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from lab.bench import networks, sandbox, streams, worlds
from lab.bench.model import Context, Result, Table
from lab.bench.row import Kind, Row
from lab.bench.statistics import Quartiles, paired_ratios
from lab.bench.worlds import THREE, Way, World

TITLE = "a TCP stream, requests and small UDP packets through three routers"
ROUNDS, QUICK_ROUNDS = 15, 3
ROWS = {"T14": Kind.END_TO_END}

LINUX, AGAIN, TC = "Linux forwarding", "Linux, again", "dataplane, tc"
_HOOKS = {LINUX: "off", TC: "tc"}
_GOALS = {"TCP stream": 1.4, "requests": 1.5, "UDP packets": 1.6}
_UNITS = {"TCP stream": ("Gbit/s", 1e9), "requests": ("thousand/s", 1e3), "UDP packets": ("thousand/s", 1e3)}
_IDS = {"TCP stream": "stream", "requests": "requests", "UDP packets": "udp"}
_COLUMNS = ("what", "variant", "unit", "median", "times Linux", "quartiles", "best")

Samples = dict[tuple[str, str], list[float]]
"""(what, variant) -> how many in a second, in each round."""


def measure(context: Context) -> Result:
    """Every kind of traffic, in turns.

    Raises:
        BenchError: iperf3 is missing, or a network cannot be applied.
    """
    sandbox.enter()
    with ExitStack() as stack:
        found = {}
        for name, hook in _HOOKS.items():
            context.say(f"apply, for: {name}")
            text = networks.forwarding(hook, networks.prefixes(1))
            found[name] = stack.enter_context(worlds.made(text, context.root))
        samples = race(context, found, THREE)
    made = rows("T14", "through three routers, tc", samples, _GOALS)
    return Result(document(samples), [table("Sockets, through three routers", samples)], (streams.NOTE,), made)


def race(context: Context, found: Mapping[str, World], way: Way) -> Samples:
    """Measure Linux, ourselves, and Linux again, in turns, in an order drawn from the seed.

    Args:
        found: ``LINUX`` and ``TC``.
    """
    samples: Samples = defaultdict(list)
    order = random.Random(context.seed)
    for number in range(context.rounds + 1):
        context.say(f"round {number} of {context.rounds}" if number else "once for nothing")
        for what in streams.WHAT:
            names = [LINUX, TC, AGAIN] if number else [LINUX, TC]
            order.shuffle(names)
            for name in names:
                rate = streams.measure(what, found[LINUX if name == AGAIN else name], way)
                if number:
                    samples[what, name].append(rate)
    return samples


def rows(target: str, where: str, samples: Samples, goals: Mapping[str, float]) -> list[Row]:
    """A row for each kind of traffic.

    Args:
        where: the packets go, in words.
    """
    found = []
    for what, goal in goals.items():
        own, theirs, again = (samples[what, name] for name in (TC, LINUX, AGAIN))
        unit, size = _UNITS[what]
        medians = (Quartiles.of(rates).median / size for rates in (own, theirs))
        note = " beside ".join(f"{median:,.1f}" for median in medians)
        ratios, twins = tuple(paired_ratios(own, theirs)), tuple(paired_ratios(again, theirs))
        found.append(
            Row(
                f"{target}/{_IDS[what]}", f"{what} {where}", LINUX, ratios, goal,
                note=f"{note} {unit}", kind=Kind.END_TO_END, twins=twins,
            )
        )  # fmt: skip
    return found


def table(title: str, samples: Samples) -> Table:
    """Every variant."""
    lines = []
    for what in dict.fromkeys(what for what, _ in samples):
        unit, size = _UNITS[what]
        for name in (LINUX, AGAIN, TC):
            median = Quartiles.of(samples[what, name]).median / size
            lines.append((what, name, unit, f"{median:.1f}", *_ratio(samples, what, name)))
    return Table(title, _COLUMNS, lines)


def document(samples: Samples) -> dict[str, Any]:
    """The same for programs, with every sample."""
    return {
        "streams": [
            {"what": what, "variant": name, **Quartiles.of(rates).document(), "samples": rates}
            for (what, name), rates in samples.items()
        ]
    }


def _ratio(samples: Samples, what: str, name: str) -> Sequence[str]:
    if name == LINUX:
        return "1", "", ""
    ratios = paired_ratios(samples[what, name], samples[what, LINUX])
    found = Quartiles.of(ratios)
    return f"{found.median:.2f}", f"{found.low:.2f} to {found.high:.2f}", f"{max(ratios):.2f}"
