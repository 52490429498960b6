"""Reports: results as text for a terminal, as Markdown for README, as one JSON document. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.bench.model import Result, Table

DOCUMENT_VERSION = 1
_NOISY = "NOISY: the same thing measured twice differed too much; these figures mean little."
_GAP = "  "


def document(results: Mapping[str, Result], facts: Mapping[str, Any]) -> str:
    """Everything, for programs."""
    groups = {name: result.document for name, result in results.items()}
    return json.dumps({"version": DOCUMENT_VERSION, "from": dict(facts), "groups": groups}, indent=2) + "\n"


def text(results: Mapping[str, Result], origin: str) -> str:
    """Tables for a terminal.

    Args:
        origin: the machine, the versions and the day, in one line.
    """
    return "\n".join(_lines(results, origin, _plain)) + "\n"


def markdown(results: Mapping[str, Result], origin: str) -> str:
    """The same tables for README."""
    return "\n".join(_lines(results, origin, _marked)) + "\n"


def _lines(results: Mapping[str, Result], origin: str, draw: Any) -> Iterator[str]:
    for result in results.values():
        if result.is_noisy:
            yield from (_NOISY, "")
        for table in result.tables:
            yield from draw(table)
            yield ""
        for sentence in result.notes:
            yield from (sentence, "")
    yield origin


def _plain(table: Table) -> Iterator[str]:
    rows = [table.columns, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    yield table.title
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield _GAP.join([first.strip().ljust(widths[0]), *others]).rstrip()


def _marked(table: Table) -> Iterator[str]:
    yield from (f"**{table.title}**", "")
    yield _row(table.columns)
    yield _row(["---", *["---:"] * (len(table.columns) - 1)])
    yield from (_row(row) for row in table.rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
