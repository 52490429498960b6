"""The command behind ``scripts/bench``: reads the options, measures, prints."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dataplane.errors import DataplaneError
from lab.bench import plots, quiet, report
from lab.bench.facts import facts, sentence
from lab.bench.groups import GROUPS, chosen, lines, targets
from lab.bench.model import Context, Result
from lab.bench.row import Kind, Row, Verdict
from lab.bench.statistics import is_quiet

EXIT_FAILED = 1
EXIT_NOISY = 3
EXIT_PERMISSION = 6
EXIT_INTERRUPTED = 130
_ROOT = Path(__file__).resolve().parents[2]

_EPILOGUE = """
groups and their rows:
{groups}

exit code: 0 measured, whatever the verdicts; 1 something that was to be measured failed; 2 usage; 3 some rows are too
noisy to say anything; 6 not root; 130 interrupted
examples:
  sudo scripts/bench                              everything
  sudo scripts/bench T1 T1b --quick               two rows, three rounds, the smallest sizes
  sudo scripts/bench --json bench.json --markdown --plots plots
"""


def main() -> int:
    """Measure what the command line asks for.

    Returns:
        The exit code.
    """
    options = _options()
    if os.geteuid() != 0:
        print("error: it makes network namespaces, which needs root: run it with sudo", file=sys.stderr)
        return EXIT_PERMISSION
    try:
        return _run(options)
    except (DataplaneError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _options() -> argparse.Namespace:
    usual = ", ".join(f"{name}: {group.ROUNDS}" for name, group in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure dataplane beside its peers, in a sandbox: the machine's own network is not touched.",
        epilog=_EPILOGUE.format(groups="\n".join(lines(GROUPS))),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows (T1b), or groups of them (everything)")
    parser.add_argument("--rounds", type=_at_least_one, metavar="N", help=f"({usual})")
    parser.add_argument("--quick", action="store_true", help="few rounds, small sizes: for a look, not for a figure")
    parser.add_argument("--seed", type=int, default=1, help="of the order of variants within a round (1)")
    parser.add_argument("--force", action="store_true", help="measure on a noisy machine too; such rows say `noisy`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file, too")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw each row that has several sizes, as SVG")
    options = parser.parse_args()
    try:
        options.chosen = chosen(options.rows, GROUPS)
    except KeyError as error:
        known = f"{', '.join(targets(GROUPS))}; groups: {', '.join(GROUPS)}"
        parser.error(f"there is no row {error.args[0].upper()}; there are: {known}")
    for place in (options.json, options.plots):
        if place is not None and not os.access(place.absolute().parent, os.W_OK):
            parser.error(f"{place} cannot be written: there is no such folder, or it is read-only")
    return options


def _at_least_one(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one round")
    return number


@dataclass(slots=True)
class _Found:
    """What came out so far.

    Args:
        results: group -> what it found.
        unmeasured: rows that only say that it was too noisy.
        failures: group -> why it has no result.
    """

    results: dict[str, Result] = field(default_factory=dict)
    unmeasured: list[Row] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        return [*self.unmeasured, *(row for result in self.results.values() for row in result.rows)]


def _run(options: argparse.Namespace) -> int:
    if options.plots is not None:
        plots.require()
    rounds = {name: _rounds(name, options) for name in options.chosen}
    origin = facts(options.seed, rounds)
    found = _Found()
    for name, wanted in options.chosen.items():
        try:
            _measure(name, wanted, rounds[name], options, found)
        except (DataplaneError, OSError) as error:
            found.failures[name] = str(error)
            _say(f"{name} failed: {error}")
    draw: Callable[..., str] = report.markdown if options.markdown else report.text
    print(draw(found.rows, found.results, found.failures, sentence(origin)), end="")
    if options.json is not None:
        options.json.write_text(report.document(found.rows, found.results, origin, found.failures), encoding="utf-8")
    if options.plots is not None:
        for file in plots.draw(found.rows, options.plots, sentence(origin)):
            _say(f"drawn: {file}")
    if found.failures:
        return EXIT_FAILED
    return EXIT_NOISY if any(row.verdict is Verdict.NOISY for row in found.rows) else 0


def _rounds(name: str, options: argparse.Namespace) -> int:
    usual = GROUPS[name].QUICK_ROUNDS if options.quick else GROUPS[name].ROUNDS
    return int(options.rounds or usual)


def _measure(name: str, wanted: frozenset[str], rounds: int, options: argparse.Namespace, found: _Found) -> None:
    """One group; what a noisy machine forbids is left out, unless the user insists."""
    group = GROUPS[name]
    twins = {kind: quiet.look(kind, _say) for kind in {group.ROWS[target] for target in wanted}}
    noisy = {kind for kind, ratios in twins.items() if kind.value is not None and not is_quiet(ratios, kind.value)}
    left_out = frozenset(target for target in wanted if group.ROWS[target] in noisy and not options.force)
    found.unmeasured += [
        Row(target, "not measured: the same thing measured twice differs", "", (), kind=group.ROWS[target])
        for target in sorted(left_out)
    ]
    if wanted == left_out:
        return
    with tempfile.TemporaryDirectory(prefix="dataplane-bench-") as folder:
        say: Callable[[str], None] = lambda line: _say(f"{name}: {line}")  # noqa: E731 (a lambda is what a field takes)
        context = Context(_ROOT, Path(folder), rounds, options.seed, options.quick, wanted - left_out, say)
        result = group.measure(context)
    rows = [_with_twins(row, twins) for row in result.rows if row.target_id in context.wanted]
    found.results[name] = replace(result, rows=rows)


def _with_twins(row: Row, twins: Mapping[Kind, list[float]]) -> Row:
    """Rows without twins of their own are judged by those of the first look."""
    return row if row.twins else replace(row, twins=tuple(twins.get(row.kind, ())))


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
