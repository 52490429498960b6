"""How long traffic stands still: numbered datagrams at a known rate; outage = lost / rate (performance.md, T8)."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from dataplane.accept.model import Drill
from dataplane.accept.plan import DRILL_PORT
from dataplane.measure.place import Places

RATE = 1000
"""Datagrams a second: an outage is known to a millisecond, and a Python thread keeps up."""
_QUIET_S = 0.3
"""Nothing more comes after this long."""
_LENGTH = 8


@dataclass(slots=True)
class Stream:
    """Datagrams on their way.

    Args:
        sent: how many.
        received: how many different ones came.
    """

    sent: int = 0
    received: int = 0
    seconds: float = 0.0
    _numbers: set[int] = field(default_factory=set)

    @property
    def outage_s(self) -> float | None:
        """What did not come, in seconds at the rate that was kept; None before the end."""
        return (self.sent - self.received) * self.seconds / self.sent if self.sent and self.seconds else None


@contextmanager
def streaming(drill: Drill, places: Places) -> Iterator[Stream]:
    """Send from the source of a drill to its target during a block.

    Raises:
        OSError: a port is taken.
    """
    stream, is_over = Stream(), threading.Event()
    with places[drill.target.id].inside():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with places[drill.source.id].inside():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((str(drill.target.address), DRILL_PORT))
        receiver.settimeout(_QUIET_S)
        sender.bind((str(drill.source.address), drill.client_port))
        threads = [
            threading.Thread(target=_receive, args=(receiver, stream, is_over)),
            threading.Thread(target=_send, args=(sender, str(drill.target.address), stream, is_over)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield stream
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
            stream.received = len(stream._numbers)


def _send(sender: socket.socket, address: str, stream: Stream, is_over: threading.Event) -> None:
    start = time.monotonic()
    while not is_over.is_set():
        with suppress(OSError):  # no way at present: it is lost, and counts so
            sender.sendto(stream.sent.to_bytes(_LENGTH), (address, DRILL_PORT))
        stream.sent += 1
        time.sleep(max(start + stream.sent / RATE - time.monotonic(), 0))
    stream.seconds = time.monotonic() - start


def _receive(receiver: socket.socket, stream: Stream, is_over: threading.Event) -> None:
    while True:
        try:
            data = receiver.recv(_LENGTH)
        except TimeoutError:
            if is_over.is_set():
                return
            continue
        stream._numbers.add(int.from_bytes(data))
