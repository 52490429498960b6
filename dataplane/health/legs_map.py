"""The forwarder's map of legs, as memory: a flip is the store of one byte (T7).

Owns the mapping. Must never write over GONE: that a leg is suspended or has no other end is the agent's word.
"""

import mmap

UP, DOWN, GONE, DOWN_FOR_GOOD = 0, 1, 2, 3
"""``DP_LEG_*``; the last: down, and not even a last resort (``on_all_down: drop``, D2)."""
STRIDE_BYTES = 8
"""A memory-mapped array keeps values of one byte eight bytes apart."""


class LegsMap:
    """A mapping of a map of legs.

    Args:
        fd: its descriptor (or that of any file that can be mapped); may be closed afterwards.
        capacity: how many legs it has room for.

    Raises:
        OSError: it cannot be mapped for writing.
    """

    def __init__(self, fd: int, capacity: int) -> None:
        self._capacity = capacity
        self._bytes = mmap.mmap(fd, capacity * STRIDE_BYTES)

    def store(self, number: int, value: int) -> None:
        """Say what traffic may do with a leg; a leg beyond the map's room waits for a larger one."""
        place = number * STRIDE_BYTES
        if 0 <= number < self._capacity and self._bytes[place] not in (GONE, value):
            self._bytes[place] = value

    def close(self) -> None:
        """Let it go. What stands in it stays."""
        self._bytes.close()
