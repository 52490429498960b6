"""The near ends: one UDP datagram, one TCP connection or one ICMP echo per probe, never sent twice.

A probe that needed a second packet would hide that the first one was lost or late.
"""

import os
import random
import socket
import struct
import time
from contextlib import suppress

from dataplane.errors import HostError
from lab.model import Direction, Flow
from lab.syscalls import in_network
from lab.traffic.loop import Loop
from lab.traffic.packet import (
    NONCE_BYTES,
    PAYLOAD_BYTES,
    echo_reply_nonce,
    echo_request,
    payload,
    read_payload,
    tcp_key,
)

_CLIENT_PORTS = range(20_000, 61_000)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_DATAGRAM_BYTES = 2048


class Probe:
    """What all protocols share: the nonce, the times, the socket in the sender's namespace.

    Args:
        flow: what is proven.
    """

    def __init__(self, loop: Loop, flow: Flow) -> None:
        self.flow = flow
        self.nonce = os.urandom(NONCE_BYTES)
        self.started_s = 0.0
        self.answered_s: float | None = None
        self.send_error = ""
        self._loop = loop
        self._socket: socket.socket | None = None

    @property
    def key(self) -> bytes:
        """By which sniffers know its packets."""
        return self.nonce

    @property
    def round_trip_ms(self) -> float | None:
        """From start to answer, in milliseconds."""
        return None if self.answered_s is None else (self.answered_s - self.started_s) * 1000

    def start(self, descriptor: int) -> None:
        """Send from inside the sender's namespace, with its own address as the source."""
        with in_network(descriptor):
            self._socket = self._open()
        self._socket.setblocking(False)
        try:
            self._bind(self._socket)
        except OSError as failure:
            source = self.flow.source
            raise HostError(
                f"{source} has not its address {source.address}: {failure.strerror}; "
                f"look with `dataplane lab exec {source.id} -- ip address`"
            ) from failure
        self.started_s = time.monotonic()
        try:
            self._send(self._socket)
        except OSError as failure:
            self.send_error = failure.strerror or str(failure)

    def _open(self) -> socket.socket:
        raise NotImplementedError

    def _bind(self, sock: socket.socket) -> None:
        sock.bind((str(self.flow.source.address), 0))

    def _send(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def _answered(self) -> None:
        if self.answered_s is None:
            self.answered_s = time.monotonic()

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._loop.forget(self._socket)
            self._socket.close()


class UdpProbe(Probe):
    """A datagram to a port where a server gives it back."""

    def _open(self) -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _send(self, sock: socket.socket) -> None:
        self._loop.watch(sock, self._on_ready)
        sock.sendto(payload(self.nonce, Direction.FORWARD), (str(self.flow.address), self.flow.port))

    def _on_ready(self) -> None:
        assert self._socket is not None
        with suppress(OSError):
            data, sender = self._socket.recvfrom(PAYLOAD_BYTES)
            is_ours = read_payload(data) == (self.nonce, Direction.BACK)
            if is_ours and sender == (str(self.flow.address), self.flow.port):
                self._answered()


class TcpProbe(Probe):
    """A connection, and the nonce there and back through it.

    Args:
        port: the client's port; it is the probe's key, so no two probes of a run may share it.
    """

    def __init__(self, loop: Loop, flow: Flow, port: int) -> None:
        super().__init__(loop, flow)
        self.port = port

    @property
    def key(self) -> bytes:
        return tcp_key(self.port)

    def _open(self) -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def _bind(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # No farewell: neither a FIN that nobody waits for nor a TIME_WAIT that holds the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        sock.bind((str(self.flow.source.address), self.port))

    def _send(self, sock: socket.socket) -> None:
        self._loop.watch(sock, self._on_connected, write=True)
        with suppress(BlockingIOError):
            sock.connect((str(self.flow.address), self.flow.port))

    def _on_connected(self) -> None:
        assert self._socket is not None
        try:
            self._socket.send(payload(self.nonce, Direction.FORWARD))
        except OSError:  # refused or unreachable: the sniffers say by whom
            self._loop.forget(self._socket)
            return
        self._loop.watch(self._socket, self._on_data)

    def _on_data(self) -> None:
        assert self._socket is not None
        data = b""
        with suppress(OSError):
            data = self._socket.recv(PAYLOAD_BYTES)
        if read_payload(data) == (self.nonce, Direction.BACK):
            self._answered()
        self._loop.forget(self._socket)


class IcmpProbe(Probe):
    """An echo request; the answer is the kernel's at the other end.

    Args:
        ttl: of the request; None for the kernel's own.
    """

    def __init__(self, loop: Loop, flow: Flow, ttl: int | None = None) -> None:
        super().__init__(loop, flow)
        self.ttl = ttl

    def _open(self) -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    def _send(self, sock: socket.socket) -> None:
        if self.ttl is not None:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, self.ttl)
        self._loop.watch(sock, self._on_ready)
        identifier, sequence = struct.unpack("!HH", os.urandom(4))
        sock.sendto(echo_request(identifier, sequence, self.nonce), (str(self.flow.address), 0))

    def _on_ready(self) -> None:
        assert self._socket is not None
        with suppress(OSError):
            packet, sender = self._socket.recvfrom(_DATAGRAM_BYTES)
            if echo_reply_nonce(packet) == self.nonce and sender[0] == str(self.flow.address):
                self._answered()
                self._loop.forget(self._socket)


def pick_client_ports(number: int, taken: frozenset[int], used: frozenset[int] = frozenset()) -> list[int]:
    """Distinct random client ports.

    Args:
        number: how many.
        taken: what servers listen on.
        used: of earlier probes; used again only where there are not enough others.
    """
    free = [port for port in _CLIENT_PORTS if port not in taken]
    fresh = [port for port in free if port not in used]
    return random.sample(fresh if len(fresh) >= number else free, number)
