"""Requests to a unix socket byte by byte, by a client that shares nothing with ours."""

import json
import socket
import time
from contextlib import suppress
from pathlib import Path

PATIENCE = 20.0
"""Until a test gives up: no figure, only an end."""


def opened(folder: Path) -> socket.socket:
    """A connection to the agent's socket in a folder."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE)
    connection.connect(str(folder / "agent.sock"))
    return connection


def answer(connection: socket.socket) -> tuple[int, dict]:
    """Status code and document of what comes until the end."""
    data, until = b"", time.monotonic() + PATIENCE
    with suppress(ConnectionResetError):  # it closed with something of ours unread; what it had said before is here
        while part := connection.recv(65536):
            data += part
            assert time.monotonic() < until, f"there is no end to {data[-100:]!r}"
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(_joined(body) if b"chunked" in head else body)


def asked(folder: Path, request: bytes) -> tuple[int, dict]:
    """The answer to these bytes."""
    with opened(folder) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        return answer(connection)


def ask(folder: Path, method: str, path: str, body: str = "", *headers: str) -> tuple[int, dict]:
    """The answer to a well-formed request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: agent", f"Content-Length: {len(body.encode())}", *headers]
    return asked(folder, "\r\n".join((*lines, "", body)).encode())


def _joined(chunks: bytes) -> bytes:
    body = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        body, chunks = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body
