"""Small HTTP servers inside the agent that nobody can make grow: threads, times and bytes are all bounded.

Owns the loop that accepts, the number of connections, and how long and how much one of them may say. Must never know
what is asked: the local API (``agent/api``) and the metrics (``metrics_server``) say that. Python's own HTTP parser is
used since prometheus_client brings it along; its servers are not, since they start a thread for whoever connects and
wait for ever. A loopback port is open to every user of the host.
"""

import errno
import io
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

REQUEST_SECONDS = 5.0
"""How long a request may take to arrive, and a part of a reply to be taken (reliability, test 43)."""
HEAD_BYTES = 32 * 1024
_BACKLOG = 128
_SEND_BYTES = 64 * 1024
_DRAIN_BYTES = 4 * 1024 * 1024
_DRAIN_SECONDS = 1.0
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS = 0.2
_log = logging.getLogger(__name__)


class TooMuch(Exception):
    """More bytes came than a request may have."""


class Slots:
    """Room for a number of things at once.

    Args:
        most: how many in all.
        reserved: how many of them only the privileged get, so that the others cannot lock them out.
    """

    def __init__(self, most: int, reserved: int = 0) -> None:
        self._free = most
        self._reserved = reserved
        self._lock = threading.Lock()

    def take(self, amount: int = 1, *, is_privileged: bool = False) -> bool:
        """Take room, or be told that there is none."""
        with self._lock:
            if self._free - amount < (0 if is_privileged else self._reserved):
                return False
            self._free -= amount
            return True

    def take_back(self) -> None:
        """Take one that was lent out, even where there is no room: others wait for it then."""
        with self._lock:
            self._free -= 1

    def give_back(self, amount: int = 1) -> None:
        """Return what was taken."""
        with self._lock:
            self._free += amount


class _Reader(io.RawIOBase):
    """Reads from a socket until a moment and up to a number of bytes, however the sender spreads them."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.until = time.monotonic() + REQUEST_SECONDS
        self.allowed = HEAD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.allowed <= 0:
            raise TooMuch
        self._connection.settimeout(left)
        read = self._connection.recv_into(buffer, min(len(buffer), self.allowed))
        self.allowed -= read
        return read


class _Writer(io.RawIOBase):
    """Writes to a socket in parts, each of which has to be taken in time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with memoryview(data) as view:
            for start in range(0, len(view), _SEND_BYTES):
                self._connection.settimeout(REQUEST_SECONDS)
                try:
                    self._connection.sendall(view[start : start + _SEND_BYTES])
                except TimeoutError:  # not the sender's lateness, which is answered; this one hears nothing more
                    raise ConnectionAbortedError from None
            return len(view)


class Handler(BaseHTTPRequestHandler):
    """One request on one connection, which is closed behind it. A subclass says in ``respond`` what is answered."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # what cannot be parsed is answered with a status line as well
    server_version = "dataplane"
    sys_version = ""

    def __init__(self, connection: socket.socket) -> None:
        self.is_body_awaited = False
        # The base class passes its three arguments on, and only its logging looks at the last two.
        super().__init__(connection, ("", 0), cast(Any, None))

    def respond(self) -> None:
        """Answer the request: ``command``, ``path`` and ``headers`` are there."""
        raise NotImplementedError

    def setup(self) -> None:
        self.connection = cast(socket.socket, self.request)
        self._reader = _Reader(self.connection)
        self.rfile = io.BufferedReader(self._reader)
        self.wfile = cast(Any, _Writer(self.connection))
        self.request_version, self.command, self.path = self.default_request_version, "", ""

    def handle(self) -> None:
        try:
            self._handle()
        except TimeoutError:
            self._give_up(HTTPStatus.REQUEST_TIMEOUT, f"nothing whole came within {REQUEST_SECONDS:.0f} s")
        except TooMuch:
            self._give_up(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request's head has at most {HEAD_BYTES} bytes"
            )
        except OSError:
            pass  # whoever asked has gone

    def _handle(self) -> None:
        self.raw_requestline = self.rfile.readline(HEAD_BYTES + 1)
        if not self.raw_requestline:
            return
        if not self.raw_requestline.endswith(b"\n"):
            raise TooMuch if len(self.raw_requestline) >= HEAD_BYTES else ConnectionResetError
        if self.parse_request():
            self.close_connection = True
            self.respond()

    def _give_up(self, status: HTTPStatus, text: str) -> None:
        with suppress(OSError):
            self.send_error(status, text)

    def finish(self) -> None:
        """Let the sender of what nobody wanted see the answer: closing at once would only break its pipe."""
        with suppress(OSError, TooMuch):
            self.connection.shutdown(socket.SHUT_WR)
            self._reader.until = min(self._reader.until, time.monotonic() + _DRAIN_SECONDS)
            self._reader.allowed = _DRAIN_BYTES
            while self._reader.read(_SEND_BYTES):
                pass

    def handle_expect_100(self) -> bool:
        """Promise nothing before the size of the body is known to be fine."""
        self.is_body_awaited = True
        return True

    def read_body(self, length: int) -> bytes:
        """The body, of a length in bytes that the caller has found small enough.

        Raises:
            TimeoutError: it did not come in time.
            ConnectionResetError: it ended early.
        """
        if self.is_body_awaited:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._reader.allowed += length
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError
        return body

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: what changes something is logged where it is done, and anybody could fill the log with the rest."""


class Server:
    """Accepts connections and has each handled in a thread of its own, as long as there is room.

    Args:
        listener: a listening socket; the server closes it.
        name: of its threads.
        handle: handles one connection; the server closes it. What it raises is a bug, and is logged.
        admit: takes room for a connection and says how to give it back; None: there is none.
        busy: what is sent, in one go, to whom there is no room for.
    """

    def __init__(
        self,
        listener: socket.socket,
        name: str,
        handle: Callable[[socket.socket], None],
        admit: Callable[[socket.socket], Callable[[], None] | None],
        busy: bytes,
    ) -> None:
        self._listener, self._name, self._handle, self._admit, self._busy = listener, name, handle, admit, busy
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._is_closing = False
        self._thread = threading.Thread(target=self._accept, name=name, daemon=True)

    def start(self) -> None:
        """Accept from now on."""
        self._listener.listen(_BACKLOG)
        self._thread.start()

    def close(self, seconds: float = 1.0) -> None:
        """Accept no more, cut what is open, and wait a moment for its threads to end."""
        self._is_closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes ``accept``, which closing does not
        self._thread.join(seconds)
        self._listener.close()
        with self._lock:
            left = dict(self._open)
        for connection in left:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + seconds
        for thread in left.values():
            thread.join(max(0.0, until - time.monotonic()))

    def _accept(self) -> None:
        while not self._is_closing:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno in _FULL:
                    time.sleep(_PAUSE_SECONDS)  # no descriptors left: others have to end first
                    continue
                if error.errno == errno.ECONNABORTED:
                    continue
                if not self._is_closing:
                    _log.error("%s: cannot accept connections any more: %s", self._name, error.strerror)
                return
            try:
                self._begin(connection)
            except Exception:
                # One connection's trouble must not be the last thing that this server does.
                connection.close()
                _log.exception("%s: a connection could not be begun", self._name)

    def _begin(self, connection: socket.socket) -> None:
        give_back = self._admit(connection)
        if give_back is None:
            _refuse(connection, self._busy)
            return
        thread = threading.Thread(target=self._serve, args=(connection, give_back), name=self._name, daemon=True)
        with self._lock:
            self._open[connection] = thread
        try:
            thread.start()
        except RuntimeError:  # the host has no thread left
            self._end(connection, give_back)

    def _serve(self, connection: socket.socket, give_back: Callable[[], None]) -> None:
        try:
            self._handle(connection)
        except Exception:
            _log.exception("%s: a connection ended in a bug", self._name)
        finally:
            self._end(connection, give_back)

    def _end(self, connection: socket.socket, give_back: Callable[[], None]) -> None:
        with self._lock:
            self._open.pop(connection, None)
        connection.close()
        give_back()


def _refuse(connection: socket.socket, busy: bytes) -> None:
    """Say that there is no room, without waiting for anybody to listen."""
    with connection, suppress(OSError):
        connection.setblocking(False)
        connection.send(busy)
        connection.shutdown(socket.SHUT_WR)
