"""`dataplane events`: which events are shown, in which form, from the agent, the file, or as they come."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from dataplane.agent.journal import Journal
from dataplane.cli.events import _follow
from dataplane.cli.journal import Since, events_since, newest_events
from dataplane.cli.main import cli
from dataplane.errors import AgentUnreachable
from dataplane.model.event import Event
from tests.fakes.raw_http import PATIENCE
from tests.fakes.service import FakeService

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def event(number: int, at: datetime = NOW) -> Event:
    return Event(number, at.isoformat(timespec="milliseconds"), number, "leg", "ri-a1", "state", "up", "down")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["events", *arguments])


def ids(*arguments: str) -> list[int]:
    result = run(*arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return [one["id"] for one in json.loads(result.stdout)["events"]]


@pytest.fixture
def many(agent: Any, service: FakeService) -> FakeService:
    """An agent with 2,500 events, one a minute, the last of them now; its answers have 1,000 at most."""
    now = datetime.now(UTC)
    service.kept += [event(number, now - timedelta(minutes=2_500 - number)) for number in range(1, 2_501)]
    return service


def test_without_a_word_the_newest_hundred_are_shown(many: FakeService) -> None:
    assert ids() == list(range(2_401, 2_501))
    assert "there are older events" in run().stderr
    assert run().stdout.startswith("100 events\n")


def test_as_many_as_are_asked_for(many: FakeService) -> None:
    assert ids("-n", "3") == [2_498, 2_499, 2_500]
    assert ids("-n", "0") == []
    assert ids("-n", "1500") == list(range(1_001, 2_501))
    assert ids("-n", "20000") == list(range(1, 2_501))
    assert "older" not in run("-n", "20000").stderr


def test_since_an_id_means_those_after_it_all_of_them(many: FakeService) -> None:
    assert ids("--since", "2498") == [2_499, 2_500]
    assert ids("--since", "0") == list(range(1, 2_501))
    assert ids("--since", "100", "-n", "2") == [2_499, 2_500]
    assert "there are older events" in run("--since", "100", "-n", "2").stderr


def test_since_an_id_that_is_not_reached_yet_says_so(many: FakeService) -> None:
    result = run("--since", "9999")
    assert (result.exit_code, result.stdout) == (0, "0 events\n")
    assert "the newest event has the id 2500" in result.stderr


def test_since_a_while_ago_and_since_a_time(many: FakeService) -> None:
    # Half a minute from both neighbours: the test may take that long.
    assert ids("--since", "90s") == [2_499, 2_500]
    at = datetime.now(UTC) - timedelta(minutes=2, seconds=30)
    assert ids("--since", at.replace(tzinfo=None).isoformat()) == [2_498, 2_499, 2_500]
    assert ids("--since", at.astimezone(timezone(timedelta(hours=8))).isoformat()) == [2_498, 2_499, 2_500]


@pytest.fixture
def far_east() -> Iterator[None]:
    """A machine whose own time is not UTC: the times that are shown are UTC, and so are those that are asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17", [18]),
        ("30m", [18]),
        ("2026-01-02T03:04:05", [18]),
        ("2026-01-02T03:04:05.001Z", []),
        ("2026-01-02", [17, 18]),
        ("2026-01-02T11:04:05+08:00", [18]),
    ],
)
def test_since_is_an_id_a_duration_or_a_time(far_east: None, text: str, expected: list[int]) -> None:
    events = [event(17, NOW - timedelta(hours=1)), event(18)]
    since = Since.parsed(text, NOW)
    assert [one.id for one in events if since.has(one)] == expected


@pytest.mark.parametrize("text", ["yesterday", "-1", "", "12 s", "9" * 30, "2026-13-01"])
def test_since_something_else_is_a_wrong_use(many: FakeService, text: str) -> None:
    result = run("--since", text)
    assert result.exit_code == 2
    assert "2026-01-02T03:04:05" in result.stderr
    assert many.asked == []


def test_an_event_without_a_readable_time_is_not_hidden() -> None:
    assert Since(at=NOW).has(Event(1, "then", 0, "agent", "", "started"))


def test_gaps_between_ids_hide_nothing() -> None:
    """Ids that were lost with a full disk: the newest three are still three."""
    kept = [event(number) for number in (1, 2, 3, 500, 9_000)]
    asked: list[int] = []

    def fetch(number: int, most: int) -> tuple[Event, ...]:
        asked.append(number)
        return tuple(one for one in kept if one.id > number)[:2]

    found, is_cut = newest_events(fetch, 9_000, 3)
    assert ([one.id for one in found], is_cut) == ([3, 500, 9_000], True)
    assert len(asked) < 30
    assert [one.id for one in events_since(fetch, Since(2))] == [3, 500, 9_000]


def test_the_documents(many: FakeService) -> None:
    document = json.loads(run("-n", "1", "-o", "json").stdout)
    assert document["version"] == 1 and document["events"][0]["what"] == "state"
    assert yaml.safe_load(run("-n", "1", "-o", "yaml").stdout) == document


def test_without_an_agent_the_file_is_read(no_agent_of_this_machine: Path, as_root: None) -> None:
    assert ids() == []
    journal = Journal(no_agent_of_this_machine / "state")
    for number in range(120):
        journal.append("agent", "", f"event {number}")
    journal.close()
    assert ids() == list(range(21, 121))
    assert ids("--since", "118") == [119, 120]
    assert ids("--since", "1m", "-n", "1") == [120]


def test_without_an_agent_the_file_is_for_root(as_user: None) -> None:
    result = run()
    assert result.exit_code == 6
    assert result.stderr == (
        "error: `dataplane events` reads the journal where no agent runs, which needs root: run it with sudo.\n"
    )


class Ends(Exception):
    """The test has seen enough."""


class Printed:
    """What `-f` prints, seen while it goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, enough: int) -> None:
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self._enough = enough
        monkeypatch.setattr(click, "echo", self._echo)

    def _echo(self, line: str) -> None:
        with self.changed:
            self.lines.append(line)
            self.changed.notify_all()
        if len(self.lines) == self._enough:
            raise Ends

    def wait(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.lines) >= number, PATIENCE)


def test_following_shows_the_last_ones_and_then_what_comes_each_once(
    many: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = Printed(monkeypatch, 12)

    def happen() -> None:
        for number in (2_501, 2_502):
            printed.wait(number - 2_491)
            many.happen(number)

    thread = threading.Thread(target=happen)
    thread.start()
    with pytest.raises(Ends):
        cli.main(["events", "-f"], standalone_mode=False)
    thread.join(PATIENCE)
    assert [int(line.split()[0]) for line in printed.lines] == list(range(2_491, 2_503))
    assert printed.lines[-1].endswith("leg ri-a1  state  up -> down  misses")


@pytest.mark.parametrize(
    ("form", "read"), [("json", json.loads), ("yaml", lambda text: next(yaml.safe_load_all(text)))]
)
def test_what_is_followed_is_a_document_each(
    many: FakeService, monkeypatch: pytest.MonkeyPatch, form: str, read: Any
) -> None:
    printed = Printed(monkeypatch, 3)
    with pytest.raises(Ends):
        cli.main(["events", "-f", "--since", "2497", "-o", form], standalone_mode=False)
    assert [read(line)["id"] for line in printed.lines] == [2_498, 2_499, 2_500]
    assert read(printed.lines[0])["version"] == 1
    assert form != "json" or all("\n" not in line for line in printed.lines)


def test_nothing_is_shown_twice_that_came_while_the_first_ones_were_read(capsys: pytest.CaptureFixture[str]) -> None:
    class Agent:
        def follow(self, since: int) -> list[Event]:
            return [event(number) for number in range(since + 1, 8)]

    with pytest.raises(AgentUnreachable):
        _follow(Agent(), [event(5), event(6)], 5, "table")  # type: ignore[arg-type]
    assert [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()] == [5, 6, 7]


def test_when_the_agent_ends_following_ends_with_5(
    agent: Any, many: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_waiting = threading.Event()

    def wait_for_events(since: int, seconds: float) -> None:
        is_waiting.set()

    def end() -> None:
        assert is_waiting.wait(PATIENCE)
        agent.close()

    monkeypatch.setattr(many, "wait_for_events", wait_for_events)
    thread = threading.Thread(target=end)
    thread.start()
    result = run("-f", "-n", "1")
    thread.join(PATIENCE)
    assert result.exit_code == 5
    assert result.stdout.startswith("2500  ") and result.stdout.count("\n") == 1
    assert result.stderr == "error: the agent has ended, and with it its events; run it again once it is back.\n"
