"""What `accept` and `lab accept` share: their options, how far it is, and what they print and write at the end."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from dataplane.cli.duration import duration_between
from dataplane.cli.output import Section, Table, emit, error, is_terminal, note, output_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress, TaskID

    from dataplane.accept.language import AcceptanceFile, MeasureKind
    from dataplane.accept.model import Acceptance, DrillResult, Measure, Result, Second
    from dataplane.accept.plan import Complaint
    from dataplane.config.node import Node

MISSED = 3
"""The exit code where a limit is not reached."""
DISTURBED = 1
"""The exit code of a disturbed run: nothing was found out, as where a command fails."""

_MIN_MS, _MAX_MS = 1_000, 3_600_000
_KINDS = ("bandwidth", "packet_rate", "stream", "requests")
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Options:
    """What the options say.

    Args:
        seconds: of each measure; None: as the file says.
        kinds: only these; none: all.
        netperf: whether netperf may be used where it is.
    """

    seconds: float | None
    kinds: tuple[str, ...]
    netperf: bool
    junit: Path | None
    html: Path | None
    output: str


def accept_options(command: _Command) -> _Command:
    """Give a command the options of an acceptance, as its parameter ``options``."""
    from functools import wraps

    @wraps(command)
    def called(
        *arguments: Any,
        duration_ms: int | None,
        kinds: tuple[str, ...],
        netperf: bool,
        junit: Path | None,
        html: Path | None,
        output: str,
        **others: Any,
    ) -> Any:
        seconds = duration_ms / 1000 if duration_ms is not None else None
        return command(*arguments, options=Options(seconds, kinds, netperf, junit, html, output), **others)

    file = click.Path(path_type=Path, dir_okay=False, writable=True)
    for option in (
        output_option,
        click.option(
            "--html", type=file, callback=_in_a_folder, help="Write the report, with plots, as one HTML file."
        ),
        click.option("--junit", type=file, callback=_in_a_folder, help="Write the results as JUnit XML."),
        click.option("--netperf/--no-netperf", default=True, help="Use netperf where it is; without it: iperf3."),
        click.option("--only", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only these kinds of measure."),
        click.option(
            "--duration",
            "duration_ms",
            metavar="DURATION",
            callback=duration_between(_MIN_MS, _MAX_MS),
            help="Of each measure: 10s unless the file says otherwise; the sources take 300s (R124).",
        ),
    ):
        called = option(called)
    return called  # type: ignore[return-value]


def _in_a_folder(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Said before minutes of measuring, not after them."""
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.absolute().parent}", ctx, parameter)
    return path


def kinds_of(options: Options) -> "tuple[MeasureKind, ...]":
    """The kinds that were asked for."""
    from dataplane.accept.language import MeasureKind

    return tuple(MeasureKind(kind) for kind in options.kinds)


def read_file(path: Path) -> "tuple[AcceptanceFile, Node]":
    """An ``acceptance.yaml``, with its positions.

    Raises:
        InvalidConfig: with every mistake in it.
    """
    from dataplane.accept.language import AcceptanceFile
    from dataplane.config.document import problem_at, read_document
    from dataplane.config.problem import InvalidConfig

    file, places = read_document(path, AcceptanceFile, "README.md")
    if not (file.measures or file.drills):
        raise InvalidConfig([problem_at(places, (), "the file asks for nothing", "add measures: or drills:", "R124")])
    return file, places


def refuse_complaints(complaints: "Sequence[Complaint]", places: "Node") -> None:
    """Say all at once what of a file cannot be done.

    Raises:
        InvalidConfig: there is something.
    """
    from dataplane.config.document import problem_at
    from dataplane.config.problem import InvalidConfig

    if complaints:
        raise InvalidConfig(problem_at(places, one.path, one.message, one.remedy, one.rule) for one in complaints)


class LiveView:
    """How far an acceptance is: a bar with the present figure on a terminal, a line for each result elsewhere.

    Args:
        total: how many measures and drills there are, the repetition included.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._progress: Progress | None = None
        self._all: TaskID | None = None
        self._one: TaskID | None = None

    def __enter__(self) -> Self:
        if is_terminal():
            # Late, for rich costs more than many a command.
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figure]}"))
            self._progress = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
            self._all = self._progress.add_task("all", total=self._total, figure="")
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begins(self, label: str, seconds: float) -> None:
        if self._progress is not None:
            self._end_one()
            self._one = self._progress.add_task(label, total=seconds, figure="")

    def counted(self, measure: "Measure", second: "Second") -> None:
        from dataplane.accept.figures import counted_value
        from dataplane.accept.language import MeasureKind
        from dataplane.accept.report import figure_text

        if self._progress is not None and self._one is not None:
            kind = MeasureKind.PACKET_RATE if measure.kind is MeasureKind.REQUESTS else measure.kind
            figure = figure_text(kind, counted_value(kind, [second]))
            self._progress.update(self._one, completed=second.at, figure=figure)

    def ended(self, result: "Result") -> None:
        from dataplane.accept.report import reason

        verdict = "" if result.measure.skipped else f"{result.verdict}; "
        self._tell(f"{result.measure.label}: {verdict}{reason(result)}")

    def drilled(self, result: "DrillResult") -> None:
        from dataplane.accept.report import drill_row

        self._tell(f"drill of {result.drill.leg}: {result.verdict}; the outage was {drill_row(result)[2]}")

    def _tell(self, text: str) -> None:
        if self._progress is None:
            note(text)
        else:
            self._progress.console.print(text, markup=False, highlight=False)
            self._end_one()

    def _end_one(self) -> None:
        if self._progress is not None and self._all is not None and self._one is not None:
            self._progress.remove_task(self._one)
            self._progress.advance(self._all)
            self._one = None


def finish(ctx: click.Context, runs: "Sequence[Acceptance]", options: Options) -> None:
    """Print and write what was found, and leave with its exit code.

    Args:
        runs: one; or the same measures with several hooks, for side by side.
    """
    from dataplane.accept import report
    from dataplane.accept.model import Verdict

    first = runs[0]
    document = report.document(first)
    if len(runs) > 1:
        document |= {"beside": [report.document(run) for run in runs[1:]]}
    emit(document, options.output, lambda: _sections(runs))
    for text in report.faults(first):
        error(text)
    _write(runs, options)
    if first.verdict is not Verdict.PASSED:
        ctx.exit(DISTURBED if first.verdict in (Verdict.DISTURBED, Verdict.SKIPPED) else MISSED)


def _write(runs: "Sequence[Acceptance]", options: Options) -> None:
    if options.junit is not None:
        from dataplane.accept.junit import junit

        options.junit.write_text(junit(runs[0]))
        note(f"JUnit: {options.junit}")
    if options.html is not None:
        from dataplane.accept.html import html

        options.html.write_text(html(runs))
        note(f"report: {options.html}")


def _sections(runs: "Sequence[Acceptance]") -> Iterator[Section]:
    from dataplane.accept import report

    first = runs[0]
    yield report.summary(first)
    yield ""
    yield Table(report.COLUMNS, [report.row(result) for result in first.results], report.COLOURS)
    if first.drills:
        yield ""
        yield Table(report.DRILL_COLUMNS, [report.drill_row(drill) for drill in first.drills], report.COLOURS)
    if len(runs) > 1:
        yield ""
        yield from _beside(runs)
    yield ""
    yield from report.sentences(first)


def _beside(runs: "Sequence[Acceptance]") -> Iterable[Section]:
    from dataplane.accept import report

    columns = (*report.BESIDE_COLUMNS, *(run.hook for run in runs), "times")
    yield f"side by side: {' and '.join(run.hook for run in runs)}"
    yield Table(columns, list(report.beside_rows(runs)))
    for run in runs[1:]:
        yield from (f"{run.hook}: {text}" for text in report.closing(run))
