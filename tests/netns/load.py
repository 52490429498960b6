"""Small UDP packets at a steady rate between two instances, each with a number of its own; who is missing is known.

A process of its own for each end, many packets to a system call: 100,000 a second cost a Python process half a core.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataplane.kernel import netns

PORT = 9
_ROOT = Path(__file__).parents[2]
_BATCH = 50
_BYTES = 16
_BUFFER_BYTES = 64 << 20
_SO_RCVBUFFORCE = 33
_QUIET_S = 0.5
_CONNECT_S = 5.0
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Load:
    """What was sent and what came, known when the block has ended.

    Args:
        seconds: how long packets were sent.
        counted: by whoever looks at counters meanwhile.
    """

    sent: int = 0
    received: int = 0
    repeated: int = 0
    seconds: float = 0.0
    counted: int = 0

    @property
    def lost(self) -> int:
        return self.sent - self.received

    @property
    def rate(self) -> float:
        """Packets a second."""
        return self.sent / self.seconds


@contextmanager
def load(source: str, target: str, address: str, rate: int) -> Iterator[Load]:
    """Send during the block from one namespace to an address in another.

    Args:
        target: where somebody receives; empty where arrivals are counted otherwise.
        rate: packets a second that are aimed at.
    """
    found = Load()
    receivers = [_start("receive", target, address)] if target else []
    sender = _start("send", source, address, str(rate))
    try:
        yield found
    finally:
        for process in (sender, *receivers):
            assert process.stdin is not None
            process.stdin.close()
            assert process.stdout is not None
            vars(found).update(json.loads(process.stdout.readline()))
            process.wait()
            process.stdout.close()


def _start(*words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.netns.load", *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


class _Piece(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """``struct mmsghdr``."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_size_t),  # an int and what the compiler leaves free behind it
        ("length", ctypes.c_size_t),  # likewise
    )


class _Batch:
    """Messages of one number each, for one system call."""

    def __init__(self) -> None:
        self._data = ctypes.create_string_buffer(_BATCH * _BYTES)
        start = ctypes.addressof(self._data)
        self._pieces = (_Piece * _BATCH)(*(_Piece(start + _BYTES * place, _BYTES) for place in range(_BATCH)))
        first = ctypes.addressof(self._pieces)
        size = ctypes.sizeof(_Piece)
        self._messages = (_Message * _BATCH)(
            *(_Message(pieces=first + size * place, piece_count=1) for place in range(_BATCH))
        )
        self.numbers = memoryview(self._data).cast("B").cast("Q")

    def call(self, function: Callable[..., int], sock: socket.socket, *more: object) -> int:
        return function(sock.fileno(), self._messages, _BATCH, *more)


def _is_told_to_stop() -> bool:
    try:
        return os.read(0, 1) == b""
    except BlockingIOError:
        return False


def _send(address: str, rate: int) -> dict[str, float]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((address, PORT))
        batch, sent, started = _Batch(), 0, time.monotonic()
        while not _is_told_to_stop():
            wait = started + sent / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            for place in range(_BATCH):
                batch.numbers[2 * place] = sent + place
            count = batch.call(_libc.sendmmsg, sock, 0)
            # One that could not be sent is asked for again with its number.
            sent += max(count, 0)
        return {"sent": sent, "seconds": time.monotonic() - started}


def _receive(sock: socket.socket) -> dict[str, float]:
    batch, seen, repeated = _Batch(), bytearray(1 << 26), 0
    has_stopped, last = False, time.monotonic()
    sock.settimeout(0.05)
    while not has_stopped or time.monotonic() - last < _QUIET_S:
        has_stopped = has_stopped or _is_told_to_stop()
        count = batch.call(_libc.recvmmsg, sock, socket.MSG_DONTWAIT, None)
        if count <= 0:
            time.sleep(0.001)
            continue
        last = time.monotonic()
        for number in batch.numbers[: 2 * count : 2]:
            repeated += seen[number]
            seen[number] = 1
    return {"received": sum(seen), "repeated": repeated}


def _main(role: str, namespace: str, address: str, rate: str = "0") -> None:
    os.set_blocking(0, False)
    with netns.entered(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if role == "receive":
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            sock.bind((address, PORT))
        print("ready", flush=True)
        done = _receive(sock) if role == "receive" else _send(address, int(rate))
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
