"""``dataplane plan``: the actions that apply would take, with the line that asks for each; also how plans are shown."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dataplane.cli.asking import find_agent
from dataplane.cli.context import files_argument, host_option, load, need_root, open_session, this_host
from dataplane.cli.output import Section, emit, note, output_option, warn
from dataplane.model.resource import NOWHERE
from dataplane.plan.action import Verb

if TYPE_CHECKING:
    from dataplane.agent.api.client import Client
    from dataplane.agent.views import ActionView, PlanView
    from dataplane.config import Loaded

DIFFERS = 3
"""The exit code for differences, and for what is unhealthy."""

AS_THE_FILES_SAY = "this host is as the files say"

_SYSCTL = "sysctl"
_MOST_SYSCTLS = 3
_SIGN = {Verb.CREATE: "+", Verb.CHANGE: "~", Verb.DELETE: "-"}
_COLOUR = {Verb.CREATE: "green", Verb.CHANGE: "yellow", Verb.DELETE: "red"}


@click.command(
    epilog="""\b
Examples:
  dataplane plan network.yaml
  dataplane plan --offline network.yaml      against an empty host; needs no root
  dataplane plan --detailed-exitcode || echo "not as the files say"
"""
)
@files_argument
@host_option
@click.option("--offline", is_flag=True, help="Compare with an empty host instead of this one. Needs no root.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 3 where something would change.")
@output_option
@click.pass_context
def plan(
    ctx: click.Context,
    files: tuple[Path, ...],
    host: str | None,
    offline: bool,
    detailed_exitcode: bool,
    output: str,
) -> None:
    """Show what apply would change on this host, and which line of which file asks for it.

    FILE is a YAML file or a folder of them; without one it is /etc/dataplane. Where an agent runs, it is
    asked, and members of the group dataplane need no root.
    """
    agent = None if offline else find_agent()
    if not offline and agent is None:
        need_root("dataplane plan", "looks into the kernel's namespaces")
    loaded = load(files)
    for warning in loaded.warnings:
        note(str(warning))
    planned = _planned(agent, loaded, this_host(loaded, host), offline=offline)
    say_beside(planned)
    emit(plan_document(planned), output, lambda: plan_sections(planned))
    if detailed_exitcode and planned.actions:
        ctx.exit(DIFFERS)


def _planned(agent: "Client | None", loaded: "Loaded", here: str, *, offline: bool) -> "PlanView":
    if agent is not None:
        from dataplane.agent.api.service import PlanRequest

        return agent.plan(PlanRequest(loaded.sources, here))
    from dataplane.agent.views import plan_view

    return plan_view(open_session().plan(loaded, here, offline=offline))


def plan_document(planned: "PlanView") -> dict[str, object]:
    """A plan as the document of ``-o json``."""
    return {
        "summary": planned.summary,
        "actions": [action_document(action) for action in planned.actions],
        "notes": list(planned.notes),
        "foreign": list(planned.foreign),
    }


def plan_summary(planned: "PlanView", settled: str = AS_THE_FILES_SAY) -> str:
    """The first line: ``plan: 12 to create, 1 to change, 0 to delete``.

    Args:
        settled: what this host is where there is nothing to do.
    """
    if not planned.actions:
        return f"plan: nothing to do, {settled}"
    return "plan: " + ", ".join(f"{number:,} to {verb}" for verb, number in planned.summary.items())


def say_beside(planned: "PlanView") -> None:
    """The notes of a plan and the foreign objects in its way, on stderr."""
    for text in planned.notes:
        note(f"note: {text}")
    for text in planned.foreign:
        warn(text)


def plan_sections(planned: "PlanView") -> Iterable[Section]:
    """A plan for people: the summary, then the actions under the verb and the resource that asks for them."""
    yield plan_summary(planned)
    actions = list(planned.actions)
    for verb in Verb:
        yield from _verb_lines(verb, [action for action in actions if action.verb is verb])


def action_document(action: "ActionView") -> dict[str, object]:
    """One action of a plan in ``-o json``."""
    known = action.origin != NOWHERE
    return {
        "verb": action.verb.value,
        "kind": action.kind,
        "namespace": action.namespace,
        "object": action.object,
        "before": action.before,
        "resource": {"kind": action.owner.kind, "id": action.owner.id} if action.owner else None,
        "file": action.origin.file if known else None,
        "line": action.origin.line if known else None,
        "column": action.origin.column if known else None,
    }


def _verb_lines(verb: Verb, actions: "list[ActionView]") -> Iterator[str]:
    if not actions:
        return
    head = click.style(f"{_SIGN[verb]} {verb.value}", fg=_COLOUR[verb])
    for asker, group in _by(actions, _asker).items():
        yield ""
        yield f"{head}  {asker}"
        yield from (f"    {line}" for line in _lines(verb, group))


def _lines(verb: Verb, actions: "list[ActionView]") -> Iterator[str]:
    """A line per action; the many sysctls of a new namespace or link, always the same, are one line."""
    sysctls = [action for action in actions if action.kind == _SYSCTL]
    if verb is not Verb.CREATE or len(sysctls) <= _MOST_SYSCTLS:
        yield from (action.text for action in actions)
        return
    for action in actions:
        if action is sysctls[0]:
            yield f"{action.text}, and {len(sysctls) - 1:,} more sysctls (-o json has them all)"
        elif action.kind != _SYSCTL:
            yield action.text


def _asker(action: "ActionView") -> str:
    """Who asks, and where: what is deleted has often nobody left who asks for it.

    Where somebody does (the default rules of a new VPC go), it is a part of the resource that goes, not the resource.
    """
    is_deletion = action.verb is Verb.DELETE
    if action.owner is None:
        owner = "no longer asked for" if is_deletion else "this host"
    else:
        owner = f"from {action.owner}" if is_deletion else str(action.owner)
    return owner if action.origin == NOWHERE else f"{owner}  ({action.origin})"


def _by(actions: "list[ActionView]", name: "Callable[[ActionView], str]") -> "dict[str, list[ActionView]]":
    """Actions by name, in the order of first appearance."""
    groups: dict[str, list[ActionView]] = {}
    for action in actions:
        groups.setdefault(name(action), []).append(action)
    return groups
