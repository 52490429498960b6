"""What every group is given and what it returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataplane.errors import DataplaneError


class BenchError(DataplaneError):
    """Something that was to be measured failed, so that there is nothing to report."""


class TooNoisy(BenchError):
    """The same thing measured twice differs too much: figures of this machine would mean nothing now."""


@dataclass(frozen=True, slots=True)
class Context:
    """How to measure.

    Args:
        root: the checkout.
        folder: for files of the run; it is gone afterwards.
        rounds: how often everything is measured.
        seed: of the order of variants within a round.
        is_forced: report on a noisy machine too, with a mark.
        say: takes a line about what happens now.
    """

    root: Path
    folder: Path
    rounds: int
    seed: int
    is_forced: bool
    say: Callable[[str], None]


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
        tables: what people read.
        notes: sentences below the tables: how it was measured, what the peer does.
        is_noisy: the machine was too noisy, and the report was forced.
    """

    document: dict[str, Any]
    tables: Sequence[Table]
    notes: Sequence[str] = field(default=())
    is_noisy: bool = False
