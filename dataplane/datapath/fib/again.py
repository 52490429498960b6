"""A large table made again: what is as it was the last time is neither read nor computed anew.

Pure. By numpy, and imported only where such a table is. The result is what ``wide.make`` says of the same routes; only
the time differs. A route is the same one where the very objects are: which is asked without a step of Python for each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataplane.datapath.fib import wide
from dataplane.datapath.fib.layout import UNIT_WORDS, WIDE_SLOTS
from dataplane.model.forwarding import Leaf

_MOST_PARTS = 1_024
"""Parts of a table that are made again; where more differ, all are."""
_Objects = NDArray[np.object_]
_Columns = Sequence[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Read:
    """The routes of a table as arrays, in its order.

    Args:
        prefixes: the objects that they were read from, with ``leaves``.
        starts: first addresses.
        lengths: of the prefixes, in bits.
        numbers: of the leaves (``Leaf.number``).
    """

    prefixes: _Objects
    leaves: _Objects
    starts: wide.Words
    lengths: NDArray[np.uint8]
    numbers: wide.Words

    @property
    def distinct(self) -> list[Leaf]:
        """The different leaves."""
        return [leaf for leaf in map(Leaf.of, np.unique(self.numbers).tolist()) if leaf is not None]

    @property
    def columns(self) -> _Columns:
        """What routes are compared by."""
        return self.starts, self.lengths, self.numbers


@dataclass(frozen=True, slots=True)
class Made:
    """A table, and what it was made of.

    Args:
        places: of leaves, as they were then.
    """

    read: Read
    places: Mapping[Leaf, int]
    table: wide.Wide


def read(routes: Mapping[IPv4Network, Leaf], last: Read | None) -> Read:
    """The routes of a table; the first and the last ones are not read again where they are those of last time."""
    prefixes, leaves = _objects(routes, len(routes)), _objects(routes.values(), len(routes))
    if last is None:
        return _read(prefixes, leaves)
    old, new = (_addresses(last.prefixes), _addresses(last.leaves)), (_addresses(prefixes), _addresses(leaves))
    olds, news = len(last.prefixes), len(prefixes)
    head, tail = _ends(old, new)
    if head == olds == news:
        return last
    middle = _read(prefixes[head : news - tail], leaves[head : news - tail])
    before, after = slice(head), slice(olds - tail, None)
    return Read(
        prefixes,
        leaves,
        np.concatenate([last.starts[before], middle.starts, last.starts[after]]),
        np.concatenate([last.lengths[before], middle.lengths, last.lengths[after]]),
        np.concatenate([last.numbers[before], middle.numbers, last.numbers[after]]),
    )


def make(now: Read, places: Mapping[Leaf, int], last: Made | None) -> Made:
    """The table of some routes, by way of the last one where that is near.

    Args:
        places: of all its leaves.
    """
    if last is not None and all(places.get(leaf, place) == place for leaf, place in last.places.items()):
        if now is last.read:
            return Made(now, places, last.table)
        olds, news = len(last.read.starts), len(now.starts)
        head, tail = _ends(last.read.columns, now.columns)
        is_other = _touched(last.read, slice(head, olds - tail)) | _touched(now, slice(head, news - tail))
        if np.count_nonzero(is_other) <= _MOST_PARTS:
            return Made(now, places, _exchanged(last.table, is_other, now, places))
    return Made(now, places, wide.make(_routes(now, np.ones(len(now.starts), np.bool_), places)))


def _objects(items: Iterable[object], size: int) -> _Objects:
    return np.fromiter(items, np.object_, size)


def _addresses(objects: _Objects) -> NDArray[np.uintp]:
    """Where objects are, which is what an array of them holds: of two that live, the same only for the same one."""
    return np.frombuffer(objects.tobytes(), np.uintp)


def _read(prefixes: _Objects, leaves: _Objects) -> Read:
    size = len(prefixes)
    starts = np.fromiter(map(int, map(attrgetter("network_address"), prefixes)), np.uint32, size)
    lengths = np.fromiter(map(attrgetter("prefixlen"), prefixes), np.uint8, size)
    numbers = np.fromiter(map(attrgetter("number"), leaves), np.uint32, size)
    return Read(prefixes, leaves, starts, lengths, numbers)


def _ends(old: _Columns, new: _Columns) -> tuple[int, int]:
    """How many rows two tables both begin with, and how many of the others both end with."""
    most = min(len(old[0]), len(new[0]))
    head = _alike([(one[:most], other[:most]) for one, other in zip(old, new, strict=True)])
    rest = most - head
    return head, _alike([(one[::-1][:rest], other[::-1][:rest]) for one, other in zip(old, new, strict=True)])


def _alike(columns: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> int:
    """How many rows are equal in all columns, from the beginning on."""
    differs = np.zeros(len(columns[0][0]), np.bool_)
    for one, other in columns:
        differs |= one != other
    return int(differs.argmax()) if differs.any() else len(differs)


def _touched(routes: Read, which: slice) -> NDArray[np.bool_]:
    """By number of a part, whether one of some routes is about it; a default route is about none."""
    starts, lengths = routes.starts[which], routes.lengths[which]
    found = np.zeros(WIDE_SLOTS, np.bool_)
    found[starts[lengths > 16] >> 16] = True
    is_short = (lengths > 0) & (lengths <= 16)
    for start, length in zip((starts[is_short] >> 16).tolist(), lengths[is_short].tolist(), strict=True):
        found[start : start + (1 << 16 - length)] = True
    return found


def _routes(now: Read, which: NDArray[np.bool_], places: Mapping[Leaf, int]) -> wide.Routes:
    """Some of the routes, by the places of their leaves; that of all addresses is left out."""
    which = which & (now.lengths > 0)
    starts, lengths, numbers = now.starts[which], now.lengths[which], now.numbers[which]
    known = np.unique(numbers)
    there = np.array([places[leaf] for leaf in map(Leaf.of, known.tolist()) if leaf is not None], np.uint16)
    return wide.Routes(starts, lengths, there[np.searchsorted(known, numbers)])


def _exchanged(table: wide.Wide, is_other: NDArray[np.bool_], now: Read, places: Mapping[Leaf, int]) -> wide.Wide:
    """A table with some of its parts made anew."""
    part = wide.make(_routes(now, (now.lengths <= 16) | is_other[now.starts >> 16], places))
    is_kept = ~is_other[table.parts]
    sizes = table.sizes
    words = table.words[np.repeat(is_kept, sizes * UNIT_WORDS)]
    return wide.Wide(
        np.where(is_other, part.root, table.root),
        np.concatenate([table.parts[is_kept], part.parts]),
        np.concatenate([words, part.words]),
        np.cumsum(np.concatenate([sizes[is_kept], part.sizes])),
        np.concatenate([table.heads[is_kept], part.heads]),
    )
