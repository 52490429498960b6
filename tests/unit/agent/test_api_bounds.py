"""Nobody can make the local API grow, block it, or take its place (reliability, test 43 and the checklist)."""

import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dataplane.agent.api import client as clients
from dataplane.agent.api import server as servers
from dataplane.agent.api.client import Client, connect
from dataplane.agent.api.server import MAX_BODY_BYTES, MOST_CONNECTIONS, RESERVED_FOR_ROOT, Api
from dataplane.agent.api.service import Peer
from dataplane.errors import AgentUnreachable, ConflictError, HostError, PermissionDenied
from dataplane.observe import serve
from tests.fakes.raw_http import PATIENCE, answer, asked, opened
from tests.fakes.service import FakeService, PeerApi

ROOT = Peer(1, 0, 0, True)
READER = Peer(2, 1000, 1000, True)
SECONDS = 0.4
"""For a request, instead of five, where the end of that time is what a test waits for."""


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PeerApi]:
    monkeypatch.setattr(serve, "REQUEST_SECONDS", PATIENCE)
    made = PeerApi(tmp_path, FakeService())
    made.start()
    yield made
    made.close()


@pytest.fixture
def hasty(api: PeerApi, monkeypatch: pytest.MonkeyPatch) -> PeerApi:
    """An API that waits for nobody for long."""
    monkeypatch.setattr(serve, "REQUEST_SECONDS", SECONDS)
    return api


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"GET /v1/sta",
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\n",
        b"POST /v1/plan HTTP/1.1\r\nContent-Length: 50\r\n\r\n{",
    ],
)
def test_half_a_request_is_a_timeout(hasty: PeerApi, tmp_path: Path, part: bytes) -> None:
    code, document = asked(tmp_path, part)
    assert code == 408 and "nothing whole came" in document["error"]["message"]


def test_a_request_byte_by_byte_has_no_more_time_than_another(hasty: PeerApi, tmp_path: Path) -> None:
    with opened(tmp_path) as connection:
        began = time.monotonic()
        sent = 0
        try:
            while time.monotonic() - began < PATIENCE:
                connection.sendall(b"x")
                sent += 1
                time.sleep(SECONDS / 10)
        except OSError:
            pass
        assert sent < PATIENCE / SECONDS * 2
        assert answer(connection)[0] == 408


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET /v1/status HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"".join(b"X-%d: x\r\n" % number for number in range(200)).join((b"GET /v1 HTTP/1.1\r\n", b"\r\n")), 431),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET /v1 HTTP/9.9\r\n\r\n", 505),
        (b"POST /v1/plan HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n", 413),
        (b"POST /v1/plan HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/plan HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n", 400),
        (b"POST /v1/plan HTTP/1.1\r\nContent-Length: \xc2\xb2\r\n\r\n", 400),
    ],
)
def test_what_is_too_large_or_senseless_is_refused(api: PeerApi, tmp_path: Path, request_: bytes, code: int) -> None:
    assert asked(tmp_path, request_)[0] == code
    assert api.service.asked == []


def test_a_hundred_megabytes_are_refused_without_being_read(api: PeerApi, tmp_path: Path) -> None:
    head = b"POST /v1/apply HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n"
    assert asked(tmp_path, head + bytes(100_000_000))[0] == 413
    assert api.service.asked == []


def test_a_caller_who_waits_for_100_continue_gets_it_or_the_refusal(api: PeerApi, tmp_path: Path) -> None:
    head = b"POST /v1/reload HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with opened(tmp_path) as connection:
        connection.sendall(head % 2)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert answer(connection)[0] == 200
    assert asked(tmp_path, head % (MAX_BODY_BYTES + 1))[0] == 413


def test_large_bodies_share_a_room(api: PeerApi, tmp_path: Path) -> None:
    head = b"POST /v1/plan HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % MAX_BODY_BYTES
    with opened(tmp_path) as one, opened(tmp_path) as other:
        for connection in (one, other):
            connection.sendall(head)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
        code, document = asked(tmp_path, head)
        assert code == 503 and "others are sending" in document["error"]["message"]
    assert wait_until(lambda: api.bodies.take(servers.BODIES_BYTES)), "room was lost"
    api.bodies.give_back(servers.BODIES_BYTES)
    assert not api.bodies.take(servers.BODIES_BYTES + 1), "more room came back than there was"


def wait_until(holds) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.02)
    return False


def test_a_thousand_connections_get_few_threads_and_root_gets_in(api: PeerApi, tmp_path: Path) -> None:
    api.who = READER
    before = threading.active_count()
    refused = 0
    with ExitStack() as stack:
        held = [stack.enter_context(opened(tmp_path)) for _ in range(MOST_CONNECTIONS - RESERVED_FOR_ROOT)]
        assert wait_until(lambda: threading.active_count() == before + len(held))
        for _ in range(1_000):
            code, document = asked(tmp_path, b"")
            refused += code == 503 and document["error"]["exit_code"] == 5
        assert refused == 1_000
        assert threading.active_count() <= before + MOST_CONNECTIONS
        api.who = ROOT
        assert asked(tmp_path, b"GET /v1/status HTTP/1.1\r\n\r\n")[0] == 200
    api.who = READER
    assert wait_until(lambda: asked(tmp_path, b"GET /v1/status HTTP/1.1\r\n\r\n")[0] == 200), "no slot came back"


def test_followers_are_counted_apart_and_give_their_slots_back(
    api: PeerApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FOLLOW_SECONDS", 0.05)
    follow = b"GET /v1/events?follow=1 HTTP/1.1\r\n\r\n"
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(servers.MOST_FOLLOWERS):
                one = stack.enter_context(opened(tmp_path))
                one.sendall(follow)
                assert b"200 OK" in one.recv(200)
            code, document = asked(tmp_path, follow)
            assert code == 503 and "follow" in document["error"]["message"]
            assert asked(tmp_path, b"GET /v1/status HTTP/1.1\r\n\r\n")[0] == 200
        # Those who have gone are found out by the next empty lines.
        assert wait_until(lambda: api.followers.take(servers.MOST_FOLLOWERS, is_privileged=True))
        api.followers.give_back(servers.MOST_FOLLOWERS)
    assert wait_until(lambda: api.connections.take(MOST_CONNECTIONS, is_privileged=True)), "a slot was lost"
    api.connections.give_back(MOST_CONNECTIONS)
    assert not api.connections.take(MOST_CONNECTIONS + 1, is_privileged=True), "a slot too many came back"


def test_who_takes_no_reply_is_cut_off(hasty: PeerApi, tmp_path: Path) -> None:
    """A plan far larger than the socket's buffers, of which nothing is read."""
    api = hasty
    api.service.actions = 20_000
    body = b'{"sources": []}'
    with opened(tmp_path) as connection:
        connection.sendall(b"POST /v1/plan HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert wait_until(lambda: api.service.asked != [])
        assert wait_until(lambda: api.connections.take(MOST_CONNECTIONS, is_privileged=True))


def test_the_socket_is_made_for_root_and_its_group(api: PeerApi, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "agent.sock").stat().st_mode) == 0o660
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750
    assert [entry.name for entry in tmp_path.iterdir()] == ["agent.sock"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_the_group_gets_the_socket_and_its_folder(tmp_path: Path) -> None:
    made = Api(tmp_path, FakeService(), group=4242)
    made.start()
    try:
        for path in (tmp_path, tmp_path / "agent.sock"):
            assert (path.stat().st_uid, path.stat().st_gid) == (0, 4242)
    finally:
        made.close()


def test_a_second_agent_is_refused_and_the_first_one_stays(api: PeerApi, tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="another agent answers"):
        Api(tmp_path, FakeService()).start()
    assert connect(tmp_path) is not None


def test_a_socket_that_nobody_answers_at_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "agent.sock"))
    dead.close()
    (tmp_path / "agent.sock.new").touch()
    made = PeerApi(tmp_path, FakeService())
    made.start()
    assert connect(tmp_path) is not None
    made.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "agent.sock").write_text("mine")
    with pytest.raises(ConflictError, match="is not a socket"):
        Api(tmp_path, FakeService()).start()
    assert (tmp_path / "agent.sock").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot make the agent's socket"):
        Api(tmp_path / "file" / "run", FakeService()).start()


def test_an_ending_agent_leaves_a_successors_socket(api: PeerApi, tmp_path: Path) -> None:
    (tmp_path / "agent.sock").unlink()
    other = socket.socket(socket.AF_UNIX)
    with other:
        other.bind(str(tmp_path / "agent.sock"))
        api.close()
        assert (tmp_path / "agent.sock").exists()


def test_no_socket_is_no_agent(tmp_path: Path) -> None:
    assert connect(tmp_path) is None
    assert connect(tmp_path / "nowhere") is None


@pytest.fixture
def pretender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket in the agent's place that says what a test wants it to."""
    monkeypatch.setattr(clients, "HELLO_SECONDS", SECONDS)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent.sock"))
        yield listener


def test_a_dead_agents_socket_is_unreachable(pretender: socket.socket, tmp_path: Path) -> None:
    with pytest.raises(AgentUnreachable, match=r"does not answer.*systemctl status") as raised:
        connect(tmp_path)
    assert raised.value.exit_code == 5


def test_a_hung_agent_is_unreachable(pretender: socket.socket, tmp_path: Path) -> None:
    pretender.listen(1)
    with pytest.raises(AgentUnreachable, match="does not answer"):
        connect(tmp_path)
    with pytest.raises(AgentUnreachable):
        Client(tmp_path / "agent.sock").destroy()


def test_an_agent_whose_queue_is_full_is_unreachable(pretender: socket.socket, tmp_path: Path) -> None:
    pretender.listen(0)
    with ExitStack() as stack:
        for _ in range(3):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.setblocking(False)
            one.connect_ex(str(tmp_path / "agent.sock"))
        with pytest.raises(AgentUnreachable, match="does not take connections"):
            connect(tmp_path)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"", "ended before it answered"),
        (b"SSH-2.0-x\r\n", "not answer in our language"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\n\r\n{", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}", "broke off"),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", "restart it"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"version": 2, "reply": {}}', "restart it"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"version": 1, "reply": {}}', "of another version"),
        (b'HTTP/1.1 500 No\r\n\r\n{"version": 1, "error": {"kind": "new", "exit_code": 9, "message": "x"}}', "^x$"),
    ],
)
def test_strange_answers_are_sentences(pretender: socket.socket, tmp_path: Path, said: bytes, complaint: str) -> None:
    pretender.listen()

    def speak() -> None:
        connection, _ = pretender.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(said)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        with pytest.raises(Exception, match=complaint) as raised:
            connect(tmp_path)
    finally:
        thread.join(PATIENCE)
    assert raised.type.__module__ == "dataplane.errors"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_who_may_not_connect_lacks_a_privilege(api: PeerApi, tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(4999)
            os.setuid(4242)
            connect(tmp_path)
        except PermissionDenied:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
