"""The command behind ``scripts/bench``: reads the options, measures, prints."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from dataplane.errors import DataplaneError
from lab.bench import report
from lab.bench.facts import facts, sentence
from lab.bench.groups import GROUPS
from lab.bench.model import Context, Result, TooNoisy

EXIT_FAILED = 1
EXIT_NOISY = 3
EXIT_PERMISSION = 6
EXIT_INTERRUPTED = 130
_ROOT = Path(__file__).resolve().parents[2]

_EPILOGUE = """
groups:
{groups}

exit code: 0 measured; 1 something that was to be measured failed; 2 usage; 3 the machine is too noisy, nothing is
reported; 6 not root; 130 interrupted
examples:
  sudo scripts/bench                              everything, about fifteen minutes
  sudo scripts/bench bringup --quick              one round
  sudo scripts/bench --json bench.json --markdown
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
    except TooNoisy as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_NOISY
    except (DataplaneError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _options() -> argparse.Namespace:
    known = "\n".join(f"  {name:10} {group.TITLE}" for name, group in GROUPS.items())
    usual = ", ".join(f"{name}: {group.ROUNDS}" for name, group in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure dataplane beside its peers, in a sandbox: the machine's own network is not touched.",
        epilog=_EPILOGUE.format(groups=known),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="what to measure (everything)")
    parser.add_argument("--rounds", type=_at_least_one, metavar="N", help=f"({usual})")
    parser.add_argument("--quick", action="store_true", help="one round: for a look, not for a figure")
    parser.add_argument("--seed", type=int, default=1, help="of the order of variants within a round (1)")
    parser.add_argument("--force", action="store_true", help="report on a noisy machine too, marked as noisy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file, too")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    unknown = [name for name in options.groups if name not in GROUPS]
    if unknown:
        parser.error(f"there is no group {unknown[0]}; there are: {', '.join(GROUPS)}")
    if options.json is not None and not os.access(options.json.absolute().parent, os.W_OK):
        parser.error(f"{options.json} cannot be written: there is no such folder, or it is read-only")
    return options


def _at_least_one(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one round")
    return number


def _run(options: argparse.Namespace) -> int:
    chosen = options.groups or list(GROUPS)
    rounds = {name: 1 if options.quick else options.rounds or GROUPS[name].ROUNDS for name in chosen}
    origin = facts(options.seed, rounds)
    results: dict[str, Result] = {}
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="dataplane-bench-") as folder:
            context = Context(_ROOT, Path(folder), rounds[name], options.seed, options.force, _say)
            results[name] = GROUPS[name].measure(context)
    draw = report.markdown if options.markdown else report.text
    print(draw(results, sentence(origin)), end="")
    if options.json is not None:
        options.json.write_text(report.document(results, origin), encoding="utf-8")
    return 0


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
