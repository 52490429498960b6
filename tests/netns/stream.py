"""A stream of small UDP packets over many flows, each with a number, a moment of sending, and a known way.

What an outage cost is read from the packets themselves: which were lost, on which line they were seen, and when they
were sent. So a sender that was late makes no outage longer, and none shorter.
"""

import errno
import os
import socket
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.kernel import netns

PORT = 4_700
FLOWS = 24
"""Of each target; a flow is a source port of its own."""
RATE = 3_000
"""Packets a second in all."""
_ROOT = Path(__file__).parents[2]
_MARK = b"numbered stream "
_PAYLOAD = struct.Struct("!16sI")
_FIRST_PORT = 30_000
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 64 << 20
_ETH_P_ALL = 3
_SETTLE_S = 0.1


@dataclass
class Stream:
    """What was sent and what came, known when the block has ended.

    Args:
        targets: the addresses, in the order in which packets take turns.
        sent_ns: number -> when it was sent (monotonic).
        arrived: the numbers that somebody received, each once.
        lines: number -> the line that it was seen on, whether it arrived or not.
    """

    targets: tuple[str, ...]
    sent_ns: "array[int]" = field(default_factory=lambda: array("Q"))
    arrived: set[int] = field(default_factory=set)
    lines: dict[int, int] = field(default_factory=dict)

    def of(self, target: str) -> range:
        """The numbers of the packets to a target."""
        return range(self.targets.index(target), len(self.sent_ns), len(self.targets))

    def flow(self, number: int) -> int:
        """The flow that a packet belongs to: of its target, and from 0."""
        return number // len(self.targets) % FLOWS

    def lost(self, target: str) -> list[int]:
        """The packets to a target that did not arrive."""
        return [number for number in self.of(target) if number not in self.arrived]

    def outage_ms(self, target: str) -> float:
        """How long packets were lost, by when they were sent; one packet's distance is added, since it may be more."""
        lost = self.lost(target)
        if not lost:
            return 0.0
        return (self.sent_ns[lost[-1]] - self.sent_ns[lost[0]]) / 1e6 + self.spacing_ms

    @property
    def spacing_ms(self) -> float:
        """Between two packets to one target, as it was meant."""
        return 1000 * len(self.targets) / RATE

    def rate(self, target: str) -> float:
        """Packets a second to a target, as they were really sent."""
        numbers = self.of(target)
        return (len(numbers) - 1) * 1e9 / (self.sent_ns[numbers[-1]] - self.sent_ns[numbers[0]])

    def ways(self, target: str, numbers: Iterable[int] | None = None) -> Mapping[int, set[int]]:
        """Flow -> the lines that its packets took."""
        found: dict[int, set[int]] = {}
        for number in self.of(target) if numbers is None else numbers:
            if number in self.lines:
                found.setdefault(self.flow(number), set()).add(self.lines[number])
        return found


@contextmanager
def stream(source: str, targets: Sequence[str], servers: str, lines: Sequence[tuple[str, str]]) -> Iterator[Stream]:
    """Send during the block.

    Args:
        source: the namespace that sends.
        servers: the namespace that has the targets' addresses.
        lines: namespace and interface of the far end of each line, where all that comes is seen.
    """
    found = Stream(tuple(targets))
    with ExitStack() as stack:
        with netns.entered(servers):
            receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        receiver.bind(("", PORT))
        ears = [stack.enter_context(_ear(*line)) for line in lines]
        for opened in (receiver, *ears):
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            opened.setblocking(False)
        sender = _start(source, targets)
        try:
            yield found
        finally:
            found.sent_ns.frombytes(sender.communicate()[0])
        time.sleep(_SETTLE_S)
        arrived = [number for data in _drained(receiver) if (number := _number_in(data)) is not None]
        found.arrived.update(arrived)
        assert len(arrived) == len(found.arrived), "no packet arrives twice"
        for line, ear in enumerate(ears):
            found.lines |= {number: line for data in _drained(ear) if (number := _number_in(data)) is not None}


def _ear(namespace: str, ifname: str) -> socket.socket:
    with netns.entered(namespace):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    opened.bind((ifname, _ETH_P_ALL))
    return opened


def _start(source: str, targets: Sequence[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.netns.stream", source, *targets]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
    assert process.stdout is not None
    assert process.stdout.read(1) == b"!"
    return process


def _drained(opened: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield opened.recv(2048)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENETDOWN:  # said once of an interface that went down meanwhile
                raise


def _number_in(data: bytes) -> int | None:
    start = data.find(_MARK)
    return int(_PAYLOAD.unpack_from(data, start)[1]) if start >= 0 else None


def _send(targets: Sequence[str]) -> "array[int]":
    """Send until standard input is closed, at a rhythm; what was late is caught up with.

    The sockets are not connected: one that is hashes by a number of its own (``sk_txhash``), which the kernel's groups
    take for the flow's as long as a packet stays on this machine, and which is another one in the next stream.
    """
    senders = []
    for place, target in enumerate(targets):
        for flow in range(FLOWS):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind(("", _FIRST_PORT + FLOWS * place + flow))
            senders.append((sender, (target, PORT)))
    times, count, number = array("Q"), len(targets), 0
    began, step = time.monotonic_ns(), 1_000_000_000 // RATE
    while not _is_told_to_stop():
        wait = began + number * step - time.monotonic_ns()
        if wait > 0:
            time.sleep(wait / 1e9)
        sender, there = senders[number % count * FLOWS + number // count % FLOWS]
        times.append(time.monotonic_ns())
        sender.sendto(_PAYLOAD.pack(_MARK, number), there)
        number += 1
    return times


def _is_told_to_stop() -> bool:
    try:
        return os.read(0, 1) == b""
    except BlockingIOError:
        return False


def _main(namespace: str, *targets: str) -> None:
    os.set_blocking(0, False)
    out = os.fdopen(os.dup(1), "wb")
    with netns.entered(namespace), out:
        out.write(b"!")
        out.flush()
        out.write(_send(targets).tobytes())


if __name__ == "__main__":
    _main(*sys.argv[1:])
