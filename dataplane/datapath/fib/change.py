"""What has to be written to get from what the FIB's maps hold to the routes of a state; no packet sees a mixture.

Pure. What is new is written where nothing leads to, then one number is stored that leads there: a table's root with the
leaf of its default route (64 bits at once), or one slot of a large table's root. What was there is free from then on,
but written again only by the next change, when every packet that was led there is through. Which memory is in use, and
which leaf has which place, is known from the maps alone.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from dataplane.datapath.fib import layout, narrow
from dataplane.datapath.fib.kept import Kept
from dataplane.datapath.fib.layout import LEAVES, UNIT_WORDS, WIDE, BrokenError, Room
from dataplane.datapath.fib.space import NoSpaceError, Space
from dataplane.model.forwarding import Leaf, Table

if TYPE_CHECKING:
    from dataplane.datapath.fib.again import Read
    from dataplane.datapath.fib.wide import Wide

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


def change(
    tables: Mapping[int, Table],
    number_of: Callable[[Leaf], int],
    room: Room,
    content: Content,
    kept: Kept | None = None,
) -> Change:
    """What leads from a content to the routes of some tables.

    Args:
        number_of: what a leaf is in the map.
        kept: what was computed the last time, for whoever has it; brought up to date.

    Raises:
        NoRoomError: a map is too small.
    """
    if max(tables, default=0) >= room.tables:
        raise NoRoomError("dp_fib_table")
    kept = kept if kept is not None else Kept()
    reads = _reads(tables, kept)
    numbers = {leaf: number_of(leaf) for leaf in _leaves_of(tables, reads)}
    places, new, unused = _leaves(numbers, room, content)
    writer = _Writer(room, content)
    for number, table in tables.items():
        default = table.routes.get(_ANYWHERE)
        extra = numbers[default] if default is not None else 0
        if number in reads:
            writer.large(number, _made_again(number, reads[number], places, kept), extra)
        else:
            writer.small(number, table.routes, places, extra)
    gone = tuple(number for number, value in enumerate(content.tables) if value and number not in tables)
    changed = frozenset(writer.changed) | frozenset(gone)
    return Change(new, tuple(writer.pieces), tuple(writer.slots), tuple(writer.tables), gone, unused, changed)


def words_of(tables: Mapping[int, Table]) -> int:
    """Words of memory that some tables take."""
    reads = _reads(tables, Kept())
    # Which leaf has which place does not matter, only which are the same.
    places = {leaf: place % (LEAVES - 1) + 1 for place, leaf in enumerate(_leaves_of(tables, reads))}
    found = sum(len(_made(table.routes, places)) for number, table in tables.items() if number not in reads)
    for number, read in reads.items():
        found += layout.WIDE_SLOTS + len(_made_again(number, read, places, Kept()).words)
    return found


def leaves_of(tables: Mapping[int, Table]) -> set[Leaf]:
    """The different leaves of some tables."""
    return _leaves_of(tables, _reads(tables, Kept()))


def _reads(tables: Mapping[int, Table], kept: Kept) -> "dict[int, Read]":
    """The routes of large tables; of others, nothing is kept."""
    large = {number: table.routes for number, table in tables.items() if len(table.routes) > MOST_NARROW}
    for number in kept.made.keys() - large:
        kept.made.pop(number, None)
    if not large:
        return {}
    from dataplane.datapath.fib import again  # numpy: only where a table is large

    last = dict(kept.made)
    return {
        number: again.read(routes, last[number].read if number in last else None) for number, routes in large.items()
    }


def _made_again(number: int, read: "Read", places: Mapping[Leaf, int], kept: Kept) -> "Wide":
    """A large table, kept for the next time."""
    from dataplane.datapath.fib import again  # numpy: only where a table is large

    made = kept.made[number] = again.make(read, places, kept.made.get(number))
    return made.table


def _leaves_of(tables: Mapping[int, Table], reads: "Mapping[int, Read]") -> set[Leaf]:
    found = {leaf for number, table in tables.items() if number not in reads for leaf in set(table.routes.values())}
    return found.union(*(read.distinct for read in reads.values()))


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

    def small(self, number: int, routes: Mapping[IPv4Network, Leaf], places: Mapping[Leaf, int], default: int) -> None:
        """Bring one table in line."""
        present = self._content.tables[number] & 0xFFFFFFFF
        made = _made(routes, places)
        if layout.kind_of(present) == layout.NODE and _holds(self._content.words, layout.place_of(present), made):
            self._root(number, present, default)
        elif not any(made[UNIT_WORDS:]):
            self._root(number, 0, default)
        else:
            with _naming_memory():
                place = self.space().take(len(made) // UNIT_WORDS)
            self.pieces.append((place, made))
            self._root(number, layout.node_slot(place + 1), default)

    def large(self, number: int, table: "Wide", default: int) -> None:
        """Bring one large table in line."""
        from dataplane.datapath.fib import below  # numpy: only where a table is large

        present = self._content.tables[number]
        with _naming_memory():
            slot, pieces, slots = below.change(
                table, present & 0xFFFFFFFF, self._content, self.space, default == present >> 32
            )
        self.pieces += pieces
        self.slots += slots
        if slots:
            self.changed.add(number)
        self._root(number, slot, default)

    def _root(self, number: int, slot: int, default: int) -> None:
        """What is stored for a table in the end."""
        if self._content.tables[number] != default << 32 | slot:
            self.tables.append((number, default << 32 | slot))
            self.changed.add(number)

    def space(self) -> Space:
        """What is free in the memory."""
        if self._space is None:
            self._space = Space(self._room, extents(self._content))
        return self._space


@contextmanager
def _naming_memory() -> Iterator[None]:
    try:
        yield
    except NoSpaceError:
        raise NoRoomError("dp_fib") from None


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
