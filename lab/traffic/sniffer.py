"""Eyes in a namespace: every packet on every interface, both ways, and the probe that it belongs to.

A sniffer that lost packets says so: a proof that something did *not* arrive must not rest on it.
"""

import errno
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

from lab.model import Sighting
from lab.syscalls import in_network
from lab.traffic.packet import read_arp_request, read_mark

_ETH_P_ALL = 0x0003
_ETH_P_ARP = 0x0806
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_BUFFER_BYTES = 8 * 1024 * 1024
_SNAP_BYTES = 2048
_STAMPS_PAUSE_S = 0.002
_STAMPS_PATIENCE_S = 2.0
_TIMESPEC = struct.Struct("@qq")


class Sniffer:
    """Watches one namespace.

    Args:
        namespace: its name, for the sightings.
        descriptor: the open namespace.
    """

    def __init__(self, namespace: str, descriptor: int) -> None:
        self.namespace = namespace
        with in_network(descriptor):
            # Of all interfaces, those that come later too.
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        with suppress(OSError):  # not allowed everywhere; a loss is noticed anyway
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)

    def read(self, tcp_ports: frozenset[int]) -> Iterator[Sighting]:
        """What has come in since the last call."""
        while True:
            try:
                packet, ancillary, _, address = self.socket.recvmsg(_SNAP_BYTES, 64)
            except BlockingIOError:
                return
            except OSError as failure:
                if failure.errno != errno.ENETDOWN:  # an interface went down: said once, and it goes on
                    raise
                continue
            mark = read_arp_request(packet) if address[1] == _ETH_P_ARP else read_mark(packet, tcp_ports)
            if mark is not None:
                is_outgoing = address[2] == socket.PACKET_OUTGOING
                yield Sighting(_time_ns(ancillary), self.namespace, address[0], is_outgoing, mark)

    def lost(self) -> int:
        """How many packets it has missed since the last call."""
        answer = self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("@II", answer)[1])

    def close(self) -> None:
        """Look no more."""
        self.socket.close()


def await_time_stamps() -> None:
    """Wait until the kernel stamps packets as they pass.

    The first socket that asks for it turns that on a little later, in the background; until then a packet bears the
    time at which it was read, and the order of what different sniffers saw means nothing.
    """
    deadline = time.monotonic() + _STAMPS_PATIENCE_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        while time.monotonic() < deadline:
            sock.sendto(b"?", sock.getsockname())
            time.sleep(_STAMPS_PAUSE_S)
            read_ns = time.time_ns()
            _, ancillary, _, _ = sock.recvmsg(1, 64)
            if _time_ns(ancillary) < read_ns:
                return


def _time_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0
