"""The agent's lines: fields in the journal, plain text elsewhere, never a control character."""

import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.agent import log


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    """A journal that a handler talks to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(tmp_path / "journal"))
        found.settimeout(5)
        handler = log.JournalHandler(str(tmp_path / "journal"))
        log.LOGGER.handlers[:] = [handler]
        log.LOGGER.setLevel(logging.INFO)
        log.LOGGER.propagate = False
        yield found
        log.LOGGER.handlers[:] = []
        handler.close()


def test_resource_ids_are_fields(journal: socket.socket) -> None:
    log.say("the leg ri-a1 is down", level=logging.WARNING, router_interface="ri-a1", peering_connection="pcx-1")
    assert journal.recv(1000).decode().splitlines() == [
        "MESSAGE=the leg ri-a1 is down",
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=dataplane",
        "DATAPLANE_ROUTER_INTERFACE=ri-a1",
        "DATAPLANE_PEERING_CONNECTION=pcx-1",
    ]


def test_a_field_with_a_line_break_has_its_length(journal: socket.socket) -> None:
    """And so cannot be taken for another field."""
    log.say("x", error="one\nPRIORITY=0")
    value = b"one\nPRIORITY=0"
    assert b"DATAPLANE_ERROR\n" + struct.pack("<Q", len(value)) + value + b"\n" in journal.recv(1000)


def test_control_characters_are_shown_not_sent(journal: socket.socket) -> None:
    log.say("a\x1b[2J\nb")
    assert journal.recv(1000).startswith(b"MESSAGE=a\\x1b[2J\\x0ab\n")


def test_a_journal_that_is_away_does_not_stop_us(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = log.JournalHandler(str(tmp_path / "nowhere"))
    handler.emit(logging.LogRecord("dataplane", logging.INFO, "", 0, "still here", None, None))
    handler.close()
    assert capsys.readouterr().err == "still here\n"


def test_stderr_is_the_journal_only_where_systemd_says_so(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as out:
        found = os.fstat(out.fileno())
        assert log.is_journal(out.fileno(), {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert not log.is_journal(out.fileno(), {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        assert not log.is_journal(out.fileno(), {})
    assert not log.is_journal(9999, {"JOURNAL_STREAM": "1:2"})
