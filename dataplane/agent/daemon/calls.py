"""What other threads ask of the loop: one after the other, in its thread, with an answer for each.

Owns the queue and the pipe that wakes the loop. Namespaces belong to threads: only the loop's may touch the kernel.
"""

import contextlib
import os
import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from dataplane.errors import ConflictError

_Answer = TypeVar("_Answer")
_PATIENCE_S = 300.0


class Calls:
    """A queue of calls, and a descriptor that is readable while there are any."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_closed = False

    def fileno(self) -> int:
        """Readable when there is something to do."""
        return self._read_fd

    def wake(self) -> None:
        """Have the loop go round; safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_fd, b"x")

    def ask(self, call: Callable[[], _Answer]) -> _Answer:
        """Have the loop do something, and wait for what comes of it.

        Raises:
            ConflictError: the agent is ending, or has had no time for it.
            Exception: whatever the call raises.
        """
        if self._is_closed:
            raise ConflictError("the agent is stopping; ask again when it runs")
        answer: Future[_Answer] = Future()
        self._waiting.put((call, answer))
        self.wake()
        try:
            return answer.result(_PATIENCE_S)
        except TimeoutError:
            answer.cancel()
            raise ConflictError(f"the agent was busy for {_PATIENCE_S:.0f} s; ask again") from None

    def do_next(self) -> None:
        """Do the first of what waits, in the loop's thread; where more does, the descriptor is readable again."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read_fd, 4096):
                pass
        try:
            call, answer = self._waiting.get_nowait()
        except queue.Empty:
            return
        if not self._waiting.empty():
            self.wake()
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    def close(self) -> None:
        """Answer nobody any more."""
        self._is_closed = True
        while True:
            try:
                _, answer = self._waiting.get_nowait()
            except queue.Empty:
                break
            answer.set_exception(ConflictError("the agent is stopping; ask again when it runs"))
        os.close(self._read_fd)
        os.close(self._write_fd)
