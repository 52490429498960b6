"""What the kernel says about links, byte by byte, and a monitor that must not believe in silence."""

import errno
import os
import socket
import struct

import pytest

from dataplane.health.carrier import Monitor, links_in

UP, LOWER_UP = 1, 1 << 16
NEWLINK, DELLINK, ERROR = 16, 17, 2


def link(kind: int, ifindex: int, flags: int = 0, family: int = 0, extra: bytes = b"") -> bytes:
    body = struct.pack("=BxHiII", family, 1, ifindex, flags, 0) + extra
    padded = body + bytes(-len(body) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + padded


def error(ifindex: int, code: int) -> bytes:
    return struct.pack("=IHHIIi", 36, ERROR, 0, ifindex, 0, -code) + bytes(16)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (link(NEWLINK, 5, UP | LOWER_UP), [(5, True)]),
        (link(NEWLINK, 5, UP), [(5, False)]),
        (link(NEWLINK, 5, LOWER_UP), [(5, False)]),
        (link(DELLINK, 5, UP | LOWER_UP), [(5, False)]),
        (link(DELLINK, 5, UP | LOWER_UP, family=socket.AF_BRIDGE), []),
        (error(7, errno.ENODEV), [(7, False)]),
        (error(7, 0), []),
        (error(7, errno.EPERM), []),
        (link(NEWLINK, 5, extra=b"abc") + link(NEWLINK, 6, UP | LOWER_UP), [(5, False), (6, True)]),
        (b"", []),
        (bytes(16), []),
        (link(NEWLINK, 5)[:20], []),
    ],
)
def test_what_a_read_says(data: bytes, expected: list[tuple[int, bool]]) -> None:
    assert list(links_in(data)) == expected


def test_a_monitor_asks_for_what_is_new_and_for_everything_when_events_were_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "write", lambda _, data: asked.append(struct.unpack_from("=i", data, 20)[0]) or len(data))
    script: list[object] = []

    def read(_: int, __: int) -> bytes:
        if not script:
            raise BlockingIOError
        item = script.pop(0)
        if isinstance(item, OSError):
            raise item
        assert isinstance(item, bytes)
        return item

    monkeypatch.setattr(os, "read", read)
    monitor = Monitor(99)
    monitor.watch(frozenset({5, 6}))
    assert sorted(asked) == [5, 6]
    assert monitor.has(5)
    script += [link(NEWLINK, 5, UP), link(NEWLINK, 8)]
    assert monitor.read()
    assert (monitor.has(5), monitor.has(6), monitor.has(8)) == (False, True, True)
    asked.clear()
    monitor.watch(frozenset({5, 7}))
    assert asked == [7]
    assert not monitor.has(5), "what was known was forgotten"
    asked.clear()
    script += [OSError(errno.ENOBUFS, "lost"), link(NEWLINK, 5, UP | LOWER_UP)]
    assert monitor.read()
    assert sorted(asked) == [5, 7]
    assert monitor.has(5)
