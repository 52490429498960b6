"""Sysctls: read and write below /proc/sys, in the namespace that the calling thread is in.

Must never write what nobody asked for, nor lower a threshold that somebody raised.
"""

import os
from types import TracebackType
from typing import Self

from dataplane.errors import PermissionDenied
from dataplane.kernel import libc
from dataplane.model.kernel import Sysctl

_ROOT = "/proc/sys"
_READ_BYTES = 4096
_VISITS_PER_PROCFS = 32
"""A new procfs costs 70 us, and a visit 0.1 us for each one before it."""


class Procfs:
    """A /proc of our own, for the many visits of one observation or one stage. Use it as a context manager.

    In one /proc the kernel finds ``net/ipv4`` among those of all namespaces, one by one: with a thousand of them that
    takes 80 us, and all visits together grow with the square of their number. So a new instance, whose list is short,
    is made every few visits. Where that is not allowed (a container), /proc itself does, only slower.
    """

    def __init__(self) -> None:
        self._root: int | None = None
        self._visits_left = 0
        self._is_refused = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def tree(self) -> "SysctlTree":
        """The sysctls of the namespace that the thread is in; to be closed before the next is asked for."""
        if self._visits_left == 0 and not self._is_refused:
            self._renew()
        self._visits_left -= 1
        return SysctlTree(self._root)

    def _renew(self) -> None:
        self._close()
        try:
            self._root = libc.open_filesystem("proc")
        except (OSError, PermissionDenied):
            self._is_refused = True
        self._visits_left = _VISITS_PER_PROCFS

    def _close(self) -> None:
        if self._root is not None:
            os.close(self._root)
        self._root = None


class SysctlTree:
    """/proc/sys of the present namespace, for one visit. Use it as a context manager.

    A path is looked up from ``net/ipv4`` on, and not from the root: the first two levels are opened once a visit.

    Args:
        procfs: a descriptor of the root of a procfs; /proc where there is none.
    """

    def __init__(self, procfs: int | None = None) -> None:
        self._procfs = procfs
        self._root = _ROOT if procfs is None else "sys"
        self._branches: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._branches.values():
            os.close(fd)

    def observe(self, wanted: Sysctl, value: str | None = None) -> Sysctl | None:
        """The sysctl as it is now, in the words of the one that is wanted; None where it does not exist.

        One that is satisfied comes back as it is wanted: a threshold that is higher already, an IPv6 setting on
        a kernel or an interface without IPv6, a threshold of the machine that only its first namespace shows.

        Args:
            value: where it is known already, and need not be read.
        """
        if value is None:
            value = self._read(wanted.name)
        if value is None:
            return wanted if self._is_absent_for_good(wanted) else None
        if value == wanted.value or _is_satisfied(wanted, value):
            return wanted
        return Sysctl(wanted.namespace, wanted.name, value, wanted.at_least, wanted.ifname)

    def write(self, wanted: Sysctl) -> str | None:
        """Set a sysctl. Returns what went wrong, or None."""
        if wanted.at_least:
            value = self._read(wanted.name)
            if value is not None and _is_satisfied(wanted, value):
                return None
        try:
            fd = self._open(wanted.name, os.O_WRONLY)
        except FileNotFoundError:
            if self._is_absent_for_good(wanted):
                return None
            return "ENOENT: this kernel has no such setting, or its interface does not exist"
        except OSError as error:
            return f"it cannot be opened for writing: {error.strerror}"
        try:
            os.write(fd, wanted.value.encode())
        except OSError as error:
            return f"the kernel refuses the value {wanted.value!r}: {error.strerror}"
        finally:
            os.close(fd)
        return None

    def _open(self, name: str, flags: int) -> int:
        """Open a file or a directory by its path below /proc/sys."""
        first, _, rest = name.partition("/")
        second, _, rest = rest.partition("/")
        branch = f"{first}/{second}"
        if not rest:
            return os.open(f"{self._root}/{name}", flags | os.O_CLOEXEC, dir_fd=self._procfs)
        if branch not in self._branches:
            how = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            self._branches[branch] = os.open(f"{self._root}/{branch}", how, dir_fd=self._procfs)
        return os.open(rest, flags | os.O_CLOEXEC, dir_fd=self._branches[branch])

    def _read(self, name: str) -> str | None:
        """The value as the kernel prints it, without its line end; None where it cannot be read."""
        try:
            fd = self._open(name, os.O_RDONLY)
        except OSError:
            return None
        try:
            return os.read(fd, _READ_BYTES).decode("ascii", "replace").strip()
        finally:
            os.close(fd)

    def _exists(self, name: str) -> bool:
        try:
            os.close(self._open(name, os.O_PATH))
        except OSError:
            return False
        return True

    def _is_absent_for_good(self, wanted: Sysctl) -> bool:
        """Whether a missing file means that there is nothing to set, now or later."""
        if wanted.at_least:
            return True  # only the machine's first namespace has it, and we are not in that one
        if not wanted.name.startswith("net/ipv6/"):
            return False
        if not self._exists("net/ipv6"):
            return True  # a kernel without IPv6
        # An interface without IPv6 (its MTU is below 1280) has the IPv4 half of its settings only. One that is still
        # to be made has neither.
        directory = wanted.name.rpartition("/")[0]
        return directory.startswith("net/ipv6/conf/") and self._exists(directory.replace("ipv6", "ipv4", 1))


def _is_satisfied(wanted: Sysctl, value: str) -> bool:
    """Whether a threshold is as high as it must be."""
    return wanted.at_least and value.isdigit() and wanted.value.isdigit() and int(value) >= int(wanted.value)
