"""Route tables to look up in: lengths about as in the Internet's, places crowded as there, or anywhere. Pure; made up.

What is crowded is the fair peer of figures for real tables (bytes per route); what is anywhere is the worst case.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataplane.datapath.fib import wide

LENGTHS = {12: 1, 13: 1, 14: 2, 15: 3, 16: 13, 17: 8, 18: 14, 19: 25, 20: 45, 21: 52, 22: 115, 23: 105, 24: 616}
"""Shares of the lengths of prefixes, in thousandths."""
LEAVES = 64
_ALLOCATION_BITS = 14
"""Addresses of an allocation: 2^14, announced in parts that are mostly led the same way."""
_PER_ALLOCATION = 40
_ASTRAY = 0.2
"""The share of routes that are led otherwise than their allocation."""
_FIRST, _LAST = 0x01000000, 0xDF000000

Numbers = NDArray[np.int64]
_Draw = Callable[[int], tuple[Numbers, Numbers]]


def crowded(count: int, seed: int = 1) -> wide.Routes:
    """Routes beside each other."""
    chance = np.random.default_rng(seed)
    places = max(1, count // _PER_ALLOCATION)
    begins = chance.integers(_FIRST, _LAST, places) >> _ALLOCATION_BITS << _ALLOCATION_BITS
    leaves = chance.integers(1, LEAVES + 1, places)

    def draw(number: int) -> tuple[Numbers, Numbers]:
        place = chance.integers(0, places, number)
        own = chance.random(number) < _ASTRAY
        found = np.where(own, chance.integers(1, LEAVES + 1, number), leaves[place])
        return begins[place] + chance.integers(0, 1 << _ALLOCATION_BITS, number), found

    return _drawn(count, chance, draw)


def anywhere(count: int, seed: int = 1) -> wide.Routes:
    """Routes in no order, each led its own way."""
    chance = np.random.default_rng(seed)
    return _drawn(
        count, chance, lambda number: (chance.integers(_FIRST, _LAST, number), chance.integers(1, LEAVES + 1, number))
    )


def _drawn(count: int, chance: Any, draw: _Draw) -> wide.Routes:
    """So many different prefixes, in no order."""
    shares = np.array(list(LENGTHS.values()), float)
    found: dict[int, int] = {}
    while len(found) < count:
        number = max(64, 2 * (count - len(found)))
        addresses, leaves = draw(number)
        lengths = chance.choice(list(LENGTHS), number, p=shares / shares.sum())
        keys = addresses >> (32 - lengths) << (32 - lengths) << 6 | lengths
        found |= dict(zip(keys.tolist(), leaves.tolist(), strict=True))
    some = np.array(list(found.items()), np.int64)
    some = some[chance.permutation(len(some))[:count]]
    return wide.of(some[:, 0] >> 6, some[:, 0] & 63, some[:, 1])


def destinations(routes: wide.Routes, count: int, seed: int = 2) -> NDArray[np.uint32]:
    """Addresses in some of the routes, in wire order."""
    chance = np.random.default_rng(seed)
    some = chance.integers(0, len(routes.starts), count)
    inside = chance.integers(0, 1 << 32, count) % (1 << (32 - routes.lengths[some].astype(np.int64)))
    return (routes.starts[some] + inside).astype(np.uint32).byteswap()
