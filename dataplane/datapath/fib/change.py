"""What has to be written to get from what the FIB's maps hold to the routes of a state; no packet sees a mixture.

Pure. What is new is written where nothing leads to, then one number is stored that leads there: a table's root with the
leaf of its default route (64 bits at once), or one slot of a large table's root. What was there is free from then on,
but written again only by the next change, when every packet that was led there is through. Which memory is in use, and
which leaf has which place, is known from the maps alone.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from dataplane.datapath.fib import layout, narrow
from dataplane.datapath.fib.layout import LEAVES, UNIT_WORDS, WIDE, BrokenError, Room
from dataplane.datapath.fib.space import NoSpaceError, Space
from dataplane.model.forwarding import Leaf, Table

MOST_NARROW = 4_096
"""Routes of a table up to which it is made in plain Python, with nodes of 8 bits from the root on."""
_ANYWHERE = IPv4Network("0.0.0.0/0")


class NoRoomError(Exception):
    """A map of the FIB is too small; which one."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is in the maps.

    Args:
        words: the memory.
        tables: by table id, the root slot below and the leaf of all other addresses above.
        leaves: the numbers of leaves by their place; 0: none.
    """

    words: Sequence[int]
    tables: Sequence[int]
    leaves: Sequence[int]


@dataclass(frozen=True, slots=True)
class Change:
    """Writes, in the order of the fields.

    Args:
        leaves: places and numbers.
        pieces: place in units, and bytes that go there, where nothing leads to yet.
        slots: numbers of words, and what is stored there.
        tables: ids and what is stored for them.
        gone: tables that nobody has any more.
        cleared: places of leaves that nothing leads to any more, once every packet is through.
    """

    leaves: tuple[tuple[int, int], ...] = ()
    pieces: tuple[tuple[int, Any], ...] = ()
    slots: tuple[tuple[int, int], ...] = ()
    tables: tuple[tuple[int, int], ...] = ()
    gone: tuple[int, ...] = ()
    cleared: tuple[int, ...] = ()
    changed: frozenset[int] = field(default_factory=frozenset)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be written."""
        return not (self.leaves or self.slots or self.tables or self.gone or self.cleared)

    @property
    def is_replacing(self) -> bool:
        """Whether something is free once no packet is on its way any more."""
        return bool(self.slots or self.tables or self.gone)


def change(tables: Mapping[int, Table], numbers: Mapping[Leaf, int], room: Room, content: Content) -> Change:
    """What leads from a content to the routes of some tables.

    Args:
        numbers: what a leaf is in the map.

    Raises:
        NoRoomError: a map is too small.
    """
    if max(tables, default=0) >= room.tables:
        raise NoRoomError("dp_fib_table")
    places, new, unused = _leaves(numbers, room, content)
    writer = _Writer(room, content)
    for number, table in tables.items():
        default = table.routes.get(_ANYWHERE)
        writer.table(number, table.routes, places, numbers[default] if default is not None else 0)
    gone = tuple(number for number, value in enumerate(content.tables) if value and number not in tables)
    changed = frozenset(writer.changed) | frozenset(gone)
    return Change(new, tuple(writer.pieces), tuple(writer.slots), tuple(writer.tables), gone, unused, changed)


def words_of(tables: Mapping[int, Table]) -> int:
    """Words of memory that some tables take."""
    # Which leaf has which place does not matter, only which are the same.
    places = {leaf: place % (LEAVES - 1) + 1 for place, leaf in enumerate(leaves_of(tables))}
    found = 0
    for table in tables.values():
        if len(table.routes) <= MOST_NARROW:
            found += len(_made(table.routes, places))
        else:
            from dataplane.datapath.fib import wide  # numpy: only where a table is large

            found += layout.WIDE_SLOTS + len(wide.make(_arrays(table.routes, places)).words)
    return found


def leaves_of(tables: Mapping[int, Table]) -> set[Leaf]:
    """The different leaves of some tables."""
    return {leaf for table in tables.values() for leaf in set(table.routes.values())}


def extents(content: Content) -> Iterator[tuple[int, int]]:
    """Places and units of all that the tables lead to. What leads nowhere is left out."""
    for value in content.tables:
        slot = value & 0xFFFFFFFF
        try:
            found = layout.extent(slot, content.words)
        except BrokenError:
            continue
        if found[1]:
            yield found
        if found[1] and layout.kind_of(slot) == WIDE:
            from dataplane.datapath.fib import below  # numpy: only where a table is large

            yield from below.extents(found[0], content.words)


def _leaves(
    numbers: Mapping[Leaf, int], room: Room, content: Content
) -> tuple[dict[Leaf, int], tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Places of leaves: the one where it is already, else a free one; what is to be written, what nobody wants."""
    present = {number: place for place, number in enumerate(content.leaves) if number and place}
    free = iter([place for place in range(1, min(room.leaves, LEAVES)) if not content.leaves[place]])
    places, new = {}, []
    for leaf, number in numbers.items():
        place = present.get(number)
        if place is None:
            place = next(free, None)
            if place is None:
                raise NoRoomError("dp_fib_leaf")
            present[number] = place
            new.append((place, number))
        places[leaf] = place
    wanted = set(places.values())
    return places, tuple(new), tuple(p for p, number in enumerate(content.leaves) if number and p not in wanted)


class _Writer:
    """One change at work: compares table by table, and asks for memory only once something differs."""

    def __init__(self, room: Room, content: Content) -> None:
        self._room, self._content = room, content
        self._space: Space | None = None
        self.pieces: list[tuple[int, Any]] = []
        self.slots: list[tuple[int, int]] = []
        self.tables: list[tuple[int, int]] = []
        self.changed: set[int] = set()

    def table(self, number: int, routes: Mapping[IPv4Network, Leaf], places: Mapping[Leaf, int], default: int) -> None:
        """Bring one table in line."""
        present = self._content.tables[number]
        try:
            if len(routes) <= MOST_NARROW:
                slot = self._narrow(routes, places, present & 0xFFFFFFFF)
            else:
                from dataplane.datapath.fib import below  # numpy: only where a table is large

                slot, pieces, slots = below.change(
                    _arrays(routes, places), present & 0xFFFFFFFF, self._content, self.space, default == present >> 32
                )
                self.pieces += pieces
                self.slots += slots
                if slots:
                    self.changed.add(number)
        except NoSpaceError:
            raise NoRoomError("dp_fib") from None
        if present != default << 32 | slot:
            self.tables.append((number, default << 32 | slot))
            self.changed.add(number)

    def space(self) -> Space:
        """What is free in the memory."""
        if self._space is None:
            self._space = Space(self._room, extents(self._content))
        return self._space

    def _narrow(self, routes: Mapping[IPv4Network, Leaf], places: Mapping[Leaf, int], present: int) -> int:
        """The root slot of a small table, which stays where the memory holds the same already."""
        made = _made(routes, places)
        if layout.kind_of(present) == layout.NODE and _holds(self._content.words, layout.place_of(present), made):
            return present
        if not any(made[UNIT_WORDS:]):
            return 0
        place = self.space().take(len(made) // UNIT_WORDS)
        self.pieces.append((place, made))
        return layout.node_slot(place + 1)


def _holds(words: Sequence[int], place: int, made: "array[int]") -> bool:
    start = (place - 1) * UNIT_WORDS
    return place > 0 and bytes(words[start : start + len(made)]) == made.tobytes()


def _made(routes: Mapping[IPv4Network, Leaf], places: Mapping[Leaf, int]) -> "array[int]":
    """The extent of a small table."""
    return narrow.make(
        (int(prefix.network_address), prefix.prefixlen, places[leaf])
        for prefix, leaf in routes.items()
        if prefix.prefixlen
    )


def _arrays(routes: Mapping[IPv4Network, Leaf], places: Mapping[Leaf, int]) -> Any:
    """The routes of a large table as arrays, that of all addresses left out."""
    import numpy as np

    from dataplane.datapath.fib import wide

    count = len(routes)
    starts = np.fromiter((int(prefix.network_address) for prefix in routes), np.uint32, count)
    lengths = np.fromiter((prefix.prefixlen for prefix in routes), np.uint8, count)
    leaves = np.fromiter(map(places.__getitem__, routes.values()), np.uint16, count)
    is_longer = lengths > 0
    return wide.Routes(starts[is_longer], lengths[is_longer], leaves[is_longer])
