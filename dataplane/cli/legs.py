"""Legs as arguments of commands; their names, and those of connections, for the shell that completes them."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import click

from dataplane.cli.asking import find_agent
from dataplane.cli.context import DEFAULT_RUN, DEFAULT_STATE, Folders
from dataplane.errors import DataplaneError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def leg_argument(command: _Command) -> _Command:
    """Give a command ``LEG``, as its parameter ``name``: a router interface; completion offers those in groups."""
    return click.argument("name", metavar="LEG", shell_complete=complete_leg)(command)


def complete_leg(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The legs whose names begin so. Who may look neither at the agent nor at the state is offered none."""
    return _known(ctx, incomplete, (_probed, _grouped))


def complete_connection(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Likewise the peering connections."""
    return _known(ctx, incomplete, (_probed_connections, _applied_connections))


def _known(ctx: click.Context, incomplete: str, sources: Iterable[Callable[[Folders], Iterable[str]]]) -> list[str]:
    # The shell asks without running the command, so that the folders are still in the parameters.
    given = ctx.find_root().params
    where = Folders(given.get("state_dir") or DEFAULT_STATE, given.get("run_dir") or DEFAULT_RUN)
    found: set[str] = set()
    for known in sources:
        with suppress(DataplaneError, OSError):
            found |= {name for name in known(where) if name.startswith(incomplete)}
    return sorted(found)


def _probed_connections(where: Folders) -> Iterable[str]:
    agent = find_agent(where)
    return [leg.connection for leg in agent.health().legs] if agent is not None else ()


def _applied_connections(where: Folders) -> Iterable[str]:
    from dataplane.agent.store import Store
    from dataplane.config import load_sources

    applied = Store(where.state).load().applied
    return load_sources(applied.sources).network.peering_connections if applied.sources else ()


def _probed(where: Folders) -> Iterable[str]:
    """What the agent probes: others than root may ask it."""
    agent = find_agent(where)
    return [leg.leg for leg in agent.health().legs] if agent is not None else ()


def _grouped(where: Folders) -> Iterable[str]:
    """What was applied here has in its groups: only root may look."""
    from dataplane.agent.store import Store
    from dataplane.compile.leg_order import leg_groups
    from dataplane.config import load_sources

    state = Store(where.state).load()
    if not state.applied.sources:
        return ()
    groups = leg_groups(load_sources(state.applied.sources), state.applied.host, state.legs)
    return [leg for group in groups for leg in group.states]
