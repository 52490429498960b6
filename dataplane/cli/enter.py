"""Turn this process into a command inside a network namespace, the way `ip netns exec` does.

The command sees the namespace's own /sys, in a mount namespace of its own, so that nothing of that is
seen outside. It only enters what exists: it makes and removes no namespace.
"""

import contextlib
import os
from collections.abc import Sequence
from typing import NoReturn

from dataplane.errors import HostError
from dataplane.kernel import libc, netns

_CLONE_NEWNS = 0x00020000
_MS_SLAVE = 1 << 19


class CannotRun(HostError):
    """A program cannot be run; the exit codes are those of `env`, `sudo` and the shell."""

    def __init__(self, program: str, reference: str, failure: OSError) -> None:
        super().__init__(f"cannot run {program} in {reference}: {os.strerror(failure.errno or 0)}.")
        self.exit_code = 127 if isinstance(failure, FileNotFoundError) else 126


def become(reference: str, command: Sequence[str]) -> NoReturn:
    """Replace this process by a command inside a namespace.

    Args:
        reference: a name under /run/netns, or ``pid:N``.
        command: the program, looked for on the PATH, and its arguments.

    Raises:
        HostError: the namespace is gone, or the program is not there.
        PermissionDenied: the caller may not enter namespaces.
    """
    fd = netns.open_reference(reference)
    try:
        libc.setns(fd)
    finally:
        os.close(fd)
    _mount_sysfs(reference)
    try:
        os.execvp(command[0], list(command))
    except OSError as failure:
        raise CannotRun(command[0], reference, failure) from failure


def _mount_sysfs(reference: str) -> None:
    """/sys shows the network of whoever mounted it: without this, /sys/class/net would be the host's."""
    libc.unshare(_CLONE_NEWNS)
    # Nothing that is mounted from here on is seen outside; what is mounted outside is still seen here.
    libc.mount("none", "/", "none", _MS_SLAVE | libc.MS_REC)
    # Where nothing is mounted on /sys, there is nothing to take away.
    with contextlib.suppress(OSError):
        libc.umount("/sys")
    try:
        libc.mount(reference, "/sys", "sysfs", 0)
    except OSError as failure:
        raise HostError(f"cannot show {reference} its own /sys: {failure}.") from failure
