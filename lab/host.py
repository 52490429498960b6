"""A host that runs the agent: a simulated one, made of namespaces, or this very machine.

A simulated host has its own network and mount namespace, its own ``/run/netns``, ``/run/dataplane``,
``/var/lib/dataplane`` and ``/sys``. Nothing that happens inside reaches the machine, and no process has to
live for it: it is pinned (``lab/pins.py``). This file makes hosts and finds what is in them; it never
runs the product.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataplane.errors import HostError
from lab.child import child, in_child
from lab.model import lab_name
from lab.pins import MOUNTS, NETWORK, ROOT, host_folder, pin
from lab.syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    NamespaceId,
    mount,
    namespace_id,
    setns,
    unmount,
    unshare,
)

NAMESPACES = Path("/run/netns")
_OWN_FOLDERS = (NAMESPACES, Path("/run/dataplane"), Path("/var/lib/dataplane"))
_NUMBERS_PER_PROCESSOR = 4096
"""``COOKIE_LOCAL_BATCH`` of the kernel; using them up takes 12 ms."""
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


class Host(Protocol):
    """Where an agent runs."""

    @property
    def name(self) -> str: ...

    def enter(self) -> None:
        """Move this process inside for good: only for a child that is about to become another program."""
        ...

    def open_namespaces(self) -> dict[str, int]:
        """An open descriptor of every named network namespace inside, and of the host's own under ``""``.

        The caller closes them (``opened`` does).
        """
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """This machine, as it is.

    Args:
        name: of the host of a lab whose part it plays.
    """

    name: str

    def enter(self) -> None:
        return

    def open_namespaces(self) -> dict[str, int]:
        names, descriptors = _open_all()
        return dict(zip(names, descriptors, strict=True))


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """A host of a lab.

    Args:
        topology: the lab that it belongs to.
        name: its name in the lab's ``lab.yaml``.
    """

    topology: str
    name: str

    @property
    def folder(self) -> Path:
        """Where it is pinned."""
        return host_folder(self.topology, self.name)

    def make(self) -> None:
        """Make it, unless it is there.

        Raises:
            HostError: the kernel refused; the mount point or the call is named.
        """
        if self.exists():
            return
        self.folder.mkdir(exist_ok=True)
        try:
            self._make(_become_host)
        except OSError as failure:
            if failure.errno != errno.EINVAL:
                raise HostError(f"host {self.name} cannot be pinned: {failure}") from failure
            self._make(_become_younger_host)

    def _make(self, work: Callable[[], tuple[None, list[int]]]) -> None:
        with child(work) as (pid, _, _):
            # First the one that the kernel may refuse.
            pin(Path(f"/proc/{pid}/ns/mnt"), self.folder / MOUNTS)
            pin(Path(f"/proc/{pid}/ns/net"), self.folder / NETWORK)

    def exists(self) -> bool:
        """Whether both of its namespaces are pinned."""
        return all((self.folder / name).exists() and _is_namespace(self.folder / name) for name in (NETWORK, MOUNTS))

    def enter(self) -> None:
        where = Path.cwd()
        pins = [(self.folder / NETWORK, CLONE_NEWNET), (self.folder / MOUNTS, CLONE_NEWNS)]
        # Both first: inside, the folder of pins is out of sight.
        for descriptor, kind in [(os.open(path, os.O_RDONLY | os.O_CLOEXEC), kind) for path, kind in pins]:
            setns(descriptor, kind)
            os.close(descriptor)
        with suppress(OSError):
            os.chdir(where)

    def open_namespaces(self) -> dict[str, int]:
        def work() -> tuple[list[str], list[int]]:
            self.enter()
            return _open_all()

        names, descriptors = in_child(work)
        return dict(zip(names, descriptors, strict=True))


@contextmanager
def opened(host: Host) -> Iterator[Mapping[str, int]]:
    """The network namespaces of a host, open for the length of a block."""
    namespaces = host.open_namespaces()
    try:
        yield namespaces
    finally:
        for descriptor in namespaces.values():
            os.close(descriptor)


@contextmanager
def opened_all(hosts: Sequence[Host]) -> Iterator[Mapping[str, int]]:
    """The network namespaces of several hosts, as ``lab_name`` calls them, open for the length of a block."""
    names = [host.name for host in hosts]
    with ExitStack() as stack:
        found: dict[str, int] = {}
        for host in hosts:
            inside = stack.enter_context(opened(host))
            found |= {lab_name(host.name, namespace, names): descriptor for namespace, descriptor in inside.items()}
        yield found


@dataclass(frozen=True, slots=True)
class Process:
    """A process that lives in a namespace of a host and keeps it alive.

    Args:
        namespace: the name of its network namespace; empty for the host's own.
    """

    pid: int
    command: str
    namespace: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command}) in {self.namespace or 'the host itself'}"


def processes_inside(host: SimulatedHost) -> list[Process]:
    """Who lives in a host: it goes on living, with its namespace, when the pins are gone."""
    if not host.exists():
        return []
    with opened(host) as namespaces:
        networks = {namespace_id(descriptor): name for name, descriptor in namespaces.items()}
    return list(inhabitants(networks, namespace_id(host.folder / MOUNTS)))


def inhabitants(networks: Mapping[NamespaceId, str], mounts: NamespaceId | None = None) -> Iterator[Process]:
    """The processes in some network namespaces or in a mount namespace, but for this one.

    Args:
        networks: their names by what they are.
    """
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) == os.getpid():
            continue
        with suppress(OSError):  # it has ended meanwhile
            network = namespace_id(path / "ns/net")
            if network in networks or namespace_id(path / "ns/mnt") == mounts:
                command = (path / "comm").read_text().strip()
                yield Process(int(path.name), command, networks.get(network, ""))


def _open_all() -> tuple[list[str], list[int]]:
    names = [""]
    descriptors = [os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)]
    for path in sorted(NAMESPACES.iterdir()) if NAMESPACES.is_dir() else []:
        with suppress(OSError):  # removed meanwhile
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if _is_namespace(descriptor):
                names.append(path.name)
                descriptors.append(descriptor)
            else:
                os.close(descriptor)
    return names, descriptors


def _is_namespace(file: int | Path) -> bool:
    return namespace_id(file)[0] == namespace_id(Path("/proc/self/ns/net"))[0]


def _become_host() -> tuple[None, list[int]]:
    """In a child: leave the machine's namespaces and furnish new ones."""
    unshare(CLONE_NEWNS | CLONE_NEWNET)
    mount("", Path("/"), flags=MS_REC | MS_PRIVATE)
    # Not merely covered: a copy of somebody's pin would keep their namespace alive as long as this host lives.
    _clear((ROOT, *_OWN_FOLDERS))
    for folder in _OWN_FOLDERS:
        folder.mkdir(parents=True, exist_ok=True)
        mount("dataplane-lab", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    unmount(Path("/sys"), detach=True)
    mount("sysfs", Path("/sys"), "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    set_up("lo")
    return None, []


def _become_younger_host() -> tuple[None, list[int]]:
    """The same where the kernel took the new mount namespace for an older one than ours, and refused the pin.

    It goes by the namespaces' numbers, so that pins cannot form a circle. Since Linux 6.18 each processor gives out
    numbers of its own stock: use up this one's, with the cheapest namespaces there are, and the next are higher
    than all that were given out before.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for _ in range(_NUMBERS_PER_PROCESSOR):
        unshare(CLONE_NEWUTS)
    return _become_host()


def _clear(folders: Iterable[Path]) -> None:
    """Unmount everything at and below some folders, the latest mount first."""
    prefixes = tuple(str(folder.resolve()) for folder in folders)
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    for point in reversed(points):
        if any(point == prefix or point.startswith(prefix + "/") for prefix in prefixes):
            with suppress(OSError):  # already gone with the one that it was in
                unmount(Path(point), detach=True)


def set_up(ifname: str) -> None:
    """Set an interface of the namespace that this thread is in up.

    Raises:
        OSError: there is none of that name.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", ifname.encode(), _IFF_UP))
