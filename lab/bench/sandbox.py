"""A place to measure in: this process and its children get a network, /run/netns and state of their own, for good."""

from pathlib import Path

from dataplane.datapath import bpffs
from lab.syscalls import CLONE_NEWNET, CLONE_NEWNS, MS_PRIVATE, MS_REC, mount, unmount, unshare

_FOLDERS = (Path("/run/netns"), Path("/run/dataplane"), Path("/var/lib/dataplane"))


def enter() -> None:
    """Move this process into namespaces of its own. What is made inside is gone when the last process in it ends.

    Raises:
        OSError: the kernel refuses.
    """
    unshare(CLONE_NEWNS | CLONE_NEWNET)
    mount("none", Path("/"), flags=MS_REC | MS_PRIVATE)
    while bpffs.is_mounted():  # the machine's own: covered, it would still be listed, and be taken for ours
        unmount(bpffs.ROOT, detach=True)
    for folder in _FOLDERS:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        mount("tmpfs", folder, "tmpfs")
    mount("sysfs", Path("/sys"), "sysfs")
