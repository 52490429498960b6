"""The groups of measurements, and which target's rows each has.

A new one is a line in ``GROUPS``: a module with ``TITLE``, ``ROUNDS``, ``QUICK_ROUNDS``, ``ROWS`` and ``measure``, or
where a function makes rows, ``"fib": Plain("lookups and loading", {"T4": Kind.KERNEL}, fib.measure_fib)``.
"""

from collections.abc import Iterable, Mapping, Sequence

from lab.bench import accuracy, agent, bringup, failover, fib, flip, forwarding, legs, limits, sockets, tunnels
from lab.bench.model import Group, Plain
from lab.bench.row import Kind, rank

GROUPS: Mapping[str, Group] = {
    "forwarding": forwarding,
    "fib": Plain(
        "look-ups against the LPM trie, bytes per route, loading",
        {"T4": Kind.KERNEL, "T5": Kind.COUNTED, "T6": Kind.END_TO_END},
        fib.measure_fib,
        ROUNDS=9,
    ),
    "limits": Plain(
        "the flow cap per packet, and its memory",
        {"T11": Kind.KERNEL, "T13": Kind.COUNTED},
        limits.measure_limits,
    ),
    "accuracy": Plain(
        "what a capped flow gets", {"T12": Kind.END_TO_END}, accuracy.measure_accuracy, ROUNDS=5, QUICK_ROUNDS=2
    ),
    "flip": flip,
    "legs": legs,
    "sockets": sockets,
    "vxlan": tunnels,
    "bringup": bringup,
    "failover": failover,
    "agent": agent,
}


def targets(groups: Mapping[str, Group]) -> list[str]:
    """Every target that some group has rows for, in order."""
    return sorted((target for group in groups.values() for target in group.ROWS), key=rank)


def chosen(words: Sequence[str], groups: Mapping[str, Group]) -> dict[str, frozenset[str]]:
    """Group -> the targets that are wanted of it, for words that are names of groups or of targets; none: everything.

    Raises:
        KeyError: a word is neither.
    """
    wanted: set[str] = set()
    known = {target.lower(): target for target in targets(groups)}
    for word in words or groups:
        wanted |= set(groups[word].ROWS) if word in groups else {known[word.lower()]}
    found = {name: frozenset(wanted.intersection(group.ROWS)) for name, group in groups.items()}
    return {name: rows for name, rows in found.items() if rows}


def lines(groups: Mapping[str, Group]) -> Iterable[str]:
    """A line on each group, for the help."""
    for name, group in groups.items():
        yield f"  {name:10} {', '.join(group.ROWS):16} {group.TITLE}"
