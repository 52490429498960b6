"""Serves the metrics on a TCP port, by default of the loopback address.

prometheus_client writes the text; its own server is not used, since it starts a thread for whoever connects and waits
for ever, and every user of the host can connect to a loopback port. For the same reason a scrape within a second of
another gets that one's text: nobody can keep the agent busy by asking.
"""

import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from dataplane.errors import HostError
from dataplane.observe.serve import Handler, Server, Slots

DEFAULT_ADDRESS = "127.0.0.1"
DEFAULT_PORT = 9477
MOST_CONNECTIONS = 8
FRESH_SECONDS = 1.0
_INDEX = b"dataplane: the metrics are at /metrics\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class MetricsServer:
    """The metrics' server.

    Args:
        registry: what is shown.
        address: to listen at; anything but a loopback address shows the metrics to whoever can reach it.
        port: 0 takes any free one (``port`` has it then).
    """

    def __init__(self, registry: CollectorRegistry, address: str = DEFAULT_ADDRESS, port: int = DEFAULT_PORT) -> None:
        self._registry, self._address, self.port = registry, address, port
        self._slots = Slots(MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._text, self._read_at = b"", float("-inf")
        self._server: Server | None = None

    def start(self) -> None:
        """Listen and serve from now on.

        Raises:
            HostError: the address or the port is not to be had.
        """
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._address, self.port))
            listener.listen()
        except (OSError, OverflowError) as error:
            listener.close()
            raise HostError(
                f"cannot serve metrics at {self._address} port {self.port}: {error}; choose another port"
            ) from error
        self.port = int(listener.getsockname()[1])
        self._server = Server(listener, "metrics", self._handle, self._admit, _BUSY)
        self._server.start()

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def text(self) -> bytes:
        """The metrics, read now or within the last second; one reading at a time."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                self._text = generate_latest(self._registry)
                self._read_at = time.monotonic()
            return self._text

    def _admit(self, connection: socket.socket) -> Callable[[], None] | None:
        return self._slots.give_back if self._slots.take() else None

    def _handle(self, connection: socket.socket) -> None:
        _Scrape(self, connection)


class _Scrape(Handler):
    """One scrape."""

    def __init__(self, server: MetricsServer, connection: socket.socket) -> None:
        self._metrics = server
        super().__init__(connection)

    def respond(self) -> None:
        path = urlsplit(self.path).path
        if self.command not in ("GET", "HEAD"):
            self._send(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n")
        elif path == "/metrics":
            self._send(HTTPStatus.OK, self._metrics.text(), CONTENT_TYPE_LATEST)
        else:
            self._send(HTTPStatus.OK if path == "/" else HTTPStatus.NOT_FOUND, _INDEX)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong, as one line of text."""
        self._send(HTTPStatus(code), f"{message or HTTPStatus(code).phrase}\n".encode())

    def _send(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
