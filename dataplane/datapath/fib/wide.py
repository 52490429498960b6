"""A large table: a root of 65,536 slots and, below those that need one, an extent each. By numpy, for all at once.

Pure. Imported where such a table is, and nowhere else: numpy takes 20 MB. No loop is about routes: prefixes up to 24
bits are painted length by length into cells of 256 addresses, longer ones come in as the ranges that they begin and
end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataplane.datapath.fib import layout
from dataplane.datapath.fib.layout import MOST_RANGES, NODE_SLOTS, SHORT_LEAVES, UNIT_WORDS, WIDE_SLOTS

Words = NDArray[np.uint32]
_RANGES = np.uint32(layout.ranges_slot(0, 1))
_SHORT = np.uint32(layout.short_slot(0, 1))
_NODE = np.uint32(layout.node_slot(0))
_UNITS_SHIFT = np.uint32(24)
_NODE_UNITS = 1 + NODE_SLOTS // UNIT_WORDS


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of a table, with different prefixes longer than 0 bits.

    Args:
        starts: first addresses.
        lengths: of the prefixes, in bits.
        leaves: places among the leaves.
    """

    starts: Words
    lengths: NDArray[np.uint8]
    leaves: NDArray[np.uint16]


_Lengths = Mapping[int, tuple[Words, NDArray[np.uint16]]]
"""First addresses, in order, and leaves of the routes of each length."""


@dataclass(frozen=True, slots=True)
class Wide:
    """A table as it is to lie in the memory.

    Args:
        root: the slots of all parts of 16 bits; of those with an extent, without its place.
        parts: numbers of the parts with an extent, in order.
        words: all extents, one after the other.
        ends: of the extents, in units from the beginning of the words.
        heads: units from the beginning of an extent to where its slot leads.
    """

    root: Words
    parts: NDArray[np.int64]
    words: Words
    ends: NDArray[np.int64]
    heads: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Units of the extents."""
        return np.diff(self.ends, prepend=0)


def make(routes: Routes) -> Wide:
    """The table of some routes."""
    lengths = _by_length(routes)
    root = _painted_root(lengths)
    parts, rows, cells = _painted_cells(lengths, root)
    at, leaves = _ranges(lengths, rows, cells)
    first = np.flatnonzero((at & 0xFFFF) == 0)
    counts = np.diff(first, append=len(at))
    slots = root.astype(np.uint32)
    is_one = counts == 1
    slots[parts[is_one]] = leaves[first[is_one]]
    words = (at << 16 | leaves).astype(np.uint32)  # what is above the low 16 bits of the address goes
    is_short = ~is_one & ~np.logical_or.reduceat((at & 0xFF != 0) | (leaves >= SHORT_LEAVES), first)
    is_list = ~is_one & ~is_short & (counts <= MOST_RANGES)
    is_node = ~is_one & ~is_short & ~is_list
    lists, list_units = _lists(words, first[is_list], counts[is_list])
    shorts, short_units = _lists((at & 0xFF00 | leaves).astype(np.uint16), first[is_short], counts[is_short])
    slots[parts[is_list]] = _RANGES | (list_units - 1).astype(np.uint32) << _UNITS_SHIFT
    slots[parts[is_short]] = _SHORT | (short_units - 1).astype(np.uint32) << _UNITS_SHIFT
    slots[parts[is_node]] = _NODE
    nodes = [
        _node(at[begin : begin + count], leaves[begin : begin + count])
        for begin, count in zip(first[is_node], counts[is_node], strict=True)
    ]
    node_units = np.array([len(node) // UNIT_WORDS for node in nodes], np.int64)
    sizes = np.concatenate([list_units, short_units, node_units])
    heads = np.repeat(np.array([0, 1]), [len(sizes) - len(nodes), len(nodes)])
    return Wide(
        slots,
        np.concatenate([parts[is_list], parts[is_short], parts[is_node]]),
        np.concatenate([lists, shorts, *nodes]),
        np.cumsum(sizes),
        heads,
    )


def _by_length(routes: Routes) -> _Lengths:
    """Routes sorted: neighbours are painted one after the other, which the caches like."""
    keys = routes.lengths.astype(np.uint64) << np.uint64(48) | routes.starts.astype(np.uint64) << np.uint64(16)
    keys |= routes.leaves
    keys.sort()
    ends = np.searchsorted(keys, np.arange(1, 34, dtype=np.uint64) << np.uint64(48))
    starts, leaves = (keys >> np.uint64(16)).astype(np.uint32), keys.astype(np.uint16)
    slices = {length: slice(ends[length - 1], ends[length]) for length in range(1, 33)}
    return {length: (starts[part], leaves[part]) for length, part in slices.items() if part.start < part.stop}


def _painted_root(lengths: _Lengths) -> NDArray[np.uint16]:
    """The leaf of each part of 16 bits by the prefixes that have no more."""
    root = np.zeros(WIDE_SLOTS, np.uint16)
    for length, (starts, leaves) in lengths.items():
        if length <= 16:
            root.reshape(1 << length, -1)[starts >> (32 - length)] = leaves[:, None]
    return root


def _painted_cells(
    lengths: _Lengths, root: NDArray[np.uint16]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint16]]:
    """The parts with prefixes above 16 bits, the row of each part, and rows of cells, painted up to 24 bits."""
    is_there = np.zeros(WIDE_SLOTS, np.bool_)
    for length, (starts, _) in lengths.items():
        if length > 16:
            is_there[starts >> 16] = True
    parts = np.flatnonzero(is_there)
    rows = np.zeros(WIDE_SLOTS, np.int32)
    rows[parts] = np.arange(len(parts))
    cells = np.repeat(root[parts], NODE_SLOTS)
    for length, (starts, leaves) in lengths.items():
        if 16 < length < 24:
            numbers = rows[starts >> 16] << (length - 16) | (starts >> (32 - length) & ((1 << (length - 16)) - 1))
            cells.reshape(-1, 1 << (24 - length))[numbers] = leaves[:, None]
        elif length == 24:
            cells[rows[starts >> 16] << 8 | (starts >> 8 & 0xFF)] = leaves
    return parts, rows, cells


def _ranges(
    lengths: _Lengths, rows: NDArray[np.int32], cells: NDArray[np.uint16]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the leaf changes, and to which: row and low 16 bits of the address. Each row begins with one."""
    is_change = np.empty(len(cells), np.bool_)
    np.not_equal(cells[1:], cells[:-1], out=is_change[1:])
    is_change[::NODE_SLOTS] = True
    longest = [length for length in lengths if length > 24]
    if not longest:
        changes = np.flatnonzero(is_change)
        return changes << 8, cells[changes].astype(np.int64)
    starts = np.concatenate([lengths[length][0] for length in longest])
    leaves = np.concatenate([lengths[length][1] for length in longest]).astype(np.int64)
    sizes = np.repeat(longest, [len(lengths[length][0]) for length in longest])
    inside = rows[starts >> 16].astype(np.int64) << 16 | starts & 0xFFFF
    is_change[inside >> 8] = True
    following = (inside >> 8) + 1
    is_change[following[following < len(cells)]] = True
    changes = np.flatnonzero(is_change)
    return _merged(changes << 8, cells[changes], *_edges(inside, sizes, leaves, cells))


def _edges(
    inside: NDArray[np.int64], lengths: NDArray[np.int64], leaves: NDArray[np.int64], cells: NDArray[np.uint16]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where prefixes above 24 bits begin and end: address, leaf from there on, and what is stronger at one address.

    A longer prefix begins more strongly than a shorter one; any beginning is stronger than an end, and the end of a
    shorter prefix than that of a longer one.
    """
    order = np.argsort(inside << 6 | lengths)
    inside, lengths, leaves = inside[order], lengths[order], leaves[order]
    parents = cells[inside >> 8].astype(np.int64)
    numbers = np.arange(len(inside))
    for length in range(25, 32):
        is_it = lengths == length
        if not is_it.any():
            continue
        before = np.maximum.accumulate(np.where(is_it, numbers, -1))
        shift = 32 - length
        is_in = (lengths > length) & (before >= 0) & (inside[before] >> shift == inside >> shift)
        parents[is_in] = leaves[before[is_in]]
    ends = inside + (1 << (32 - lengths))
    is_end = (ends & 0xFF) != 0  # at the end of a cell the next one begins
    return (
        np.concatenate([inside, ends[is_end]]),
        np.concatenate([leaves, parents[is_end]]),
        np.concatenate([8 + lengths, 33 - lengths[is_end]]),
    )


def _merged(
    changes: NDArray[np.int64],
    painted: NDArray[np.uint16],
    edges: NDArray[np.int64],
    leaves: NDArray[np.int64],
    strengths: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Changes and edges in order: of several at one address the strongest, of equal neighbours of a row the first."""
    keys = np.concatenate([changes << 22 | painted, edges << 22 | strengths << 16 | leaves])
    keys.sort()
    at = keys >> 22
    is_last = np.empty(len(at), np.bool_)
    is_last[-1] = True
    np.not_equal(at[1:], at[:-1], out=is_last[:-1])
    at, found = at[is_last], keys[is_last] & 0xFFFF
    is_kept = (at & 0xFFFF) == 0
    is_kept[1:] |= found[1:] != found[:-1]
    return at[is_kept], found[is_kept]


def _lists(words: NDArray[Any], first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[Words, NDArray[np.int64]]:
    """Lists in whole units, each filled up with its last word, be it long or short; and their units."""
    unit = UNIT_WORDS * layout.WORD_BYTES // words.itemsize
    units = (counts + unit - 1) // unit
    sizes = units * unit
    begins = np.cumsum(sizes) - sizes
    # From a place in the result to the one in the words; behind a list's end, to its last.
    steps = np.repeat(first - begins, sizes)
    steps += np.arange(len(steps))
    np.minimum(steps, np.repeat(first + counts - 1, sizes), out=steps)
    return words[steps].view(np.uint32), units


def _node(at: NDArray[np.int64], leaves: NDArray[np.int64]) -> Words:
    """The extent of a part with too many ranges for one list: a node, and a list for each of its cells."""
    begins = np.arange(NODE_SLOTS, dtype=np.int64) << 8 | at[0]
    covering = np.searchsorted(at, begins, side="right") - 1
    is_new = at[covering] != begins
    at = np.concatenate([at, begins[is_new]])
    order = np.argsort(at, kind="stable")
    leaves = np.concatenate([leaves, leaves[covering[is_new]]])[order]
    at = at[order]
    first = np.flatnonzero((at & 0xFF) == 0)
    counts = np.diff(first, append=len(at))
    slots = leaves[first].astype(np.uint32)
    is_list = counts > 1
    lists, units = _lists((at << 16 | leaves).astype(np.uint32), first[is_list], counts[is_list])
    places = (_NODE_UNITS - 1 + np.cumsum(units) - units).astype(
        np.uint32
    )  # from the node on, which is behind one unit
    slots[is_list] = _RANGES | (units - 1).astype(np.uint32) << _UNITS_SHIFT | places
    head = np.zeros(UNIT_WORDS, np.uint32)
    head[0] = _NODE_UNITS + int(units.sum())
    return np.concatenate([head, slots, lists])


def of(starts: Any, lengths: Any, leaves: Any) -> Routes:
    """Routes from what arrays can be made of."""
    return Routes(np.asarray(starts, np.uint32), np.asarray(lengths, np.uint8), np.asarray(leaves, np.uint16))
