"""VXLAN packets by hand: what one carries, and one that somebody else has made (RFC 7348)."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.syscalls import in_network

VXLAN_PORT = 4789
ETH_P_ALL = 0x0003
ETHERTYPE_IPV4 = 0x0800
_VNI_IS_VALID = 0x08
_UDP = 17


@dataclass(frozen=True)
class Crossing:
    """What a VXLAN packet says of itself: from host to host, in a VNI, from address to address."""

    sender: str
    receiver: str
    vni: int
    source: str
    destination: str


@contextmanager
def packets_of(namespace: int, protocol: int = ETH_P_ALL) -> Iterator[socket.socket]:
    """A socket that sees the packets of a namespace from their IPv4 headers on, and waits for none.

    Args:
        protocol: an EtherType; those on a switch's ports are seen only by one that looks at all of them.
    """
    with in_network(namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(protocol))
    with sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, 33, 64 * 1024 * 1024)  # SO_RCVBUFFORCE
        yield sock


def crossings(sock: socket.socket) -> set[Crossing]:
    """All VXLAN packets that a socket has seen; it fails on one that is not as RFC 7348 wants it."""
    found = set()
    while True:
        try:
            packet, address = sock.recvfrom(2048)
        except BlockingIOError:
            return found
        is_udp = address[1] == ETHERTYPE_IPV4 and packet[9] == _UDP
        if not is_udp or packet[22:24] != VXLAN_PORT.to_bytes(2, "big"):
            continue
        assert packet[0] == 0x45, "no options around a tunnel"
        assert packet[28] == _VNI_IS_VALID and packet[29:32] == b"\0\0\0" and packet[35] == 0
        vni, inner = int.from_bytes(packet[32:35], "big"), packet[50:]
        assert packet[48:50] == ETHERTYPE_IPV4.to_bytes(2, "big"), "nothing but IPv4 crosses: no ARP, no IPv6"
        outer = [str(IPv4Address(packet[at : at + 4])) for at in (12, 16)]
        found.add(Crossing(outer[0], outer[1], vni, *(str(IPv4Address(inner[at : at + 4])) for at in (12, 16))))


def forged(vni: int, mac: str, source: str, destination: str, port: int, data: bytes) -> bytes:
    """What follows the outer UDP header: a datagram inside VXLAN.

    Args:
        mac: of the receiving link.
    """
    datagram = struct.pack("!HHHH", port, port, 8 + len(data), 0) + data
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0,
        20 + len(datagram),
        0,
        0,
        64,
        _UDP,
        0,
        IPv4Address(source).packed,
        IPv4Address(destination).packed,
    )
    head = head[:10] + _checksum(head).to_bytes(2, "big") + head[12:]
    frame = bytes.fromhex(mac.replace(":", "")) + b"\x02\0\0\0\0\x66" + ETHERTYPE_IPV4.to_bytes(2, "big")
    return bytes([_VNI_IS_VALID, 0, 0, 0]) + vni.to_bytes(3, "big") + b"\0" + frame + head + datagram


def arp_request(mac: bytes, sender: str, wanted: int) -> bytes:
    """A whole frame that asks everybody for an address."""
    body = struct.pack("!HHBBH", 1, ETHERTYPE_IPV4, 6, 4, 1) + mac + IPv4Address(sender).packed
    return b"\xff" * 6 + mac + b"\x08\x06" + body + b"\0" * 6 + IPv4Address(wanted).packed


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
