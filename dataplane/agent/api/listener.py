"""The socket of the local API as a file: where it is, whose it is, and whose place it takes."""

import os
import socket
import stat
from pathlib import Path

from dataplane.errors import ConflictError, HostError

SOCKET_NAME = "agent.sock"
_DIRECTORY_MODE = 0o750
_SOCKET_MODE = 0o660
_ROOT = 0


def listen(run_dir: Path, group: int | None) -> socket.socket:
    """Bind the socket, and put it in the place of one that nobody answers at.

    It is bound under another name and moved when its owner and mode are right, so that there is no moment at which
    others could connect, and none at which a client finds a half-made one. Call it before other threads run: the umask
    belongs to the whole process.

    Args:
        run_dir: its folder (/run/dataplane), made where it is missing.
        group: who may reach it beside root; None: nobody.

    Raises:
        ConflictError: another agent answers there, or something else is in its place.
        HostError: it cannot be made.
    """
    path, unfinished = run_dir / SOCKET_NAME, run_dir / f"{SOCKET_NAME}.new"
    try:
        _make_directory(run_dir, group)
        _need_free(path)
        unfinished.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            before = os.umask(0o177)
            try:
                listener.bind(str(unfinished))
            finally:
                os.umask(before)
            if group is not None:
                os.chown(unfinished, _ROOT, group, follow_symlinks=False)
            unfinished.chmod(_SOCKET_MODE)
            listener.listen()
            unfinished.rename(path)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise HostError(f"cannot make the agent's socket {path}: {error.strerror or error}; mend {run_dir}") from error
    return listener


def remove(run_dir: Path, listener_inode: int) -> None:
    """Take the socket's file away when the agent ends, unless it is another one's by now."""
    path = run_dir / SOCKET_NAME
    try:
        if path.lstat().st_ino == listener_inode:
            path.unlink()
    except OSError:
        pass  # gone already; a stale file is replaced at the next start


def inode(run_dir: Path) -> int:
    """What tells this socket's file from a later one's."""
    return (run_dir / SOCKET_NAME).lstat().st_ino


def _make_directory(run_dir: Path, group: int | None) -> None:
    run_dir.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    if group is not None and run_dir.stat().st_gid != group:
        os.chown(run_dir, -1, group)
    if stat.S_IMODE(run_dir.stat().st_mode) != _DIRECTORY_MODE:
        run_dir.chmod(_DIRECTORY_MODE)


def _need_free(path: Path) -> None:
    """Refuse where something alive, or something that is no socket, has the name."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConflictError(f"{path} is not a socket, and not ours: remove it, then start the agent again")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.setblocking(False)
        try:
            other.connect(str(path))
        except ConnectionRefusedError:
            return
        except BlockingIOError:
            pass  # its queue is full, so somebody has it
    raise ConflictError(f"another agent answers at {path}: stop it first (`systemctl stop dataplane-agent`)")
