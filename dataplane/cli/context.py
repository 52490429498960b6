"""What the commands share: the files that are meant, the folders of state, who may do what, and near misses.

It holds no state of its own: the two folders travel in click's context as one frozen value.
"""

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dataplane.errors import PermissionDenied

if TYPE_CHECKING:
    from dataplane.agent.session import Session
    from dataplane.config import Loaded

DEFAULT_CONFIG = Path("/etc/dataplane")
DEFAULT_STATE = Path("/var/lib/dataplane")
DEFAULT_RUN = Path("/run/dataplane")

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this host keeps what it remembers, and what lives as long as it is up.

    Args:
        state: ids and the configuration that was applied last.
        run: the lock and the agent's socket.
    """

    state: Path = DEFAULT_STATE
    run: Path = DEFAULT_RUN


def folders() -> Folders:
    """The folders that the global options of this call name."""
    found = click.get_current_context().find_object(Folders)
    return found or Folders()


def files_argument(command: _Command) -> _Command:
    """Give a command ``[FILE]...``, as its parameter ``files``; completion offers files and folders."""
    return click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path), default=None)(
        command
    )


def host_option(command: _Command) -> _Command:
    """Give a command ``--host NAME``, as its parameter ``host``: which of the file's hosts this one is."""
    return click.option(
        "--host",
        metavar="NAME",
        envvar="DATAPLANE_HOST",
        help="Which of the hosts in the files this one is; left out: its host name. DATAPLANE_HOST does the same.",
    )(command)


def this_host(loaded: "Loaded", asked: str | None) -> str:
    """The id of this host in a network of several; empty where the files name no hosts.

    Args:
        asked: what ``--host`` says, if it was given.

    Raises:
        click.UsageError: it is none of the hosts that the files name.
    """
    known = loaded.network.hosts
    if not known:
        return ""
    name = asked or socket.gethostname()
    if name not in known:
        which = f"--host {name}" if asked else f"this host is called {name}, which"
        listed = ", ".join(known)
        remedy = "" if asked else " Say which of them it is with --host."
        raise click.UsageError(f"{which} is none of the files' hosts ({listed}).{did_you_mean(name, known)}{remedy}")
    return name


def load(files: tuple[Path, ...]) -> "Loaded":
    """Read and check the files, or the default folder where none is named.

    Raises:
        InvalidConfig: with all problems at once.
    """
    from dataplane.config import load as load_config

    return load_config(list(files) or [DEFAULT_CONFIG])


def need_root(command: str, why: str) -> None:
    """Refuse before anything is done.

    Args:
        command: what was asked for, ``dataplane apply``.
        why: what it does that needs the right, ``changes the kernel's network``.

    Raises:
        PermissionDenied: the caller is not root.
    """
    if os.geteuid() != 0:
        raise PermissionDenied(f"`{command}` {why}, which needs root: run it with sudo.")


def open_session(progress: Callable[[int, int, str], None] | None = None) -> "Session":
    """A session with this host, on the folders of this call."""
    from dataplane.agent.session import Session

    return Session(folders().state, folders().run, progress)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean web?`` where something known is close to the word, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=3)
    return f" Did you mean {' or '.join(close)}?" if close else ""
