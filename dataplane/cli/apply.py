"""``dataplane apply``: make this host what the files say, and tell what was done."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dataplane.cli.asking import changing, find_agent, need_agent
from dataplane.cli.context import files_argument, host_option, load, need_root, open_session, this_host
from dataplane.cli.duration import SECOND_MS, duration_between
from dataplane.cli.output import count, emit, note, output_option
from dataplane.cli.plan import say_beside
from dataplane.cli.progress import ProgressBar
from dataplane.cli.report import report_document, report_sections, say_failures

if TYPE_CHECKING:
    from dataplane.agent.api.client import Client
    from dataplane.agent.views import ReportView
    from dataplane.config import Loaded

FAILED = 1
MAX_CONFIRM_MS = 3_600 * SECOND_MS
"""What the agent takes; its own constant lives with its imports, for which `--help` has no time."""


@click.command(
    epilog="""\b
Examples:
  dataplane apply network.yaml
  dataplane apply accounts/                  a folder of files, merged
  dataplane apply network.yaml -o json
  dataplane apply --host host-2 network.yaml       its part of a network of several hosts
  dataplane apply --confirm 60s network.yaml       goes back by itself, unless `dataplane confirm` follows
"""
)
@files_argument
@host_option
@click.option(
    "--confirm",
    "confirm_ms",
    metavar="DURATION",
    callback=duration_between(SECOND_MS, MAX_CONFIRM_MS, SECOND_MS),
    help="Go back by itself after this time (60s, 5m) unless `dataplane confirm` comes before. Needs the agent.",
)
@output_option
@click.pass_context
def apply(ctx: click.Context, files: tuple[Path, ...], host: str | None, confirm_ms: int | None, output: str) -> None:
    """Make this host's network what the files say.

    The files are the whole network: what they no longer name is taken away, and `dataplane plan`
    says so beforehand. Applying them twice changes nothing the second time, and an apply
    that was interrupted is finished by the next. FILE is a YAML file or a folder of them; without
    one it is /etc/dataplane. Where an agent runs, the files are handed to it, and it keeps the host so.
    """
    need_root("dataplane apply", "changes the kernel's network")
    agent = need_agent("dataplane apply --confirm") if confirm_ms is not None else find_agent()
    loaded = load(files)
    for warning in loaded.warnings:
        note(str(warning))
    report, until = _applied(agent, loaded, this_host(loaded, host), confirm_ms)
    say_beside(report.planned)
    # A script that gave --confirm learns until when; without it the document is as it always was.
    more = {"confirm_until": until or None} if confirm_ms is not None else {}
    emit({**report_document(report), **more}, output, lambda: report_sections(report, "applied"))
    say_failures(report, "dataplane apply")
    if confirm_ms is not None:
        _say_confirm(until, confirm_ms)
    if not report.is_done:
        ctx.exit(FAILED)


def _applied(agent: "Client | None", loaded: "Loaded", here: str, confirm_ms: int | None) -> "tuple[ReportView, str]":
    """What was done, and until when somebody has to confirm it; empty where nobody has."""
    if agent is not None:
        from dataplane.agent.api.service import ApplyRequest

        confirm_s = confirm_ms // SECOND_MS if confirm_ms is not None else None
        with changing("dataplane status"):
            reply = agent.apply(ApplyRequest(loaded.sources, here, confirm_s))
        return reply.report, reply.confirm_until
    from dataplane.agent.views import report_view

    with ProgressBar() as progress:
        return report_view(open_session(progress).apply(loaded, here)), ""


def _say_confirm(until: str, asked_ms: int) -> None:
    """Until when somebody has to confirm; the agent has nothing to go back to where nothing was changed."""
    if until:
        seconds = count(asked_ms // SECOND_MS, "second")
        note(f"note: it goes back by itself in {seconds}, at {until}, unless `dataplane confirm` comes before")
    else:
        note("note: nothing waits for `dataplane confirm`: there is nothing to go back from")
