"""The tables of the group ``bringup``. Pure: samples in, rows out."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from lab.bench.model import Table
from lab.bench.statistics import Quartiles, per_added

Samples = dict[tuple[int, str], list[float]]
"""(instances, what) -> seconds in each round; 0 instances stand for the network of many routes."""

GOALS: Mapping[str, float] = {"check": 1, "plan --offline": 2, "apply": 10, "second apply": 1.5, "destroy": 10}
"""Seconds that a whole command may take with 1000 instances."""

AT_TC = " at tc"
"""Ends the name of what was done with the forwarder under every port; all else is without it."""

_PARTS = ("plan when loaded, offline", "plan when loaded")
_COMMANDS = (*GOALS, *(f"{what}{AT_TC}" for what in ("apply", "second apply", "destroy")), *_PARTS)
_ROUTE_COMMANDS = ("check", "plan --offline", "apply", "second apply", "change of one route", "destroy")
_ROUTES = 0

FIRST_APPLY = -1
"""Among the counts of writes: those of an apply that makes everything."""

_MEGABYTE = 1 << 20


def tables(
    samples: Samples,
    work: Samples,
    memory: Mapping[tuple[int, str], int],
    ratios: Mapping[int, Sequence[float]],
    writes: Mapping[int, Mapping[str, int]],
) -> list[Table]:
    """All tables.

    Args:
        samples: of every round.
        work: the same in processor seconds, which grow with the work alone and not with what others do meanwhile.
        memory: the most resident bytes of a command.
        ratios: instances -> how many times longer the peer took, by rounds.
        writes: instances -> what a second apply wrote; ``FIRST_APPLY`` -> what a first one wrote.
    """
    sizes = sorted(ratios)
    return [
        Table(
            f"{sizes[-1]:,} instances in 20 VPCs",
            ("command", "seconds", "quartiles", "goal", "peak MB"),
            list(_commands(sizes[-1], samples, memory)),
        ),
        Table(
            "Growth: processor seconds, and milliseconds of them for each instance more",
            ("command", *(f"{size:,}" for size in sizes), *_steps(sizes)),
            [_growth(what, sizes, work) for what in (*GOALS, "ip -batch")],
        ),
        Table(
            "apply beside ip -batch",
            ("instances", "ip -batch", "apply", "times faster", "quartiles"),
            [_beside(size, samples, ratios[size]) for size in sizes],
        ),
        Table(
            "100 VPCs with 10,000 routes",
            ("command", "seconds", "quartiles", "peak MB"),
            [(what, *_time(samples[_ROUTES, what]), _megabytes(memory[_ROUTES, what])) for what in _ROUTE_COMMANDS],
        ),
        Table(
            "Writes of an apply with nothing to do",
            ("network", "writes"),
            [(_network(size), f"{sum(writes[size].values()):,}") for size in sorted(writes)],
        ),
    ]


def _commands(
    size: int, samples: Samples, memory: Mapping[tuple[int, str], int]
) -> Iterator[tuple[str, str, str, str, str]]:
    for what in _COMMANDS:
        most = GOALS.get(what.removesuffix(AT_TC))
        goal = f"< {most:g}" if most is not None else ""
        peak = _megabytes(memory[size, what]) if (size, what) in memory else ""
        seconds, quartiles = _time(samples[size, what])
        yield what, seconds, quartiles, goal, peak


def _growth(what: str, sizes: Sequence[int], work: Samples) -> tuple[str, ...]:
    medians = [(size, Quartiles.of(work[size, what]).median) for size in sizes]
    steps = [f"{1000 * per_added(few, many):.2f}" for few, many in pairwise(medians)]
    return (what, *(f"{seconds:.2f}" for _, seconds in medians), *steps)


def _steps(sizes: Sequence[int]) -> list[str]:
    return [f"{few:,} to {many:,}" for few, many in pairwise(sizes)]


def _beside(size: int, samples: Samples, ratios: Sequence[float]) -> tuple[str, ...]:
    peer, ours = (Quartiles.of(samples[size, what]).median for what in ("ip -batch", "apply"))
    ratio = Quartiles.of(ratios)
    return (f"{size:,}", f"{peer:.2f}", f"{ours:.2f}", f"{ratio.median:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}")


def _time(seconds: Sequence[float]) -> tuple[str, str]:
    found = Quartiles.of(seconds)
    return f"{found.median:.2f}", f"{found.low:.2f} to {found.high:.2f}"


def _megabytes(count: int) -> str:
    return f"{count / _MEGABYTE:.0f}"


def _network(size: int) -> str:
    if size == FIRST_APPLY:
        return "for comparison: the first apply of the smallest"
    return f"{size:,} instances" if size else "10,000 routes"
