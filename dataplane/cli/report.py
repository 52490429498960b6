"""What became of an apply or a destroy, in words and as a document: every failure is named."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dataplane.cli.output import Section, count, error
from dataplane.cli.plan import AS_THE_FILES_SAY, action_document, plan_document, plan_summary
from dataplane.model.describe import listed
from dataplane.model.resource import NOWHERE

if TYPE_CHECKING:
    from dataplane.agent.views import FailureView, ReportView


def report_document(report: "ReportView") -> dict[str, object]:
    """A report as the document of ``-o json``."""
    failed = list(report.failures)
    return {
        **plan_document(report.planned),
        "is_done": report.is_done,
        "done": report.outcomes - len(failed),
        "failed": [_failure_document(failure) for failure in failed],
        "rolled_back": list(report.rolled_back),
        "remaining": list(report.remaining),
        "seconds": round(report.seconds, 3),
    }


def report_sections(report: "ReportView", done: str, settled: str = AS_THE_FILES_SAY) -> Iterable[Section]:
    """A report for people; failures are said on stderr by ``say_failures``.

    Args:
        done: the one word of success: ``applied``, ``destroyed``.
        settled: what this host is where there was nothing to do.
    """
    yield plan_summary(report.planned, settled)
    failed = len(report.failures)
    if not report.is_done:
        actions = count(report.outcomes, "action")
        left = f", {count(len(report.remaining), 'difference')} left" if report.remaining else ""
        yield f"not {done}: {report.outcomes - failed:,} of {actions} done{left}, in {report.seconds:.2f} s"
    elif report.outcomes:
        yield f"{done}: {count(report.outcomes, 'action')} in {report.seconds:.2f} s, and verified"


def say_failures(report: "ReportView", again: str) -> None:
    """Name on stderr every failed action, every unit that was rolled back, every difference that is left.

    What was held back follows from the failures before it: one line for all of it, with who waits.

    Args:
        again: the command that tries again.
    """
    failures = list(report.failures)
    held_back = [failure for failure in failures if failure.is_held_back]
    for failure in failures:
        if not failure.is_held_back:
            error("\n  ".join(_failure_lines(failure)))
    if held_back:
        waiting = dict.fromkeys(str(failure.action.owner) for failure in held_back if failure.action.owner is not None)
        of_whom = f", of {listed(list(waiting))}" if waiting else ""
        error(f"held back for that: {count(len(held_back), 'action')}{of_whom}; -o json names them all")
    for unit in report.rolled_back:
        error(f"{unit}: rolled back to what it was before; the other VPCs are as the files say")
    for line in report.remaining:
        error(f"after all that: {line}")
    if not report.is_done:
        error(f"not everything could be done; mend what is named above and run `{again}` again.")


def _failure_lines(failure: "FailureView") -> Iterator[str]:
    action = failure.action
    if action.object not in failure.error:
        yield f"{action.verb.value} {action.text}"
    yield failure.error
    if action.owner is not None:
        yield f"asked for by {action.owner}" + ("" if action.origin == NOWHERE else f" at {action.origin}")


def _failure_document(failure: "FailureView") -> dict[str, object]:
    flags = {"is_conflict": failure.is_conflict, "is_held_back": failure.is_held_back}
    return {**action_document(failure.action), "error": failure.error, **flags}
