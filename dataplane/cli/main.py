"""The command ``dataplane``: its list of commands, its global options, and how errors become exit codes.

A command's module is imported only when that command runs, so that ``--help`` and completion answer at
once. Nothing here knows what a command does.
"""

import errno
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from dataplane import __version__
from dataplane.cli.context import DEFAULT_RUN, DEFAULT_STATE, Folders
from dataplane.cli.output import count, error, is_colour_wanted, note
from dataplane.errors import BugError, ConfigError, DataplaneError

INTERRUPTED = 130
"""The exit code after control-C, as shells have it: 128 + SIGINT."""

_ALLOCATIONS_PER_COLLECTION = 100_000
"""A network's objects live as long as the command does: with Python's 700, looking through them again and again took a
fifth of an apply."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Entry:
    """A command in the list: the module and name to import it from, and its one line of help."""

    target: str
    help: str


COMMANDS: Mapping[str, Entry] = {
    "check": Entry("dataplane.cli.check:check", "Check files without touching anything."),
    "schema": Entry("dataplane.cli.schema:schema", "Print the JSON Schema of the language, for editors."),
    "plan": Entry("dataplane.cli.plan:plan", "Show what apply would change, and which line asks for it."),
    "apply": Entry("dataplane.cli.apply:apply", "Make this host's network what the files say."),
    "destroy": Entry("dataplane.cli.destroy:destroy", "Take away everything that was applied here."),
    "status": Entry("dataplane.cli.status:status", "Show every resource, its state and why."),
    "agent": Entry("dataplane.cli.agent:agent", "Keep this host's network as its files say, and mend it."),
    "health": Entry("dataplane.cli.health:health", "Show each leg as its probes see it: state, loss, round trips."),
    "events": Entry("dataplane.cli.events:events", "Show what has happened on this host, and follow what happens."),
    "top": Entry("dataplane.cli.top:top", "Show what flows now: connections, and the heaviest flows."),
    "confirm": Entry("dataplane.cli.confirm:confirm", "Keep what apply --confirm made."),
    "drill": Entry("dataplane.cli.drill:drill", "Cut a leg in silence for a while, and measure the outage."),
    "accept": Entry("dataplane.cli.accept:accept", "Measure the network, and hold it against what it must reach."),
    "cpe": Entry("dataplane.cli.cpe:cpe", "Print what the data centre's router needs at the far end of a line."),
    "capture": Entry("dataplane.cli.capture:capture", "Show the packets at a port, a connection or an instance."),
    "why": Entry("dataplane.cli.why:why", "Say what becomes of a packet, router by router, and what to change."),
    "datapath": Entry("dataplane.cli.datapath:datapath", "Look into the forwarder: what it holds, what it would do."),
    "exec": Entry("dataplane.cli.exec:exec_", "Run a command inside an instance."),
    "doctor": Entry("dataplane.cli.doctor:doctor", "Say what this host lacks, and what brings it."),
    "lab": Entry("dataplane.cli.lab:lab", "Try networks in simulated hosts on this machine."),
    "completion": Entry("dataplane.cli.completion:completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they run, and whose errors are sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.target.partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from dataplane.cli.context import did_you_mean

            raise click.UsageError(f"no such command: {args[0]}.{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list out of the table above: asking each command would import them all."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def main(  # type: ignore[override]  # click's overloads differ between its versions
        self, args: Sequence[str] | None = None, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Run, and leave the process with the exit code of design section 8.

        ``standalone_mode=False`` lets errors through, as click's own does.
        """
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        code = self._run(args, extra)
        gc.freeze()  # or Python would look for rubbish among all that is left, before it throws all of it away
        sys.exit(code)

    def _run(self, args: Sequence[str] | None, extra: dict[str, Any]) -> int:
        try:
            code = super().main(args, standalone_mode=False, **extra)
            if sys.stdout is not None:  # closed by the caller: `>&-`
                sys.stdout.flush()
        except BrokenPipeError:
            return _leave_pipe()
        except OSError as failure:
            if failure.errno not in _FULL:
                return _report(failure)
            error(f"cannot write: {failure.strerror}; make room, or write somewhere else.")
            return _leave_pipe()
        except click.exceptions.Abort:
            note("interrupted")
            return INTERRUPTED
        except click.ClickException as failure:
            _show_usage(failure)
            return failure.exit_code
        except Exception as failure:
            return _report(failure)
        return code if isinstance(code, int) else 0


def _show_usage(failure: click.ClickException) -> None:
    """Say a wrong use in the form of all our errors, with the way to the help."""
    if isinstance(failure, click.exceptions.NoArgsIsHelpError):
        failure.show()
        return
    if isinstance(failure, click.UsageError) and failure.ctx is not None:
        note(f"{failure.ctx.get_usage()}\nTry `{failure.ctx.command_path} --help`.\n")
    message = failure.format_message()
    error(message[:1].lower() + message[1:])


def _leave_pipe() -> int:
    """Nobody reads on (``| head``, a full disk): be quiet, also when the interpreter flushes on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _report(failure: Exception) -> int:
    """Print an error as the sentence that it is, or as a bug of ours; its exit code."""
    if isinstance(failure, DataplaneError) and not isinstance(failure, BugError):
        if _is_debugging():
            _print_traceback()
        _show_error(failure)
        return failure.exit_code
    if _is_debugging():
        _print_traceback()
        return 1
    error(
        f"this is a bug in dataplane, not in your network: {type(failure).__name__}: {failure}\n"
        f"The details are in {_write_traceback()}: please report it with that file."
    )
    return 1


def _show_error(failure: DataplaneError) -> None:
    if isinstance(failure, ConfigError):
        from dataplane.config import InvalidConfig

        if isinstance(failure, InvalidConfig):
            # As they are, ``file:line:column`` first, which editors and terminals can follow.
            note(str(failure))
            errors = sum(problem.severity == "error" for problem in failure.problems)
            error(f"{count(errors, 'error')} in the configuration; nothing was changed.")
            return
    error(str(failure))


def _is_debugging() -> bool:
    return os.environ.get("DATAPLANE_DEBUG", "") not in ("", "0")


def _print_traceback() -> None:
    import traceback

    note(traceback.format_exc().rstrip())


def _write_traceback() -> str:
    """The path of a file with the traceback, the version and the command line."""
    import platform
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="dataplane-bug-", suffix=".txt", delete=False) as file:
        file.write(f"dataplane {__version__}, Python {platform.python_version()}, {platform.release()}\n")
        file.write(f"command: {' '.join(sys.argv)}\n\n{traceback.format_exc()}")
    return file.name


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `dataplane lab up vpc-peering`, or with a file of your own: `dataplane check network.yaml`.",
)
@click.version_option(__version__, prog_name="dataplane", message="%(prog)s %(version)s")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    show_default=True,
    envvar="DATAPLANE_STATE_DIR",
    show_envvar=True,
    help="Where ids and the applied configuration are kept.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_RUN,
    show_default=True,
    envvar="DATAPLANE_RUN_DIR",
    show_envvar=True,
    help="Where the lock and the agent's socket are.",
)
@click.pass_context
def cli(ctx: click.Context, state_dir: Path, run_dir: Path) -> None:
    """Cloud-like private networks on plain Linux, from one YAML file.

    VPCs, vSwitches, instances, route tables and peering connections become network
    namespaces, veth pairs, rules and routes of this host.
    """
    ctx.color = is_colour_wanted()
    ctx.obj = Folders(state=state_dir, run=run_dir)


def main() -> None:
    """The console script: ``dataplane``."""
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION, 50, 50)
    cli.main(prog_name="dataplane")
