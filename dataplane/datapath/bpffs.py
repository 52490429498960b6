"""The BPF file system of our own, where programs and maps outlive the process that made them.

Owns /run/dataplane/bpf. ``ip netns exec`` puts another /sys over the host's, hence not /sys/fs/bpf. A folder in it
belongs to one network namespace, since the ifindexes in our maps are those of one.
"""

import contextlib
import ctypes
import os
from pathlib import Path

from dataplane.errors import HostError, PermissionDenied

ROOT = Path("/run/dataplane/bpf")
_MOUNTS = Path("/proc/thread-self/mountinfo")
_OWN_NAMESPACE = Path("/proc/thread-self/ns/net")
_FILE_SYSTEM = "bpf"
_SOURCE = "dataplane"
"""By which a mount is known as ours."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def folder() -> Path:
    """Where the pins of the calling thread's present network namespace are; it need not exist."""
    # No dots: the kernel reserves names with dots in a BPF file system.
    return ROOT / f"net-{_OWN_NAMESPACE.stat().st_ino}"


def prepare() -> Path:
    """Mount the file system where it is missing, in the caller's mount namespace, and make this namespace's folder.

    Raises:
        HostError: the kernel has no BPF file system, or the folder belongs to something else.
    """
    if not is_mounted():
        ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _libc.mount(_SOURCE.encode(), os.fsencode(ROOT), _FILE_SYSTEM.encode(), 0, b"mode=0700") != 0:
            code = ctypes.get_errno()
            kind = PermissionDenied if code in (1, 13) else HostError
            raise kind(
                f"cannot mount a BPF file system at {ROOT}: {os.strerror(code)}; it needs CAP_SYS_ADMIN and a kernel "
                f"with CONFIG_BPF_SYSCALL"
            )
    home = folder()
    home.mkdir(mode=0o700, exist_ok=True)
    return home


def leave() -> None:
    """Remove this namespace's folder where it is empty, and with the last one the file system that we mounted."""
    with contextlib.suppress(OSError):  # another feature's pins are there, or none
        folder().rmdir()
    if _is_of_nobody():
        # Refused while somebody has a file of it open, which is fine: the next one to leave tries again.
        _libc.umount2(os.fsencode(ROOT), 0)
        with contextlib.suppress(OSError):
            ROOT.rmdir()


def is_bare() -> bool:
    """Whether our folder, or our file system with no folder in it, is here for nothing."""
    if is_mounted() and folder().is_dir():
        return not any(folder().iterdir())
    return _is_of_nobody()


def is_mounted() -> bool:
    """Whether a BPF file system is what one sees at our place."""
    return _mounted()[0] == _FILE_SYSTEM


def _is_of_nobody() -> bool:
    """Whether a file system that we mounted has no folder left."""
    return _mounted() == (_FILE_SYSTEM, _SOURCE) and not any(ROOT.glob("net-*"))


def _mounted() -> tuple[str, str]:
    """Kind and source of what is mounted at our place; empty where nothing is, or where something covers it."""
    try:
        seen = ROOT.stat().st_dev
    except FileNotFoundError:
        return ("", "")
    found = ("", "")
    for line in _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        _, _, device, _, place, *_ = fields.split()
        # A mount over a folder above hides this one, and the list does not say so: the device number does.
        if place == str(ROOT) and device == f"{os.major(seen)}:{os.minor(seen)}":
            kind, source, *_ = rest.split()
            found = (kind, source)
    return found
