"""Work done in a forked child, so that the command itself never leaves its namespaces for good.

Entering a mount namespace changes what every path means; a child may do that, the command must not. Values
and open descriptors come back over a socket. It knows nothing of labs.
"""

import os
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dataplane.errors import BugError, DataplaneError, HostError

_DESCRIPTORS_PER_MESSAGE = 200
"""The kernel passes 253 at most in one message."""

T = TypeVar("T")

Work = Callable[[], tuple[T, list[int]]]
"""What a child does: a value that can be pickled, and descriptors to hand over."""


@contextmanager
def child(work: Work[T]) -> Iterator[tuple[int, T, list[int]]]:
    """Run ``work`` in a child and keep the child waiting until the block ends.

    Yields:
        The child's process id (its namespaces are below ``/proc/PID/ns``), the value, and the descriptors.
        The descriptors belong to the caller.

    Raises:
        HostError: the work failed with an ``OSError``; the path and the reason are named.
        DataplaneError: as raised by the work.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        _be_child(ours, theirs, work)
    theirs.close()
    try:
        value: T
        value, descriptors = _receive(ours)
        yield pid, value, descriptors
    finally:
        ours.close()  # the child reads the end of the stream and leaves
        os.waitpid(pid, 0)


def in_child(work: Work[T]) -> tuple[T, list[int]]:
    """Run ``work`` in a child that ends at once; the value and the descriptors."""
    with child(work) as (_, value, descriptors):
        return value, descriptors


def _be_child(ours: socket.socket, theirs: socket.socket, work: Work[T]) -> None:
    """Never returns: nothing of the parent (open files, exit handlers) may run a second time here."""
    try:
        ours.close()
        try:
            value, descriptors = work()
            _send(theirs, ("value", value, len(descriptors)), descriptors)
        except BaseException as failure:
            _send(theirs, ("failure", _portable(failure), 0), [])
        theirs.recv(1)
    finally:
        os._exit(0)


def _portable(failure: BaseException) -> DataplaneError:
    if isinstance(failure, DataplaneError):
        return failure
    if isinstance(failure, OSError):
        about = f" ({failure.filename})" if failure.filename else ""
        return HostError(f"{failure.strerror or failure}{about}")
    return BugError(f"{type(failure).__name__} in a child process: {failure}")


def _send(sock: socket.socket, header: tuple[str, object, int], descriptors: list[int]) -> None:
    payload = pickle.dumps(header)
    sock.send(len(payload).to_bytes(8, "big"))
    for start in range(0, len(payload), 32768):
        sock.send(payload[start : start + 32768])
    for first in range(0, len(descriptors), _DESCRIPTORS_PER_MESSAGE):
        socket.send_fds(sock, [b"+"], descriptors[first : first + _DESCRIPTORS_PER_MESSAGE])


def _receive(sock: socket.socket) -> tuple[T, list[int]]:
    length = int.from_bytes(sock.recv(8), "big")
    payload = b""
    while len(payload) < length:
        part = sock.recv(32768)
        if not part:
            break
        payload += part
    if not payload:
        raise BugError("a child process ended without a word")
    kind, value, number = pickle.loads(payload)
    if kind == "failure":
        raise value
    descriptors: list[int] = []
    while len(descriptors) < number:
        _, received, _, _ = socket.recv_fds(sock, 1, _DESCRIPTORS_PER_MESSAGE, socket.MSG_CMSG_CLOEXEC)
        if not received:
            raise HostError("a child process could not hand over its descriptors: raise `ulimit -n`")
        descriptors += received
    return value, descriptors
