"""A data centre that leaves some probes without an answer, by chance, and counts what a leg should make of that.

The count is made from the answers alone, by the words of D1, independently of the prober.
"""

import random
import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dataplane.kernel import netns
from tests.netns.objects import set_sysctl
from tests.netns.probing import CENTRE, Circuit, forged_reply

_HEADER = 20
_ECHO = 8


@dataclass
class Judged:
    """What was done to the probes of one leg, and the flips that follow from it.

    Args:
        fall, rise: as in the leg's settings.
        in_row: of what the verdict is not.
    """

    fall: int
    rise: int
    probes: int = 0
    lost: int = 0
    longest: int = 0
    flips: int = 0
    is_up: bool = True
    in_row: int = 0

    def add(self, is_answered: bool) -> None:
        """One more probe."""
        self.probes += 1
        self.lost += not is_answered
        self.in_row = 0 if is_answered is self.is_up else self.in_row + 1
        if self.is_up:
            self.longest = max(self.longest, self.in_row)
        if self.in_row == (self.fall if self.is_up else self.rise):
            self.is_up, self.in_row, self.flips = not self.is_up, 0, self.flips + 1


@dataclass
class Lossy:
    """The data centre.

    Args:
        loss: the part of all probes that get no answer; 0: everything is answered.
    """

    loss: float
    chance: random.Random
    legs: dict[str, Judged] = field(default_factory=dict)

    def hear(self, sock: socket.socket) -> None:
        """Answer one packet, or not."""
        data = sock.recv(2048)
        source, destination = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        if data[_HEADER] != _ECHO or destination not in self.legs:
            return
        is_answered = self.chance.random() >= self.loss
        self.legs[destination].add(is_answered)
        if is_answered:
            identifier, sequence = (int.from_bytes(data[at : at + 2], "big") for at in (24, 26))
            sock.sendto(forged_reply(destination, source, identifier, sequence, data[28:]), (source, 0))


@contextmanager
def losing(circuits: Sequence[Circuit], loss: float, seed: int, fall: int, rise: int) -> Iterator[Lossy]:
    """Answer during the block in the place of the centre's kernel.

    Args:
        loss: 0 to 1.
    """
    legs = {circuit.destination: Judged(fall, rise) for circuit in circuits}
    there, has_ended = Lossy(loss, random.Random(seed), legs), threading.Event()
    set_sysctl(CENTRE, "net/ipv4/icmp_echo_ignore_all", "1")
    with netns.entered(CENTRE):
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    def answer() -> None:
        while not has_ended.is_set():
            if select.select([sock], [], [], 0.05)[0]:
                there.hear(sock)

    with sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
        thread = threading.Thread(target=answer, name="lossy data centre", daemon=True)
        thread.start()
        try:
            yield there
        finally:
            has_ended.set()
            thread.join()
