"""What the agent says while it runs: to systemd's journal with resource ids as fields, else as lines on stderr.

Owns the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), of which one datagram per line is all we need.
"""

import logging
import os
import socket
import struct
import sys
from collections.abc import Mapping

LOGGER = logging.getLogger("dataplane")
_JOURNAL = "/run/systemd/journal/socket"
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_LENGTH = struct.Struct("<Q")
FIELDS = "fields"
"""The attribute of a log record under which the ids of resources are: ``extra={FIELDS: {...}}``."""


def set_up(environment: Mapping[str, str] = os.environ) -> None:
    """Send the agent's lines where they belong: to the journal where stderr is one (``JOURNAL_STREAM``)."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if is_journal(sys.stderr.fileno(), environment):
        handler = JournalHandler()
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def say(text: str, *, level: int = logging.INFO, **fields: str) -> None:
    """One line.

    Args:
        level: as of the module ``logging``.
        fields: resource kinds and ids, such as ``peering_connection="pcx-1"``; in the journal each is
            ``DATAPLANE_PEERING_CONNECTION``.
    """
    LOGGER.log(level, "%s", escaped(text), extra={FIELDS: fields})


def escaped(text: str) -> str:
    """Text without control characters: whoever reads a log must not be led astray by what a file or a kernel says."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def is_journal(fd: int, environment: Mapping[str, str]) -> bool:
    """Whether a descriptor leads to the journal: device and inode are those that systemd named (systemd.exec(5))."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


class JournalHandler(logging.Handler):
    """Lines as datagrams, with fields.

    Args:
        path: of the journal's socket.
    """

    def __init__(self, path: str = _JOURNAL) -> None:
        super().__init__()
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line; a journal that is full or away takes none, and nobody waits for it."""
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": str(_PRIORITIES.get(record.levelno, 6)),
            "SYSLOG_IDENTIFIER": "dataplane",
        }
        named: Mapping[str, str] = getattr(record, FIELDS, {})
        fields |= {f"DATAPLANE_{name.upper()}": value for name, value in named.items()}
        try:
            self._socket.sendto(b"".join(_field(*pair) for pair in fields.items()), self._path)
        except OSError:
            sys.stderr.write(f"{fields['MESSAGE']}\n")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def _field(name: str, value: str) -> bytes:
    """One field; a value with a line break is given with its length."""
    data = value.encode()
    if b"\n" not in data:
        return f"{name}=".encode() + data + b"\n"
    return f"{name}\n".encode() + _LENGTH.pack(len(data)) + data + b"\n"
