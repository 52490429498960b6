"""The few calls of the C library that Python 3.11 has no name for: namespaces and mounts.

Owns ctypes. Every failure becomes an OSError; a missing privilege becomes PermissionDenied.
"""

import ctypes
import errno
import os
import signal
from pathlib import Path

from dataplane.errors import PermissionDenied

CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_SHARED = 4096, 16384, 1 << 20
MNT_DETACH = 2
_FSOPEN_CLOEXEC, _FSMOUNT_CLOEXEC, _FSCONFIG_CMD_CREATE = 1, 1, 6
_PR_SET_PDEATHSIG = 1
_NEEDED_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        if code == errno.EPERM:
            raise PermissionDenied(f"{what} is not permitted; run it with sudo")
        raise OSError(code, f"{what}: {os.strerror(code)}")


def setns(fd: int, kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into the namespace behind an open descriptor."""
    _check(_libc.setns(fd, kind), "entering a network namespace")


def unshare(flags: int) -> None:
    """Give the calling thread fresh namespaces of its own."""
    _check(_libc.unshare(flags), "creating a network namespace")


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """mount(2) without options."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, None)
    _check(result, f"mounting {target}")


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2)."""
    _check(_libc.umount2(target.encode(), flags), f"unmounting {target}")


def open_filesystem(kind: str) -> int:
    """Open the root of a new instance of a file system, mounted nowhere; it goes when the descriptor is closed."""
    context = _descriptor(_libc.fsopen(kind.encode(), _FSOPEN_CLOEXEC), f"opening a {kind}")
    try:
        _check(_libc.fsconfig(context, _FSCONFIG_CMD_CREATE, None, None, 0), f"making a {kind}")
        return _descriptor(_libc.fsmount(context, _FSMOUNT_CLOEXEC, 0), f"making a {kind}")
    finally:
        os.close(context)


def _descriptor(result: int, what: str) -> int:
    _check(min(result, 0), what)
    return result


def die_with(parent: int) -> None:
    """Have the calling process killed as soon as its parent is gone; for a child between fork and exec."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def require_privileges() -> None:
    """Raise PermissionDenied unless the process may change namespaces and networks."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            missing = [name for name, bit in _NEEDED_CAPABILITIES.items() if not held >> bit & 1]
            if missing:
                raise PermissionDenied(f"this needs {' and '.join(missing)}; run it with sudo")
            return
