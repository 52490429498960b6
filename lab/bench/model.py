"""What every group is given and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dataplane.errors import DataplaneError
from lab.bench.row import Kind, Row
from lab.child import in_child


class BenchError(DataplaneError):
    """Something that was to be measured failed, so that there is nothing to report."""


@dataclass(frozen=True, slots=True)
class Context:
    """How to measure.

    Args:
        root: the checkout.
        folder: for files of the run; it is gone afterwards.
        rounds: how often everything is measured.
        seed: of the order of variants within a round.
        is_quick: the smallest sizes will do.
        wanted: the targets whose rows are asked for: "T1b"; the group measures what these need.
        say: takes a line about what happens now.
    """

    root: Path
    folder: Path
    rounds: int
    seed: int
    is_quick: bool
    wanted: frozenset[str]
    say: Callable[[str], None]

    def wants(self, *targets: str) -> bool:
        """Whether one of them is asked for."""
        return not self.wanted.isdisjoint(targets)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; the first column is text and the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Result:
    """What a group found out.

    Args:
        document: all of it, for programs.
        tables: what people read beside the speed table.
        notes: sentences below the tables: how it was measured, what the peer does.
        rows: of the speed table.
    """

    document: dict[str, Any]
    tables: Sequence[Table]
    notes: Sequence[str] = field(default=())
    rows: Sequence[Row] = field(default=())


class Group(Protocol):
    """What a group's module offers, or a ``Plain`` one."""

    @property
    def TITLE(self) -> str:
        """What it measures."""

    @property
    def ROUNDS(self) -> int:
        """Unless the user says how many."""

    @property
    def QUICK_ROUNDS(self) -> int:
        """The same for a quick look."""

    @property
    def ROWS(self) -> Mapping[str, Kind]:
        """The targets that it has rows for, and how noise gets into each."""

    def measure(self, context: Context) -> Result:
        """Run everything.

        Raises:
            BenchError: something that was to be measured failed.
        """


@dataclass(frozen=True)
class Plain:
    """A group of one function, which gets rounds and whether quickly will do, and returns rows.

    It runs in a child process, whose namespaces it may change as it likes.
    """

    TITLE: str
    ROWS: Mapping[str, Kind]
    function: Callable[[int, bool], Sequence[Row]]
    ROUNDS: int = 15
    QUICK_ROUNDS: int = 3

    def measure(self, context: Context) -> Result:
        """Call it."""
        rows, _ = in_child(lambda: (list(self.function(context.rounds, context.is_quick)), []))
        return Result({"rows": [{"id": row.id, "samples": list(row.ratios)} for row in rows]}, (), (), rows)
