"""Reports: the speed table and what lies behind it, as text, as Markdown for README, as one JSON document. Pure."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lab.bench.model import Result, Table
from lab.bench.row import Row, Verdict, in_order

DOCUMENT_VERSION = 2
_NOISY = "NOISY: where a row says so, the same thing measured twice differed too much; its figures mean little."
_COLUMNS = ("row", "measure", "ours / peer", "p25 to p75", "target", "verdict", "peer")
_GAP = "  "


def document(
    rows: Sequence[Row], results: Mapping[str, Result], facts: Mapping[str, Any], failures: Mapping[str, str]
) -> str:
    """Everything, for programs."""
    groups = {name: result.document for name, result in results.items()}
    found = {
        "version": DOCUMENT_VERSION,
        "from": dict(facts),
        "rows": [row.document() for row in in_order(rows)],
        "failures": dict(failures),
        "groups": groups,
    }
    return json.dumps(found, indent=2) + "\n"


def text(rows: Sequence[Row], results: Mapping[str, Result], failures: Mapping[str, str], origin: str) -> str:
    """Tables for a terminal.

    Args:
        failures: group -> why it has no result.
        origin: the machine, the versions and the day, in one line.
    """
    return "\n".join(_lines(rows, results, failures, origin, _plain)) + "\n"


def markdown(rows: Sequence[Row], results: Mapping[str, Result], failures: Mapping[str, str], origin: str) -> str:
    """The same tables for README."""
    return "\n".join(_lines(rows, results, failures, origin, _marked)) + "\n"


def speed_table(rows: Sequence[Row]) -> Table:
    """The rows as people read them."""
    return Table("The speed table", _COLUMNS, [_cells(row) for row in in_order(rows)])


def _cells(row: Row) -> tuple[str, ...]:
    found = row.quartiles
    median = f"{_figure(found.median)} {row.unit}" if found else ""
    spread = f"{_figure(found.low)} to {_figure(found.high)}" if found and len(row.ratios) > 1 else ""
    sign = "<=" if row.is_at_most else ">="
    target = f"{sign} {row.target:,g}" if row.target is not None else ""
    return (row.id, row.measure, median, spread, target, row.verdict.value, row.peer)


def _figure(value: float) -> str:
    """Three digits that count."""
    for least, digits in ((1000, 0), (100, 0), (10, 1)):
        if abs(value) >= least:
            return f"{value:,.{digits}f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.4f}"


def _lines(
    rows: Sequence[Row],
    results: Mapping[str, Result],
    failures: Mapping[str, str],
    origin: str,
    draw: Callable[[Table], Iterator[str]],
) -> Iterator[str]:
    if any(row.verdict is Verdict.NOISY for row in rows):
        yield from (_NOISY, "")
    if rows:
        yield from (*draw(speed_table(rows)), "")
        yield from (f"{row.id}: {row.note}" for row in in_order(rows) if row.note)
        yield ""
    for name, failure in failures.items():
        yield from (f"{name} failed: {failure}", "")
    for result in results.values():
        for table in result.tables:
            yield from (*draw(table), "")
        for sentence in result.notes:
            yield from (sentence, "")
    yield origin


def _plain(table: Table) -> Iterator[str]:
    rows = [table.columns, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    is_text = _text_columns(table)
    yield table.title
    for row in rows:
        cells = (
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, is_text, strict=True)
        )
        yield _GAP.join(cells).rstrip()


def _text_columns(table: Table) -> list[bool]:
    """Whether each column is words, which stand to the left: the first one, and where a cell begins with a letter."""
    columns = range(len(table.columns))
    return [not column or any(row[column][:1].isalpha() for row in table.rows) for column in columns]


def _marked(table: Table) -> Iterator[str]:
    yield from (f"**{table.title}**", "")
    yield _row(table.columns)
    yield _row(["---" if is_text else "---:" for is_text in _text_columns(table)])
    yield from (_row(row) for row in table.rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
