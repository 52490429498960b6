"""Where a lab is pinned: ``/run/dataplane-lab/<topology>/<host>/{net,mnt}``, on a tmpfs of its own.

A pin is a bind mount of a namespace file, so that a simulated host needs no process to live; the nodes around it are
pinned beside it, as ``<topology>/.nodes/<node>``. It owns that
folder, its lock, and the pins; it must never look inside a host.

A mount namespace made out of another one inherits copies of its mounts. So the folder says which mount
namespace it belongs to, and a copy seen from elsewhere is covered by a fresh one: labs nest.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataplane.errors import ConflictError
from lab.syscalls import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, mount, unmount

ROOT = Path("/run/dataplane-lab")
LOCK = Path("/run/dataplane-lab.lock")
LOCK_PATIENCE_S = 120.0

NETWORK = "net"
MOUNTS = "mnt"
_OWNER = ".mount-namespace"
_READY = ".ready"
_NODES = ".nodes"
_PLAN = ".plan"


@dataclass(frozen=True, slots=True)
class LabPins:
    """The folder of one topology that is up, or was begun.

    Args:
        name: the topology's name.
        source: the folder it was started from.
        is_ready: everything was built; without it the lab is half made.
        hosts: names of the hosts that have a folder.
        nodes: ids of the nodes around them.
    """

    name: str
    source: Path
    is_ready: bool
    hosts: tuple[str, ...]
    nodes: tuple[str, ...] = ()


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock of all labs of this machine; building one takes seconds, so others wait their turn.

    Raises:
        ConflictError: another command held it all the while; its process id is named.
    """
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 20, 0).decode().strip() or "unknown"
                raise ConflictError(f"another lab command (process {holder}) holds {LOCK}; wait for it or end it")
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def ensure_root() -> None:
    """Mount the folder of all labs, if this mount namespace has none of its own yet."""
    if _is_root_ours():
        return
    ROOT.mkdir(mode=0o755, exist_ok=True)
    mount("dataplane-lab", ROOT, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=16m")
    # Private: namespaces of mount namespaces cannot be pinned on a shared mount, and pins are nobody else's affair.
    mount("", ROOT, flags=MS_PRIVATE)
    (ROOT / _OWNER).write_text(_this_mount_namespace())


def drop_root_if_empty() -> None:
    """Unmount the folder with the last lab.

    The empty folder below stays: in another mount namespace it may carry somebody else's labs, and to remove a
    folder detaches what is mounted on it everywhere.
    """
    if _is_root_ours() and all(path.name == _OWNER for path in ROOT.iterdir()):
        unmount(ROOT)


def _this_mount_namespace() -> str:
    return str(Path("/proc/self/ns/mnt").stat().st_ino)


def _is_root_ours() -> bool:
    try:
        return (ROOT / _OWNER).read_text() == _this_mount_namespace()
    except OSError:
        return False


def labs() -> list[LabPins]:
    """Every topology that is up or half made, by name. Needs no root."""
    if not _is_root_ours():
        return []
    return [_read(path) for path in sorted(ROOT.iterdir()) if path.is_dir()]


def find(name: str) -> LabPins | None:
    """The pins of one topology, or None where it is not up."""
    return next((lab for lab in labs() if lab.name == name), None)


def _read(path: Path) -> LabPins:
    source = path / ".source"
    return LabPins(
        name=path.name,
        source=Path(source.read_text()) if source.exists() else Path(),
        is_ready=(path / _READY).exists(),
        hosts=tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir() and entry.name != _NODES)),
        nodes=tuple(sorted(entry.name for entry in (path / _NODES).glob("*") if entry.name != _PLAN)),
    )


def begin(name: str, source: Path) -> None:
    """Make the folder of a topology; it counts as half made until ``mark_ready``."""
    ensure_root()
    folder = ROOT / name
    folder.mkdir(exist_ok=True)
    (folder / ".source").write_text(str(source))


def mark_ready(name: str) -> None:
    """Note that everything of a topology was built."""
    (ROOT / name / _READY).touch()


def host_folder(topology: str, host: str) -> Path:
    """Where the pins of a host are."""
    return ROOT / topology / host


def node_pin(topology: str, node: str) -> Path:
    """Where a node is pinned."""
    return ROOT / topology / _NODES / node


def is_pinned(path: Path) -> bool:
    """Whether a namespace is pinned at a path."""
    return path.exists() and _is_namespace_file(path)


def plan_file(topology: str) -> Path:
    """Where the plan of what stands around a topology's host is kept, to see whether it has changed."""
    return ROOT / topology / _NODES / _PLAN


def remove_nodes(topology: str) -> None:
    """Remove the pins of all nodes of a topology, and the plan that they were made by."""
    for path in list((ROOT / topology / _NODES).glob("*")):
        _unpin(path)


def pin(namespace_file: Path, target: Path) -> None:
    """Keep a namespace alive by a file.

    Args:
        namespace_file: such as ``/proc/1234/ns/mnt``. A mount namespace can only be pinned from an older one.
    """
    target.touch()
    mount(str(namespace_file), target, flags=MS_BIND)


def remove(name: str) -> None:
    """Remove all pins of a topology, half made or not; namespaces without a process in them end with it."""
    folder = ROOT / name
    if not folder.exists():
        return
    (folder / _READY).unlink(missing_ok=True)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            _unpin(path)
    folder.rmdir()
    drop_root_if_empty()


def _unpin(path: Path) -> None:
    while _is_namespace_file(path):
        unmount(path, detach=True)
    path.unlink()  # also detaches copies of the mount in other mount namespaces


def _is_namespace_file(path: Path) -> bool:
    return path.stat().st_dev != path.parent.stat().st_dev
