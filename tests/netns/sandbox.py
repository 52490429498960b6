"""The sandbox of tests that need root: namespaces of its own for the whole pytest process.

Nothing here touches the machine: a network namespace of its own, private mounts, and an empty /run and
/var/lib/dataplane.
"""

from pathlib import Path

from dataplane.kernel import libc, link
from dataplane.kernel.netlink import NetlinkSocket

CLONE_NEWNS = 0x00020000
MS_PRIVATE = 1 << 18
_has_moved = False


def enter() -> None:
    """New mount and network namespaces for this process, and everything that we write on a tmpfs of its own. Once."""
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
