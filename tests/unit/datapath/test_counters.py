"""Counters are read many at a time: what has counted nothing is passed over, and nothing else is."""

import random

import pytest

from dataplane.datapath.libbpf import _RUN, _not_zero

SIZE = 16


@pytest.mark.parametrize("count", [0, 1, _RUN - 1, _RUN, _RUN + 1, 5 * _RUN + 3])
def test_exactly_the_values_that_are_not_zero_are_found(count: int) -> None:
    chance = random.Random(count)
    for share in (0.0, 0.02, 0.5, 1.0):
        wanted = [number for number in range(count) if chance.random() < share]
        values = bytearray(count * SIZE)
        for number in wanted:
            values[number * SIZE + chance.randrange(SIZE)] = 1  # one bit anywhere in it
        assert list(_not_zero(bytes(values), SIZE)) == wanted
