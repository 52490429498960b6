"""What became of an apply or a destroy, in words and as a document: every failure is named."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dataplane.cli.output import Section, count, error
from dataplane.cli.plan import AS_THE_FILES_SAY, action_document, action_text, plan_document, plan_summary
from dataplane.model.describe import describe, listed
from dataplane.model.resource import NOWHERE

if TYPE_CHECKING:
    from dataplane.agent.report import Report
    from dataplane.plan.action import Outcome


def report_document(report: "Report") -> dict[str, object]:
    """A report as the document of ``-o json``."""
    failed = report.failures
    return {
        **plan_document(report.planned),
        "is_done": report.is_done,
        "done": len(report.outcomes) - len(failed),
        "failed": [_failure_document(outcome) for outcome in failed],
        "rolled_back": list(report.rolled_back),
        "remaining": list(report.remaining),
        "seconds": round(report.seconds, 3),
    }


def report_sections(report: "Report", done: str, settled: str = AS_THE_FILES_SAY) -> Iterable[Section]:
    """A report for people; failures are said on stderr by ``say_failures``.

    Args:
        done: the one word of success: ``applied``, ``destroyed``.
        settled: what this host is where there was nothing to do.
    """
    yield plan_summary(report.planned, settled)
    failed = len(report.failures)
    if not report.is_done:
        actions = count(len(report.outcomes), "action")
        left = f", {count(len(report.remaining), 'difference')} left" if report.remaining else ""
        yield f"not {done}: {len(report.outcomes) - failed:,} of {actions} done{left}, in {report.seconds:.2f} s"
    elif report.outcomes:
        yield f"{done}: {count(len(report.outcomes), 'action')} in {report.seconds:.2f} s, and verified"


def say_failures(report: "Report", again: str) -> None:
    """Name on stderr every failed action, every unit that was rolled back, every difference that is left.

    What was held back follows from the failures before it: one line for all of it, with who waits.

    Args:
        again: the command that tries again.
    """
    held_back = [outcome for outcome in report.failures if outcome.is_held_back]
    for outcome in report.failures:
        if not outcome.is_held_back:
            error("\n  ".join(_failure_lines(outcome)))
    if held_back:
        waiting = dict.fromkeys(str(outcome.action.owner) for outcome in held_back if outcome.action.owner is not None)
        of_whom = f", of {listed(list(waiting))}" if waiting else ""
        error(f"held back for that: {count(len(held_back), 'action')}{of_whom}; -o json names them all")
    for unit in report.rolled_back:
        error(f"{unit}: rolled back to what it was before; the other VPCs are as the files say")
    for line in report.remaining:
        error(f"after all that: {line}")
    if not report.is_done:
        error(f"not everything could be done; mend what is named above and run `{again}` again.")


def _failure_lines(outcome: "Outcome") -> Iterator[str]:
    action, said = outcome.action, str(outcome.error)
    if describe(action.object) not in said:
        yield f"{action.verb.value} {action_text(action)}"
    yield said
    if action.owner is not None:
        yield f"asked for by {action.owner}" + ("" if action.origin == NOWHERE else f" at {action.origin}")


def _failure_document(outcome: "Outcome") -> dict[str, object]:
    flags = {"is_conflict": outcome.is_conflict, "is_held_back": outcome.is_held_back}
    return {**action_document(outcome.action), "error": outcome.error, **flags}
