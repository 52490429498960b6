"""What the service manager hears."""

import os
import socket
import threading
from pathlib import Path

import pytest

from dataplane.agent.notify import Notifier


@pytest.mark.parametrize("is_abstract", [False, True])
def test_it_hears_each_word(tmp_path: Path, *, is_abstract: bool) -> None:
    name = f"dataplane-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if is_abstract else name)
        manager.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": f"@{name}" if is_abstract else name})
        notifier.ready("12 resources\nREADY=0")
        assert manager.recv(200) == b"READY=1\nSTATUS=12 resources READY=0"
        notifier.alive()
        notifier.status("a round failed")
        notifier.stopping()
        assert [manager.recv(200) for _ in range(3)] == [b"WATCHDOG=1", b"STATUS=a round failed", b"STOPPING=1"]


def test_nobody_to_tell_is_fine(tmp_path: Path) -> None:
    Notifier({}).ready("")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()


@pytest.mark.parametrize(
    ("environment", "is_asked"),
    [
        ({}, False),
        ({"WATCHDOG_USEC": "9000000"}, True),
        ({"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"}, False),
        ({"WATCHDOG_USEC": "soon"}, False),
    ],
)
def test_only_a_watchdog_of_ours_is_asked_for_patience(
    tmp_path: Path, environment: dict[str, str], *, is_asked: bool
) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(5)
        Notifier({**environment, "NOTIFY_SOCKET": name}).busy(60)
        assert manager.recv(200) == b"WATCHDOG=1" + (b"\nWATCHDOG_USEC=60000000" if is_asked else b"")


def test_a_long_stage_has_its_own_patience_and_then_it_is_as_before(tmp_path: Path) -> None:
    """systemd takes a new WATCHDOG_USEC at any time (sd_notify(3)); without a watchdog nobody is told one."""
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(5)
        watched = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "10000000"})
        watched.busy(200)
        watched.busy(1)
        watched.alive()
        watched.alive()
        assert [manager.recv(200) for _ in range(4)] == [
            b"WATCHDOG=1\nWATCHDOG_USEC=200000000",
            b"WATCHDOG=1\nWATCHDOG_USEC=10000000",
            b"WATCHDOG=1\nWATCHDOG_USEC=10000000",
            b"WATCHDOG=1",
        ]
        Notifier({"NOTIFY_SOCKET": name}).busy(200)
        assert manager.recv(200) == b"WATCHDOG=1"


def test_a_manager_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """The kernel takes ten datagrams for it, and none after that."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        notifier.ready("all is well")
        teller = threading.Thread(target=lambda: [notifier.status("still here") for _ in range(1_000)], daemon=True)
        teller.start()
        teller.join(5.0)
        assert not teller.is_alive()
        assert manager.recv(100).startswith(b"READY=1")
