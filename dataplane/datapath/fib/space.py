"""Where in the memory there is room: what no table leads to is free. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from dataplane.datapath.fib.layout import UNIT_WORDS, Room


class NoSpaceError(Exception):
    """The memory has no piece that is large enough."""


class Space:
    """The free pieces of a memory, handed out.

    Args:
        used: places and units of what is in use; may overlap.
    """

    def __init__(self, room: Room, used: Iterable[tuple[int, int]]) -> None:
        units, block = room.words // UNIT_WORDS, room.block_words // UNIT_WORDS
        self._gaps = list(_gaps(sorted(used), units, block))

    def take(self, units: int) -> int:
        """The place of a piece: out of the smallest that is large enough.

        Raises:
            NoSpaceError: there is none.
        """
        fitting = [(size, number) for number, (_, size) in enumerate(self._gaps) if size >= units]
        if not fitting:
            raise NoSpaceError
        _, number = min(fitting)
        place, size = self._gaps[number]
        self._gaps[number] = (place + units, size - units)
        return place

    def take_row(self, ends: Sequence[int]) -> list[tuple[int, int]]:
        """Places for pieces that may lie one after the other, the largest gaps first.

        Args:
            ends: of the pieces, in units from the beginning of the first.

        Returns:
            Place and number of pieces, for each gap that got some.

        Raises:
            NoSpaceError: not all of them fit.
        """
        found: list[tuple[int, int]] = []
        self._gaps.sort(key=lambda gap: -gap[1])
        done = taken = 0
        for number, (place, size) in enumerate(self._gaps):
            if done == len(ends):
                break
            count = bisect_right(ends, taken + size) - done
            if count:
                units = int(ends[done + count - 1]) - taken
                self._gaps[number] = (place + units, size - units)
                found.append((place, count))
                done, taken = done + count, taken + units
        if done < len(ends):
            raise NoSpaceError
        return found


def _gaps(used: Sequence[tuple[int, int]], units: int, block: int) -> Iterator[tuple[int, int]]:
    """What is free: places and units, none of which goes on in the next block."""
    at = 1  # place 0 is nobody's: a slot of zeros is no place
    for place, size in (*used, (units, 0)):
        while at < place:
            end = min(place, (at // block + 1) * block)
            yield at, end - at
            at = end
        at = max(at, place + size)
