"""``dataplane apply``: make this host what the files say, and tell what was done."""

from pathlib import Path

import click

from dataplane.cli.context import files_argument, host_option, load, need_root, open_session, this_host
from dataplane.cli.output import emit, note, output_option
from dataplane.cli.plan import say_beside
from dataplane.cli.progress import ProgressBar
from dataplane.cli.report import report_document, report_sections, say_failures

FAILED = 1


@click.command(
    epilog="""\b
Examples:
  dataplane apply network.yaml
  dataplane apply accounts/                  a folder of files, merged
  dataplane apply network.yaml -o json
  dataplane apply --host host-2 network.yaml       its part of a network of several hosts
"""
)
@files_argument
@host_option
@output_option
@click.pass_context
def apply(ctx: click.Context, files: tuple[Path, ...], host: str | None, output: str) -> None:
    """Make this host's network what the files say.

    The files are the whole network: what they no longer name is taken away, and `dataplane plan`
    says so beforehand. Applying them twice changes nothing the second time, and an apply
    that was interrupted is finished by the next. FILE is a YAML file or a folder of them; without
    one it is /etc/dataplane.
    """
    need_root("dataplane apply", "changes the kernel's network")
    loaded = load(files)
    for warning in loaded.warnings:
        note(str(warning))
    here = this_host(loaded, host)
    with ProgressBar() as progress:
        report = open_session(progress).apply(loaded, here)
    say_beside(report.planned)
    emit(report_document(report), output, lambda: report_sections(report, "applied"))
    say_failures(report, "dataplane apply")
    if not report.is_done:
        ctx.exit(FAILED)
