"""What became of an apply or a destroy, in words and as a document: every failure is named."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dataplane.cli.output import Section, count, error
from dataplane.cli.plan import action_document, action_text, plan_document, plan_summary
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


def report_sections(report: "Report", done: str) -> Iterable[Section]:
    """A report for people; failures are said on stderr by ``say_failures``.

    Args:
        done: the one word of success: ``applied``, ``destroyed``.
    """
    yield plan_summary(report.planned)
    failed = len(report.failures)
    if not report.is_done:
        actions = count(len(report.outcomes), "action")
        left = f", {count(len(report.remaining), 'difference')} left" if report.remaining else ""
        yield f"not {done}: {len(report.outcomes) - failed:,} of {actions} done{left}, in {report.seconds:.2f} s"
    elif report.outcomes:
        yield f"{done}: {count(len(report.outcomes), 'action')} in {report.seconds:.2f} s, and verified"


def say_failures(report: "Report", again: str) -> None:
    """Name on stderr every failed action, every unit that was rolled back, every difference that is left.

    Args:
        again: the command that tries again.
    """
    for outcome in report.failures:
        error("\n  ".join(_failure_lines(outcome)))
    for unit in report.rolled_back:
        error(f"{unit}: rolled back to what it was before; the other VPCs are as the files say")
    for line in report.remaining:
        error(f"after all that: {line}")
    if not report.is_done:
        error(f"not everything could be done; mend what is named above and run `{again}` again.")


def _failure_lines(outcome: "Outcome") -> Iterator[str]:
    action = outcome.action
    yield f"{action.verb.value} {action_text(action)}"
    yield str(outcome.error)
    if action.owner is not None:
        yield f"asked for by {action.owner}" + ("" if action.origin == NOWHERE else f" at {action.origin}")


def _failure_document(outcome: "Outcome") -> dict[str, object]:
    return {**action_document(outcome.action), "error": outcome.error, "is_conflict": outcome.is_conflict}
