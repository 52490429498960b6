"""Sets of addresses as sorted ranges: whether a prefix touches one of many, without comparing all pairs."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network
from typing import TypeVar

_Name = TypeVar("_Name")
MAX_AROUND = 66
"""Two equal prefixes, one of each of two sides, at each of the 33 lengths."""


def bounds(network: IPv4Network) -> tuple[int, int]:
    """The first and the last address of a prefix as numbers."""
    first = int(network.network_address)
    return first, first + network.num_addresses - 1


class Ranges:
    """The union of some prefixes."""

    def __init__(self, networks: Iterable[IPv4Network]) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in sorted(map(bounds, networks)):
            if self._last and first <= self._last[-1]:
                self._last[-1] = max(self._last[-1], last)
            else:
                self._first.append(first)
                self._last.append(last)

    def touches(self, network: IPv4Network) -> bool:
        """Whether a prefix has an address in common with one of ours."""
        first, last = bounds(network)
        index = bisect_right(self._first, last) - 1
        return index >= 0 and self._last[index] >= first

    def cover(self, network: IPv4Network) -> bool:
        """Whether a prefix is one of ours, or a part of one."""
        first, last = bounds(network)
        index = bisect_right(self._first, first) - 1
        return index >= 0 and self._last[index] >= last


def overlapping_pairs(named: Iterable[tuple[str, IPv4Network]]) -> Iterator[tuple[str, str]]:
    """Pairs of names whose prefixes overlap, each prefix with the widest one that begins before it."""
    widest: tuple[str, int] | None = None
    for name, network in sorted(named, key=lambda item: (int(item[1].network_address), item[1].prefixlen)):
        first, last = bounds(network)
        if widest is not None and first <= widest[1]:
            yield widest[0], name
        if widest is None or last > widest[1]:
            widest = (name, last)


def nested(named: Iterable[tuple[_Name, IPv4Network]]) -> Iterator[tuple[_Name, tuple[_Name, ...]]]:
    """Each name with the names of the prefixes around its own, the widest first; an equal one counts as around.

    Different prefixes are 33 deep at most. Where equal ones pile up higher than ``MAX_AROUND``, an error of its own
    in every list that we have, the rest of the pile is left out: hostile files must not cost the square of their size.
    """
    around: list[tuple[_Name, int]] = []
    for name, network in sorted(named, key=lambda item: (int(item[1].network_address), item[1].prefixlen)):
        first, last = bounds(network)
        while around and around[-1][1] < first:
            around.pop()
        yield name, tuple(outer for outer, _ in around)
        if len(around) < MAX_AROUND:
            around.append((name, last))
