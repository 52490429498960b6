"""Rows of the speed table: what was measured against which target of performance.md, and what that amounts to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lab.bench.statistics import END_TO_END, IN_KERNEL, Quartiles, is_quiet


class Kind(Enum):
    """How noise gets into a measure: between which factors the same thing measured twice has to come out."""

    KERNEL = IN_KERNEL
    END_TO_END = END_TO_END
    COUNTED = None
    """No clock takes part."""


class Verdict(Enum):
    """What a row amounts to."""

    PASS = "pass"
    FAIL = "fail"
    SHOWN = "shown"
    NOISY = "noisy"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the speed table: paired ratios of one run against a target of performance.md.

    Args:
        id: "T4", or "T4/1M" where a measure is shown at several sizes: target's number, a slash, the size.
        measure: what was measured, in words.
        peer: against what.
        ratios: one per round, ours against the peer's of the same round; larger is better unless `is_at_most`. None:
            it was not measured, the machine being too noisy.
        target: what the quartile has to clear; None where a size is shown without a target of its own.
        is_at_most: the target is an upper bound (bytes per route, share moved): then the 75th percentile has to stay
            within it.
        unit: "x" for ratios, else a unit ("bytes", "ms").
        note: e.g. absolute figures in words.
        kind: how noise gets into it.
        twins: the same thing measured twice, round by round, as ratios; none where no clock takes part.
        size: the number that the cost grows with, for the plot; None: not a point of a line.
        line: which line of the plot it is a point of, where there are several.
    """

    id: str
    measure: str
    peer: str
    ratios: tuple[float, ...]
    target: float | None = None
    is_at_most: bool = False
    unit: str = "x"
    note: str = ""
    kind: Kind = Kind.KERNEL
    twins: tuple[float, ...] = ()
    size: float | None = None
    line: str = ""

    @property
    def target_id(self) -> str:
        """The target's number: the id without the size."""
        return self.id.partition("/")[0]

    @property
    def quartiles(self) -> Quartiles | None:
        """None where it was not measured."""
        return Quartiles.of(self.ratios) if self.ratios else None

    @property
    def verdict(self) -> Verdict:
        """A target counts as reached when the worse quartile of the paired ratios clears it (performance.md)."""
        found = self.quartiles
        is_noisy = self.kind.value is not None and bool(self.twins) and not is_quiet(self.twins, self.kind.value)
        if found is None or is_noisy:
            return Verdict.NOISY
        if self.target is None:
            return Verdict.SHOWN
        is_reached = found.high <= self.target if self.is_at_most else found.low >= self.target
        return Verdict.PASS if is_reached else Verdict.FAIL

    def document(self) -> dict[str, Any]:
        """For a JSON document."""
        found = self.quartiles
        low, median, high = (found.low, found.median, found.high) if found else (None, None, None)
        return {
            "id": self.id,
            "measure": self.measure,
            "peer": self.peer,
            "ratio_median": median,
            "ratio_p25": low,
            "ratio_p75": high,
            "target": self.target,
            "is_at_most": self.is_at_most,
            "verdict": self.verdict.value,
            "unit": self.unit,
            "rounds": len(self.ratios),
            "twins_median": Quartiles.of(self.twins).median if self.twins else None,
            "size": self.size,
            "note": self.note,
        }


def size_word(size: int) -> str:
    """A number as ids of rows have it: 1000 is ``1k``."""
    for unit, word in ((1_000_000, "M"), (1_000, "k")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{word}"
    return str(size)


def rank(id_: str) -> tuple[int, str]:
    """By which rows are put in order: T1, T1b, T2 ... T16."""
    name = id_.partition("/")[0].removeprefix("T")
    digits = "".join(letter for letter in name if letter.isdigit())
    return int(digits or 0), name


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Rows by their target's number; those of one target as they came."""
    return sorted(rows, key=lambda row: rank(row.id))
