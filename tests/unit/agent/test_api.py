"""The local API: what is asked comes through and back, errors keep their class, and only those may who may."""

import json
import logging
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dataplane.agent.api.client import Client, connect
from dataplane.agent.api.failures import Failure, error_of
from dataplane.agent.api.peer import peer_of
from dataplane.agent.api.routes import ROUTES
from dataplane.agent.api.server import Api
from dataplane.agent.api.service import ApplyRequest, DrillRequest, LegRequest, Peer, PlanRequest, TopRequest
from dataplane.agent.views import leg_view, plan_view, report_view, status_view
from dataplane.config import Source
from dataplane.config.problem import InvalidConfig, Problem
from dataplane.errors import (
    AgentUnreachable,
    BugError,
    ConflictError,
    DataplaneError,
    HostError,
    PermissionDenied,
    UnknownError,
)
from tests.fakes import service as fakes
from tests.fakes.raw_http import ask, asked
from tests.fakes.service import FakeService, PeerApi

ROOT = Peer(1, 0, 0, True, "test")
READER = Peer(2, 1000, 1000, True)
STRANGER = Peer(3, 1001, 1001, False)
SOURCES = (Source("a.yaml", 'version: 1\nname: "ü\\n"\n'),)


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def api(tmp_path: Path, service: FakeService) -> Iterator[PeerApi]:
    made = PeerApi(tmp_path, service)
    made.start()
    yield made
    made.close()


@pytest.fixture
def client(api: PeerApi, tmp_path: Path) -> Client:
    found = connect(tmp_path)
    assert found is not None
    return found


def test_it_says_who_answers(client: Client) -> None:
    found = client.hello()
    assert (found.pid, found.dataplane) == (os.getpid(), "1.2.3")
    began = datetime.fromisoformat(found.since)
    assert timedelta(0) <= datetime.now(UTC) - began < timedelta(days=1)


def test_what_is_asked_is_answered_with_the_same_values(client: Client, service: FakeService) -> None:
    found = client.status()
    assert found == status_view(fakes.status()) and found.traffic == fakes.TRAFFIC and not found.is_healthy
    assert client.health() == fakes.HEALTH
    assert client.confirm().notes == ("for good",)
    assert client.reload().text == "reading the files"
    assert client.drill(DrillRequest("ri-a1", 2.5)).outage_s == 0.031
    assert client.top(TopRequest(0.5, 10, "pcx-1")) == fakes.TOP
    assert service.asked[-1] == ("top", TopRequest(0.5, 10, "pcx-1"))
    forced = client.force_leg(LegRequest("ri-a1", "down", True))
    assert replace(forced, report=None) == replace(leg_view(fakes.leg_report()), report=None)
    assert service.asked[-1] == ("force_leg", LegRequest("ri-a1", "down", True))


@pytest.mark.parametrize("seconds", [0.0, -1.0, 30.1])
def test_a_look_has_bounds(client: Client, service: FakeService, seconds: float) -> None:
    with pytest.raises(DataplaneError, match="it takes more than 0 and at most 30 s"):
        client.top(TopRequest(seconds, 10))
    client.top(TopRequest(1.0, 10**9))
    assert service.asked == [("top", TopRequest(1.0, 1_000))]


def test_an_agent_that_has_gone_is_unreachable_and_none_for_who_comes_now(
    client: Client, api: PeerApi, tmp_path: Path
) -> None:
    api.close()
    with pytest.raises(AgentUnreachable, match="no agent runs"):
        client.status()
    assert connect(tmp_path) is None


def test_counting_a_plan_puts_nothing_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """An apply prints the counts of tens of thousands of actions, and no action."""
    found = plan_view(fakes.planned(6))
    monkeypatch.setattr("dataplane.agent.views.describe", None)
    assert found.summary == {"create": 3, "change": 3, "delete": 0}
    with pytest.raises(TypeError):
        list(found.actions)


def test_a_plan_comes_in_words(client: Client, service: FakeService) -> None:
    asked = PlanRequest(SOURCES, "host-1")
    found, made = client.plan(asked), plan_view(fakes.planned())
    assert (found.actions, found.notes, found.foreign) == (tuple(made.actions), made.notes, made.foreign)
    assert "metric" in found.actions[1].text and found.actions[1].before is not None
    assert service.asked == [("plan", asked)]


def test_a_report_names_its_failures(client: Client, service: FakeService) -> None:
    asked = ApplyRequest(SOURCES, confirm_s=60)
    found, made = client.apply(asked), report_view(fakes.report())
    assert found.confirm_until and not found.report.is_done
    assert found.report.failures == tuple(made.failures)
    assert (found.report.outcomes, found.report.rolled_back) == (2, ("vpc-a",))
    assert service.asked == [("apply", asked)]
    assert client.destroy().is_done


def test_a_plan_of_many_actions_is_never_whole_in_memory(client: Client, service: FakeService) -> None:
    from dataplane.agent.api.wire import pieces

    service.actions = 5_000
    assert len(client.plan(PlanRequest(SOURCES)).actions) == 5_000
    parts = [len(part) for part in pieces(plan_view(fakes.planned(5_000)))]
    assert max(parts) < sum(parts) / 10


@pytest.mark.parametrize(
    "error",
    [
        ConflictError("another run"),
        HostError("no bpffs"),
        PermissionDenied("no right"),
        UnknownError("no leg ri-x; there is ri-a"),
        BugError("we contradict ourselves"),
        DataplaneError("something else"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_their_class_their_words_and_their_exit_code(
    client: Client, service: FakeService, error: DataplaneError
) -> None:
    service.error = error
    with pytest.raises(DataplaneError) as raised:
        client.plan(PlanRequest(SOURCES))
    assert (type(raised.value), str(raised.value)) == (type(error), str(error))
    assert raised.value.exit_code == error.exit_code


def test_an_error_that_only_a_newer_agent_knows_keeps_its_exit_code() -> None:
    error = error_of(Failure("new", 9, "x"))
    assert (type(error), str(error), error.exit_code, DataplaneError.exit_code) == (DataplaneError, "x", 9, 1)


def test_problems_of_a_configuration_keep_their_places(client: Client, service: FakeService) -> None:
    problem = Problem("error", fakes.ORIGIN, "vpcs.a.cidr", "host bits are set", "D11", "write 10.0.0.0/8")
    service.error = InvalidConfig([problem])
    with pytest.raises(InvalidConfig) as raised:
        client.apply(ApplyRequest(SOURCES))
    assert raised.value.problems == (problem,) and raised.value.exit_code == 4
    assert str(raised.value) == str(service.error)


def test_a_bug_of_the_service_is_told_and_logged_and_the_api_goes_on(
    client: Client, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    service.error = ZeroDivisionError("oh")
    with pytest.raises(BugError, match="ZeroDivisionError: oh"):
        client.status()
    assert "Traceback" in caplog.text
    service.error = None
    assert client.status() == status_view(fakes.status())


@pytest.mark.parametrize(("method", "path"), [key for key, route in ROUTES.items() if route.is_change])
def test_readers_change_nothing(api: PeerApi, service: FakeService, tmp_path: Path, method: str, path: str) -> None:
    api.who = READER
    code, document = ask(tmp_path, method, path, "{}")
    assert (code, document["error"]["exit_code"], service.asked) == (403, 6, [])
    assert "only root" in document["error"]["message"]


def test_readers_read(api: PeerApi, service: FakeService, tmp_path: Path) -> None:
    api.who = READER
    assert ask(tmp_path, "GET", "/v1/status")[0] == 200
    body = json.dumps({"sources": [{"name": "a", "text": "b"}]})
    assert ask(tmp_path, "POST", "/v1/plan", body)[0] == 200
    assert ask(tmp_path, "POST", "/v1/top", '{"seconds": 1, "flows": 5}')[0] == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_strangers_are_told_nothing(api: PeerApi, service: FakeService, tmp_path: Path, method: str, path: str) -> None:
    api.who = STRANGER
    code, document = ask(tmp_path, method, path)
    assert (code, document["error"]["kind"], service.asked) == (403, "permission", [])


def test_a_stranger_of_our_own_client_lacks_a_privilege(api: PeerApi, tmp_path: Path) -> None:
    api.who = STRANGER
    with pytest.raises(PermissionDenied):
        connect(tmp_path)


def test_every_change_is_logged_with_who_asked(
    client: Client, api: PeerApi, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dataplane.agent.api.server")
    client.status()
    assert not caplog.records
    client.reload()
    service.error = ConflictError("two\nlines\x1b[31m")
    with pytest.raises(ConflictError):
        client.destroy()
    said = [record.getMessage() for record in caplog.records]
    assert said[:2] == [f"reload asked for by {ROOT}: {what}" for what in ("begins", "done")]
    assert said[3] == f"destroy asked for by {ROOT}: failed: two lines [31m"
    assert caplog.records[0].fields["peer_uid"] == "0", "as a field of the journal"
    api.who = READER
    caplog.clear()
    with pytest.raises(PermissionDenied):
        client.destroy()
    assert [record.getMessage() for record in caplog.records] == [f"destroy asked for by {READER}: refused"]


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("/v1/apply", "{", "not JSON"),
        ("/v1/apply", "[]", "not an object"),
        ("/v1/apply", "[" * 100_000, "more than 10,000 values"),
        ("/v1/apply", "[" * 9_999, "not JSON"),
        ("/v1/apply", '{"sources": [], "confrim_s": 60}', "nothing is called 'confrim_s' here"),
        ("/v1/apply", '{"sources": [], "confirm_s": true}', "confirm_s: True is not a whole number"),
        ("/v1/apply", '{"sources": [], "confirm_s": 0}', "1 to 3600 seconds"),
        ("/v1/apply", '{"sources": [{"name": "a"}]}', "the request.sources[0]: text is missing"),
        ("/v1/apply", '{"here": "a"}', "sources is missing"),
        ("/v1/apply", json.dumps({"sources": [{"name": "a\x1b[2J", "text": ""}]}), "is not a printable text"),
        ("/v1/plan", json.dumps({"sources": [{"name": "", "text": ""}]}), "is not a printable text"),
        ("/v1/plan", json.dumps({"sources": [{"name": "a", "text": ""}] * 1_001}), "at most 1,000"),
        ("/v1/plan", '{"sources": [' + "[]," * 1_000_000 + "[]]}", "more than 10,000 values"),
        ("/v1/leg", '{"leg": "a", "force": "sideways"}', "none of up, down, auto"),
        ("/v1/drill", '{"leg": "a", "seconds": 1e9}', "at most 600 s"),
        ("/v1/drill", '{"leg": "a", "seconds": NaN}', "takes more than 0"),
        ("/v1/reload", '{"now": 1}', "nothing is called 'now' here"),
    ],
)
def test_a_request_that_is_not_understood_does_nothing(
    api: PeerApi, service: FakeService, tmp_path: Path, path: str, body: str, complaint: str
) -> None:
    code, document = ask(tmp_path, "POST", path, body)
    assert (code, document["error"]["exit_code"]) == (400, 2)
    assert complaint in document["error"]["message"]
    assert service.asked == []


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v2/status", 404),
        ("GET", "/v1/apply", 405),
        ("DELETE", "/v1/status", 405),
        ("GET", "/v1/events?sinc=1", 400),
        ("GET", "/v1/events?since=x", 400),
        ("GET", "/v1/status/", 200),
        ("GET", "/v1/events?since=1&most=5", 200),
    ],
)
def test_addresses_and_methods(api: PeerApi, tmp_path: Path, method: str, path: str, code: int) -> None:
    assert ask(tmp_path, method, path)[0] == code


def test_a_body_of_unknown_length_is_refused(api: PeerApi, service: FakeService, tmp_path: Path) -> None:
    assert ask(tmp_path, "POST", "/v1/reload", "", "Transfer-Encoding: chunked")[0] == 411
    assert service.asked == []


def test_an_old_client_is_told_the_end_by_the_end(api: PeerApi, tmp_path: Path) -> None:
    code, document = asked(tmp_path, b"GET /v1/health HTTP/1.0\r\n\r\n")
    assert (code, document["reply"]["legs"][0]["state"]) == (200, "down")


def test_curl_can_ask(api: PeerApi, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl: Debian package curl")
    command = ["curl", "--silent", "--fail", "--unix-socket", str(tmp_path / "agent.sock")]
    run = subprocess.run([*command, "http://agent/v1/status"], capture_output=True, check=True)
    assert json.loads(run.stdout)["reply"]["traffic"]["ports"]["instance/ecs-1"]["spoofed_mac"]["packets"] == 1


def test_events_by_page_and_as_they_come(client: Client, service: FakeService) -> None:
    first = [service.happen(number) for number in (1, 2, 3)]
    assert client.events(1, 1).events == (first[1],) and client.events().newest == 3
    stream = client.follow(1)
    assert [next(stream), next(stream)] == first[1:]
    fourth = service.happen(4)
    assert next(stream) == fourth


def test_who_follows_a_journal_that_begins_anew_goes_on_with_it(client: Client, service: FakeService) -> None:
    service.happen(90)
    stream, found = client.follow(80), []
    assert next(stream).id == 90
    service.kept.clear()
    event = service.happen(1)
    thread = threading.Thread(target=lambda: found.append(next(stream)), daemon=True)
    thread.start()
    thread.join(20.0)
    assert found == [event]


def test_following_ends_with_the_agent(client: Client, api: PeerApi, service: FakeService) -> None:
    service.happen(1)
    stream = client.follow()
    assert next(stream).id == 1
    api.close()
    assert list(stream) == []


def test_the_kernel_says_who_asks() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        peer = peer_of(one, None)
        assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
        assert peer.may_read is (os.getuid() == 0) and peer.command


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(("groups", "may_read"), [([4242], True), ([4243], False), ([], False)])
def test_a_supplementary_group_lets_read(
    tmp_path: Path, service: FakeService, groups: list[int], may_read: bool
) -> None:
    """The real check, of a real process of another user."""
    real = Api(tmp_path, service, group=4242)
    real.start()
    tmp_path.chmod(0o755)  # it is the credentials that are tested here, not the file's mode
    (tmp_path / "agent.sock").chmod(0o666)
    try:
        codes = _as_user(tmp_path, groups)
    finally:
        real.close()
    assert codes == (200 if may_read else 403, 403)


def _as_user(folder: Path, groups: list[int]) -> tuple[int, int]:
    """The codes that a process of another user gets for reading and for changing."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.setgroups(groups)
            os.setgid(4999)
            os.setuid(4242)
            codes = ask(folder, "GET", "/v1/status")[0], ask(folder, "POST", "/v1/reload", "{}")[0]
            os.write(writer, json.dumps(codes).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        found = pipe.read()
    os.waitpid(pid, 0)
    reading, changing = json.loads(found)
    return reading, changing


def test_a_caller_is_there_until_it_closes_its_end() -> None:
    """One that has only finished speaking (``nc -N``) still waits for its answer."""
    ours, its = socket.socketpair()
    with ours, its:
        peer = peer_of(ours, None)
        assert peer.is_there()
        its.shutdown(socket.SHUT_WR)
        assert peer.is_there()
        its.close()
        assert not peer.is_there()
    assert not peer.is_there()
