"""How routes lie in the maps of ``ebpf/lib/fib.h``: words and slots, and what an address finds there.

The memory is one array of 32-bit words, handed out in units of four. A slot is a word that says how to go on: a leaf, a
list of ranges, a node of 256 slots, or a root of 65,536. Places in the slots of a node are counted from the first node
on the way, so that a node with all below it (an *extent*) can lie anywhere. Pure; the C is the other side of it.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

UNIT_WORDS = 4
"""Words of a unit, in which places are counted."""
WORD_BYTES = 4
LEAF, RANGES, NODE, WIDE = range(4)
"""Kinds of slots (``DP_SLOT_*``)."""
SHORT = WIDE
"""A list of words of 16 bits: in the slots of a wide root, where there is no other one."""
SHORT_LEAVES = 1 << 8
"""Leaves that a short word can name."""
MOST_PLACES = 1 << 24
"""Units that a slot can name: 256 MiB."""
MOST_RANGES = 256
"""Of one list; what needs more is a node."""
LEAVES = 1 << 16
"""Leaves that a range can name; number 0 is none."""
NODE_SLOTS = 1 << 8
WIDE_SLOTS = 1 << 16
WIDE_UNITS = WIDE_SLOTS // UNIT_WORDS
BLOCK_WORDS = 1 << 18
"""Words of a block of the largest kind (1 MiB); no extent (below 300 KB) goes on in the next one."""

_KIND_SHIFT = 30
_PLACE_MASK = MOST_PLACES - 1
_UNITS_SHIFT = 24
_UNITS_MASK = 0x3F


class BrokenError(Exception):
    """What the memory holds is nothing that we have written."""


@dataclass(frozen=True, slots=True)
class Room:
    """How large the maps of the FIB are.

    Args:
        words: of the memory; a power of two, or a number of whole blocks.
        tables: one more than the highest table id.
        leaves: one more than there can be different leaves.
    """

    words: int
    tables: int
    leaves: int

    @property
    def block_words(self) -> int:
        """Words of one entry of the memory's map."""
        return min(self.words, BLOCK_WORDS)

    @property
    def twice(self) -> "Room":
        """Room for twice as much."""
        return Room(2 * self.words, 2 * self.tables, min(2 * self.leaves, LEAVES))


def larger_of(wanted: Room | None, present: Room | None) -> Room | None:
    """What has room for the one and for the other; only the kind that is wanted."""
    if wanted is None or present is None:
        return wanted
    return Room(
        max(wanted.words, present.words), max(wanted.tables, present.tables), max(wanted.leaves, present.leaves)
    )


def leaf_slot(leaf: int) -> int:
    """The slot of a leaf, by its place among the leaves."""
    return leaf


def ranges_slot(place: int, units: int) -> int:
    """The slot of a list.

    Args:
        place: in units.
        units: 1 to 64.
    """
    return RANGES << _KIND_SHIFT | units - 1 << _UNITS_SHIFT | place


def short_slot(place: int, units: int) -> int:
    """The slot of a list of short words.

    Args:
        place: in units.
        units: 1 to 32.
    """
    return SHORT << _KIND_SHIFT | units - 1 << _UNITS_SHIFT | place


def node_slot(place: int) -> int:
    """The slot of a node; one unit before it stands how many units it has with all below it and that unit."""
    return NODE << _KIND_SHIFT | place


def wide_slot(place: int) -> int:
    """The slot of the root of a large table."""
    return WIDE << _KIND_SHIFT | place


def kind_of(slot: int) -> int:
    """What a slot is."""
    return slot >> _KIND_SHIFT


def place_of(slot: int) -> int:
    """Where that is which a slot leads to, in units."""
    return slot & _PLACE_MASK


def units_of(slot: int) -> int:
    """The units of a list."""
    return (slot >> _UNITS_SHIFT & _UNITS_MASK) + 1


def extent(slot: int, words: Sequence[int]) -> tuple[int, int]:
    """Place and units of what a slot leads to with all below it that is counted from there; nothing for a leaf.

    Raises:
        BrokenError: it leads out of the memory.
    """
    kind, place = kind_of(slot), place_of(slot)
    found = place, 0
    if kind == RANGES:
        found = place, units_of(slot)
    elif kind == WIDE:
        found = place, WIDE_UNITS
    elif kind == NODE:
        if not 0 < place <= len(words) // UNIT_WORDS:
            raise BrokenError
        found = place - 1, words[(place - 1) * UNIT_WORDS]
    if found[1] and (sum(found) * UNIT_WORDS > len(words)):
        raise BrokenError
    return found


def find(words: Sequence[int], slot: int, address: int) -> int:
    """The leaf of an address under a root slot, as the program finds it (``fib_lookup``).

    Args:
        address: as a number of 32 bits.
    """
    first, shift = 0, 24
    if kind_of(slot) == WIDE:
        slot, shift = words[place_of(slot) * UNIT_WORDS + (address >> 16)], 8
        if kind_of(slot) == SHORT:
            return _find_short(words, slot, address)
    is_first = True
    while kind_of(slot) == NODE:
        place = first + place_of(slot)
        first, is_first = (place, False) if is_first else (first, False)
        slot, shift = words[place * UNIT_WORDS + (address >> shift & 0xFF)], shift - 8
    if kind_of(slot) != RANGES:
        return slot
    start = (first + place_of(slot)) * UNIT_WORDS
    wanted = (address & 0xFFFF) << 16 | 0xFFFF
    return [word for word in words[start : start + units_of(slot) * UNIT_WORDS] if word <= wanted][-1] & 0xFFFF


def _find_short(words: Sequence[int], slot: int, address: int) -> int:
    start = place_of(slot) * UNIT_WORDS
    shorts = memoryview(array("I", words[start : start + units_of(slot) * UNIT_WORDS])).cast("B").cast("H")
    return [short for short in shorts if short <= (address & 0xFF00 | 0xFF)][-1] & 0xFF
