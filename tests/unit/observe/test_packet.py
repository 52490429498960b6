"""What is said of a frame; the frames are written by scapy, independently of our reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.observe.packet import Packet, checksum, dissect

scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")

ETHER = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
IP = scapy.IP(src="192.0.2.1", dst="198.51.100.7", ttl=61, id=0x1234)


def read(frame: object, tag: int | None = None, *, is_checksum_pending: bool = False) -> Packet:
    return dissect(bytes(frame), tag, is_checksum_pending=is_checksum_pending)  # type: ignore[call-overload]


def test_udp() -> None:
    packet = read(ETHER / IP / scapy.UDP(sport=4000, dport=53) / b"12345")
    assert packet == Packet("192.0.2.1:4000", "198.51.100.7:53", "udp", (), 61, 33)


@pytest.mark.parametrize(
    ("flags", "payload", "words"),
    [
        ("S", b"", "tcp syn seq 7 data 0"),
        ("SA", b"", "tcp syn,ack seq 7 ack 9 data 0"),
        ("PA", b"hello", "tcp psh,ack seq 7 ack 9 data 5"),
        ("R", b"", "tcp rst seq 7 data 0"),
        ("FA", b"", "tcp fin,ack seq 7 ack 9 data 0"),
        ("", b"", "tcp no flags seq 7 data 0"),
    ],
)
def test_tcp_says_its_flags(flags: str, payload: bytes, words: str) -> None:
    segment = scapy.TCP(sport=443, dport=5, seq=7, ack=9, flags=flags, options=[("MSS", 1460)])
    packet = read(ETHER / IP / segment / payload)
    assert (packet.source, packet.what, packet.notes) == ("192.0.2.1:443", words, ())


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (scapy.ICMP(type=8, id=3, seq=4), "icmp echo request id 3 seq 4"),
        (scapy.ICMP(type=0, id=3, seq=4), "icmp echo reply id 3 seq 4"),
        (scapy.ICMP(type=13), "icmp type 13 code 0"),
    ],
)
def test_icmp(message: object, words: str) -> None:
    assert read(ETHER / IP / message).what == words


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        (3, 1, "host unreachable"),
        (3, 3, "port unreachable"),
        (3, 13, "prohibited"),
        (11, 0, "time exceeded"),
        (3, 4, "fragmentation needed, mtu 1400"),
    ],
)
def test_an_icmp_error_says_which_packet_it_is_about(kind: int, code: int, words: str) -> None:
    inner = scapy.IP(src="198.51.100.7", dst="192.0.2.1") / scapy.UDP(sport=9, dport=33434)
    packet = read(ETHER / IP / scapy.ICMP(type=kind, code=code, nexthopmtu=1400 if code == 4 else 0) / inner)
    assert packet.what == f"icmp {words}, about udp 198.51.100.7:9 > 192.0.2.1:33434"


def test_arp() -> None:
    asks = read(ETHER / scapy.ARP(op=1, psrc="192.0.2.1", pdst="192.0.2.254"))
    assert (asks.what, asks.ttl, asks.length) == ("arp who has 192.0.2.254? tell 192.0.2.1", None, 28)
    answers = read(ETHER / scapy.ARP(op=2, hwsrc="02:00:00:00:00:01", psrc="192.0.2.254", pdst="192.0.2.1"))
    assert answers.what == "arp 192.0.2.254 is at 02:00:00:00:00:01"
    assert (answers.source, answers.destination) == ("02:00:00:00:00:01", "02:00:00:00:00:02")


def test_vlan_tags_beside_the_frame_and_in_it() -> None:
    inner = IP / scapy.UDP()
    assert read(ETHER / inner, tag=0xA000 | 1000).vlans == (1000,)
    assert read(ETHER / scapy.Dot1Q(vlan=1000, prio=5) / inner).vlans == (1000,)
    assert read(ETHER / scapy.Dot1Q(vlan=20) / inner, tag=1000).vlans == (1000, 20)
    assert read(ETHER / scapy.Dot1AD(vlan=1000) / scapy.Dot1Q(vlan=20) / inner).length == 28


@pytest.mark.parametrize(
    ("wrong", "note"),
    [
        (IP.copy() / scapy.UDP(sport=1, dport=2, chksum=0xBAD) / b"x", "udp checksum wrong"),
        (IP.copy() / scapy.TCP(chksum=0xBAD), "tcp checksum wrong"),
        (IP.copy() / scapy.ICMP(chksum=0xBAD), "icmp checksum wrong"),
        (scapy.IP(src="192.0.2.1", dst="198.51.100.7", chksum=0xBAD) / scapy.UDP(), "ip checksum wrong"),
    ],
)
def test_wrong_checksums_are_noted(wrong: object, note: str) -> None:
    assert read(ETHER / wrong).notes == (note,)


def test_a_checksum_that_a_device_will_fill_in_is_not_wrong() -> None:
    frame = ETHER / IP / scapy.UDP(sport=1, dport=2, chksum=0xBAD) / b"x"
    assert read(frame, is_checksum_pending=True).notes == ()


def test_udp_without_a_checksum_is_not_wrong() -> None:
    assert read(ETHER / IP / scapy.UDP(chksum=0) / b"x").notes == ()


def test_padding_behind_a_short_packet_is_not_summed() -> None:
    frame = bytes(ETHER / IP / scapy.UDP(sport=1, dport=2) / b"odd") + b"\xff" * 15
    packet = dissect(frame)
    assert (packet.length, packet.notes) == (31, ())


def test_fragments() -> None:
    first = read(ETHER / scapy.IP(src="192.0.2.1", dst="198.51.100.7", id=0x1234, flags="MF") / scapy.UDP() / bytes(64))
    assert first.notes == ("fragment of 0x1234 at 0, more to come",)
    assert first.source == "192.0.2.1:53"
    last = read(ETHER / scapy.IP(src="192.0.2.1", dst="198.51.100.7", id=0x1234, proto=17, frag=185) / bytes(8))
    assert (last.source, last.what, last.notes) == ("192.0.2.1", "udp", ("fragment of 0x1234 at 1480",))


def test_options_and_cut_packets_are_noted() -> None:
    with_options = scapy.IP(src="192.0.2.1", dst="198.51.100.7", options=scapy.IPOption_NOP() * 4) / scapy.UDP()
    assert read(ETHER / with_options).notes == ("ip options",)
    whole = bytes(ETHER / IP / scapy.UDP() / bytes(100))
    assert dissect(whole[:60]).notes == ("cut short, 128 bytes announced",)


def test_other_ethertypes_say_their_number_and_their_macs() -> None:
    packet = read(scapy.Ether(src="02:00:00:00:00:01", dst="01:80:c2:00:00:0e", type=0x88CC) / bytes(46))
    assert (packet.source, packet.destination) == ("02:00:00:00:00:01", "01:80:c2:00:00:0e")
    assert packet.what == "ethertype 0x88cc"


def test_ipv6_is_named_as_what_is_not_forwarded() -> None:
    packet = read(ETHER / scapy.IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=3) / scapy.UDP())
    assert (packet.source, packet.ttl, packet.notes) == ("2001:db8::1", 3, ("ipv6 is not forwarded",))


def test_the_checksum_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


SAMPLES = [
    bytes(ETHER / IP / scapy.TCP(options=[("MSS", 1460)])),
    bytes(ETHER / IP / scapy.ICMP(type=11) / IP / scapy.UDP()),
    bytes(ETHER / scapy.Dot1Q(vlan=1) / scapy.ARP()),
    bytes(ETHER / scapy.IPv6() / scapy.UDP()),
]


@given(st.sampled_from(SAMPLES), st.integers(0, 90), st.binary(max_size=40), st.integers(0, 100))
def test_nothing_from_the_wire_makes_it_fail(frame: bytes, length: int, noise: bytes, at: int) -> None:
    """Frames cut short and overwritten with noise at any place."""
    cut = frame[:length]
    packet = dissect(cut[:at] + noise + cut[at + len(noise) :], tag=None)
    assert packet.what and packet.source
