"""Whom a command asks: the agent of this host where one runs, else nobody, and the command works alone.

Owns finding it, and what is said when it goes away. It never decides what is asked, nor how an answer is shown.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dataplane.cli.context import Folders, folders
from dataplane.cli.output import note
from dataplane.errors import AgentUnreachable

if TYPE_CHECKING:
    from dataplane.agent.api.client import Client


def find_agent(where: Folders | None = None) -> "Client | None":
    """The agent of this host; None where none runs.

    Args:
        where: its folders, where the global options of this call are not known yet.

    Raises:
        AgentUnreachable: its socket is there, and nobody answers, or somebody of another version.
        PermissionDenied: the caller is neither root nor in the group ``dataplane``.
    """
    from dataplane.agent.api.listener import SOCKET_NAME

    run_dir = (where or folders()).run
    try:
        # The client costs a quarter of a second to import: who has no agent does not pay for it.
        (run_dir / SOCKET_NAME).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # the client says in its own words who may look there
    from dataplane.agent.api.client import connect

    return connect(run_dir)


def need_agent(what: str) -> "Client":
    """The agent of this host, for what nobody else can do.

    Args:
        what: was asked for, ``dataplane health``.

    Raises:
        AgentUnreachable: none runs here, or as ``find_agent``.
        PermissionDenied: as ``find_agent``.
    """
    found = find_agent()
    if found is None:
        raise AgentUnreachable(
            f"`{what}` needs the agent, and none runs on this host: start it with `sudo systemctl start dataplane`, "
            "or by hand with `sudo dataplane agent`."
        )
    return found


@contextmanager
def changing(again: str) -> Iterator[None]:
    """Around a change that the agent is asked for: says what is known of it when the answer does not come.

    Args:
        again: where to look how it ended, a command.
    """
    from dataplane.agent.api.client import Unanswered

    try:
        yield
    except KeyboardInterrupt:
        note(f"the agent goes on with it: `{again}` tells how it ended")
        raise
    except Unanswered:
        note(f"whether it was done is not known: `{again}` tells, once the agent runs again")
        raise
