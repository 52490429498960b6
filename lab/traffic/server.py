"""The far ends of UDP and TCP probes: they note the nonce and who sent it, and give it back."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.errors import HostError
from lab.model import Direction, Node, Protocol
from lab.syscalls import in_network
from lab.traffic.loop import Loop
from lab.traffic.packet import PAYLOAD_BYTES, payload, read_payload

_BACKLOG = 512
Arrivals = dict[bytes, IPv4Address]
"""Nonce -> the source address that it came from."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a server listens on."""

    node: Node
    protocol: Protocol
    address: IPv4Address
    port: int


class Server:
    """Listens on one address and port of a node.

    Args:
        descriptor: the node's open namespace.
        arrivals: where to note what came in.

    Raises:
        HostError: the node lacks the address, or a program of its own has the port.
    """

    def __init__(self, loop: Loop, descriptor: int, service: Service, arrivals: Arrivals) -> None:
        self._loop = loop
        self._arrivals = arrivals
        self._connections: set[socket.socket] = set()
        self._socket = _listen(descriptor, service)
        is_udp = service.protocol is Protocol.UDP
        loop.watch(self._socket, self._on_datagram if is_udp else self._on_connection)

    def _on_datagram(self) -> None:
        with suppress(OSError):  # an ICMP error for an earlier answer; the sniffers have it
            data, sender = self._socket.recvfrom(PAYLOAD_BYTES)
            read = read_payload(data)
            if read is not None and read[1] is Direction.FORWARD:
                self._arrivals[read[0]] = IPv4Address(sender[0])
                self._socket.sendto(payload(read[0], Direction.BACK), sender)

    def _on_connection(self) -> None:
        with suppress(OSError):  # it was reset before it was accepted
            connection, _ = self._socket.accept()
            connection.setblocking(False)
            self._connections.add(connection)
            self._loop.watch(connection, lambda: self._on_stream(connection))

    def _on_stream(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(PAYLOAD_BYTES)
            read = read_payload(data)
            if read is not None:
                self._arrivals[read[0]] = IPv4Address(connection.getpeername()[0])
                connection.send(payload(read[0], Direction.BACK))
        except OSError:
            data = b""
        if not data:
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._connections.discard(connection)
        self._loop.forget(connection)
        connection.close()

    def close(self) -> None:
        """Stop listening, and end what is open."""
        for connection in list(self._connections):
            self._drop(connection)
        self._loop.forget(self._socket)
        self._socket.close()


def _listen(descriptor: int, service: Service) -> socket.socket:
    kind = socket.SOCK_DGRAM if service.protocol is Protocol.UDP else socket.SOCK_STREAM
    with in_network(descriptor):
        sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((str(service.address), service.port))
        if kind == socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError as failure:
        sock.close()
        raise HostError(
            f"{service.node} cannot listen on {service.address} {service.protocol}/{service.port}: {failure.strerror}; "
            f"look with `dataplane lab exec {service.node.id} -- ip address`, or give the flow another `port:`"
        ) from failure
    return sock
