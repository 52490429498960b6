"""Nonces in packets: found in whatever scapy builds, and in nothing else."""

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from lab.model import Direction
from lab.traffic import packet

NONCE = bytes(range(12))
A, B, ROUTER = "192.0.2.1", "192.0.2.2", "198.51.100.9"
PORTS = frozenset({40000})


def _udp(direction: Direction = Direction.FORWARD) -> IP:
    return IP(src=A, dst=B, ttl=61) / UDP(sport=5, dport=7) / Raw(packet.payload(NONCE, direction))


@pytest.mark.parametrize("direction", [Direction.FORWARD, Direction.BACK])
def test_udp(direction: Direction) -> None:
    mark = packet.read_mark(bytes(_udp(direction)), PORTS)
    assert mark is not None
    assert (mark.key, mark.direction, mark.ttl, mark.source, mark.error) == (NONCE, direction, 61, IPv4Address(A), "")


def test_ip_options_move_the_payload() -> None:
    option = IP(src=A, dst=B, options=b"\x01\x01\x01\x00") / UDP(sport=5, dport=7)
    mark = packet.read_mark(bytes(option / Raw(packet.payload(NONCE, Direction.FORWARD))), PORTS)
    assert mark is not None and mark.key == NONCE and mark.source == IPv4Address(A)


def test_echo_request_is_what_scapy_would_send() -> None:
    built = bytes(ICMP(type=8, id=3, seq=9) / Raw(packet.payload(NONCE, Direction.FORWARD)))
    assert packet.echo_request(3, 9, NONCE) == built


def test_echo_direction_is_the_type_not_the_letter() -> None:
    body = Raw(packet.payload(NONCE, Direction.FORWARD))
    request = bytes(IP(src=A, dst=B) / ICMP(type=8) / body)
    reply = bytes(IP(src=B, dst=A) / ICMP(type=0) / body)
    assert packet.read_mark(request, PORTS).direction is Direction.FORWARD  # type: ignore[union-attr]
    assert packet.read_mark(reply, PORTS).direction is Direction.BACK  # type: ignore[union-attr]
    assert packet.echo_reply_nonce(reply) == NONCE
    assert packet.echo_reply_nonce(request) is None
    assert packet.echo_reply_nonce(bytes(_udp(Direction.BACK))) is None


@pytest.mark.parametrize(
    ("kind", "code", "name"),
    [
        (3, 0, "net_unreachable"),
        (3, 1, "host_unreachable"),
        (3, 3, "port_unreachable"),
        (3, 13, "prohibited"),
        (3, 15, "unreachable_15"),
        (5, 1, "redirect"),
        (11, 0, "time_exceeded"),
    ],
)
def test_icmp_errors_quote_the_probe(kind: int, code: int, name: str) -> None:
    mark = packet.read_mark(bytes(IP(src=ROUTER, dst=A) / ICMP(type=kind, code=code) / _udp()), PORTS)
    assert mark is not None
    assert (mark.key, mark.direction, mark.error) == (NONCE, Direction.ERROR, name)
    assert mark.source == IPv4Address(ROUTER)


def test_tcp_is_known_by_the_clients_port() -> None:
    there = packet.read_mark(bytes(IP(src=A, dst=B) / TCP(sport=40000, dport=80, flags="S")), PORTS)
    back = packet.read_mark(bytes(IP(src=B, dst=A) / TCP(sport=80, dport=40000, flags="SA")), PORTS)
    assert there is not None and there.direction is Direction.FORWARD
    assert back is not None and back.direction is Direction.BACK
    assert there.key == back.key == packet.tcp_key(40000)
    assert packet.read_mark(bytes(IP(src=A, dst=B) / TCP(sport=40001, dport=80)), PORTS) is None


def test_a_tunnel_hides_nothing() -> None:
    outer = IP(src="203.0.113.1", dst="203.0.113.2") / UDP(dport=4789) / VXLAN(vni=5) / Raw(b"\0" * 14) / _udp()
    mark = packet.read_mark(bytes(outer), PORTS)
    assert mark is not None and mark.key == NONCE


def test_others_packets_are_none_of_ours() -> None:
    for foreign in (IP(src=A, dst=B) / UDP() / Raw(b"hello"), IP(src=A, dst=B) / ICMP(), Raw(b""), Raw(b"\x45")):
        assert packet.read_mark(bytes(foreign), PORTS) is None
    damaged = bytearray(packet.payload(NONCE, Direction.FORWARD))
    damaged[-1] ^= 1
    assert packet.read_mark(bytes(IP() / UDP() / Raw(bytes(damaged))), PORTS) is None


def test_arp_requests() -> None:
    mark = packet.read_arp_request(bytes(ARP(op=1, hwsrc="02:00:00:00:00:01", psrc=A, pdst=B)))
    assert mark is not None and mark.direction is Direction.ASK
    assert packet.is_arp_for(mark.key, IPv4Address(B))
    assert not packet.is_arp_for(mark.key, IPv4Address(A))
    assert packet.read_arp_request(bytes(ARP(op=2, psrc=A, pdst=B))) is None


def test_what_is_inside_vxlan_counts() -> None:
    """Its addresses and its TTL: the outer ones are the hosts'. A handshake has no payload that could be looked for."""

    def wrapped(inner: IP) -> bytes:
        # Without a destination, scapy would ask this machine's own network for one.
        frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / inner
        return bytes(IP(src="172.20.0.11", dst="172.20.0.12") / UDP(dport=4789) / VXLAN(vni=77) / frame)

    reply = IP(src=B, dst=A, ttl=61) / ICMP(type=0) / Raw(packet.payload(NONCE, Direction.FORWARD))
    syn = IP(src=A, dst=B, ttl=61) / TCP(sport=40000, dport=80, flags="S")
    for inner in (_udp(), reply, syn):
        assert packet.read_mark(wrapped(inner), PORTS) == packet.read_mark(bytes(inner), PORTS) is not None


def test_packets_of_a_connection_differ_and_routers_do_not_change_them() -> None:
    def number(ttl: int, **fields: object) -> bytes:
        built = bytes(IP(src=A, dst=B, ttl=ttl, id=7) / TCP(sport=40000, dport=7, **fields))
        mark = packet.read_mark(built, PORTS)
        assert mark is not None
        return mark.packet

    assert number(64, flags="S", seq=1) == number(61, flags="S", seq=1)
    assert len({number(64, flags="S", seq=1), number(64, flags="A", seq=1), number(64, flags="S", seq=2)}) == 3
