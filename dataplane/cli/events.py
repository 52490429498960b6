"""``dataplane events``: the journal of this host, what has happened and what happens."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from dataplane.cli.asking import find_agent, need_agent
from dataplane.cli.context import folders, need_root
from dataplane.cli.journal import Fetch, Since, events_since, newest_events
from dataplane.cli.output import DOCUMENT_VERSION, emit, note, output_option, serialise
from dataplane.errors import AgentUnreachable

if TYPE_CHECKING:
    from dataplane.agent.api.client import Client
    from dataplane.model.event import Event

SHOWN = 100
"""Events without ``-n`` and ``--since``; following begins with the last few, as ``tail -f`` does."""
SHOWN_BEFORE_FOLLOWING = 10
_MOST = 20_000
"""A journal has no more."""


def _since(ctx: click.Context, parameter: click.Parameter, text: str | None) -> Since | None:
    try:
        return Since.parsed(text, datetime.now(UTC)) if text is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    epilog="""\b
Examples:
  dataplane events
  dataplane events -f                                    as they come, until control-C
  dataplane events --since 15m
  dataplane events --since 2026-01-02T03:04:05 -o json
  dataplane events -f -o json | jq -r 'select(.kind == "leg") | .resource'
"""
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new events as they come. Needs the agent.")
@click.option(
    "--since",
    metavar="ID|TIME",
    callback=_since,
    help="Only events after an id, from a time on (UTC unless it says its offset), or of the last 15m.",
)
@click.option(
    "-n",
    "--number",
    metavar="N",
    type=click.IntRange(0, _MOST),
    help=f"Only the newest N.  [default: {SHOWN}, or {SHOWN_BEFORE_FOLLOWING} with -f; all with --since]",
)
@output_option
def events(follow: bool, since: Since | None, number: int | None, output: str) -> None:
    """Show what has happened on this host: legs that went and came, repairs, applies, and why.

    The agent writes the journal; where none runs, what it wrote is read from its file, which needs root.
    Where one runs, members of the group dataplane need none. With -f and -o json every event is
    one line of JSON.
    """
    agent = need_agent("dataplane events -f") if follow else find_agent()
    found, is_cut, newest = _found(agent, since, _bound(number, since, follow))
    if agent is not None and follow:
        _follow(agent, found, newest, output)
        return
    # Late, as all that is only for printing.
    from dataplane.cli.events_text import event_document, event_sections

    emit({"events": [event_document(event) for event in found]}, output, lambda: event_sections(found))
    if is_cut:
        note("note: there are older events: -n and --since show more")
    if since is not None and since.number > newest:
        note(f"note: the newest event has the id {newest}: a journal that is begun anew counts from 1")


def _bound(number: int | None, since: Since | None, is_following: bool) -> int | None:
    """How many events at most; None: all that were asked for."""
    if number is not None or since is not None:
        return number
    return SHOWN_BEFORE_FOLLOWING if is_following else SHOWN


def _found(agent: "Client | None", since: Since | None, most: int | None) -> "tuple[list[Event], bool, int]":
    """The events that are there already, whether older ones are left out, and the newest id."""
    fetch, newest = _source(agent)
    if since is None:
        assert most is not None
        return *newest_events(fetch, newest, most), newest
    found = list(events_since(fetch, since))
    kept = found if most is None else found[len(found) - min(most, len(found)) :]
    return kept, len(kept) < len(found), newest


def _source(agent: "Client | None") -> tuple[Fetch, int]:
    """Where events come from, and the id of the newest one."""
    if agent is not None:
        return lambda number, most: agent.events(number, most).events, agent.events(0, 1).newest
    need_root("dataplane events", "reads the journal where no agent runs")
    from dataplane.agent.journal import read

    # There is no agent that would write meanwhile, and the file is small: one look is enough.
    held = read(folders().state)

    def fetch(number: int, most: int) -> "tuple[Event, ...]":
        return tuple(event for event in held if event.id > number)[:most]

    return fetch, held[-1].id if held else 0


def _follow(agent: "Client", found: "Iterable[Event]", newest: int, output: str) -> None:
    """Print what was there and what comes, one by one, until somebody ends it.

    Raises:
        AgentUnreachable: the agent has ended.
    """
    for event in found:
        _show(event, output)
        newest = max(newest, event.id)  # it has come since the newest was asked for
    for event in agent.follow(newest):
        _show(event, output)
    raise AgentUnreachable("the agent has ended, and with it its events; run it again once it is back.")


def _show(event: "Event", output: str) -> None:
    """Print one event, and see to it that whoever reads gets it now."""
    from dataplane.cli.events_text import event_document, event_line

    if output == "table":
        click.echo(event_line(event))
    else:
        document = {"version": DOCUMENT_VERSION, **event_document(event)}
        click.echo(_json_line(document) if output == "json" else f"---\n{serialise(document, output)}")
    sys.stdout.flush()


def _json_line(document: dict[str, object]) -> str:
    import json

    return json.dumps(document, ensure_ascii=False)
