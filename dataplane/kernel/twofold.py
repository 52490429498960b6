"""Reading done by two processes: this one and a fork of it, which ends with the reading.

Owns the child and what it shares with its parent: pieces of work that each takes as it gets to them, so that a busy
processor does less of it. Nothing depends on the child: what it has not done, for whatever reason, the caller does.
"""

import gc
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

from dataplane.kernel import libc

MOST_PIECES = 256
"""A piece is a number of one byte."""
_READ_BYTES = 1 << 20
_FIRST_FD = 3


def has_two_processors() -> bool:
    """Whether a second process would be anything but a detour."""
    return len(os.sched_getaffinity(0)) > 1


class Twofold:
    """Numbered pieces of work, shared with a fork. Use it as a context manager: the child surely is gone then.

    Args:
        pieces: how many there are; those of the highest numbers are taken first.
        work: does one of them, in the child, and gives what came of it as something that pickle takes.
        kept: descriptors that the child needs; it closes all others, so that it holds nobody's lock or connection.

    Raises:
        OSError: the machine has no room for another process.
    """

    def __init__(self, pieces: int, work: Callable[[int], object], kept: tuple[int, ...]) -> None:
        self._claims, claims = os.pipe()
        os.write(claims, bytes(reversed(range(pieces))))
        os.close(claims)  # so that it ends where all are taken
        self._answer, answer = os.pipe()
        # Nothing of the parent's is to be done by the child that a signal finds.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        parent = os.getpid()
        try:
            self._child = os.fork()
            if not self._child:
                _be_child(parent, self._claims, answer, work, kept)
        except OSError:
            self._close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(answer)

    def __enter__(self) -> "Twofold":
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        self._close()

    def _close(self) -> None:
        os.close(self._claims)
        os.close(self._answer)

    def claims(self) -> Iterator[int]:
        """The pieces that are this process's, until none is left."""
        return _claimed(self._claims)

    def answer(self) -> dict[int, Any]:
        """What the child has done: piece -> what came of it. Nothing where it has failed. Call it once."""
        parts = []
        while part := os.read(self._answer, _READ_BYTES):
            parts.append(part)
        child, self._child = self._child, 0
        _, status = os.waitpid(child, 0)
        if status:
            return {}
        return {number: pickle.loads(done) for number, done in pickle.loads(b"".join(parts))}


def _claimed(claims: int) -> Iterator[int]:
    while claim := os.read(claims, 1):
        yield claim[0]


def _be_child(parent: int, claims: int, answer: int, work: Callable[[int], object], kept: tuple[int, ...]) -> NoReturn:
    """The child's life. It never comes back into the code that made it."""
    code = 1
    with suppress(BaseException):
        _cut_loose(parent, (claims, answer, *kept))
        # One by one: what is packed while others are read keeps nobody waiting at the end.
        done = [(number, pickle.dumps(work(number), pickle.HIGHEST_PROTOCOL)) for number in _claimed(claims)]
        with os.fdopen(answer, "wb") as stream:
            pickle.dump(done, stream, pickle.HIGHEST_PROTOCOL)
        code = 0
    os._exit(code)


def _cut_loose(parent: int, kept: tuple[int, ...]) -> None:
    """Whatever the parent has under way is none of the child's: signals, sockets, locks, rubbish."""
    libc.die_with(parent)
    gc.disable()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    first = _FIRST_FD
    for fd in sorted(kept):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
