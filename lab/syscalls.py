"""The system calls that Python 3.11 lacks: unshare, setns, mount, umount2; and how namespaces are compared.

This is the only file of the lab that speaks to the C library. It decides nothing: a failed call is an
``OSError`` with the kernel's errno and the path it was about.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

MNT_DETACH = 0x2

NamespaceId = tuple[int, int]
"""Device and inode of a namespace file: equal for equal namespaces, as long as one of them is held open."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, about: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), about)


def unshare(flags: int) -> None:
    """Leave namespaces for fresh ones. ``CLONE_NEWNS`` also gives this process a root and a working folder of its own.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN.
    """
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace behind an open descriptor.

    Args:
        kind: ``CLONE_NEWNET`` or ``CLONE_NEWNS``; the kernel refuses a descriptor of another kind. Entering a
            mount namespace needs a process of a single thread and changes root and working folder to its root.
    """
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str, target: Path, filesystem: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, bind or change the propagation of a mount: mount(2) as it is."""
    call = _libc.mount(
        source.encode(), os.fsencode(target), filesystem.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _check(call, str(target))


def unmount(target: Path, *, detach: bool = False) -> None:
    """Unmount the topmost mount at a path; detached, it disappears now and ends with its last user."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH if detach else 0)), str(target))


def namespace_id(descriptor_or_path: int | Path) -> NamespaceId:
    """Which namespace a descriptor or a namespace file is."""
    status = os.stat(descriptor_or_path)  # noqa: PTH116 (a descriptor has no Path)
    return (status.st_dev, status.st_ino)


@contextmanager
def in_network(descriptor: int) -> Iterator[None]:
    """Be in another network namespace for a moment, to open sockets: a socket stays where it was opened.

    Only this thread moves. Whatever happens, it comes back.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(descriptor, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)
