"""`health`, `confirm`, `drill` and `apply --confirm`: what they print for what the agent says, and their exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dataplane import errors
from dataplane.agent.api.routes import MAX_CONFIRM_S, MAX_DRILL_S
from dataplane.agent.api.service import DrillReport, DrillRequest
from dataplane.agent.report import Planned, Report
from dataplane.agent.session import Session
from dataplane.cli.apply import MAX_CONFIRM_MS
from dataplane.cli.drill import MAX_DRILL_MS
from dataplane.cli.duration import duration_ms, shown_ms
from dataplane.cli.main import cli
from dataplane.observe.health import Health, HealthState, LegHealth, ProberHealth
from tests.fakes.circuits import Circuits
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import network
from tests.fakes.service import FakeService

UP = LegHealth("ri-a1", "pcx-1", HealthState.UP, True, flips=2, loss_ratio=0.0, round_trip_s=((0.5, 0.0012),))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        (Health((UP,), (), ProberHealth(True)), 0, "healthy: 1 leg, 1 up, 0 down"),
        (Health(), 0, "no leg is probed"),
        (Health((UP,), (), ProberHealth(False)), 3, "the prober does not answer"),
        (Health((LegHealth("ri-a1", "pcx-1", HealthState.DOWN, False),)), 3, "unhealthy: 1 leg, 0 up, 1 down"),
    ],
    ids=["up", "none", "no prober", "down"],
)
def test_health_is_3_where_a_leg_is_down(
    agent: Any, service: FakeService, as_user: None, found: Health, code: int, words: str
) -> None:
    service.health_now = found
    result = run("health")
    assert (result.exit_code, result.stderr) == (code, "")
    assert words in result.stdout
    document = json.loads(run("health", "-o", "json").stdout)
    assert document["is_healthy"] is (code == 0)
    assert yaml.safe_load(run("health", "-o", "yaml").stdout) == document


def test_confirm_says_what_the_agent_says(agent: Any, as_root: None) -> None:
    result = run("confirm")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "kept\n", "note: for good\n")
    assert json.loads(run("confirm", "-o", "json").stdout) == {
        "version": 1,
        "is_confirmed": True,
        "text": "kept",
        "notes": ["for good"],
    }


def test_confirm_without_anything_to_confirm_is_1(agent: Any, service: FakeService, as_root: None) -> None:
    service.error = errors.ConflictError("nothing waits for a confirmation")
    result = run("confirm")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "error: nothing waits for a confirmation\n")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "network.yaml"
    path.write_text('version: 1\naccounts:\n  shop: {uid: "1"}\n')
    return str(path)


def test_an_apply_that_waits_for_its_confirmation_says_until_when(
    agent: Any, service: FakeService, as_root: None, file: str
) -> None:
    service.report_now = Report(Planned(()))
    result = run("apply", "--confirm", "60s", file)
    assert result.exit_code == 0
    assert "in 60 seconds, at 2026-01-01T00:01:00+00:00, unless `dataplane confirm` comes before" in result.stderr
    document = json.loads(run("apply", "--confirm", "60s", file, "-o", "json").stdout)
    assert document["confirm_until"] == "2026-01-01T00:01:00+00:00"
    assert "confirm_until" not in json.loads(run("apply", file, "-o", "json").stdout)
    assert "confirm" not in run("apply", file).stderr


def test_an_apply_that_changes_nothing_has_nothing_to_go_back_from(
    agent: Any, service: FakeService, as_root: None, file: str
) -> None:
    service.report_now, service.confirm_until = Report(Planned(())), ""
    result = run("apply", "--confirm", "60s", file, "-o", "json")
    assert json.loads(result.stdout)["confirm_until"] is None
    assert "nothing waits for `dataplane confirm`" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("60", "`60` is not a duration"),
        ("soon", "`soon` is not a duration; write a number with ms, s or m"),
        ("500ms", "500ms is not within 1s to 60m"),
        ("61m", "61m is not within 1s to 60m"),
        ("1500ms", "1500ms is not a multiple of 1s"),
    ],
)
def test_a_time_to_confirm_that_is_none_is_a_wrong_use(
    agent: Any, service: FakeService, as_root: None, file: str, text: str, words: str
) -> None:
    result = run("apply", "--confirm", text, file)
    assert (result.exit_code, service.asked) == (2, [])
    assert words in result.stderr


def test_a_drill_reports_its_outage(agent: Any, service: FakeService, as_root: None) -> None:
    result = run("drill", "ri-a1", "--for", "500ms")
    assert result.exit_code == 0
    assert result.stdout == "ri-a1 was out of use for 0.5 s; the outage was 31.0 ms\nits traffic went by ri-a2\n"
    assert service.asked == [("drill", DrillRequest("ri-a1", 0.5))]
    document = json.loads(run("drill", "ri-a1", "-o", "json").stdout)
    assert service.asked[-1] == ("drill", DrillRequest("ri-a1", 30.0))
    assert (document["outage_s"], document["took_over"], document["has_held"]) == (0.031, ["ri-a2"], True)


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        (DrillReport("ri-a1", 30, 17.25, ("ri-a2",), ("it was slow",)), 0, "the outage was 17.25 s\n"),
        (DrillReport("ri-a1", 30, None, ("ri-a2",)), 3, "the outage could not be measured\n"),
        (DrillReport("ri-a1", 30, 30.0), 3, "no other leg took over\n"),
    ],
)
def test_a_drill_that_shows_nothing_is_3(
    agent: Any, service: FakeService, as_root: None, found: DrillReport, code: int, words: str
) -> None:
    service.drilled = found
    result = run("drill", "ri-a1")
    assert result.exit_code == code
    assert words in result.stdout
    assert result.stderr == "".join(f"note: {text}\n" for text in found.notes)


@pytest.mark.parametrize(
    ("failure", "code"), [(errors.ConflictError("no other leg is healthy"), 1), (errors.UnknownError("no leg x"), 2)]
)
def test_a_drill_that_is_refused(
    agent: Any, service: FakeService, as_root: None, failure: Exception, code: int
) -> None:
    service.error = failure
    result = run("drill", "ri-a1")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"error: {failure}\n")


@pytest.mark.parametrize("text", ["0s", "11m", "x"])
def test_a_drill_of_another_length_is_a_wrong_use(agent: Any, service: FakeService, as_root: None, text: str) -> None:
    assert run("drill", "ri-a1", "--for", text).exit_code == 2
    assert service.asked == []


def test_the_bounds_are_those_of_the_agent() -> None:
    assert (MAX_CONFIRM_MS, MAX_DRILL_MS) == (MAX_CONFIRM_S * 1_000, MAX_DRILL_S * 1_000)


@pytest.mark.parametrize("text", ["500ms", "30s", "5m", "1ms", "0ms"])
def test_durations_are_read_and_written_alike(text: str) -> None:
    assert shown_ms(duration_ms(text)) == text


def complete(words: str) -> list[str]:
    environment = {"_DATAPLANE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = CliRunner().invoke(cli, prog_name="dataplane", env=environment)
    assert result.exit_code in (0, 1), result.output
    return [line.split(",")[1] for line in result.stdout.splitlines() if line]


@pytest.mark.parametrize("command", ["dataplane drill ", "dataplane datapath leg "])
def test_legs_are_completed_from_what_is_applied_and_from_the_agent(
    no_agent_of_this_machine: Path, request: pytest.FixtureRequest, command: str
) -> None:
    assert complete(command) == []
    session = Session(no_agent_of_this_machine / "state", no_agent_of_this_machine / "run", driver=FakeKernel())
    assert session.apply(network(Circuits(2).text)).is_done
    assert complete(command) == ["ri-a0", "ri-a1"]
    request.getfixturevalue("service").health_now = Health((UP, LegHealth("ri-b", "p", HealthState.UP, True)))
    request.getfixturevalue("agent")
    assert complete(command + "ri-") == ["ri-a0", "ri-a1", "ri-b"]
    assert complete(command + "ri-b") == ["ri-b"]


def test_connections_are_completed_likewise(no_agent_of_this_machine: Path, request: pytest.FixtureRequest) -> None:
    session = Session(no_agent_of_this_machine / "state", no_agent_of_this_machine / "run", driver=FakeKernel())
    assert session.apply(network(Circuits(2).text)).is_done
    assert complete("dataplane top --connection ") == ["pcx-0", "pcx-1"]
    request.getfixturevalue("service").health_now = Health((LegHealth("ri-b", "p", HealthState.UP, True),))
    request.getfixturevalue("agent")
    assert complete("dataplane top --connection ") == ["p", "pcx-0", "pcx-1"]


def test_completion_is_quiet_where_the_agent_does_not_answer(no_agent_of_this_machine: Path, speak: Any) -> None:
    speak(b"SSH-2.0-x\r\n")
    assert complete("dataplane drill ri") == []
