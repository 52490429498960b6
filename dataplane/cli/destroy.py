"""``dataplane destroy``: take away everything of ours. The only command that asks, and only a person on a terminal."""

import sys
from typing import TYPE_CHECKING

import click

from dataplane.cli.apply import FAILED
from dataplane.cli.asking import changing, find_agent
from dataplane.cli.context import need_root, open_session
from dataplane.cli.output import emit, note, output_option
from dataplane.cli.plan import say_beside
from dataplane.cli.progress import ProgressBar
from dataplane.cli.report import report_document, report_sections, say_failures

if TYPE_CHECKING:
    from dataplane.agent.views import ReportView

_SETTLED = "nothing of ours is on this host"


@click.command(
    epilog="""\b
Examples:
  dataplane destroy
  dataplane destroy --yes                    without the question
"""
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask, on a terminal either.")
@output_option
@click.pass_context
def destroy(ctx: click.Context, yes: bool, output: str) -> None:
    """Take away every object that dataplane made on this host.

    It needs no file: what is ours is recognised by its marks. What others made stays
    as it is. It asks on a terminal, and nowhere else. Where an agent runs, it does this, and goes on
    running with an empty network.
    """
    need_root("dataplane destroy", "changes the kernel's network")
    if not yes and _is_asked() and not click.confirm("Take away the whole network of this host?", err=True):
        note("nothing was changed")
        ctx.exit(FAILED)
    report = _destroyed()
    say_beside(report.planned)
    emit(report_document(report), output, lambda: report_sections(report, "destroyed", _SETTLED))
    say_failures(report, "dataplane destroy")
    if not report.is_done:
        ctx.exit(FAILED)


def _destroyed() -> "ReportView":
    agent = find_agent()
    if agent is not None:
        with changing("dataplane status"):
            return agent.destroy()
    from dataplane.agent.views import report_view

    with ProgressBar() as progress:
        return report_view(open_session(progress).destroy())


def _is_asked() -> bool:
    """Whether somebody is there to answer: a script that calls destroy means it."""
    return sys.stdin.isatty()
