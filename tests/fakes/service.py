"""An agent behind the local API that remembers what it was asked, and answers with something of everything."""

import socket
import threading
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from dataplane.agent.api.server import Api
from dataplane.agent.api.service import (
    ApplyRequest,
    ApplyResult,
    DrillReport,
    DrillRequest,
    EventPage,
    LegRequest,
    Peer,
    PlanRequest,
    Said,
    TopRequest,
)
from dataplane.agent.report import LegReport, Planned, Report, Status
from dataplane.compile.leg import GroupName
from dataplane.compile.leg_order import LegGroup
from dataplane.model.event import Event
from dataplane.model.flow import FlowState
from dataplane.model.forwarding import LegState, Reason
from dataplane.model.kernel import KernelRoute, Namespace
from dataplane.model.leg import LegVerdict
from dataplane.model.observation import Foreign
from dataplane.model.resource import Origin, Resource
from dataplane.model.simulation import Count
from dataplane.model.traffic import NamedTraffic
from dataplane.observe.connections import ConnectionState, EndState
from dataplane.observe.health import GroupHealth, Health, HealthState, LegHealth, ProberHealth
from dataplane.observe.status import ResourceState
from dataplane.observe.top import ConnectionRate, FlowRate, Rate, Top
from dataplane.plan.action import Action, Outcome, Verb

ORIGIN = Origin("network.yaml", 3, 5)
VPC = Resource("vpc", "vpc-a")
STATE = ResourceState(VPC, "Available", "", "namespace dp-vpc-vpc-a", ORIGIN, "10.0.0.0/8")
TRAFFIC = NamedTraffic({"instance/ecs-1": {Reason.SPOOFED_MAC: Count(1, 60)}}, {"ri-a1": Count(3, 300)})
HEALTH = Health(
    (LegHealth("ri-a1", "pcx-1", HealthState.DOWN, False, loss_ratio=1.0, round_trip_s=((0.5, 0.001), (0.99, 0.02))),),
    (GroupHealth("g", 2, 1),),
    ProberHealth(True, 0.001, 0.2),
)
TOP = Top(
    1.0,
    (
        ConnectionRate(
            "pcx-1",
            "ri-a1",
            Rate(8e6, 700.0),
            Rate(1e6, 90.0),
            96_000_000,
            8_000_000,
            Rate(4e5, 33.0),
            Rate(0, 0),
            0,
            0,
        ),
    ),
    (FlowRate("192.168.0.2", "172.16.0.9", "tcp", 40_000, 443, "pcx-1", "ri-a1", 7.9e6, 8_000_000, FlowState.QUEUED),),
    1,
    1,
    65_536,
)
ROUTE = KernelRoute("dp-vpc-vpc-a", 100, IPv4Network("10.0.0.0/8"), metric=5)


_LONE_END = EndState("ri-a", "vpc vpc-a", "Disconnected")
CONNECTION = ConnectionState("pc", "Disconnected", _LONE_END, None, 10_000_000, "2026-01-01T00:00:00+00:00", None)


def status() -> Status:
    foreign = (Foreign(("link", "x"), "the link x is not ours"),)
    return Status(
        (STATE,),
        "ab" * 32,
        "2026-01-01T00:00:00+00:00",
        ("network.yaml",),
        foreign,
        traffic=TRAFFIC,
        connections=(CONNECTION,),
    )


def planned(actions: int = 2) -> Planned:
    made = Action(Verb.CREATE, Namespace("dp-vpc-vpc-a", "mark"), None, VPC, ORIGIN, frozenset({"vpc-a"}))
    before = KernelRoute("dp-vpc-vpc-a", 100, IPv4Network("10.0.0.0/8"), metric=6)
    changed = Action(Verb.CHANGE, ROUTE, before, VPC, ORIGIN)
    return Planned((made, changed) * (actions // 2), ("a note",), status().foreign)


def report() -> Report:
    plan = planned()
    outcomes = (Outcome(plan.actions[0]), Outcome(plan.actions[1], "the kernel said no", is_held_back=True))
    return Report(plan, outcomes, ("vpc-a",), ("route 1 is missing",), 0.25)


def leg_report() -> LegReport:
    group = LegGroup(
        GroupName("vpc-a", "load_balance", ("ri-a1", "ri-a2")), {"ri-a1": LegState.DROPPED, "ri-a2": LegState.UP}
    )
    verdict = LegVerdict("down", "hand", "2026-01-01T00:00:00+00:00")
    return LegReport("ri-a1", verdict, (group,), Report(planned(), (Outcome(planned().actions[0]),)))


@dataclass
class FakeService:
    """A ``Service``.

    Args:
        error: raised by every question, where it is set.
        asked: name and argument of every question.
        the others: what is answered.
    """

    error: Exception | None = None
    status_now: Status = field(default_factory=status)
    planned_now: Planned | None = None
    report_now: Report = field(default_factory=report)
    destroyed: Report = field(default_factory=lambda: Report(Planned(())))
    leg_report: LegReport = field(default_factory=leg_report)
    health_now: Health = HEALTH
    confirm_until: str = "2026-01-01T00:01:00+00:00"
    drilled: DrillReport | None = None
    version: str = "1.2.3"
    actions: int = 2
    asked: list[tuple[str, object]] = field(default_factory=list)
    kept: list[Event] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def _note(self, name: str, asked: object = None) -> None:
        self.asked.append((name, asked))
        if self.error is not None:
            raise self.error

    def status(self) -> Status:
        self._note("status")
        return self.status_now

    def plan(self, asked: PlanRequest) -> Planned:
        self._note("plan", asked)
        return self.planned_now or planned(self.actions)

    def apply(self, asked: ApplyRequest, peer: Peer) -> ApplyResult:
        self._note("apply", asked)
        return ApplyResult(self.report_now, self.confirm_until if asked.confirm_s else "")

    def confirm(self, peer: Peer) -> Said:
        self._note("confirm")
        return Said("kept", ("for good",))

    def destroy(self, peer: Peer) -> Report:
        self._note("destroy")
        return self.destroyed

    def health(self) -> Health:
        self._note("health")
        return self.health_now

    def top(self, asked: TopRequest, peer: Peer) -> Top:
        self._note("top", asked)
        return TOP

    def events(self, since: int, most: int) -> EventPage:
        self._note("events", (since, most))
        with self.changed:
            found = tuple(event for event in self.kept if event.id > since)[:most]
            return EventPage(found, self.kept[-1].id if self.kept else 0)

    def wait_for_events(self, since: int, seconds: float) -> None:
        with self.changed:
            self.changed.wait_for(lambda: bool(self.kept) and self.kept[-1].id != since, seconds)

    def happen(self, number: int) -> Event:
        """Something happens."""
        event = Event(number, "2026-01-01T00:00:00.000+00:00", number, "leg", "ri-a1", "state", "up", "down", "misses")
        with self.changed:
            self.kept.append(event)
            self.changed.notify_all()
        return event

    def force_leg(self, asked: LegRequest, peer: Peer) -> LegReport:
        self._note("force_leg", asked)
        return self.leg_report

    def drill(self, asked: DrillRequest, peer: Peer) -> DrillReport:
        self._note("drill", asked)
        return self.drilled or DrillReport(asked.leg, asked.seconds, 0.031, ("ri-a2",))

    def reload(self, peer: Peer) -> Said:
        self._note("reload")
        return Said("reading the files")


class PeerApi(Api):
    """An API whose callers are whoever the test says: unit tests need no root."""

    who = Peer(1, 0, 0, True, "test")

    def peer(self, connection: socket.socket) -> Peer:
        return self.who
