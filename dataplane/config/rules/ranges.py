"""Sets of addresses as sorted ranges: whether a prefix touches one of many, without comparing all pairs."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network


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


def overlapping_pairs(named: Iterable[tuple[str, IPv4Network]]) -> Iterator[tuple[str, str]]:
    """Pairs of names whose prefixes overlap, each prefix with the widest one that begins before it."""
    widest: tuple[str, int] | None = None
    for name, network in sorted(named, key=lambda item: (int(item[1].network_address), item[1].prefixlen)):
        first, last = bounds(network)
        if widest is not None and first <= widest[1]:
            yield widest[0], name
        if widest is None or last > widest[1]:
            widest = (name, last)
