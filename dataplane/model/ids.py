"""The id book: small dense numbers for ports, tables, legs, groups and next hops, remembered between runs.

The numbers belong to one host and never leave it. A book is a value; a *numbering* hands out numbers
during one compilation and ends as the next book. A number is not used again while the book still
holds it, and the book drops a name only after a verify has seen no reference to it (``keep``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

IdKind = Literal["port", "table", "leg", "group", "next_hop"]
IdName = tuple[IdKind, str]


@dataclass(frozen=True, slots=True)
class IdBook:
    """Which number each name has.

    Args:
        numbers: (kind, name) -> number, unique within a kind, from 1 up.
        floor: per kind, the highest number that is in use in the kernel by names we no longer know;
            new numbers start above it.
    """

    numbers: Mapping[IdName, int] = field(default_factory=dict)
    floor: Mapping[IdKind, int] = field(default_factory=dict)

    def keep(self, names: Iterable[IdName]) -> "IdBook":
        """The book without every name that is not in ``names``: only after a clean verify."""
        kept = set(names)
        return IdBook({name: number for name, number in self.numbers.items() if name in kept})


class Numbering:
    """Hands out numbers from a book, the lowest free one to a new name, and notes what was asked for."""

    def __init__(self, book: IdBook) -> None:
        self._book = book
        self._fresh: dict[IdName, int] = {}
        self._taken: dict[IdKind, set[int]] = {}
        self._next: dict[IdKind, int] = {}
        self.used: set[IdName] = set()
        for (kind, _), number in book.numbers.items():
            self._taken.setdefault(kind, set()).add(number)

    def number(self, kind: IdKind, name: str) -> int:
        """The number of a name, the same one at every call and in every later compilation."""
        key: IdName = (kind, name)
        self.used.add(key)
        known = self._book.numbers.get(key) or self._fresh.get(key)
        if known is None:
            known = self._fresh[key] = self._lowest_free(kind)
        return known

    def _lowest_free(self, kind: IdKind) -> int:
        taken = self._taken.setdefault(kind, set())
        number = self._next.get(kind, self._book.floor.get(kind, 0) + 1)
        while number in taken:
            number += 1
        taken.add(number)
        self._next[kind] = number + 1
        return number

    def book(self) -> IdBook:
        """The book to remember before anything is applied: all old names and all new ones."""
        return IdBook({**self._book.numbers, **self._fresh}, self._book.floor)
