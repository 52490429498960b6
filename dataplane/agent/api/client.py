"""The caller's side of the local API: the command line asks a running agent by it.

Small on purpose: ``http.client`` alone would take a tenth of the time that a command may need to start. It reads what
our own server sends (HTTP/1.1, chunked or to the end, one reply a connection), nothing else.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from dataplane.agent.api.failures import Failure, error_of
from dataplane.agent.api.listener import SOCKET_NAME
from dataplane.agent.api.routes import ApplyReply
from dataplane.agent.api.service import (
    API_VERSION,
    MAX_EVENTS,
    ApplyRequest,
    DrillReport,
    DrillRequest,
    EventPage,
    Hello,
    LegRequest,
    PlanRequest,
    Said,
    TopRequest,
)
from dataplane.agent.api.wire import WireError, from_plain, pieces
from dataplane.agent.views import LegView, PlanView, ReportView, StatusView
from dataplane.errors import AgentUnreachable, DataplaneError, HostError, PermissionDenied
from dataplane.model.event import Event
from dataplane.observe.health import Health
from dataplane.observe.top import Top

HELLO_SECONDS = 5.0
READ_SECONDS = 60.0
CHANGE_SECONDS = 900.0
FOLLOW_SECONDS = 30.0
"""Without a sign of life from the agent while events are followed; it gives one every few seconds."""
_RETRY_SECONDS = 0.02
_MAX_LINE = 65_536
_Reply = TypeVar("_Reply")


def connect(run_dir: Path) -> "Client | None":
    """A client of the agent of this host; None where no agent runs.

    Args:
        run_dir: where its socket is (/run/dataplane).

    Raises:
        AgentUnreachable: its socket is there, and nobody answers, or somebody of another version.
        PermissionDenied: the caller is neither root nor in the group ``dataplane``.
    """
    client = Client(run_dir / SOCKET_NAME)
    try:
        client.hello()
    except NoAgent:
        return None
    return client


class NoAgent(AgentUnreachable):
    """There is no socket: no agent runs, or it has ended since it was last asked."""


class Unanswered(AgentUnreachable):
    """The agent has been asked, and its answer did not come: whether it did it is not known."""


class Client:
    """Asks the agent, one connection a question.

    Args:
        path: of its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def hello(self) -> Hello:
        """Who answers.

        Raises:
            NoAgent: there is no socket.
        """
        try:
            return self._ask(Hello, "GET", "/v1", seconds=HELLO_SECONDS)
        except Unanswered as error:
            raise AgentUnreachable(str(error)) from None  # nothing was asked for

    def status(self) -> StatusView:
        """``Service.status``."""
        return self._ask(StatusView, "GET", "/v1/status")

    def health(self) -> Health:
        """``Service.health``."""
        return self._ask(Health, "GET", "/v1/health")

    def plan(self, asked: PlanRequest) -> PlanView:
        """``Service.plan``."""
        return self._ask(PlanView, "POST", "/v1/plan", asked)

    def apply(self, asked: ApplyRequest) -> ApplyReply:
        """``Service.apply``."""
        return self._change(ApplyReply, "apply", asked)

    def confirm(self) -> Said:
        """``Service.confirm``."""
        return self._change(Said, "confirm")

    def destroy(self) -> ReportView:
        """``Service.destroy``."""
        return self._change(ReportView, "destroy")

    def force_leg(self, asked: LegRequest) -> LegView:
        """``Service.force_leg``."""
        return self._change(LegView, "leg", asked)

    def drill(self, asked: DrillRequest) -> DrillReport:
        """``Service.drill``; it takes as long as the drill."""
        return self._change(DrillReport, "drill", asked)

    def reload(self) -> Said:
        """``Service.reload``."""
        return self._change(Said, "reload")

    def top(self, asked: TopRequest) -> Top:
        """``Service.top``; it takes as long as the look."""
        return self._ask(Top, "POST", "/v1/top", asked)

    def events(self, since: int = 0, most: int = MAX_EVENTS) -> EventPage:
        """``Service.events``."""
        return self._ask(EventPage, "GET", f"/v1/events?since={since}&most={most}")

    def follow(self, since: int = 0) -> Iterator[Event]:
        """Events with an id above one as they come; ends when the agent does.

        Raises:
            AgentUnreachable: it gave no sign of life for half a minute.
        """
        with self._open("GET", f"/v1/events?since={since}&follow=1", b"", FOLLOW_SECONDS) as reply:
            reply.need_success()
            for line in reply.lines():
                if line.strip():
                    yield _decoded(Event, json.loads(line))

    def _change(self, kind: type[_Reply], name: str, asked: object = None) -> _Reply:
        # A hung agent is found out before it is asked for something that nobody would see the end of.
        self.hello()
        return self._ask(kind, "POST", f"/v1/{name}", asked, CHANGE_SECONDS)

    def _ask(
        self, kind: type[_Reply], method: str, path: str, asked: object = None, seconds: float = READ_SECONDS
    ) -> _Reply:
        body = b"".join(pieces(asked)) if asked is not None else b""
        with self._open(method, path, body, seconds) as reply:
            reply.need_success()
            return _decoded(kind, reply.document().get("reply"))

    def _open(self, method: str, path: str, body: bytes, seconds: float) -> "_Exchange":
        connection = self._connected(min(seconds, HELLO_SECONDS))
        exchange = _Exchange(connection, self._path, seconds)
        exchange.send(f"{method} {path} HTTP/1.1\r\nHost: agent\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        return exchange

    def _connected(self, seconds: float) -> socket.socket:
        until = time.monotonic() + seconds
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(seconds)
            try:
                connection.connect(str(self._path))
                return connection
            except BlockingIOError:  # its queue is full: unix sockets do not wait
                connection.close()
                if time.monotonic() >= until:
                    raise AgentUnreachable(_gone(self._path, "does not take connections")) from None
                time.sleep(_RETRY_SECONDS)
            except OSError as error:
                connection.close()
                if isinstance(error, FileNotFoundError | NotADirectoryError):
                    raise NoAgent(f"no agent runs on this host: there is no socket {self._path}") from None
                if isinstance(error, PermissionError):
                    raise PermissionDenied(
                        f"only root and members of the group dataplane may ask the agent at {self._path}: use sudo"
                    ) from None
                raise AgentUnreachable(_gone(self._path, f"does not answer ({error.strerror or error})")) from None


class _Exchange:
    """One request and its reply."""

    def __init__(self, connection: socket.socket, path: Path, seconds: float) -> None:
        self._connection, self._path = connection, path
        connection.settimeout(seconds)
        self._file = connection.makefile("rb")
        self.status = 0
        self._is_chunked = False

    def __enter__(self) -> "_Exchange":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._connection.close()

    def send(self, request: bytes) -> None:
        """Send all of it and read the head of the reply."""
        try:
            # It may say no before it has read everything, and that answer can still be read.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._connection.sendall(request)
            self.status = self._head()
        except OSError as error:
            self.__exit__()
            raise self._unanswered(f"does not answer ({error.strerror or error})") from None
        except BaseException:
            self.__exit__()
            raise

    def need_success(self) -> None:
        """Raise what the agent says went wrong."""
        if self.status != 200:
            raise error_of(_decoded(Failure, self.document().get("error")))

    def document(self) -> dict[str, Any]:
        """The JSON object of the reply."""
        try:
            document = json.loads(b"".join(self.chunks()))
        except (ValueError, OSError) as error:
            raise self._unanswered(f"broke off in the middle of its answer ({error})") from None
        if not isinstance(document, dict) or document.get("version") != API_VERSION:
            raise _other_version()
        return document

    def lines(self) -> Iterator[bytes]:
        """The lines of the reply as they come."""
        held = b""
        try:
            for chunk in self.chunks():
                *whole, held = (held + chunk).split(b"\n")
                yield from whole
        except TimeoutError:
            raise self._unanswered("gives no sign of life") from None
        except (OSError, ValueError):
            return  # the agent has ended

    def chunks(self) -> Iterator[bytes]:
        """The parts of the body."""
        if not self._is_chunked:
            yield self._file.read()
            return
        while size := int(self._file.readline(_MAX_LINE).strip() or b"x", 16):
            yield self._file.read(size)
            self._file.readline(_MAX_LINE)

    def _unanswered(self, what: str) -> AgentUnreachable:
        return Unanswered(_gone(self._path, what))

    def _head(self) -> int:
        line = self._file.readline(_MAX_LINE)
        if not line:
            raise self._unanswered("ended before it answered")
        words = line.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise self._unanswered("does not answer in our language")
        while (line := self._file.readline(_MAX_LINE).strip()) != b"":
            self._is_chunked |= line.lower() == b"transfer-encoding: chunked"
        return int(words[1])


def _decoded(kind: type[_Reply], plain: object) -> _Reply:
    try:
        return from_plain(kind, plain, is_strict=False, where="the agent's answer")
    except WireError as error:
        raise HostError(
            f"{error}: the agent is of another version; restart it (`systemctl restart dataplane`)"
        ) from None


def _other_version() -> DataplaneError:
    return AgentUnreachable(
        f"the agent does not speak version {API_VERSION} of the local API: restart it (`systemctl restart dataplane`)"
    )


def _gone(path: Path, what: str) -> str:
    return (
        f"the agent at {path} {what}: look at `systemctl status dataplane`; where no agent is to run, remove that file"
    )
