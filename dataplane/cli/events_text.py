"""Events and health as tables for people and as documents: what ``dataplane events`` and ``dataplane health`` print.

Pure: moments come in as arguments. It asks nobody for anything.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from dataplane.cli.output import Section, Table, count

if TYPE_CHECKING:
    from dataplane.model.event import Event
    from dataplane.observe.health import Health, LegHealth

EVENT_COLUMNS = ("id", "time (UTC)", "resource", "what", "change", "cause")
LEG_COLUMNS = ("leg", "connection", "state", "traffic", "since", "loss", "median", "99 %", "flips", "cause")
_NONE = "-"
_COLOURS = {"up": "green", "down": "red", "falling": "yellow", "rising": "yellow", "unknown": "yellow"}
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60
_MEDIAN, _LATE = 0.5, 0.99


def event_line(event: "Event") -> str:
    """One event as one line, for ``dataplane events -f``."""
    return "  ".join(filter(None, (str(event.id), *_event_row(event)[1:])))


def event_sections(events: Iterable["Event"]) -> Iterable[Section]:
    """Events as a table under a summary."""
    rows = [_event_row(event) for event in events]
    yield count(len(rows), "event")
    if rows:
        yield ""
        yield Table(EVENT_COLUMNS, rows)


def event_document(event: "Event") -> dict[str, object]:
    """An event for ``-o json``."""
    return {
        "id": event.id,
        "at": event.at,
        "monotonic_ns": event.monotonic_ns,
        "kind": event.kind,
        "resource": event.resource,
        "what": event.what,
        "before": event.before or None,
        "after": event.after or None,
        "cause": event.cause or None,
    }


def health_sections(health: "Health", now: datetime) -> Iterable[Section]:
    """The legs as a table, behind a summary and what else somebody should know.

    Args:
        now: UTC.
    """
    yield _summary(health)
    for group in health.groups:
        if group.legs and not group.healthy:
            yield f"all legs of {group.group} are down: on_all_down decides where its traffic goes (D2)"
    if health.prober is not None and not health.prober.is_running:
        yield "the prober does not answer: verdicts stay as they are (D3); the agent starts it again"
    if health.legs:
        yield ""
        yield Table(LEG_COLUMNS, [_leg_row(leg, now) for leg in health.legs], _COLOURS)


def health_document(health: "Health") -> dict[str, object]:
    """The health of everything for ``-o json``; times in seconds."""
    prober = health.prober
    return {
        "is_healthy": is_healthy(health),
        "legs": [_leg_document(leg) for leg in health.legs],
        "groups": [{"group": one.group, "legs": one.legs, "healthy": one.healthy} for one in health.groups],
        "prober": None
        if prober is None
        else {"is_running": prober.is_running, "lateness_s": prober.lateness_s, "restarts": prober.restarts},
    }


def is_healthy(health: "Health") -> bool:
    """Whether every leg is up and probed: else ``dataplane health`` exits with 3."""
    probed = health.prober is None or health.prober.is_running
    return probed and all(leg.is_up and not leg.is_frozen for leg in health.legs)


def _summary(health: "Health") -> str:
    down = sum(not leg.is_up for leg in health.legs)
    if not health.legs:
        return "no leg is probed: the configuration has no health_check"
    verdict = "healthy" if is_healthy(health) else "unhealthy"
    return f"{verdict}: {count(len(health.legs), 'leg')}, {len(health.legs) - down} up, {down} down"


def _event_row(event: "Event") -> tuple[str, ...]:
    at = event.at.replace("T", " ").removesuffix("+00:00")
    change = " -> ".join(filter(None, (event.before, event.after)))
    return str(event.id), at, f"{event.kind} {event.resource}".strip(), event.what, change, event.cause


def _leg_row(leg: "LegHealth", now: datetime) -> tuple[str, ...]:
    times = dict(leg.round_trip_s)
    return (
        leg.leg,
        leg.connection,
        leg.state.value,
        "up" if leg.is_up else "down",
        _ago(leg.since, now),
        _NONE if leg.loss_ratio is None else f"{100 * leg.loss_ratio:.1f} %",
        _time(times.get(_MEDIAN)),
        _time(times.get(_LATE)),
        str(leg.flips),
        "; ".join(filter(None, (leg.cause, *_marks(leg)))),
    )


def _marks(leg: "LegHealth") -> Iterable[str]:
    """What else is to be known of a leg, in words."""
    if leg.forced:
        yield f"{leg.forced} by hand"
    if leg.is_damped:
        yield "held down after too many flips (D1)"
    if leg.is_frozen:
        yield "nobody probes it: its verdict stays (D3)"
    if not leg.has_carrier:
        yield "its link has no carrier"


def _leg_document(leg: "LegHealth") -> dict[str, object]:
    return {
        "leg": leg.leg,
        "connection": leg.connection,
        "state": leg.state.value,
        "is_up": leg.is_up,
        "since": leg.since or None,
        "cause": leg.cause or None,
        "forced": leg.forced or None,
        "is_damped": leg.is_damped,
        "is_frozen": leg.is_frozen,
        "has_carrier": leg.has_carrier,
        "sent": leg.sent,
        "replies": leg.replies,
        "misses": leg.misses,
        "late": leg.late,
        "voided": leg.voided,
        "flips": leg.flips,
        "loss_ratio": leg.loss_ratio,
        "round_trip_s": {f"{quantile:g}": seconds for quantile, seconds in leg.round_trip_s},
    }


def _time(seconds: float | None) -> str:
    """``1.23 ms``, ``45 us``."""
    if seconds is None:
        return _NONE
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _ago(since: str, now: datetime) -> str:
    """``3m 5s``: how long something has been so; of no moment at all, ``-``."""
    try:
        seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    except (ValueError, TypeError):
        return _NONE
    if seconds >= _DAY_S:
        return f"{seconds // _DAY_S}d {seconds % _DAY_S // _HOUR_S}h"
    if seconds >= _HOUR_S:
        return f"{seconds // _HOUR_S}h {seconds % _HOUR_S // _MINUTE_S}m"
    return f"{seconds // _MINUTE_S}m {seconds % _MINUTE_S}s" if seconds >= _MINUTE_S else f"{seconds}s"
