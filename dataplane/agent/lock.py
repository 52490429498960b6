"""One writer a host: ``/run/dataplane/lock``, and who holds it (design, section 7).

A POSIX record lock: the kernel names its holder, so nothing is ever written to the file, and it is gone with
its process however that ends.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataplane.errors import ConflictError, HostError

_FLOCK = struct.Struct("hhqqi4x")


@contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Hold the lock for the length of a ``with`` block.

    Args:
        run_dir: the folder of the lock, made (0750) where it is missing.

    Raises:
        ConflictError: another run holds it; the message names it.
        HostError: the lock cannot be made there.
    """
    path = run_dir / "lock"
    try:
        run_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HostError(f"cannot make the lock {path}: {error.strerror}; mend {run_dir}, or name another") from error
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise ConflictError(
                f"another run is changing this host: {_holder(descriptor)} holds {path}; wait until it has finished"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[4]
    if pid <= 0:
        return "a process outside our sight"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"process {pid}"
    command = b" ".join(words).decode(errors="replace").strip()
    return f"process {pid} ({command})"
