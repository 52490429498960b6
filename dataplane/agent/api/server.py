"""The server of the local API: who may, how much at once, what is logged. What is answered is ``routes``' matter.

HTTP/1.1, one request a connection, so that ``curl --unix-socket`` and everything else that speaks it can ask; the
parser is in memory anyway, for the metrics. All limits stand at the top. A slot or a byte that is not to be had is a
503 at once, never a queue: forwarding does not depend on who shouts at this socket.
"""

import json
import logging
import socket
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dataplane.agent.api import listener as sockets
from dataplane.agent.api.failures import Failure, failure_of
from dataplane.agent.api.peer import group_id, peer_of
from dataplane.agent.api.routes import ROUTES, EventsRequest, Route
from dataplane.agent.api.service import API_VERSION, MAX_EVENTS, Peer, Service
from dataplane.agent.api.wire import WireError, from_plain, parse, pieces
from dataplane.agent.log import FIELDS
from dataplane.errors import BugError, DataplaneError
from dataplane.observe.serve import REQUEST_SECONDS, Handler, Server, Slots

MOST_CONNECTIONS = 16
RESERVED_FOR_ROOT = 4
MOST_FOLLOWERS = 8
FOLLOWERS_FOR_ROOT = 2
MAX_BODY_BYTES = 8 * 1024 * 1024
BODIES_BYTES = 16 * 1024 * 1024
"""Of all requests that are being read together."""
FOLLOW_SECONDS = 5.0
"""Between two signs of life to who follows the events: an empty line, which finds out who has gone."""
_PIECE_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


class Api:
    """The local API of an agent.

    Args:
        run_dir: where its socket is (/run/dataplane).
        service: who answers.
        group: the number of the group whose members may read; None: only root.
    """

    def __init__(self, run_dir: Path, service: Service, group: int | None = None) -> None:
        self._run_dir, self.service, self._group = run_dir, service, group
        self.connections = Slots(MOST_CONNECTIONS, RESERVED_FOR_ROOT)
        self.followers = Slots(MOST_FOLLOWERS, FOLLOWERS_FOR_ROOT)
        self.bodies = Slots(BODIES_BYTES)
        self._server: Server | None = None
        self._inode = 0

    @classmethod
    def of_this_host(cls, run_dir: Path, service: Service) -> "Api":
        """With the group ``dataplane``, where this host has it."""
        return cls(run_dir, service, group_id())

    def start(self) -> None:
        """Make the socket and answer from now on.

        Raises:
            ConflictError: another agent answers there.
            HostError: the socket cannot be made.
        """
        listener = sockets.listen(self._run_dir, self._group)
        self._inode = sockets.inode(self._run_dir)
        self._server = Server(listener, "api", self._handle, self._admit, _BUSY)
        self._server.start()

    def close(self) -> None:
        """Stop answering and take the socket away."""
        if self._server is not None:
            sockets.remove(self._run_dir, self._inode)
            self._server.close()
            self._server = None

    def peer(self, connection: socket.socket) -> Peer:
        """Who has connected."""
        return peer_of(connection, self._group)

    def _admit(self, connection: socket.socket) -> Callable[[], None] | None:
        if not self.connections.take(is_privileged=self.peer(connection).may_change):
            return None
        return self.connections.give_back

    def _handle(self, connection: socket.socket) -> None:
        _Request(self, connection)


class _Request(Handler):
    """One request to the API."""

    def __init__(self, api: Api, connection: socket.socket) -> None:
        self._api = api
        self._peer = api.peer(connection)
        super().__init__(connection)

    def respond(self) -> None:
        if not self._peer.may_read:
            self._fail(HTTPStatus.FORBIDDEN, "permission", 6, "only root and members of the group dataplane may ask")
            return
        address = urlsplit(self.path)
        route = ROUTES.get((self.command, address.path.rstrip("/")))
        if route is None:
            self._fail_unknown(address.path.rstrip("/"))
        elif route.is_change and not self._peer.may_change:
            self._log_change("refused")
            self._fail(HTTPStatus.FORBIDDEN, "permission", 6, "only root may change this host: run it with sudo")
        elif (asked := self._asked(route, address.query)) is not None:
            self._do(route, asked)

    def _do(self, route: Route, asked: object) -> None:
        if isinstance(asked, EventsRequest) and asked.follow:
            self._follow(asked.since)
            return
        if route.is_change:
            self._log_change("begins")
        try:
            reply = route.call(self._api.service, asked, self._peer)
        except WireError as error:
            self._fail(HTTPStatus.BAD_REQUEST, "usage", 2, str(error))
        except DataplaneError as error:
            if route.is_change:
                self._log_change(f"failed: {_one_line(str(error))}")
            self._send_failure(*failure_of(error))
        except Exception as error:
            _log.exception("%s %s is a bug", self.command, _one_line(self.path))
            self._send_failure(*failure_of(BugError(f"a bug in the agent: {type(error).__name__}: {error}")))
        else:
            if route.is_change:
                self._log_change("done")
            self._send(HTTPStatus.OK, _document(reply))

    def _asked(self, route: Route, query: str) -> object | None:
        """What is asked, checked; None where that was answered already."""
        try:
            plain = self._plain_body() if self.command == "POST" else _plain_query(query)
            return None if plain is None else from_plain(route.request, plain, where="the request")
        except WireError as error:
            self._fail(HTTPStatus.BAD_REQUEST, "usage", 2, str(error))
            return None

    def _plain_body(self) -> object | None:
        if "Transfer-Encoding" in self.headers:
            self._fail(HTTPStatus.LENGTH_REQUIRED, "usage", 2, "send a Content-Length")
            return None
        given = self.headers.get("Content-Length", "0")
        length = int(given) if given.isascii() and given.isdigit() and len(given) < 20 else -1
        if length < 0:
            self._fail(HTTPStatus.BAD_REQUEST, "usage", 2, "the Content-Length is no number")
        elif length > MAX_BODY_BYTES:
            text = f"{length:,} bytes: a request has at most {MAX_BODY_BYTES:,}"
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "usage", 2, text)
        elif not self._api.bodies.take(length):
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, "host", 1, "others are sending large files: try again")
        else:
            try:
                return parse(self.read_body(length)) if length else {}
            finally:
                self._api.bodies.give_back(length)
        return None

    def _follow(self, since: int) -> None:
        """Events as they come, a line each, until either side ends it. Followers have slots of their own."""
        if not self._api.followers.take(is_privileged=self._peer.may_change):
            text = "too many follow the events already: end one of them, or ask without follow"
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, "host", 1, text)
            return
        self._api.connections.give_back()
        try:
            self._send(HTTPStatus.OK, self._events(since), "application/x-ndjson")
        finally:
            # As it was found: the server gives the connection's slot back itself.
            self._api.connections.take_back()
            self._api.followers.give_back()

    def _events(self, since: int) -> Iterator[bytes]:
        service = self._api.service
        while True:  # ``close`` cuts the connection, and the next line finds that out
            page = service.events(since, MAX_EVENTS)
            yield b"".join(b"".join((*pieces(event), b"\n")) for event in page.events) or b"\n"
            # An id that is not reached yet: the journal has been started anew, and counts from below.
            since = page.events[-1].id if page.events else since if page.newest >= since else 0
            service.wait_for_events(since, FOLLOW_SECONDS)

    def _send_failure(self, status: HTTPStatus, failure: Failure) -> None:
        self._send(status, _document(failure, "error"))

    def _fail(self, status: HTTPStatus, kind: str, exit_code: int, message: str) -> None:
        self._send_failure(status, Failure(kind, exit_code, message))

    def _fail_unknown(self, path: str) -> None:
        allowed = sorted(method for method, known in ROUTES if known == path)
        if allowed:
            self._fail(HTTPStatus.METHOD_NOT_ALLOWED, "usage", 2, f"{path} is asked with {' or '.join(allowed)}")
            return
        known = ", ".join(dict.fromkeys(known for _, known in ROUTES))
        self._fail(HTTPStatus.NOT_FOUND, "usage", 2, f"nothing is called {path[:100]!r} here; there are {known}")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong, in our form."""
        self._fail(HTTPStatus(code), "usage", 2, message or HTTPStatus(code).phrase)

    def _send(self, status: HTTPStatus, parts: Iterator[bytes], kind: str = "application/json") -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        is_chunked = self.request_version == "HTTP/1.1"  # others are told the end by the end of the connection
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        for part in _gathered(parts, 1 if kind != "application/json" else _PIECE_BYTES):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
        if is_chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _log_change(self, what: str) -> None:
        name = urlsplit(self.path).path.rpartition("/")[2]
        peer = {"peer_uid": self._peer.uid, "peer_gid": self._peer.gid, "peer_pid": self._peer.pid}
        fields = {FIELDS: {field: str(number) for field, number in peer.items()}}
        _log.info("%s asked for by %s: %s", name, self._peer, what, extra=fields)


def _document(value: object, name: str = "") -> Iterator[bytes]:
    """A reply: the version of the API in front of it, so that a client of another version can say so."""
    yield b'{"version":%d,' % API_VERSION
    yield json.dumps(name or "reply").encode() + b":"
    yield from pieces(value)
    yield b"}\n"


def _gathered(parts: Iterator[bytes], least: int) -> Iterator[bytes]:
    """Parts put together until they are worth a system call."""
    held = bytearray()
    for part in parts:
        held += part
        if len(held) >= least:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _plain_query(query: str) -> dict[str, Any]:
    """The query of an address: whole numbers, ``true`` and ``1`` as what they are."""
    plain: dict[str, Any] = {}
    for key, text in parse_qsl(query, keep_blank_values=True, max_num_fields=8):
        is_flag = key == "follow"
        if is_flag:
            plain[key] = text in ("1", "true", "")
        else:
            plain[key] = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text
    return plain


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:500]


def _busy_reply() -> bytes:
    failure = Failure("unreachable", 5, "the agent has its hands full: try again in a moment")
    body = b"".join(_document(failure, "error"))
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return head + b"Retry-After: %d\r\nContent-Length: %d\r\n\r\n" % (int(REQUEST_SECONDS), len(body)) + body


_BUSY = _busy_reply()
