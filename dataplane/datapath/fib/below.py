"""A large table in the memory: which of its parts differ from what it is to be, and what is written for that.

Pure. By numpy, and imported only where such a table is. A few parts that differ get an extent each and one store into
the root; many, or a default route that goes with them, get a root of their own, so that one store in the end is all.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataplane.datapath.fib import layout, wide
from dataplane.datapath.fib.layout import UNIT_WORDS, WIDE_SLOTS, WIDE_UNITS
from dataplane.datapath.fib.space import Space

_MOST_STORES = 1_024
_PLACE = np.uint32(layout.MOST_PLACES - 1)

Piece = tuple[int, Any]
Store = tuple[int, int]


def change(
    table: wide.Wide, present: int, content: Any, space: Callable[[], Space], is_same_default: bool
) -> tuple[int, list[Piece], list[Store]]:
    """What leads to a table from what is there.

    Args:
        table: as it is to be.
        present: its root slot in the content.
        space: where there is room; asked only where something differs.
        is_same_default: the table's other leaf stays.

    Returns:
        The root slot, pieces to write, and stores into the root that is there.

    Raises:
        NoSpaceError: the memory is too small.
    """
    words = np.asarray(content.words)
    root = _root(present, words)
    is_other = _differing(table, root, words) if root is not None else np.ones(WIDE_SLOTS, np.bool_)
    others = np.flatnonzero(is_other)
    if not len(others):
        return present, [], []
    is_in_place = root is not None and len(others) <= _MOST_STORES and is_same_default
    place = 0 if is_in_place else space().take(WIDE_UNITS)
    slots = table.root.copy()
    if root is not None:
        slots[~is_other] = root[~is_other]
    is_new = is_other[table.parts]
    pieces, places = _placed(table, is_new, space()) if is_new.any() else ([], np.zeros(0, np.int64))
    slots[table.parts[is_new]] |= (places + table.heads[is_new]).astype(np.uint32)
    if is_in_place:
        first = layout.place_of(present) * UNIT_WORDS
        return present, pieces, [(first + int(number), int(slots[number])) for number in others]
    return layout.wide_slot(place), [*pieces, (place, slots)], []


def extents(place: int, words: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Places and units of what the root at a place leads to; neighbours as one."""
    found = np.asarray(words)
    root = found[place * UNIT_WORDS :][:WIDE_SLOTS]
    places, sizes = _extents(root[root >> 30 != layout.LEAF], found)
    order = np.argsort(places)
    places, sizes = places[order], sizes[order]
    is_first = np.ones(len(places), np.bool_)
    is_first[1:] = places[1:] != places[:-1] + sizes[:-1]
    begins = np.flatnonzero(is_first)
    ends = np.append(begins[1:], len(places)) - 1 if len(begins) else begins
    for begin, end in zip(begins, ends, strict=True):
        yield int(places[begin]), int(places[end] + sizes[end] - places[begin])


def _extents(slots: NDArray[np.uint32], words: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places and units behind slots that are no leaves; no units where one leads out of the memory."""
    is_node = slots >> 30 == layout.NODE
    places = (slots & _PLACE).astype(np.int64) - is_node
    sizes = (slots >> 24 & 0x3F).astype(np.int64) + 1
    heads = np.clip(places[is_node] * UNIT_WORDS, 0, len(words) - 1)
    sizes[is_node] = words[heads]
    sizes[(places <= 0) | ((places + sizes) * UNIT_WORDS > len(words))] = 0
    return places, sizes


def _root(slot: int, words: NDArray[np.uint32]) -> NDArray[np.uint32] | None:
    """The slots of a large table's root; None where there is no such root."""
    first = layout.place_of(slot) * UNIT_WORDS
    if layout.kind_of(slot) != layout.WIDE or first + WIDE_SLOTS > len(words):
        return None
    return words[first : first + WIDE_SLOTS].copy()


def _differing(table: wide.Wide, root: NDArray[np.uint32], words: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """By number of a part, whether the memory holds something else for it."""
    is_other = root != table.root
    slots = root[table.parts]
    is_alike = slots & ~_PLACE == table.root[table.parts]
    places, sizes = _extents(np.where(is_alike, slots, 0), words)
    is_alike &= sizes == table.sizes
    # Each word of ours beside the one that is there; of what is not alike, beside any.
    begins = table.ends - table.sizes
    steps = np.repeat(np.where(is_alike, places - begins, -begins) * UNIT_WORDS, table.sizes * UNIT_WORDS)
    steps += np.arange(len(steps))
    differs = np.take(words, steps, mode="clip") != table.words
    if len(begins):
        is_alike &= ~np.logical_or.reduceat(differs, begins * UNIT_WORDS)
    is_other[table.parts] = ~is_alike
    return np.asarray(is_other, np.bool_)


def _placed(table: wide.Wide, is_new: NDArray[np.bool_], space: Space) -> tuple[list[Piece], NDArray[np.int64]]:
    """Pieces for some of the extents, and where each of these lies then."""
    sizes = table.sizes
    words = table.words if is_new.all() else table.words[np.repeat(is_new, sizes * UNIT_WORDS)]
    sizes = sizes[is_new]
    ends = np.cumsum(sizes)
    begins = ends - sizes
    pieces: list[Piece] = []
    places = np.empty(len(sizes), np.int64)
    done = 0
    for place, count in space.take_row(ends):  # type: ignore[arg-type]
        part = slice(done, done + count)
        first = begins[done]
        places[part] = begins[part] - first + place
        pieces.append((place, words[first * UNIT_WORDS : ends[done + count - 1] * UNIT_WORDS]))
        done += count
    return pieces, places
