"""Commands ask the agent where one runs: what they print is the same, and so are the exit codes."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dataplane import errors
from dataplane.agent.api.service import ApplyRequest, LegRequest, Peer, PlanRequest
from dataplane.agent.report import LegReport, Planned, Report, Status
from dataplane.cli.main import cli
from dataplane.config import InvalidConfig, Problem, Source
from tests.fakes import service as fakes
from tests.fakes.service import FakeService

ROOT = Path(__file__).resolve().parents[3]
SESSIONS = ("plan", "apply", "destroy", "status", "datapath_leg")
READER, STRANGER = Peer(2, 1000, 1000, True), Peer(3, 1001, 1001, False)
HELLO = b'HTTP/1.1 200 OK\r\n\r\n{"version":1,"reply":{"api":1,"dataplane":"1","pid":7}}'
TEXT = 'version: 1\naccounts:\n  shop: {uid: "1"}\n'
ASKING = (["plan", "FILE"], ["apply", "FILE"], ["destroy", "--yes"], ["status"], ["datapath", "leg", "ri-a1", "down"])
"""Every command that works with and without an agent, `events` apart."""


def asked_how(command: list[str]) -> str:
    return " ".join(word for word in command if word.isalpha() and word.islower())


class Alone:
    """A session whose answers are those of an agent's service."""

    def __init__(self, service: FakeService) -> None:
        self._service = service

    def plan(self, loaded: Any, here: str, *, offline: bool) -> Planned:
        return self._service.planned_now or fakes.planned()

    def apply(self, loaded: Any, here: str) -> Report:
        return self._service.report_now

    def destroy(self) -> Report:
        return self._service.destroyed

    def status(self) -> Status:
        return self._service.status_now

    def order_leg(self, leg: str, wish: str, *, is_forced: bool) -> LegReport:
        return self._service.leg_report


@pytest.fixture
def network(tmp_path: Path) -> Path:
    file = tmp_path / "network.yaml"
    file.write_text(TEXT)
    return file


@pytest.fixture
def run(network: Path) -> Callable[..., Result]:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(cli, [str(network) if word == "FILE" else word for word in words])

    return invoke


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, service: FakeService) -> FakeService:
    """Where no agent runs, a session answers; with the same as the agent's."""
    for name in SESSIONS:
        monkeypatch.setattr(f"dataplane.cli.{name}.open_session", lambda progress=None: Alone(service))
    return service


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
@pytest.mark.parametrize("command", ASKING, ids=asked_how)
def test_the_output_is_the_same_with_and_without_an_agent(
    request: pytest.FixtureRequest,
    alone: FakeService,
    as_root: None,
    run: Any,
    command: list[str],
    form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone.destroyed = fakes.report()
    without = run(*command, "-o", form)
    assert alone.asked == []
    request.getfixturevalue("agent")
    for name in SESSIONS:
        monkeypatch.setattr(f"dataplane.cli.{name}.open_session", None)
    asking = run(*command, "-o", form)
    assert len(alone.asked) == 1
    assert asking.stdout == without.stdout != ""
    said = [line for line in asking.stderr.splitlines() if "an agent keeps this host so" not in line]
    assert said == without.stderr.splitlines()
    assert asking.exit_code == without.exit_code


def test_status_says_that_an_agent_runs(agent: Any, run: Any) -> None:
    line = next(line for line in run("status").stderr.splitlines() if "agent" in line)
    assert line.startswith(f"note: an agent keeps this host so (process {os.getpid()}, since 20")


def test_the_agent_is_handed_the_texts_of_the_files(
    agent: Any, service: FakeService, as_root: None, run: Any, network: Path
) -> None:
    """It opens no file itself."""
    sources = (Source(str(network), TEXT),)
    run("plan", "FILE")
    run("apply", "FILE")
    run("apply", "FILE", "--confirm", "2m")
    run("datapath", "leg", "ri-a1", "down", "--force")
    assert service.asked == [
        ("plan", PlanRequest(sources)),
        ("apply", ApplyRequest(sources)),
        ("apply", ApplyRequest(sources, confirm_s=120)),
        ("force_leg", LegRequest("ri-a1", "down", True)),
    ]


def test_the_agent_is_told_which_host_this_is(agent: Any, service: FakeService, run: Any, network: Path) -> None:
    network.write_text(TEXT + "hosts:\n  host-2: {address: 172.20.0.12, device: eth0}\n")
    assert run("plan", "FILE", "--host", "host-2").exit_code == 0
    asked = service.asked[0][1]
    assert isinstance(asked, PlanRequest) and asked.here == "host-2"


def test_warnings_are_said_by_the_command_and_errors_before_anybody_is_asked(
    agent: Any, service: FakeService, as_root: None, run: Any, network: Path
) -> None:
    network.write_text("version: 1\nnonsense: 1\n")
    result = run("apply", "FILE")
    assert (result.exit_code, service.asked) == (4, [])
    assert f"{network}:2:1" in result.stderr


@pytest.mark.parametrize("arguments", [["plan", "--offline", "FILE"], ["check", "FILE"]], ids=asked_how)
def test_what_needs_no_host_asks_nobody(no_agent_of_this_machine: Path, run: Any, arguments: list[str]) -> None:
    """Nobody answers at this socket: who asked would fail."""
    (no_agent_of_this_machine / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(no_agent_of_this_machine / "run" / "agent.sock"))
        assert run("plan", "FILE").exit_code == 5
        assert run(*arguments).exit_code == 0


INVALID = InvalidConfig([Problem("error", fakes.ORIGIN, "vpcs.a.cidr", "host bits are set", "D11", "write 10.0.0.0/8")])


@pytest.mark.parametrize("command", ASKING, ids=asked_how)
@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (errors.ConflictError("another change is under way"), 1, "error: another change is under way\n"),
        (errors.UnknownError("there is no leg ri-x"), 2, "error: there is no leg ri-x\n"),
        (INVALID, 4, "network.yaml:3:5"),
        (errors.AgentUnreachable("its hands are full"), 5, "error: its hands are full\n"),
        (errors.PermissionDenied("no right"), 6, "error: no right\n"),
        (errors.BugError("we contradict ourselves"), 1, "this is a bug in dataplane"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_the_agent_are_errors_of_the_command(
    agent: Any,
    service: FakeService,
    as_root: None,
    run: Any,
    command: list[str],
    failure: Exception,
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    service.error = failure
    result = run(*command)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr
    assert "not known" not in result.stderr


@pytest.mark.parametrize(("is_healthy", "code"), [(True, 0), (False, 3)])
def test_exit_codes_of_what_was_found(agent: Any, service: FakeService, run: Any, is_healthy: bool, code: int) -> None:
    service.status_now = Status((fakes.STATE,), "", "", (), unhealthy=() if is_healthy else (fakes.STATE,))
    service.planned_now = Planned(()) if is_healthy else None
    assert run("status").exit_code == code
    assert run("plan", "FILE", "--detailed-exitcode").exit_code == code


@pytest.mark.parametrize("command", ASKING, ids=asked_how)
@pytest.mark.parametrize(
    ("hello", "answer", "words"),
    [
        (HELLO, b"", "ended before it answered"),
        (HELLO, b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"version":1,', "broke off"),
        (b"", None, "ended before it answered"),
        (HELLO.replace(b'"version":1', b'"version":0'), None, "does not speak version 1 of the local API: restart it"),
    ],
    ids=["dies", "dies while it speaks", "dies at once", "older"],
)
def test_an_agent_that_goes_away_or_is_another_is_5(
    speak: Any, as_root: None, run: Any, command: list[str], hello: bytes, answer: bytes | None, words: str
) -> None:
    greetings = 1 if command[0] == "plan" else 2  # `status` says who answers, a change greets again first
    speak(hello, *([hello] * (greetings - 1) + [answer] if answer is not None else []))
    result = run(*command)
    assert (result.exit_code, result.stdout) == (5, "")
    assert words in result.stderr
    is_change = command[0] not in ("plan", "status")
    assert ("whether it was done is not known" in result.stderr) == (is_change and answer is not None)


def test_an_agent_that_dies_before_it_is_asked_has_not_done_it(speak: Any, as_root: None, run: Any) -> None:
    speak(HELLO, b"")
    result = run("destroy", "--yes")
    assert result.exit_code == 5
    assert "not known" not in result.stderr


def test_a_socket_that_nobody_answers_at_is_5_and_says_what_to_do(
    no_agent_of_this_machine: Path, as_root: None, run: Any
) -> None:
    (no_agent_of_this_machine / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(no_agent_of_this_machine / "run" / "agent.sock"))
    for command in (*ASKING, ["health"], ["events"], ["confirm"], ["drill", "ri-a1"]):
        result = run(*command)
        assert result.exit_code == 5, command
        assert "systemctl status dataplane" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [["health"], ["confirm"], ["drill", "ri-a1"], ["events", "-f"], ["apply", "--confirm", "60s", "FILE"]],
    ids=asked_how,
)
def test_what_only_an_agent_can_do_says_so_where_none_runs(as_root: None, run: Any, command: list[str]) -> None:
    result = run(*command)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.startswith("error: `dataplane ") and "needs the agent, and none runs" in result.stderr
    assert "sudo dataplane agent" in result.stderr and result.stderr.count("\n") == 1


def test_members_of_the_group_read_without_root(agent: Any, service: FakeService, as_user: None, run: Any) -> None:
    agent.who = READER
    for command in (["plan", "FILE"], ["status"], ["health"], ["events"]):
        assert run(*command).exit_code in (0, 3), command
    assert {name for name, _ in service.asked} == {"plan", "status", "health", "events"}


@pytest.mark.parametrize(
    "command", [["apply", "FILE"], ["destroy"], ["confirm"], ["drill", "ri-a1"], ["datapath", "leg", "x", "up"]]
)
def test_only_root_changes(agent: Any, service: FakeService, as_user: None, run: Any, command: list[str]) -> None:
    agent.who = READER
    result = run(*command)
    assert (result.exit_code, service.asked) == (6, [])
    assert "run it with sudo" in result.stderr


def test_strangers_are_6(agent: Any, as_user: None, run: Any) -> None:
    agent.who = STRANGER
    for command in (["plan", "FILE"], ["status"], ["health"], ["events"]):
        assert run(*command).exit_code == 6, command


def test_an_interrupted_change_says_that_the_agent_goes_on(
    agent: Any, as_root: None, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dataplane.agent.api.client.Client.apply", interrupt)
    result = run("apply", "FILE")
    assert result.exit_code == 130
    assert "the agent goes on with it: `dataplane status` tells how it ended" in result.stderr


HEAVY = ("pydantic", "pyroute2", "rich", "yaml", "bcc", "sqlite3", "json", "dataplane.agent.api.client")


@pytest.mark.parametrize("command", ["plan", "apply", "destroy", "status", "health", "events", "confirm", "drill"])
def test_the_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    code = (
        "import atexit, sys\nfrom dataplane.cli.main import main\n"
        f"sys.argv = ['dataplane', '{command}', '--help']\n"
        f"atexit.register(lambda: print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr))\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
