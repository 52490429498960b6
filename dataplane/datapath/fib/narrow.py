"""The extent of a table of up to a few thousand routes: nodes for 8 bits each, and lists of ranges. Plain Python.

Pure. A larger table is made by ``wide.py``; both say the same about every address.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from dataplane.datapath.fib import layout
from dataplane.datapath.fib.layout import MOST_RANGES, NODE_SLOTS, UNIT_WORDS

Route = tuple[int, int, int]
"""First address, length of the prefix, leaf."""


def make(routes: Iterable[Route]) -> "array[int]":
    """The words of the extent: a unit that says how many units it has, the root, and all below it.

    Args:
        routes: with different prefixes, longer than 0 bits.
    """
    starts, leaves = ranges(routes)
    maker = _Maker(starts, leaves)
    maker.node(0, len(starts), 0, 24)
    maker.words[0] = len(maker.words) // UNIT_WORDS
    return maker.words


def ranges(routes: Iterable[Route]) -> tuple[list[int], list[int]]:
    """The address space as ranges that have one leaf each: first addresses, in order, and leaves."""
    starts, leaves = [0], [0]
    open_: list[tuple[int, int]] = [(1 << 32, 0)]  # end and leaf of the prefixes that we are in

    def begin(at: int, leaf: int) -> None:
        if starts[-1] == at:
            starts.pop()
            leaves.pop()
        if not leaves or leaves[-1] != leaf:
            starts.append(at)
            leaves.append(leaf)

    for start, length, leaf in sorted(routes):
        while open_[-1][0] <= start:
            end, _ = open_.pop()
            begin(end, open_[-1][1])
        begin(start, leaf)
        open_.append((start + (1 << 32 - length), leaf))
    while len(open_) > 1:
        end, _ = open_.pop()
        if end < 1 << 32:
            begin(end, open_[-1][1])
    return starts, leaves


class _Maker:
    """One table at work.

    Args:
        starts: of the ranges, with ``leaves``.
    """

    def __init__(self, starts: Sequence[int], leaves: Sequence[int]) -> None:
        self._starts, self._leaves = starts, leaves
        self._lists: dict[bytes, int] = {}
        self.words = array("I", bytes(UNIT_WORDS * layout.WORD_BYTES))

    def node(self, first: int, last: int, start: int, shift: int) -> int:
        """Write the node of a part of the address space, and what is below it.

        Args:
            first: the range that the part begins in; ``last`` is the one after those that begin in it.
            start: its first address.
            shift: bits below those that the node is about.

        Returns:
            Its place, counted from the root.
        """
        at = len(self.words)
        self.words.extend([self._leaves[first]] * NODE_SLOTS)
        here, number = first, 0
        while here + 1 < last:
            # The part of a slot in which the next range begins.
            following = self._starts[here + 1]
            begun = (following - start) >> shift
            self._fill(at, number, begun, self._leaves[here])
            begin, end = start + (begun << shift), start + (begun + 1 << shift)
            inside = bisect_left(self._starts, end, here + 1, last)
            if following == begin:
                here += 1
            self.words[at + begun] = self._slot(here, inside, begin, shift)
            here, number = inside - 1, begun + 1
        self._fill(at, number, NODE_SLOTS, self._leaves[here])
        return at // UNIT_WORDS - 1

    def _fill(self, at: int, number: int, end: int, leaf: int) -> None:
        for place in range(at + number, at + end):
            self.words[place] = leaf

    def _slot(self, first: int, last: int, start: int, shift: int) -> int:
        """What leads to the ranges of a part."""
        if last - first == 1:
            return layout.leaf_slot(self._leaves[first])
        if shift > 16 or (last - first > MOST_RANGES and shift > 8):
            return layout.node_slot(self.node(first, last, start, shift - 8))
        return self._list(first, last, start)

    def _list(self, first: int, last: int, start: int) -> int:
        words = array("I", [(start & 0xFFFF) << 16 | self._leaves[first]])
        words.extend((self._starts[number] & 0xFFFF) << 16 | self._leaves[number] for number in range(first + 1, last))
        words.extend([words[-1]] * (-len(words) % UNIT_WORDS))
        content = words.tobytes()
        if content not in self._lists:
            self._lists[content] = len(self.words) // UNIT_WORDS - 1
            self.words.extend(words)
        return layout.ranges_slot(self._lists[content], len(words) // UNIT_WORDS)
