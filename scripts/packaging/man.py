"""Write ``dataplane.1``: what ``--help`` says of every command, the exit codes, files and variables, as a man page.

.venv/bin/python scripts/packaging/man.py | man -l -
"""

import re
from collections.abc import Iterator

import click

from dataplane import __version__
from dataplane.cli.main import cli

EXIT_CODES = (
    (0, "What was asked is done, or holds."),
    (1, "It failed; the message says who must act. Of accept: disturbed, so that nothing is known."),
    (2, "Wrong use: an unknown option, or something that is not there was named."),
    (3, "What was asked does not hold: there are differences, a flow fails, a limit is not reached, a leg is down."),
    (4, "The configuration is invalid; nothing was changed."),
    (5, "The agent cannot be reached, or none runs and the command needs one."),
    (6, "A privilege is missing."),
    (130, "Interrupted."),
)
FILES = (
    ("/etc/dataplane/*.yaml", "The network, where no file is named."),
    ("/var/lib/dataplane", "What is remembered: ids, and what was applied."),
    ("/run/dataplane", "The lock, the agent's socket, and what is pinned of the forwarder."),
    ("/run/netns/dp-*", "The namespaces of VPCs, VBRs and instances."),
)
VARIABLES = (
    ("DATAPLANE_HOST", "Which host of a network of several this is."),
    ("DATAPLANE_STATE_DIR, DATAPLANE_RUN_DIR", "As --state-dir and --run-dir."),
    ("DATAPLANE_DEBUG", "Anything but 0: tracebacks."),
    ("NO_COLOR", "No colour."),
)


def page() -> Iterator[str]:
    """The lines of the page."""
    context = click.Context(cli, info_name="dataplane")
    yield f'.TH DATAPLANE 1 "" "dataplane {__version__}" "User Commands"'
    yield from (".SH NAME", r"dataplane \- cloud-like private networks on plain Linux, from one YAML file")
    yield from (".SH SYNOPSIS", ".B dataplane", r"[\fIOPTION\fR]... \fICOMMAND\fR [\fIARGUMENT\fR]...")
    yield ".SH DESCRIPTION"
    yield from _prose(cli.help or "")
    yield from _options(context)
    yield ".SH COMMANDS"
    yield from _commands(context)
    yield ".SH EXIT STATUS"
    for code, meaning in EXIT_CODES:
        yield from (".TP", f".B {code}", _roff(meaning))
    for title, entries in (("FILES", FILES), ("ENVIRONMENT", VARIABLES)):
        yield f".SH {title}"
        for word, meaning in entries:
            yield from (".TP", f".B {_roff(word)}", _roff(meaning))


def _commands(context: click.Context) -> Iterator[str]:
    """Each command below a group, those of groups in groups too."""
    group = context.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, parent=context, info_name=name)
        yield f".SS {_roff(' '.join([below.command_path, *command.collect_usage_pieces(below)]))}"
        yield from _prose(command.help or "")
        yield from _options(below)
        yield from _examples(command.epilog or "")
        if isinstance(command, click.Group):
            yield from _commands(below)


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None and "--help" not in record[0]:
            yield from (".TP", f".B {_roff(record[0])}", _roff(record[1]))


def _prose(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.replace("\b", "").strip()):
        yield from (".PP", _roff(" ".join(paragraph.split())))


def _examples(epilog: str) -> Iterator[str]:
    """As they are: what ``\\b`` keeps from being filled."""
    lines = epilog.replace("\b", "").strip().splitlines()
    if lines:
        yield from (".PP", _roff(lines[0]), ".PP", ".nf", ".RS")
        yield from (_roff(line.removeprefix("  ")) for line in lines[1:])
        yield from (".RE", ".fi")


def _roff(text: str) -> str:
    """A text that troff prints as it is."""
    safe = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    return rf"\&{safe}" if safe.startswith(".") else safe


if __name__ == "__main__":
    print("\n".join(page()))
