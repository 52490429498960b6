"""Network namespaces: entering them, making them, removing them, who lives in them.

Owns /run/netns and the calling thread's namespace. Must never touch a name that lacks our prefix or a
namespace that lacks our mark, and never leave the thread anywhere but where it came from.

All of it is for one thread: namespaces belong to threads, and no other one may run kernel calls of ours meanwhile.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from dataplane.errors import BugError, ConflictError, HostError
from dataplane.kernel import libc, link, nsid
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.ownership import is_our_mark
from dataplane.model import names

NETNS_DIRECTORY = Path("/run/netns")
_OWN_NAMESPACE = "/proc/thread-self/ns/net"
_NS_GET_NSTYPE = 0xB703
_FORBIDDEN_IN_NAMES = ("/", "\0")
_MARK_REQUEST = bytes(link.get_request(link.LOOPBACK_IFINDEX))


def path_of(name: str) -> Path:
    """The file of a named namespace.

    Raises:
        BugError: the text cannot be a name; nothing unchecked ever reaches a path.
    """
    if name in ("", ".", "..") or any(character in name for character in _FORBIDDEN_IN_NAMES):
        raise BugError(f"{name!r} is no name of a namespace; please report this")
    return NETNS_DIRECTORY / name


def open_reference(reference: str) -> int:
    """Open the namespace behind a reference; the caller closes the descriptor.

    Args:
        reference: a name under /run/netns, or ``pid:N``.

    Raises:
        HostError: there is none, or the file is no network namespace.
    """
    pid = names.parse_pid_reference(reference)
    path = Path(f"/proc/{pid}/ns/net") if pid is not None else path_of(reference)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe of that name must not hold us up
    except (FileNotFoundError, ProcessLookupError) as error:
        what = (
            f"process {pid} does not run" if pid is not None else f"there is no namespace {reference} in {path.parent}"
        )
        raise HostError(f"{what}; start it first, or change what refers to it") from error
    except PermissionError as error:
        raise HostError(f"namespace {reference} cannot be opened ({path}); run it with sudo") from error
    if not is_network_namespace(fd):
        os.close(fd)
        raise NotANamespaceError(f"{path} is no network namespace; attach to one that is")
    return fd


def open_present() -> int:
    """Open the namespace that the thread is in; the caller closes the descriptor."""
    return os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)


def is_network_namespace(fd: int) -> bool:
    """Whether an open file is a network namespace (an nsfs file, and of that type)."""
    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE) == libc.CLONE_NEWNET
    except OSError:
        return False


class NotANamespaceError(HostError):
    """What stands under a name is no network namespace."""


class Journey:
    """Visits to namespaces, one after the other, that surely end at home. Use it as a context manager."""

    def __init__(self) -> None:
        self._home = open_present()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.go_home()
        finally:
            os.close(self._home)

    @property
    def home(self) -> int:
        """The descriptor of the namespace that the journey began in."""
        return self._home

    def go_home(self) -> None:
        """Back to the namespace that the journey began in."""
        libc.setns(self._home)

    def home_number(self, socket: NetlinkSocket) -> int | None:
        """The number that the namespace of a socket has for the home of the journey; None where it has none.

        By it the kernel says where the other part of a link is.
        """
        return nsid.ask(socket, self._home)

    def go(self, reference: str) -> None:
        """Enter the namespace behind a reference (``names.HOST``: where the journey began).

        Raises:
            HostError: it cannot be entered; the thread stays where it is.
        """
        if reference == names.HOST:
            self.go_home()
            return
        fd = open_reference(reference)
        try:
            libc.setns(fd)
        finally:
            os.close(fd)


@contextlib.contextmanager
def entered(reference: str) -> Iterator[None]:
    """Run the block inside a namespace, and come back whatever happens.

    Raises:
        HostError: there is no such namespace.
    """
    with Journey() as journey:
        journey.go(reference)
        yield


def list_our_names() -> list[str]:
    """The names under /run/netns that carry our prefix, sorted."""
    try:
        entries = os.listdir(NETNS_DIRECTORY)  # noqa: PTH208 (names, not paths)
    except FileNotFoundError:
        return []
    return sorted(name for name in entries if names.is_our_namespace_name(name))


def is_residue(name: str) -> bool:
    """Whether a name is an empty file: what is left when a creation died before its mount."""
    try:
        fd = os.open(path_of(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        return stat.S_ISREG(status.st_mode) and status.st_size == 0 and not is_network_namespace(fd)
    finally:
        os.close(fd)


def read_mark(socket: NetlinkSocket) -> str:
    """The alias of ``lo`` in the namespace that a socket belongs to; empty where there is none."""
    part = socket.get(bytearray(_MARK_REQUEST))
    return "" if part is None else link.alias_in(part)


def mark_of(name: str) -> str:
    """The mark of a named namespace; empty where it has none, or is none."""
    try:
        with entered(name), NetlinkSocket() as socket:
            return read_mark(socket)
    except NotANamespaceError:
        return ""


def create(name: str, mark: str) -> None:
    """Make a named namespace that carries its mark from the first moment that its name is visible.

    It exists without a name first, gets its mark, and only then the name: a crash leaves either nothing, or an
    empty file, or all of it. Done already is fine.

    Raises:
        ConflictError: something of that name stands there and is not ours.
    """
    path = path_of(name)
    if not names.is_our_namespace_name(name) or not is_our_mark(mark):
        raise BugError(f"namespace {name} with mark {mark!r} could not be recognised again; please report this")
    prepare_directory()
    if path.exists() and not is_residue(name):
        _adopt(name, mark)
        return
    with Journey():
        libc.unshare(libc.CLONE_NEWNET)
        with NetlinkSocket() as socket:
            (refusal,) = socket.execute([link.set_request(link.LOOPBACK_IFINDEX, mark, up=True)])
        if refusal is not None:
            raise HostError(f"namespace {name} cannot be marked: {refusal}")
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o444))
        try:
            libc.mount(_OWN_NAMESPACE, str(path), "none", libc.MS_BIND)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _adopt(name: str, mark: str) -> None:
    """Take over what stands under our name, if it is ours."""
    present = mark_of(name)
    if not is_our_mark(present):
        raise ConflictError(foreign_sentence(name))
    with entered(name), NetlinkSocket() as socket:
        (refusal,) = socket.execute([link.set_request(link.LOOPBACK_IFINDEX, mark, up=True)])
    if refusal is not None:
        raise HostError(f"namespace {name} cannot be marked: {refusal}")


def foreign_sentence(name: str) -> str:
    """The sentence about a thing under our name that is not ours."""
    return (
        f"{path_of(name)} stands where a namespace of ours belongs, and does not carry our mark; "
        f"rename it, or give the resource another id"
    )


def prepare_directory() -> None:
    """Make /run/netns what `ip netns` expects: a mount point of its own with shared propagation.

    Only then do mounts in it reach other mount namespaces, and does a later unmount reach them too.
    """
    NETNS_DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    target = str(NETNS_DIRECTORY)
    try:
        libc.mount("", target, "none", libc.MS_SHARED | libc.MS_REC)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: not a mount point yet
            raise
        libc.mount(target, target, "none", libc.MS_BIND | libc.MS_REC)
        libc.mount("", target, "none", libc.MS_SHARED | libc.MS_REC)


def delete(name: str) -> None:
    """Remove a named namespace of ours, or the empty file that is left of one. Gone already is fine.

    The kernel takes the namespace down a little later, or never while a process lives in it (``processes_in``).

    Raises:
        ConflictError: what stands there is not ours.
    """
    path = path_of(name)
    if not names.is_our_namespace_name(name):
        raise BugError(f"namespace {name} lacks our prefix and was asked to be deleted; please report this")
    if not path.exists():
        return
    if not is_residue(name):
        if not is_our_mark(mark_of(name)):
            raise ConflictError(foreign_sentence(name))
        _unmount_all(path)
    path.unlink(missing_ok=True)


def _unmount_all(path: Path) -> None:
    """Take every mount off a file: two runs that raced may have left two on top of each other."""
    while True:
        try:
            libc.umount(str(path))
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):  # nothing mounted any more
                return
            raise


def processes_in(name: str) -> list[tuple[int, str]]:
    """The processes that live in a named namespace: their ids and command lines, sorted by id.

    Raises:
        HostError: there is no such namespace.
    """
    os.close(open_reference(name))
    return residents([name]).get(name, [])


def residents(references: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """Which of these namespaces processes live in, and which processes: one look at every process of the machine."""
    wanted: dict[tuple[int, int], str] = {}
    for reference in references:
        with contextlib.suppress(HostError):
            fd = open_reference(reference)
            try:
                wanted[_identity(os.fstat(fd))] = reference
            finally:
                os.close(fd)
    found: dict[str, list[tuple[int, str]]] = {}
    for identity, entry in _processes() if wanted else ():
        if identity in wanted:
            _note(found.setdefault(wanted[identity], []), entry)
    return {reference: sorted(processes) for reference, processes in found.items() if processes}


def nameless(marks: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """By mark, the processes in namespaces that carry one of these: for marks whose namespace has no name any more.

    Somebody took the name away (``ip netns delete``) while processes lived there: the namespace lives on with them.
    """
    wanted, seen = frozenset(marks), {_identity(Path(_OWN_NAMESPACE).stat()): ""}
    found: dict[str, list[tuple[int, str]]] = {}
    with Journey() as journey:
        for identity, entry in _processes() if wanted else ():
            if identity not in seen:
                seen[identity] = _mark_around(entry, journey)
            if seen[identity] in wanted:
                _note(found.setdefault(seen[identity], []), entry)
    return {mark: sorted(processes) for mark, processes in found.items() if processes}


def _mark_around(entry: Path, journey: Journey) -> str:
    """The mark of the namespace that a process lives in; empty where it has none, or the process has ended."""
    try:
        journey.go(names.pid_reference(int(entry.name)))
        with NetlinkSocket() as socket:
            return read_mark(socket)
    except (HostError, OSError):
        return ""


def _processes() -> Iterator[tuple[tuple[int, int], Path]]:
    """Every process of the machine: the identity of its network namespace, its folder in /proc."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                identity = _identity((entry / "ns" / "net").stat())
            except OSError:
                continue  # it ended meanwhile
            yield identity, entry


def _note(processes: list[tuple[int, str]], entry: Path) -> None:
    """Id and command of a process, unless it ended meanwhile."""
    with contextlib.suppress(OSError):
        processes.append((int(entry.name), _command(entry)))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _command(entry: Path) -> str:
    """The command line of a process; its short name where it has none (a kernel thread, a zombie)."""
    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return words or (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
