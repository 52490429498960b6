"""``dataplane drill``: a leg cut in silence for a while, and what that cost."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from dataplane.cli.asking import changing, need_agent
from dataplane.cli.context import need_root
from dataplane.cli.duration import SECOND_MS, duration_between
from dataplane.cli.legs import leg_argument
from dataplane.cli.output import Section, emit, note, output_option
from dataplane.cli.plan import DIFFERS

if TYPE_CHECKING:
    from dataplane.agent.api.service import DrillReport

MAX_DRILL_MS = 600 * SECOND_MS
"""What the agent takes; its own constant lives with its imports, for which `--help` has no time."""


@click.command(
    epilog="""\b
Examples:
  sudo dataplane drill ri-a1 --for 30s
  sudo dataplane drill ri-a1 --for 10s -o json | jq .outage_s
"""
)
@leg_argument
@click.option(
    "--for",
    "duration_ms",
    metavar="DURATION",
    callback=duration_between(1, MAX_DRILL_MS),
    default="30s",
    show_default=True,
    help="How long it stays cut: 500ms, 30s, up to 10m.",
)
@output_option
@click.pass_context
def drill(ctx: click.Context, name: str, duration_ms: int, output: str) -> None:
    """Cut a leg in silence for a while, and report the measured outage.

    LEG is a router interface that a load-balancing or active/standby route names. What it carries is
    dropped without a link going down: its probes find out, its flows move to the other legs, and
    they come back at the end. Refused, with exit code 1, where no other leg is healthy. Exits
    with 3 where no outage could be measured or no leg took over, and with 5 where no agent runs.
    """
    need_root("dataplane drill", "cuts a leg")
    agent = need_agent("dataplane drill")
    from dataplane.agent.api.service import DrillRequest

    with changing("dataplane health"):
        found = agent.drill(DrillRequest(name, duration_ms / SECOND_MS))
    emit(drill_document(found), output, lambda: drill_sections(found))
    for text in found.notes:
        note(f"note: {text}")
    if not has_held(found):
        ctx.exit(DIFFERS)


def has_held(found: "DrillReport") -> bool:
    """Whether the drill has shown something: traffic had another way, and what the change cost is known."""
    return found.outage_s is not None and bool(found.took_over)


def drill_document(found: "DrillReport") -> dict[str, object]:
    """What a drill found, for ``-o json``; times in seconds."""
    return {
        "leg": found.leg,
        "seconds": found.seconds,
        "outage_s": found.outage_s,
        "took_over": list(found.took_over),
        "has_held": has_held(found),
        "notes": list(found.notes),
    }


def drill_sections(found: "DrillReport") -> Iterator[Section]:
    """The same for people: first what it cost, then who carried the traffic."""
    was = f"{found.leg} was out of use for {found.seconds:g} s"
    if found.outage_s is None:
        yield f"{was}; the outage could not be measured"
    else:
        yield f"{was}; the outage was {_outage(found.outage_s)}"
    yield f"its traffic went by {', '.join(found.took_over)}" if found.took_over else "no other leg took over"


def _outage(seconds: float) -> str:
    """``31.0 ms``, ``17.25 s``."""
    return f"{seconds * SECOND_MS:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
