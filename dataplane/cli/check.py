"""``dataplane check``: are the files right? Reads them, says every problem at once, touches nothing."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dataplane.cli.context import DEFAULT_CONFIG, files_argument, load
from dataplane.cli.output import count, emit, note, output_option

if TYPE_CHECKING:
    from dataplane.config import Problem

INVALID = 4
"""The exit code for an invalid configuration."""


@click.command(
    epilog="""\b
Examples:
  dataplane check network.yaml
  dataplane check accounts/ --strict         warnings count as errors
  dataplane check network.yaml -o json | jq '.problems[].line'
"""
)
@files_argument
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
@output_option
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...], strict: bool, output: str) -> None:
    """Check files without touching anything. Needs no root.

    All problems are said at once, each with its file, line and rule. Warnings (a missing
    return route, say) pass, unless --strict. FILE is a YAML file or a folder of them;
    without one it is /etc/dataplane.
    """
    from dataplane.config import InvalidConfig

    problems: list[Problem] = []
    sources: tuple[str, ...] = tuple(str(file) for file in files) or (str(DEFAULT_CONFIG),)
    try:
        loaded = load(files)
        problems = list(loaded.warnings)
        sources = tuple(source.name for source in loaded.sources)
    except InvalidConfig as invalid:
        problems = list(invalid.problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    warnings = [problem for problem in problems if problem.severity == "warning"]
    is_valid = not errors and not (strict and warnings)
    document = {
        "is_valid": is_valid,
        "sources": list(sources),
        "problems": [_problem(problem) for problem in problems],
    }
    # Before the document, so that on a terminal the verdict is the last thing to read.
    for problem in problems:
        note(str(problem))
    emit(document, output, lambda: [_verdict(sources, is_valid, len(errors), len(warnings))])
    if not is_valid:
        ctx.exit(INVALID)


def _verdict(sources: tuple[str, ...], is_valid: bool, errors: int, warnings: int) -> str:
    where = ", ".join(sources) if len(sources) <= 3 else f"{len(sources)} files"
    found = [count(errors, "error")] if errors else []
    found += [count(warnings, "warning")] if warnings else []
    return f"{where}: {'valid' if is_valid else 'invalid'}" + (f", {', '.join(found)}" if found else "")


def _problem(problem: "Problem") -> dict[str, object]:
    return {
        "severity": problem.severity,
        "file": problem.origin.file,
        "line": problem.origin.line,
        "column": problem.origin.column,
        "path": problem.path,
        "rule": problem.rule,
        "message": problem.message,
        "remedy": problem.remedy,
    }
