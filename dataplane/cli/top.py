"""``dataplane top``: what flows now, connection by connection and flow by flow."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import click

from dataplane.cli.asking import find_agent
from dataplane.cli.context import folders, need_root
from dataplane.cli.duration import duration_between
from dataplane.cli.legs import complete_connection
from dataplane.cli.output import DOCUMENT_VERSION, emit, note, output_option, serialise

if TYPE_CHECKING:
    from dataplane.agent.api.client import Client
    from dataplane.agent.api.service import TopRequest
    from dataplane.cli.top_text import Order
    from dataplane.observe.top import Top

_ORDERS = ("rate", "share", "throttled", "name")
_SHORTEST_MS, _LONGEST_MS = 200, 30_000
_MOST_FLOWS = 1_000


@click.command(
    epilog="""\b
Examples:
  dataplane top                                          until q
  dataplane top --connection pcx-1 --sort throttled
  dataplane top --count 1                                one look of a second
  dataplane top -o json --count 5 --interval 2s | jq -c '.flows[0]'
"""
)
@click.option(
    "--interval",
    "interval_ms",
    metavar="TIME",
    default="1s",
    show_default=True,
    callback=duration_between(_SHORTEST_MS, _LONGEST_MS),
    help="How long each look is: 200ms to 30s.",
)
@click.option(
    "--count",
    "most",
    metavar="N",
    type=click.IntRange(1),
    help="End after N looks.  [default: 1, on a terminal until q]",
)
@click.option(
    "--sort", "order", type=click.Choice(_ORDERS), default="rate", show_default=True, help="What comes first."
)
@click.option(
    "--connection", metavar="ID", default="", shell_complete=complete_connection, help="Only this connection."
)
@click.option(
    "--flows",
    metavar="N",
    type=click.IntRange(0, _MOST_FLOWS),
    default=15,
    show_default=True,
    help="How many of the heaviest flows.",
)
@output_option
def top(interval_ms: int, most: int | None, order: str, connection: str, flows: int, output: str) -> None:
    """Show what flows now: connections both ways with their share of the bandwidth, and the heaviest flows.

    A flow is a 5-tuple as it is sent; it is listed where a limit counts it, with its share of its
    cap, and whether it is queued or policed. Rates are of IP packets that the forwarder carried. On
    a terminal it goes on until q; with -o json every look is one line. Where an agent runs, members
    of the group dataplane need no root.
    """
    tops = _tops(interval_ms / 1000, flows, connection)
    by = cast("Order", order)
    if output == "table" and most is None and sys.stdout.isatty():
        from dataplane.cli.top_live import show_live

        show_live(tops, by)
        return
    for number, found in enumerate(tops, 1):
        _show(found, by, output, is_first=number == 1)
        if number >= (most or 1):
            return


def _tops(seconds: float, flows: int, connection: str) -> "Iterator[Top]":
    """What flows, interval by interval; whom to ask is found out here: the thread of a live view knows no options."""
    agent = find_agent()
    if agent is not None:
        from dataplane.agent.api.service import TopRequest

        return _asked(agent, TopRequest(seconds, flows, connection))
    need_root("dataplane top", "reads the forwarder's counters where no agent runs")
    from dataplane.agent.datapath import watching

    return watching(folders().state, seconds, flows, connection)


def _asked(agent: "Client", request: "TopRequest") -> "Iterator[Top]":
    while True:
        yield agent.top(request)


def _show(found: "Top", order: "Order", output: str, *, is_first: bool) -> None:
    """Print one look, and see to it that whoever reads gets it now."""
    from dataplane.cli import top_text as text

    document = text.top_document(found, order)
    if output == "json":
        import json

        click.echo(json.dumps({"version": DOCUMENT_VERSION, **document}, ensure_ascii=False))
    elif output == "yaml":
        click.echo(f"---\n{serialise({'version': DOCUMENT_VERSION, **document}, output)}")
    else:
        if not is_first:
            click.echo()
        emit(document, output, lambda: text.top_sections(found, order))
    if is_first and found.flows_seen is None:
        note(f"note: {text.NO_FLOWS}")
    sys.stdout.flush()
