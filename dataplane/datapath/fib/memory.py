"""The FIB's maps as memory of ours: read and written without a system call.

Owns how they lie there. A store of 32 or 64 bits is seen whole by every program; what it leads to was written before.
"""

import mmap
import platform
from collections.abc import Callable, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Literal

from dataplane.datapath import libbpf
from dataplane.datapath.fib.change import Change, Content, change, extents
from dataplane.datapath.fib.kept import Kept
from dataplane.datapath.fib.layout import UNIT_WORDS, WORD_BYTES, Room
from dataplane.model.forwarding import Forwarding

KEPT = Kept()
"""For a process that lives: each look is compared with the maps, but not each is computed from all routes."""
_LEAF_STEP = 2
"""Words from one leaf to the next: the kernel keeps an array's values at multiples of 8 bytes."""
_STORES_IN_ORDER = frozenset({"x86_64", "i686"})
"""Machines on which nobody sees a later store before an earlier one (Intel SDM 3A, 9.2.3.2)."""


class Memory:
    """The maps of one FIB.

    Args:
        fds: of the maps, by name; they must stay open until the first look.
    """

    def __init__(self, fds: Mapping[str, int]) -> None:
        self._fds = fds

    @cached_property
    def _words(self) -> memoryview:
        return _mapped(self._fds["dp_fib"], "I")

    @cached_property
    def _tables(self) -> memoryview:
        return _mapped(self._fds["dp_fib_table"], "Q")

    @cached_property
    def _leaves(self) -> memoryview:
        return _mapped(self._fds["dp_fib_leaf"], "I")

    def content(self) -> Content:
        """What is there; it changes as the memory does."""
        return Content(self._words, self._tables, self._leaves[::_LEAF_STEP].tolist())

    def fill(self) -> dict[str, tuple[int, int]]:
        """By map, how much is in use and how much there is: words, tables, leaves."""
        content = self.content()
        words = UNIT_WORDS * sum(size for _, size in extents(content))
        return {
            "dp_fib": (words, len(content.words)),
            "dp_fib_table": (sum(map(bool, content.tables)), len(content.tables)),
            "dp_fib_leaf": (sum(map(bool, content.leaves)), len(content.leaves)),
        }

    def write(self, change: Change, wait: Callable[[], None]) -> None:
        """Store what is new, and lead packets to it; what nobody has any more stays until ``clear``.

        Args:
            wait: until every processor has seen all stores before it.
        """
        for place, number in change.leaves:
            self._leaves[place * _LEAF_STEP] = number
        for place, words in change.pieces:
            data = memoryview(words)
            first = place * UNIT_WORDS
            self._words[first : first + len(data)] = data
        if (change.slots or change.tables) and platform.machine() not in _STORES_IN_ORDER:
            wait()
        for number, slot in change.slots:
            self._words[number] = slot
        for number, value in change.tables:
            self._tables[number] = value

    def clear(self, change: Change, wait: Callable[[], None]) -> None:
        """Take away what nobody has any more, and wait until no packet is on its way to what is free now.

        Args:
            wait: until every packet that was on its way is through.
        """
        for number in change.gone:
            self._tables[number] = 0
        if change.is_replacing:
            wait()
        for place in change.cleared:
            self._leaves[place * _LEAF_STEP] = 0


def fill(memory: Memory, state: Forwarding, room: Room) -> None:
    """Bring a FIB in line with the routes of a state that has its next hops where their ids say; no packet is about.

    Raises:
        NoRoomError: a map is too small.
    """
    needed = change(state.tables, attrgetter("number"), room, memory.content())
    memory.write(needed, _nobody)
    memory.clear(needed, _nobody)


def _nobody() -> None:
    """Nobody is to be waited for."""


def room_of(infos: Mapping[str, libbpf.MapInfo]) -> Room:
    """How large maps are, by the kernel's record."""
    blocks = infos["dp_fib"]
    return Room(
        blocks.max_entries * (blocks.value_size // WORD_BYTES),
        infos["dp_fib_table"].max_entries,
        infos["dp_fib_leaf"].max_entries,
    )


def _mapped(fd: int, letter: Literal["I", "Q"]) -> memoryview:
    """The values of a map as numbers; gone with the last look at them."""
    info = libbpf.map_info(fd)
    step = -(-info.value_size // 8) * 8
    length = -(-info.max_entries * step // mmap.PAGESIZE) * mmap.PAGESIZE
    found = memoryview(mmap.mmap(fd, length)).cast(letter)
    return found[: info.max_entries * step // found.itemsize]
