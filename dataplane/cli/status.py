"""``dataplane status``: every resource of the applied network as the kernel has it now."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from dataplane.cli.asking import find_agent
from dataplane.cli.context import did_you_mean, need_root, open_session
from dataplane.cli.output import Section, Table, count, emit, note, output_option, warn
from dataplane.cli.plan import DIFFERS
from dataplane.model.describe import listed
from dataplane.model.resource import NOWHERE

if TYPE_CHECKING:
    from dataplane.agent.api.client import Client
    from dataplane.agent.views import StatusView
    from dataplane.model.simulation import Count
    from dataplane.model.traffic import NamedTraffic
    from dataplane.observe.connections import ConnectionState, EndState
    from dataplane.observe.status import ResourceState

_GOOD_STATES = frozenset({"Available", "Active"})
"""States that nobody has to look at (D7)."""

_COLUMNS = ("kind", "id", "state", "detail", "kernel object", "reason")


@click.command(
    epilog="""\b
Examples:
  dataplane status
  dataplane status --kind instance --kind vpc
  dataplane status --problems || echo "look at this host"
  dataplane status -o json | jq '.resources[] | select(.state != "Active")'
"""
)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only resources of this kind; may be repeated.")
@click.option("--problems", is_flag=True, help="Only what is not Available or Active.")
@output_option
@click.pass_context
def status(ctx: click.Context, kinds: tuple[str, ...], problems: bool, output: str) -> None:
    """Show every resource of the applied network: its state, the kernel object, and the reason.

    What was applied last is compared with the live kernel. Exits with 3 where something is
    missing or changed, whatever the filters show. Where an agent runs, it is asked, and members of
    the group dataplane need no root.
    """
    agent = find_agent()
    said = _who(agent) if agent is not None else ""
    found = _status(agent)
    _check_kinds(kinds, found)
    shown = [
        resource
        for resource in found.resources
        if (not kinds or resource.resource.kind in kinds) and not (problems and _is_good(resource, found))
    ]
    emit(_document(found, shown), output, lambda: _sections(found, shown))
    for text in found.notes:
        note(f"note: {text}")
    for text in found.foreign:
        warn(text)
    if found.unhealthy:
        note("`sudo dataplane apply` with the same files mends what is missing or changed.")
    if said:  # on stderr, so that the document is the same with and without an agent
        note(said)
    if not found.is_healthy:
        ctx.exit(DIFFERS)


def _status(agent: "Client | None") -> "StatusView":
    if agent is not None:
        return agent.status()
    need_root("dataplane status", "looks into the kernel's namespaces")
    from dataplane.agent.views import status_view

    return status_view(open_session().status())


def _who(agent: "Client") -> str:
    """The line about the agent that runs here."""
    hello = agent.hello()
    since = f", since {hello.since}" if hello.since else ""
    return f"note: an agent keeps this host so (process {hello.pid}{since}); `dataplane events` tells what it did"


def _is_good(state: "ResourceState", found: "StatusView") -> bool:
    return state.state in _GOOD_STATES and state not in found.unhealthy


def _check_kinds(kinds: tuple[str, ...], found: "StatusView") -> None:
    known = sorted({resource.resource.kind for resource in found.resources})
    for kind in kinds:
        if known and kind not in known:
            raise click.UsageError(
                f"no resource of kind {kind} is applied here; there are: {', '.join(known)}.{did_you_mean(kind, known)}"
            )


def _document(found: "StatusView", shown: list["ResourceState"]) -> dict[str, object]:
    return {
        "is_healthy": found.is_healthy,
        "applied_at": found.applied_at or None,
        "host": found.host or None,
        "sha256": found.sha256 or None,
        "sources": list(found.sources),
        "summary": dict(Counter(resource.state for resource in found.resources)),
        "resources": [_resource(resource) for resource in shown],
        "notes": list(found.notes),
        "foreign": list(found.foreign),
        "leftovers": list(found.leftovers),
        "connections": [_connection(one) for one in found.connections],
        "forwarder": _traffic(found.traffic) if found.traffic is not None else None,
    }


def _connection(found: "ConnectionState") -> dict[str, object]:
    """A peering connection with both its ends, what was ordered, and since when (R167)."""
    return {
        "id": found.id,
        "status": found.status,
        "initiator": _end(found.initiator),
        "acceptor": _end(found.acceptor),
        "bandwidth_bits_per_second": found.bandwidth,
        "created_at": found.created_at,
        "connected_at": found.connected_at,
    }


def _end(found: "EndState | None") -> dict[str, str] | None:
    if found is None:
        return None
    return {"router_interface": found.router_interface, "router": found.router, "status": found.status}


def _traffic(traffic: "NamedTraffic") -> dict[str, object]:
    """Frames and bytes since the forwarder's maps were made: by port and reason, and by leg."""
    ports = {
        port: {reason.name.lower(): _count(count) for reason, count in sorted(reasons.items())}
        for port, reasons in traffic.ports.items()
    }
    return {"ports": ports, "legs": {leg: _count(count) for leg, count in traffic.legs.items()}}


def _count(count: "Count") -> dict[str, int]:
    return {"packets": count.packets, "bytes": count.bytes}


def _resource(state: "ResourceState") -> dict[str, object]:
    known = state.origin != NOWHERE
    return {
        "kind": state.resource.kind,
        "id": state.resource.id,
        "state": state.state,
        "detail": state.detail,
        "reason": state.reason,
        "kernel_object": state.kernel_object,
        "file": state.origin.file if known else None,
        "line": state.origin.line if known else None,
    }


def _sections(found: "StatusView", shown: list["ResourceState"]) -> Iterable[Section]:
    if found.leftovers:
        yield f"unhealthy: an apply was not finished, or its state is lost; here are {listed(found.leftovers)}"
        note("`sudo dataplane apply FILE` makes it whole, `sudo dataplane destroy` takes it away.")
    elif not found.applied_at:
        yield "nothing is applied on this host"
        note("Apply a network with `sudo dataplane apply FILE`, or try one with `sudo dataplane lab up vpc-peering`.")
    else:
        yield _summary(found)
    if shown:
        yield ""
        yield Table(_COLUMNS, [_row(state) for state in shown])


def _summary(found: "StatusView") -> str:
    states = Counter(resource.state for resource in found.resources)
    counted = ", ".join(f"{number:,} {state}" for state, number in states.most_common())
    verdict = "healthy" if found.is_healthy else "unhealthy"
    resources = count(len(found.resources), "resource")
    where = f" on {found.host}" if found.host else ""
    files = f"{', '.join(found.sources)} (sha256 {found.sha256[:12]})"
    return f"{verdict}: {resources}{where} ({counted}), applied {found.applied_at} from {files}"


def _row(state: "ResourceState") -> tuple[str, ...]:
    resource = state.resource
    return resource.kind, resource.id, state.state, state.detail, state.kernel_object, state.reason
