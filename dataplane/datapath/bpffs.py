"""The BPF file system of our own, where programs and maps outlive the process that made them.

Owns /run/dataplane/bpf. ``ip netns exec`` puts another /sys over the host's, hence not /sys/fs/bpf. A folder in it
belongs to one network namespace, since the ifindexes in our maps are those of one.
"""

import ctypes
import os
from pathlib import Path

from dataplane.errors import HostError, PermissionDenied

ROOT = Path("/run/dataplane/bpf")
_MOUNTS = Path("/proc/thread-self/mountinfo")
_OWN_NAMESPACE = Path("/proc/thread-self/ns/net")
_FILE_SYSTEM = "bpf"

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
        if _libc.mount(b"dataplane", os.fsencode(ROOT), _FILE_SYSTEM.encode(), 0, b"mode=0700") != 0:
            code = ctypes.get_errno()
            kind = PermissionDenied if code in (1, 13) else HostError
            raise kind(
                f"cannot mount a BPF file system at {ROOT}: {os.strerror(code)}; it needs CAP_SYS_ADMIN and a kernel "
                f"with CONFIG_BPF_SYSCALL"
            )
    home = folder()
    home.mkdir(mode=0o700, exist_ok=True)
    return home


def is_mounted() -> bool:
    """Whether a BPF file system is what one sees at our place (the last mount covers those before)."""
    kinds = ""
    for line in _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[4] == str(ROOT):
            kinds = rest.split()[0]
    return kinds == _FILE_SYSTEM
