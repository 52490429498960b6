"""What ``dataplane datapath`` prints: documents, and tables made of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dataplane.cli.output import Section, Table, count
from dataplane.model.buckets import bucket_orders
from dataplane.model.forwarding import BUCKETS, Forwarding, LegState, Verdict
from dataplane.model.leg import LegVerdicts
from dataplane.model.path import Packet
from dataplane.observe.simulation import Journey, leaf_words

Rows = list[dict[str, object]]


def fib_document(state: Forwarding, verdicts: LegVerdicts) -> Rows:
    """Every route of every table that a port looks up."""
    return [
        {
            "router": table.namespace,
            "table": table.name,
            "destination": str(prefix),
            "says": leaf_words(state, leaf),
            "verdict": "forward" if leaf.kind.name in ("HOP", "GROUP") else leaf.kind.name.lower(),
        }
        for table in state.tables.values()
        for prefix, leaf in sorted(table.routes.items())
    ]


def groups_document(state: Forwarding, verdicts: LegVerdicts) -> Rows:
    """Every group, with the share of the buckets that prefer each member, and the share that it has now."""
    rows: Rows = []
    for group in state.groups.values():
        orders = bucket_orders(group)
        states = [state.legs[member.leg] for member in group.members]
        first, now = [order[0] for order in orders], [_used(order, states) for order in orders]
        for place, member in enumerate(group.members):
            leg = state.leg_names[member.leg]
            rows.append(
                {
                    "router": group.namespace,
                    "group": group.id,
                    "mode": group.mode.value,
                    "leg": leg,
                    "state": states[place].words,
                    "share": round(100 * first.count(place) / BUCKETS, 1),
                    "share_now": round(100 * now.count(place) / BUCKETS, 1),
                    "why": _why(leg, states[place], verdicts),
                }
            )
    return rows


def _used(order: tuple[int, ...], states: list[LegState]) -> int | None:
    """The member that a bucket's flows take; None: nobody (``group_select`` in ``ebpf/lib/group.h``)."""
    wanted = (LegState.UP, LegState.DOWN)
    return next((place for one in wanted for place in order if states[place] is one), None)


def _why(leg: str, state: LegState, verdicts: LegVerdicts) -> str:
    """Who says that a leg is up or down, and since when."""
    verdict = verdicts.of(leg)
    if state is LegState.GONE:
        return "suspended, or without its other end"
    words = verdict.words if verdict is not None else ""
    return f"{words}, and not even a last resort (D2)" if state is LegState.DROPPED else words


def legs_document(state: Forwarding, verdicts: LegVerdicts) -> Rows:
    """Every leg that a route uses."""
    hops = {hop.leg: hop for hop in state.hops.values() if hop.leg}
    return [
        {
            "leg": state.leg_names[leg],
            "state": leg_state.words,
            "port": state.ports[hops[leg].port].ifname if hops[leg].port in state.ports else "",
            "next_router": state.ports[hops[leg].far].namespace if hops[leg].far in state.ports else "",
            "mtu": hops[leg].mtu,
            "why": _why(state.leg_names[leg], leg_state, verdicts),
        }
        for leg, leg_state in state.legs.items()
    ]


def ports_document(state: Forwarding, verdicts: LegVerdicts) -> Rows:
    """Every port, and who may send by it."""
    return [
        {
            "port": port.name,
            "router": port.namespace,
            "ifname": port.ifname,
            "kind": port.kind.value,
            "table": state.tables[port.table].name if port.table in state.tables else "",
            "source": str(port.source) if port.source is not None else "any",
            "source_mac": port.source_mac or "any",
        }
        for port in state.ports.values()
    ]


DOCUMENTS: Mapping[str, Callable[[Forwarding, LegVerdicts], Rows]] = {
    "fib": fib_document,
    "groups": groups_document,
    "legs": legs_document,
    "ports": ports_document,
}

_NOTHING = {
    "fib": "No routes: no port looks a table up.",
    "groups": "No groups: no route has several legs.",
    "legs": "No legs: no route leads by a router interface.",
    "ports": "No ports.",
}


def show_sections(kind: str, rows: Rows) -> Iterator[Section]:
    """A table with the document's own columns."""
    if not rows:
        yield _NOTHING[kind]
        return
    columns = [name.replace("_", " ") for name in rows[0]]
    yield Table(columns, [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: object) -> str:
    return "-" if value in ("", None) else str(value)


def journey_document(packet: Packet, journey: Journey) -> dict[str, Any]:
    """A simulated packet's way."""
    return {
        "packet": {
            "source": str(packet.source),
            "destination": str(packet.destination),
            "protocol": packet.protocol,
            "sport": packet.sport,
            "dport": packet.dport,
            "ttl": packet.ttl,
        },
        "hook": journey.hook,
        "routers": [
            {
                "router": router.namespace,
                "port": router.port,
                "table": router.table,
                "route": str(router.route) if router.route is not None else None,
                "says": router.says,
                "reason": router.reason.name.lower(),
            }
            for router in journey.routers
        ],
        "verdict": journey.verdict.value,
        "reason": journey.reason.name.lower(),
        "words": journey.reason.words,
        "end": journey.end,
        "ttl": journey.ttl,
        "is_delivered": journey.is_delivered,
    }


def journey_sections(journey: Journey) -> Iterator[Section]:
    """The same for people: the outcome first, then router by router."""
    yield _outcome(journey)
    yield ""
    yield Table(
        ["router", "came in by", "table", "route", "which says", "so it is"],
        [
            [
                router.namespace,
                router.port,
                router.table or "-",
                str(router.route or "-"),
                router.says or "-",
                router.reason.words,
            ]
            for router in journey.routers
        ],
    )


def _outcome(journey: Journey) -> str:
    routers = count(len({router.namespace for router in journey.routers}), "router")
    if journey.is_delivered:
        return f"Delivered to {journey.end} by {journey.hook} through {routers}, with TTL {journey.ttl}."
    if journey.verdict is Verdict.FORWARD:
        return f"Handed to {journey.end}, which is not the destination and has to forward it, with TTL {journey.ttl}."
    if journey.verdict is Verdict.PASS:
        return f"Passed to the kernel at {journey.end}: {journey.reason.words}."
    return f"Dropped at {journey.end}: {journey.reason.words}."
