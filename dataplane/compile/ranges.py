"""Sets of IPv4 addresses as disjoint ranges in ascending order, which is what a packet filter can look up."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

_LAST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of addresses.

    Args:
        spans: first and last address of each range, as numbers; neither overlapping nor adjacent.
    """

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, networks: Iterable[IPv4Network]) -> "Ranges":
        """The addresses of some networks."""
        return _merged((int(network[0]), int(network[-1])) for network in networks)

    def __or__(self, other: "Ranges") -> "Ranges":
        return _merged((*self.spans, *other.spans))

    def __invert__(self) -> "Ranges":
        """All other addresses."""
        gaps: list[tuple[int, int]] = []
        following = 0
        for first, last in self.spans:
            if first > following:
                gaps.append((following, first - 1))
            following = last + 1
        return Ranges((*gaps, (following, _LAST)) if following <= _LAST else tuple(gaps))

    def __and__(self, other: "Ranges") -> "Ranges":
        return ~(~self | ~other)

    def addresses(self) -> Iterable[tuple[IPv4Address, IPv4Address]]:
        """First and last address of each range."""
        return [(IPv4Address(first), IPv4Address(last)) for first, last in self.spans]


NO_ADDRESS = Ranges(())
ANY_ADDRESS = ~NO_ADDRESS


def _merged(spans: Iterable[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return Ranges(tuple(merged))
