"""The multibit FIB without a kernel: what lies in its memory against a plain search, and what a change writes."""

import random
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from operator import attrgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.datapath.fib import layout, narrow, wide
from dataplane.datapath.fib.change import (
    MOST_NARROW,
    Change,
    Content,
    NoRoomError,
    change,
    extents,
    words_of,
)
from dataplane.datapath.fib.kept import Kept
from dataplane.datapath.fib.layout import UNIT_WORDS, Room
from dataplane.datapath.fib.space import NoSpaceError, Space
from dataplane.model.forwarding import Leaf, LeafKind, Table

ROOM = Room(1 << 19, 16, 128)
ANYWHERE = IPv4Network("0.0.0.0/0")
NUMBER = attrgetter("number")
Routes = Mapping[IPv4Network, Leaf]


def leaf(number: int) -> Leaf:
    return Leaf(LeafKind.HOP, number)


def longest(routes: Routes, address: int) -> Leaf | None:
    """By looking at each."""
    found = [prefix for prefix in routes if IPv4Address(address) in prefix]
    return routes[max(found, key=lambda prefix: prefix.prefixlen)] if found else None


@dataclass
class Maps:
    """Maps that are no maps."""

    room: Room = ROOM
    words: "array[int]" = field(default_factory=lambda: array("I", bytes(4 * ROOM.words)))
    tables: "array[int]" = field(default_factory=lambda: array("Q", bytes(8 * ROOM.tables)))
    leaves: "array[int]" = field(default_factory=lambda: array("I", bytes(4 * ROOM.leaves)))
    kept: Kept = field(default_factory=Kept)

    def content(self) -> Content:
        return Content(memoryview(self.words), self.tables, self.leaves)

    def needed(self, tables: Mapping[int, Table]) -> Change:
        return change(tables, NUMBER, self.room, self.content(), self.kept)

    def settle(self, *states: Routes) -> Change:
        """Bring tables 1, 2, ... in line, looking at each write."""
        tables = {number: Table(number, "", "", routes) for number, routes in enumerate(states, start=1)}
        needed = self.needed(tables)
        used = list(extents(self.content()))
        for place, number in needed.leaves:
            assert not self.leaves[place], "a leaf that packets are led to is overwritten"
            self.leaves[place] = number
        for place, words in needed.pieces:
            data = array("I", bytes(words))
            units, block = len(data) // UNIT_WORDS, self.room.block_words // UNIT_WORDS
            assert all(place + units <= other or place >= other + size for other, size in used), "in use"
            assert place // block == (place + units - 1) // block, "goes on in the next block"
            self.words[place * UNIT_WORDS : place * UNIT_WORDS + len(data)] = data
            used.append((place, units))
        for number, slot in needed.slots:
            self.words[number] = slot
        for number, value in needed.tables:
            self.tables[number] = value
        for number in needed.gone:
            self.tables[number] = 0
        for place in needed.cleared:
            self.leaves[place] = 0
        assert self.needed(tables).is_empty, "a second time, nothing is left to write"
        assert change(tables, NUMBER, self.room, self.content()).is_empty, "who remembers nothing says something else"
        return needed

    def find(self, table: int, address: int) -> Leaf | None:
        root, default = self.tables[table] & 0xFFFFFFFF, self.tables[table] >> 32
        place = layout.find(self.words, root, address)
        return Leaf.of(self.leaves[place] if place else default)


def edges(routes: Routes, chance: random.Random, most: int = 40) -> list[int]:
    """Addresses at both ends of prefixes, beside them, and anywhere."""
    some = chance.sample(list(routes), min(len(routes), most))
    ends = [int(end) for prefix in some for end in (prefix.network_address, prefix.broadcast_address)]
    return [number + step & 0xFFFFFFFF for number in ends for step in (-1, 0, 1)] + [chance.getrandbits(32)]


def drawn(chance: random.Random, count: int, bits: int = 32, shortest: int = 0) -> dict[IPv4Network, Leaf]:
    """Routes, crowded where there are few bits to draw."""
    routes = {}
    for _ in range(count):
        length, base = chance.randint(shortest, 32), 0x0A000000 if bits < 32 else 0
        address = (base | chance.getrandbits(bits)) >> 32 - length << 32 - length
        routes[IPv4Network((address, length))] = leaf(chance.randint(1, 40))
    return routes


PREFIXES = st.tuples(st.integers(0, 0xFFFFFFFF), st.integers(0, 32)).map(
    lambda pair: IPv4Network((pair[0] >> 32 - pair[1] << 32 - pair[1], pair[1]))
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(PREFIXES, st.integers(1, 5).map(leaf), max_size=30), st.integers(0, 1 << 30))
def test_a_table_says_what_a_plain_search_says(routes: Routes, seed: int) -> None:
    """44: whatever prefixes; no address next to an edge is led elsewhere."""
    maps = Maps()
    maps.settle(routes)
    for address in edges(routes, random.Random(seed)):
        assert maps.find(1, address) == longest(routes, address), IPv4Address(address)


@pytest.mark.parametrize(("bits", "shortest"), [(32, 1), (16, 16), (20, 1), (12, 25)])
def test_a_large_table_says_what_a_small_one_says(bits: int, shortest: int) -> None:
    """Two ways to make the same: by numpy, and by plain Python. Crowded parts are nodes; others are short or long."""
    chance = random.Random(bits)
    routes = drawn(chance, 6000, bits, shortest)
    # Places 8 to 320: not all of them are known to short words.
    plain = [(int(to.network_address), to.prefixlen, 8 * one.value) for to, one in routes.items() if to.prefixlen]
    table = wide.make(wide.of(*zip(*plain, strict=True)))
    starts, leaves = narrow.ranges(plain)
    base = 1 + layout.WIDE_UNITS
    root = table.root.copy()
    root[table.parts] |= (base + table.ends - table.sizes + table.heads).astype("uint32")
    words = [0, 0, 0, 0, *root.tolist(), *table.words.tolist()]
    for address in [end + step & 0xFFFFFFFF for end in starts for step in (-1, 0, 1)]:
        wanted = leaves[bisect_right(starts, address) - 1]
        assert layout.find(words, layout.wide_slot(1), address) == wanted, IPv4Address(address)
    assert bool(table.heads.any()) == (bits < 32)
    kinds = {layout.kind_of(int(slot)) for slot in table.root}
    assert (layout.SHORT in kinds) == (bits == 32)


@pytest.mark.parametrize("seed", range(4))
def test_from_any_tables_to_any_others(seed: int) -> None:
    """Small and large ones come, change and go; nothing that packets are led to is written on."""
    chance, maps = random.Random(seed), Maps()
    large = drawn(chance, MOST_NARROW + 500, shortest=8)
    states: list[dict[IPv4Network, Leaf]] = [drawn(chance, 40, bits) for bits in (32, 16, 24)]
    for step in range(8):
        table = chance.randrange(3)
        if step in (2, 6):
            states[0] = dict(large)
        elif step == 5:
            states[0] = drawn(chance, 5)
        for prefix in chance.sample(list(states[table]), min(3, len(states[table]))):
            del states[table][prefix]
        states[table] |= drawn(chance, 5, 24)
        maps.settle(*states)
        for number, routes in enumerate(states, start=1):
            for address in edges(routes, chance, 4):
                assert maps.find(number, address) == longest(routes, address), (number, IPv4Address(address))


def test_one_route_of_a_large_table_is_a_few_words_and_one_store() -> None:
    maps, routes = Maps(), drawn(random.Random(1), MOST_NARROW + 500, shortest=8)
    maps.settle(routes)
    needed = maps.settle({**routes, IPv4Network("10.1.2.0/24"): leaf(41)})
    assert (len(needed.slots), needed.tables, needed.gone) == (1, (), ())
    assert sum(len(bytes(words)) for _, words in needed.pieces) < 1024


def test_a_default_route_is_one_store() -> None:
    """No part of the memory says where all other addresses go."""
    maps, routes = Maps(), drawn(random.Random(1), MOST_NARROW + 500, shortest=8)
    for number in (1, 2):
        needed = maps.settle({**routes, ANYWHERE: leaf(number)})
    assert (needed.pieces, needed.slots, len(needed.tables)) == ((), (), 1)


def test_a_default_route_that_changes_with_others_is_seen_with_them() -> None:
    """No packet by the new default where the route that it had is still in: one store for all."""
    maps, routes = Maps(), drawn(random.Random(1), MOST_NARROW + 500, shortest=8)
    maps.settle({**routes, ANYWHERE: leaf(1)})
    needed = maps.settle({**routes, ANYWHERE: leaf(2), IPv4Network("10.1.2.0/24"): leaf(41)})
    assert (needed.slots, len(needed.tables)) == ((), 1)


@pytest.mark.parametrize("seed", range(2))
def test_a_large_table_by_way_of_the_last_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Routes come, go and are led elsewhere, long and short ones, in crowded parts, at both ends and in between, and
    are read from the file again. Each time as if nothing was known; but mostly, few of them are computed.
    """
    chance, maps, computed = random.Random(seed), Maps(), list[int]()
    plain = wide.make
    routes = drawn(chance, MOST_NARROW, shortest=8) | drawn(chance, 1500, 17)
    maps.settle(routes)
    for step in range(12):
        rows = list(routes.items())
        fresh = drawn(chance, 3, chance.choice([17, 24, 32]), (9, 20, 24, 0)[step % 4])
        at = (0, len(rows) - 2, chance.randrange(len(rows)))[step % 3]
        rows[at : at + 2] = [(to, leaf(50 + step % 2)) for to in fresh]
        if step % 5 == 4:
            rows = [(IPv4Network(str(to)), leaf(one.value)) for to, one in rows]
        routes = dict(rows)
        monkeypatch.setattr(wide, "make", lambda some: (computed.append(len(some.starts)), plain(some))[1])
        maps.needed({1: Table(1, "", "", routes)})
        monkeypatch.undo()
        maps.settle(routes)
    for address in edges(routes, chance, 4):
        assert maps.find(1, address) == longest(routes, address), IPv4Address(address)
    assert sorted(computed)[6] < len(routes) / 2, "all of it is computed for a few routes that are short"


def test_what_is_kept_of_other_maps_is_of_no_use() -> None:
    """There, leaves have other places."""
    maps, routes = Maps(), drawn(random.Random(1), MOST_NARROW + 500, shortest=8)
    maps.settle(routes)
    assert maps.kept.made
    other = Maps(kept=maps.kept)
    other.leaves[1] = leaf(99).number
    other.settle(routes)
    for address in edges(routes, random.Random(4), 4):
        assert other.find(1, address) == longest(routes, address), IPv4Address(address)


@pytest.mark.parametrize("count", [60, 2 * MOST_NARROW])
@pytest.mark.parametrize("damage", ["words", "tables", "leaves"])
def test_what_somebody_else_wrote_is_put_right(damage: str, count: int) -> None:
    """20: in the memory, in a root, in a leaf. Also by whoever remembers what was there."""
    maps, routes = Maps(), drawn(random.Random(3), count, 24, 8)
    maps.settle(routes)
    assert bool(maps.kept.made) == (count > 60)
    if damage == "words":
        *_, (place, units) = extents(maps.content())
        maps.words[(place + units) * UNIT_WORDS - 1] ^= 1
    elif damage == "tables":
        maps.tables[1] = layout.node_slot(layout.MOST_PLACES - 1)
    else:
        maps.leaves[next(n for n, number in enumerate(maps.leaves) if number)] ^= 1
    assert not maps.settle(routes).is_empty
    for address in edges(routes, random.Random(4), 4):
        assert maps.find(1, address) == longest(routes, address)


@pytest.mark.parametrize(
    ("room", "name"),
    [
        (Room(1 << 10, 16, 128), "dp_fib"),
        (Room(1 << 19, 1, 128), "dp_fib_table"),
        (Room(1 << 19, 16, 3), "dp_fib_leaf"),
    ],
)
def test_a_map_that_is_too_small_is_named(room: Room, name: str) -> None:
    """57, P8."""
    maps = Maps(room, array("I", bytes(4 * room.words)), leaves=array("I", bytes(4 * room.leaves)))
    with pytest.raises(NoRoomError, match=f"^{name}$"):
        maps.needed({1: Table(1, "", "", drawn(random.Random(1), 400))})


def test_the_memory_of_a_table() -> None:
    """T5, as far as it is arithmetic: a small VPC has a few KB, neighbours with one leaf take no more than one has."""
    small = drawn(random.Random(1), 40, 16, 24)
    assert words_of({1: Table(1, "", "", small)}) * 4 < 8_000
    row = {IPv4Network((0x0B000000 + 256 * n, 24)): leaf(1) for n in range(20_000)}
    assert words_of({1: Table(1, "", "", row)}) * 4 < 300_000


def test_space_is_given_once_and_no_piece_crosses_a_block() -> None:
    space = Space(Room(1 << 19, 1, 1), [(10, 20), (5, 7)])
    assert space.take(4) == 1
    with pytest.raises(NoSpaceError):
        space.take(1 << 17)
    found = space.take_row([30_000, 60_000, 90_000])
    assert [count for _, count in found] == [2, 1]
