"""The bytes of probes: how a nonce is put into a packet and found again. Pure.

UDP datagrams, TCP streams and ICMP echoes carry magic, nonce, direction. A TCP handshake carries no data: its
packets are known by the client's port, which no two probes of a run share.
"""

import struct
from collections.abc import Mapping
from ipaddress import IPv4Address

from lab.model import Direction, Mark

MAGIC = b"\xd9dpL"
NONCE_BYTES = 12
PAYLOAD_BYTES = len(MAGIC) + NONCE_BYTES + 1

_LETTERS: Mapping[Direction, bytes] = {Direction.FORWARD: b">", Direction.BACK: b"<"}
_DIRECTIONS = {letter: direction for direction, letter in _LETTERS.items()}

_ICMP, _TCP, _UDP = 1, 6, 17
_VXLAN_PORT = 4789
_VXLAN_FRAME = 8 + 8 + 14
"""Where the packet in a VXLAN packet begins after the IPv4 header: UDP, VXLAN, Ethernet (RFC 7348)."""
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_UNREACHABLE = 3
_ERRORS = {3: "unreachable", 4: "source_quench", 5: "redirect", 11: "time_exceeded", 12: "parameter_problem"}
_UNREACHABLE_CODES = {
    0: "net_unreachable",
    1: "host_unreachable",
    2: "protocol_unreachable",
    3: "port_unreachable",
    4: "fragmentation_needed",
    9: "prohibited",
    10: "prohibited",
    13: "prohibited",
}
ANSWERS = frozenset({*_UNREACHABLE_CODES.values(), "time_exceeded", "none"})
"""What a topology may expect of an ICMP error."""


def payload(nonce: bytes, direction: Direction) -> bytes:
    """What a probe or its answer carries."""
    return MAGIC + nonce + _LETTERS[direction]


def read_payload(data: bytes) -> tuple[bytes, Direction] | None:
    """Nonce and direction of data that starts as a payload, or None."""
    letter = data[PAYLOAD_BYTES - 1 : PAYLOAD_BYTES]
    if not data.startswith(MAGIC) or letter not in _DIRECTIONS:
        return None
    return data[len(MAGIC) : PAYLOAD_BYTES - 1], _DIRECTIONS[letter]


def tcp_key(client_port: int) -> bytes:
    """The key of a TCP probe."""
    return b"tcp:" + client_port.to_bytes(2, "big")


def echo_request(identifier: int, sequence: int, nonce: bytes) -> bytes:
    """An ICMP echo request that carries a nonce."""
    body = payload(nonce, Direction.FORWARD)
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, _checksum(head + body), identifier, sequence) + body


def echo_reply_nonce(packet: bytes) -> bytes | None:
    """The nonce in an IPv4 packet that is an echo reply to one of our requests, or None."""
    mark = read_mark(packet, ())
    is_reply = mark is not None and mark.direction is Direction.BACK and packet[9] == _ICMP
    return mark.key if mark is not None and is_reply else None


def read_mark(packet: bytes, tcp_ports: frozenset[int] | tuple[int, ...]) -> Mark | None:
    """Recognise a packet of ours.

    Args:
        packet: from the IPv4 header on; of VXLAN, the packet inside counts. Anything else is searched for the payload.
        tcp_ports: the client ports of this run's TCP probes.
    """
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return _search(packet)
    header = (packet[0] & 0xF) * 4
    protocol, body = packet[9], packet[header:]
    if protocol == _UDP and body[2:4] == _VXLAN_PORT.to_bytes(2, "big"):
        return read_mark(body[_VXLAN_FRAME:], tcp_ports)
    found: tuple[bytes, Direction, str] | None = None
    if protocol == _TCP:
        found = _read_tcp(body, tcp_ports)
    elif protocol == _ICMP and body[:1] and body[0] in _ERRORS:
        inner = read_mark(body[8:], tcp_ports)
        if inner is not None:
            found = (inner.key, Direction.ERROR, _error_name(body[0], body[1]))
    elif protocol == _ICMP:
        found = _read_echo(body)
    elif protocol == _UDP:
        read = read_payload(body[8:])
        found = (*read, "") if read is not None else None
    if found is None:
        return _search(packet)
    key, direction, error = found
    number = packet[4:6] + (body[4:14] if protocol == _TCP else b"")  # TCP: with sequence numbers and flags
    return Mark(key, direction, IPv4Address(packet[12:16]), packet[8], error, number)


def read_arp_request(message: bytes) -> Mark | None:
    """Recognise an ARP request; its key is who asks, by MAC and address, and for which address."""
    if len(message) < 28 or message[6:8] != b"\x00\x01":
        return None
    return Mark(arp_key(message[8:18], IPv4Address(message[24:28])), Direction.ASK, IPv4Address(message[14:18]), 0)


def arp_key(asker: bytes, target: IPv4Address) -> bytes:
    """The key of all requests of one asker for one address.

    Args:
        asker: its MAC and its address, since all VLANs of a device share a MAC.
    """
    return b"arp:" + asker + target.packed


def is_arp_for(key: bytes, target: IPv4Address) -> bool:
    """Whether a key is that of requests for an address, whoever asks."""
    return key.startswith(b"arp:") and key.endswith(target.packed) and len(key) == 18


def _read_tcp(segment: bytes, ports: frozenset[int] | tuple[int, ...]) -> tuple[bytes, Direction, str] | None:
    if len(segment) < 4:
        return None
    source, destination = struct.unpack("!HH", segment[:4])
    if source in ports:
        return tcp_key(source), Direction.FORWARD, ""
    if destination in ports:
        return tcp_key(destination), Direction.BACK, ""
    return None


def _read_echo(message: bytes) -> tuple[bytes, Direction, str] | None:
    # A reply repeats the request's data, its letter too: the type says the direction.
    read = read_payload(message[8:])
    if read is None:
        return None
    return read[0], Direction.BACK if message[0] == _ECHO_REPLY else Direction.FORWARD, ""


def _search(packet: bytes) -> Mark | None:
    """A payload anywhere: behind a tag, say. Addresses are not to be trusted then."""
    read = read_payload(packet[packet.find(MAGIC) :]) if MAGIC in packet else None
    return Mark(read[0], read[1], IPv4Address(0), 0) if read is not None else None


def _error_name(kind: int, code: int) -> str:
    if kind == _UNREACHABLE:
        return _UNREACHABLE_CODES.get(code, f"unreachable_{code}")
    return _ERRORS[kind]


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
