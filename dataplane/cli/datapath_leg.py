"""``dataplane datapath leg``: a leg taken down or up by hand, and what its groups do then."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from dataplane.cli.asking import changing, find_agent
from dataplane.cli.context import need_root, open_session
from dataplane.cli.legs import leg_argument
from dataplane.cli.output import Section, Table, emit, output_option
from dataplane.cli.plan import say_beside
from dataplane.cli.report import report_document, say_failures

if TYPE_CHECKING:
    from dataplane.agent.views import LegView

FAILED = 1


@click.command(
    epilog="""\b
Examples:
  sudo dataplane datapath leg ri-a1 down
  sudo dataplane datapath leg ri-a1 auto
"""
)
@leg_argument
@click.argument("wish", metavar="up|down|auto", type=click.Choice(["up", "down", "auto"]))
@click.option("--force", is_flag=True, help="Take it down also where it is the last healthy leg of a group.")
@output_option
@click.pass_context
def leg(ctx: click.Context, name: str, wish: Any, force: bool, output: str) -> None:
    """Take a leg down or up by hand, in the forwarder and in the kernel; auto leaves it to its health check again.

    LEG is a router interface that a load-balancing or active/standby route names. Only the leg's own flows
    move, and they come back as exactly. It is remembered: a later apply keeps it.
    """
    need_root("dataplane datapath leg", "changes the kernel's network")
    found = _ordered(name, wish, is_forced=force)
    say_beside(found.report.planned)
    emit(leg_document(found), output, lambda: leg_sections(found))
    say_failures(found.report, f"dataplane datapath leg {name} {wish}")
    if not found.report.is_done:
        ctx.exit(FAILED)


def _ordered(name: str, wish: Any, *, is_forced: bool) -> "LegView":
    agent = find_agent()
    if agent is not None:
        from dataplane.agent.api.service import LegRequest

        with changing("dataplane datapath show legs"):
            return agent.force_leg(LegRequest(name, wish, is_forced))
    from dataplane.agent.views import leg_view

    return leg_view(open_session().order_leg(name, wish, is_forced=is_forced))


def leg_document(found: "LegView") -> dict[str, object]:
    """What was done, and the groups that the leg is in."""
    verdict = found.verdict
    return {
        "leg": found.leg,
        "state": verdict.state if verdict is not None else "up",
        "cause": verdict.cause if verdict is not None else None,
        "since": verdict.at if verdict is not None else None,
        "groups": [
            {
                "vpc": group.vpc,
                "mode": group.mode,
                "legs": {leg: state.name.lower() for leg, state in group.states.items()},
                "used": list(group.used),
            }
            for group in found.groups
        ],
        "apply": report_document(found.report),
    }


def leg_sections(found: "LegView") -> Iterator[Section]:
    """The same for people."""
    verdict = found.verdict
    said = verdict.words if verdict is not None else "left to its health check, and counts as up until that speaks (D1)"
    done = "" if found.report.is_done else ", but not everything could be done"
    yield f"{found.leg} is {said}{done}"
    yield ""
    rows = [
        (
            group.vpc,
            group.mode,
            ", ".join(f"{leg} {state.words}" for leg, state in group.states.items()),
            ", ".join(group.used) or "nobody: its traffic is dropped",
        )
        for group in found.groups
    ]
    yield Table(("vpc", "mode", "legs", "traffic goes by"), rows)
