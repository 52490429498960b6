"""The map of legs as memory: one byte for each leg, eight bytes apart."""

import os
from collections.abc import Iterator

import pytest

from dataplane.health.legs_map import DOWN, DOWN_FOR_GOOD, GONE, STRIDE_BYTES, UP, LegsMap
from dataplane.model.forwarding import LegState


@pytest.fixture
def fd() -> Iterator[int]:
    made = os.memfd_create("legs")
    os.truncate(made, 4 * STRIDE_BYTES)
    yield made
    os.close(made)


def test_a_store_is_one_byte_in_its_place(fd: int) -> None:
    there = LegsMap(fd, 4)
    there.store(2, DOWN)
    there.store(3, DOWN_FOR_GOOD)
    assert os.pread(fd, 64, 0) == bytes(16) + bytes([1, *bytes(7), 3, *bytes(7)])
    there.close()
    assert os.pread(fd, 1, 16) == bytes([DOWN]), "what stands in it went with the mapping"


def test_gone_is_not_written_over_and_beyond_the_room_nothing_is(fd: int) -> None:
    os.pwrite(fd, bytes([GONE]), STRIDE_BYTES)
    there = LegsMap(fd, 4)
    for number in (1, 4, 5, -1):
        there.store(number, DOWN)
    assert os.pread(fd, 64, 0) == bytes(8) + bytes([GONE]) + bytes(23)


def test_the_numbers_are_the_forwarders() -> None:
    assert (UP, DOWN, GONE) == (LegState.UP, LegState.DOWN, LegState.GONE)
