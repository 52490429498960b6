"""``dataplane agent``: keeps this host's network as its files say, until it is told to stop."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dataplane import __version__
from dataplane.cli.context import DEFAULT_CONFIG, folders, host_option, need_root, this_host
from dataplane.errors import AgentUnreachable, ConfigError

if TYPE_CHECKING:
    from dataplane.config import Loaded

_OFF = "off"


class _Metrics(click.ParamType[tuple[str, int] | None]):
    """``ADDRESS:PORT``, a port, or ``off``."""

    name = "address:port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int] | None:
        if isinstance(value, tuple) or value is None:
            return value
        text = str(value)
        if text == _OFF:
            return None
        address, _, port = text.rpartition(":")
        try:
            found = str(IPv4Address(address or "127.0.0.1")), int(port)
        except ValueError:
            self.fail(f"{text} is neither ADDRESS:PORT nor off", param, ctx)
        if not 0 <= found[1] <= 65535:
            self.fail(f"{found[1]} is no port", param, ctx)
        return found


@click.command(
    epilog="""\b
Examples:
  sudo dataplane agent                       follow /etc/dataplane
  sudo dataplane agent network.yaml          follow a file
  sudo dataplane agent --metrics off         nothing listens on a port
  sudo dataplane agent --reload              read the files again now; fails where they are refused
"""
)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@host_option
@click.option(
    "--metrics",
    type=_Metrics(),
    default="127.0.0.1:9477",
    show_default=True,
    metavar="ADDRESS:PORT|off",
    help="Where Prometheus finds the metrics.",
)
@click.option(
    "--compare-every",
    type=click.FloatRange(0.2, 30.0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long damage that the kernel does not tell of may last: everything is compared as often.",
)
@click.option("--reload", "is_reload", is_flag=True, help="Have the agent that runs read its files again, and wait.")
def agent(
    files: tuple[Path, ...], host: str | None, metrics: tuple[str, int] | None, compare_every: float, is_reload: bool
) -> None:
    """Keep this host's network as its files say, until told to stop.

    It takes over what is there, applies the files (FILE, or /etc/dataplane) when they change, mends
    what somebody breaks, probes the leased lines and moves traffic away from one that is dead. While it
    runs, the other commands ask it. Stopping it, or killing it, leaves the network forwarding;
    `dataplane destroy` takes it away.
    """
    need_root("dataplane agent", "changes the kernel's network")
    if is_reload:
        if files:
            raise click.UsageError("--reload names no files: the agent reads those that it follows.")
        _reload()
        return
    from dataplane.agent.reader import Reader

    paths, reader = tuple(path.absolute() for path in files) or (DEFAULT_CONFIG,), Reader()
    reader.begin(paths)  # while all else is imported
    from dataplane.agent.daemon.main import Start, run

    run(
        Start(
            paths=paths,
            state_dir=folders().state,
            run_dir=folders().run,
            host_of=lambda loaded: _host_of(loaded, host),
            metrics=metrics,
            version=__version__,
            full_every_s=compare_every,
            reader=reader,
        )
    )


def _host_of(loaded: "Loaded", asked: str | None) -> str:
    """As ``this_host``, for whoever is not to end over a file that was edited.

    Raises:
        ConfigError: this host is none of those that the files name.
    """
    try:
        return this_host(loaded, asked)
    except click.UsageError as error:
        raise ConfigError(error.format_message()) from error


def _reload() -> None:
    """Ask the agent to read its files; what they have wrong is raised as where no agent runs.

    Raises:
        AgentUnreachable: no agent runs here, or it does not answer.
        InvalidConfig: the files are refused; nothing was changed.
    """
    from dataplane.agent.api.client import connect
    from dataplane.cli.output import note

    client = connect(folders().run)
    if client is None:
        raise AgentUnreachable("no agent runs here: start it with `systemctl start dataplane`, or `dataplane agent`")
    note(client.reload().text)
