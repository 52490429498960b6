"""What every command prints: one document on stdout as a table, JSON or YAML, and all other words on stderr.

It knows how to draw, never what is drawn: no command's words, no kernel, no configuration. Start-up
depends on it, so it imports nothing but click and the standard library's small modules at the top.
"""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

DOCUMENT_VERSION = 1
"""The ``version`` of every document: raised when a field changes its meaning or goes away."""

FORMATS = ("table", "json", "yaml")

STATE_COLOURS: Mapping[str, str] = {
    "Available": "green",
    "Active": "green",
    "ok": "green",
    "passed": "green",
    "Inactive": "yellow",
    "Stopped": "yellow",
    "optional": "yellow",
    "Blackhole": "red",
    "Rejected": "red",
    "Missing": "red",
    "Degraded": "red",
    "missing": "red",
    "failed": "red",
}
"""Colours of the words for states that commands share (D7 and the lab's verdicts)."""

_GAP = "  "

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings, drawn in columns as wide as their longest cell.

    Args:
        columns: the headings, in lower case.
        rows: one sequence per row, as long as ``columns``; every cell is printed with ``str``.
        colours: cell text to click colour name; only cells that are exactly this text are coloured.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    colours: Mapping[str, str] = field(default_factory=lambda: STATE_COLOURS)


Section = str | Table
"""What a table form is made of: lines of text (the summary comes first) and tables."""


def output_option(command: _Command) -> _Command:
    """Give a command ``-o table|json|yaml``, as its parameter ``output``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="The form of what is printed on stdout.",
    )(command)


def emit(document: Mapping[str, object], output: str, sections: Callable[[], Iterable[Section]]) -> None:
    """Print the one document of a command on stdout.

    Args:
        document: what there is to say, of dicts, lists, strings and numbers, keys in snake_case.
            The ``version`` is put in front of it. Other values (paths, addresses) are printed with ``str``.
        output: one of ``FORMATS``.
        sections: gives the same for people, line by line; only called for ``table``.
    """
    if output == "table":
        for section in sections():
            click.echo(drawn([section]))
        return
    click.echo(serialise({"version": DOCUMENT_VERSION, **document}, output))


def drawn(sections: Iterable[Section]) -> str:
    """Sections as ``emit`` prints them, in one text, coloured whatever the terminal is."""
    return "\n".join(line for one in sections for line in (_draw(one) if isinstance(one, Table) else [one]))


def serialise(document: Mapping[str, object], output: str) -> str:
    """A document as the text of ``json`` or ``yaml``, without an end of line."""
    import json

    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    if output == "json":
        return text
    import yaml

    # By way of JSON, so that both forms hold the same plain values whatever the types were.
    return str(yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True)).rstrip("\n")


def note(text: str) -> None:
    """Say something beside the document, on stderr."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Say on stderr what somebody should look at, and go on."""
    click.echo(click.style("warning:", fg="yellow") + f" {text}", err=True)


def error(text: str) -> None:
    """Say on stderr what went wrong."""
    click.echo(click.style("error:", fg="red") + f" {text}", err=True)


def is_colour_wanted() -> bool | None:
    """False where NO_COLOR or the terminal forbids them; None lets click look whether the stream is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def is_terminal() -> bool:
    """Whether a person sits there: questions and progress are for nobody else."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def count(number: int, singular: str, plural: str | None = None) -> str:
    """``1 route``, ``2 routes``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _draw(table: Table) -> list[str]:
    cells = [[str(cell) for cell in row] for row in table.rows]
    widths = [max(map(_width, column)) for column in zip(table.columns, *cells, strict=True)]
    lines = [_line([heading.upper() for heading in table.columns], widths, {})]
    return lines + [_line(row, widths, table.colours) for row in cells]


def _line(row: Sequence[str], widths: Sequence[int], colours: Mapping[str, str]) -> str:
    padded = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
    padded[-1] = row[-1]
    drawn = [
        click.style(pad, fg=colours[cell]) if cell in colours else pad for cell, pad in zip(row, padded, strict=True)
    ]
    return _GAP.join(drawn).rstrip()


def _width(text: str) -> int:
    """Columns on a terminal: a Chinese character, allowed in names (R69), takes two."""
    return len(text) if text.isascii() else sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
