"""The list of requests: method, path, what comes in, who may, and which method of the ``Service`` answers.

One line per request; nothing here knows HTTP beyond the words.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from dataplane.agent.api.service import (
    API_VERSION,
    MAX_EVENTS,
    ApplyRequest,
    ApplyResult,
    DrillRequest,
    Hello,
    LegRequest,
    Peer,
    PlanRequest,
    Service,
    TopRequest,
)
from dataplane.agent.api.wire import WireError
from dataplane.agent.views import PlanView, ReportView, leg_view, plan_view, report_view, status_view
from dataplane.config import Source
from dataplane.observe.top import MOST_FLOWS

MAX_CONFIRM_S = 3_600
MAX_DRILL_S = 600.0
MAX_TOP_S = 30.0
MAX_SOURCES = 1_000
MAX_NAME = 4_096


@dataclass(frozen=True, slots=True)
class ApplyReply:
    """An ``ApplyResult`` in words."""

    report: ReportView
    confirm_until: str = ""


@dataclass(frozen=True, slots=True)
class EventsRequest:
    """Which events: in the query of the address.

    Args:
        since: those with an id above it.
        most: in one reply.
        follow: go on with new ones, one JSON object a line, until the connection ends.
    """

    since: int = 0
    most: int = MAX_EVENTS
    follow: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """A request without anything in it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One request.

    Args:
        request: what comes in: in the body of a POST, in the query of a GET.
        is_change: only root may, and it is logged.
        call: asks the service; what it returns is the reply.
    """

    request: type
    is_change: bool
    call: Callable[[Service, Any, Peer], object]


def _hello(service: Service, asked: Nothing, peer: Peer) -> Hello:
    return Hello(API_VERSION, service.version, os.getpid(), _since())


@cache
def _since() -> str:
    """When this process began, by the clock of then."""
    import psutil  # Late: the command line takes this module for its types.

    return datetime.fromtimestamp(psutil.Process().create_time(), UTC).isoformat(timespec="seconds")


def _check_sources(sources: tuple[Source, ...]) -> None:
    """Names go into messages, logs and the state: a printable line each."""
    if len(sources) > MAX_SOURCES:
        raise WireError(f"{len(sources):,} sources: there are at most {MAX_SOURCES:,}")
    for number, source in enumerate(sources):
        if not source.name.isprintable() or not 0 < len(source.name) <= MAX_NAME:
            raise WireError(f"the name of source {number + 1} is not a printable text of 1 to {MAX_NAME} characters")


def _apply(service: Service, asked: ApplyRequest, peer: Peer) -> ApplyReply:
    if asked.confirm_s is not None and not 1 <= asked.confirm_s <= MAX_CONFIRM_S:
        raise WireError(f"confirm_s is {asked.confirm_s}: it is 1 to {MAX_CONFIRM_S} seconds")
    _check_sources(asked.sources)
    done: ApplyResult = service.apply(asked, peer)
    return ApplyReply(report_view(done.report), done.confirm_until)


def _plan(service: Service, asked: PlanRequest, peer: Peer) -> PlanView:
    _check_sources(asked.sources)
    return plan_view(service.plan(asked))


def _drill(service: Service, asked: DrillRequest, peer: Peer) -> object:
    if not 0 < asked.seconds <= MAX_DRILL_S:
        raise WireError(f"a drill of {asked.seconds:g} s: it takes more than 0 and at most {MAX_DRILL_S:.0f} s")
    return service.drill(asked, peer)


def _top(service: Service, asked: TopRequest, peer: Peer) -> object:
    if not 0 < asked.seconds <= MAX_TOP_S:
        raise WireError(f"a look of {asked.seconds:g} s: it takes more than 0 and at most {MAX_TOP_S:.0f} s")
    return service.top(replace(asked, flows=max(0, min(asked.flows, MOST_FLOWS))), peer)


def _events(service: Service, asked: EventsRequest, peer: Peer) -> object:
    return service.events(max(0, asked.since), max(1, min(asked.most, MAX_EVENTS)))


ROUTES: Mapping[tuple[str, str], Route] = {
    ("GET", "/v1"): Route(Nothing, False, _hello),
    ("GET", "/v1/status"): Route(Nothing, False, lambda service, asked, peer: status_view(service.status())),
    ("GET", "/v1/health"): Route(Nothing, False, lambda service, asked, peer: service.health()),
    ("GET", "/v1/events"): Route(EventsRequest, False, _events),
    ("POST", "/v1/plan"): Route(PlanRequest, False, _plan),
    ("POST", "/v1/top"): Route(TopRequest, False, _top),
    ("POST", "/v1/apply"): Route(ApplyRequest, True, _apply),
    ("POST", "/v1/confirm"): Route(Nothing, True, lambda service, asked, peer: service.confirm(peer)),
    ("POST", "/v1/destroy"): Route(Nothing, True, lambda service, asked, peer: report_view(service.destroy(peer))),
    ("POST", "/v1/leg"): Route(LegRequest, True, lambda service, asked, peer: leg_view(service.force_leg(asked, peer))),
    ("POST", "/v1/drill"): Route(DrillRequest, True, _drill),
    ("POST", "/v1/reload"): Route(Nothing, True, lambda service, asked, peer: service.reload(peer)),
}
