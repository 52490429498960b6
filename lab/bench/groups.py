"""The groups of measurements, and which target's rows each has.

A new one is a line in ``GROUPS``: a module with ``TITLE``, ``ROUNDS``, ``QUICK_ROUNDS``, ``ROWS`` and ``measure``, or
where a function makes rows, ``"fib": Plain("lookups and loading", {"T4": Kind.KERNEL}, fib.measure_fib)``.
"""

from collections.abc import Iterable, Mapping, Sequence

from lab.bench import agent, bringup, failover, flip, forwarding, legs, sockets, tunnels
from lab.bench.model import Group
from lab.bench.row import rank

GROUPS: Mapping[str, Group] = {
    "forwarding": forwarding,
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
