"""The sandbox: before anything runs, the whole pytest process moves into namespaces of its own.

Nothing here touches the machine: a network namespace of its own, private mounts, and an empty /run and
/var/lib/dataplane.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.kernel import libc, link
from dataplane.kernel.driver import KernelDriver
from dataplane.kernel.netlink import NetlinkSocket
from tests.netns.network import AppliedNetwork, our_namespaces
from tests.netns.objects import World, open_files

CLONE_NEWNS = 0x00020000
MS_PRIVATE = 1 << 18
_has_moved = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip with the reason rather than fail where the privileges are missing; otherwise move."""
    del config
    here = Path(__file__).parent
    ours = [item for item in items if here in Path(item.path).parents]
    if not ours:
        return
    if os.geteuid() != 0:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="needs root: run with sudo"))
        return
    _move_into_sandbox()


def _move_into_sandbox() -> None:
    """New mount and network namespaces for this process, and everything that we write on a tmpfs of its own."""
    global _has_moved
    if _has_moved:
        return
    _has_moved = True
    libc.unshare(CLONE_NEWNS | libc.CLONE_NEWNET)
    libc.mount("none", "/", "none", libc.MS_REC | MS_PRIVATE)
    libc.mount("tmpfs", "/run", "tmpfs", 0)
    for directory in ("/run/netns", "/run/dataplane", "/var/lib/dataplane"):
        Path(directory).mkdir(mode=0o755, parents=True, exist_ok=True)
    libc.mount("tmpfs", "/var/lib/dataplane", "tmpfs", 0)
    libc.mount("sysfs", "/sys", "sysfs", 0)
    with NetlinkSocket() as socket:
        assert socket.execute([link.set_request(link.LOOPBACK_IFINDEX, "", up=True)]) == [None]


@pytest.fixture
def world() -> Iterator[World]:
    """A driver with nothing around it, and the certainty that nothing is left behind."""
    before = open_files()
    there = World(KernelDriver())
    yield there
    there.clean_up()
    after = open_files()
    assert after.items() <= before.items(), "left open"  # what earlier tests left may be collected meanwhile


@pytest.fixture
def ping() -> str:
    """The ping command."""
    found = shutil.which("ping")
    if found is None:
        pytest.skip("needs the package iputils-ping")
    return found


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AppliedNetwork]:
    """A host without a network; whatever a test applies is destroyed, and nothing may be left."""
    there = AppliedNetwork(tmp_path)
    yield there
    report = there.session().destroy()
    assert report.is_done, [outcome.error for outcome in report.failures] + list(report.remaining)
    assert our_namespaces() == []
