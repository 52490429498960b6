"""Events and health as people read them."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dataplane.cli.events_text import (
    event_document,
    event_line,
    event_sections,
    health_document,
    health_sections,
    is_healthy,
)
from dataplane.cli.output import Table
from dataplane.model.event import Event
from dataplane.observe.health import GroupHealth, Health, HealthState, LegHealth, ProberHealth

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EVENT = Event(7, "2026-01-02T03:04:04.500+00:00", 1, "leg", "ri-a1", "state", "up", "down", "8 misses in a row")
LEG = LegHealth(
    "ri-a1",
    "pcx-1",
    HealthState.UP,
    True,
    "2026-01-02T03:01:00+00:00",
    sent=10,
    flips=2,
    loss_ratio=0.125,
    round_trip_s=((0.5, 0.000045), (0.99, 0.00123)),
)


def test_an_event_is_a_line() -> None:
    assert event_line(EVENT) == "7  2026-01-02 03:04:04.500  leg ri-a1  state  up -> down  8 misses in a row"
    bare = Event(8, "2026-01-02T03:04:04.500+00:00", 1, "agent", "", "started")
    assert event_line(bare) == "8  2026-01-02 03:04:04.500  agent  started"


def test_events_are_a_table_under_their_number() -> None:
    summary, _, table = event_sections([EVENT, EVENT])
    assert summary == "2 events"
    assert isinstance(table, Table) and len(table.rows[0]) == len(table.columns)
    assert list(event_sections([])) == ["0 events"]


def test_an_event_document_has_all_its_fields() -> None:
    assert event_document(EVENT).keys() == {*Event.__dataclass_fields__}
    assert event_document(replace(EVENT, cause=""))["cause"] is None


def row(leg: LegHealth) -> dict[str, str]:
    table = list(health_sections(Health((leg,)), NOW))[-1]
    assert isinstance(table, Table)
    return dict(zip(table.columns, map(str, table.rows[0]), strict=True))


def test_a_leg_is_a_row() -> None:
    assert row(LEG) == {
        "leg": "ri-a1",
        "connection": "pcx-1",
        "state": "up",
        "traffic": "up",
        "since": "3m 5s",
        "loss": "12.5 %",
        "median": "45 us",
        "99 %": "1.23 ms",
        "flips": "2",
        "cause": "",
    }


def test_a_leg_without_probes_has_no_figures() -> None:
    found = row(LegHealth("ri-x", "pcx-x", HealthState.UNKNOWN, True))
    assert [found[name] for name in ("since", "loss", "median", "99 %")] == ["-"] * 4


def test_why_a_leg_is_as_it_is_is_said() -> None:
    leg = replace(LEG, cause="8 misses", forced="down", is_damped=True, is_frozen=True, has_carrier=False)
    said = row(leg)["cause"]
    for words in ("8 misses; ", "down by hand", "too many flips", "nobody probes it", "no carrier"):
        assert words in said


@pytest.mark.parametrize(
    ("since", "shown"),
    [
        ("2026-01-02T03:04:00+00:00", "5s"),
        ("2026-01-02T01:00:00+00:00", "2h 4m"),
        ("2025-12-30T01:00:00+00:00", "3d 2h"),
        ("2026-01-02T03:09:00+00:00", "0s"),
        ("yesterday", "-"),
        ("2026-01-02T03:04:00", "-"),
    ],
)
def test_since_when(since: str, shown: str) -> None:
    assert row(replace(LEG, since=since))["since"] == shown


@pytest.mark.parametrize(
    ("health", "expected", "words"),
    [
        (Health((LEG,), (), ProberHealth(True)), True, "healthy: 1 leg, 1 up, 0 down"),
        (Health(()), True, "no leg is probed"),
        (Health((LEG, replace(LEG, is_up=False))), False, "unhealthy: 2 legs, 1 up, 1 down"),
        (Health((replace(LEG, is_frozen=True),)), False, "unhealthy: 1 leg"),
        (Health((LEG,), (), ProberHealth(False)), False, "the prober does not answer"),
        (Health((replace(LEG, is_up=False),), (GroupHealth("g", 2, 0),)), False, "all legs of g are down"),
    ],
)
def test_what_is_healthy(health: Health, expected: bool, words: str) -> None:
    assert is_healthy(health) is expected
    assert any(isinstance(line, str) and words in line for line in health_sections(health, NOW))


def test_the_document_is_json_with_all_of_a_legs_fields() -> None:
    document = json.loads(json.dumps(health_document(Health((LEG,), (GroupHealth("g", 2, 1),), ProberHealth(True)))))
    assert document["legs"][0].keys() == {*LegHealth.__dataclass_fields__}
    assert document["legs"][0]["round_trip_s"] == {"0.5": 0.000045, "0.99": 0.00123}
    assert document["is_healthy"] is True and document["prober"]["is_running"] is True
