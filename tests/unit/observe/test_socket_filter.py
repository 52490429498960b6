"""The filters, run over real packets by an interpreter of classic BPF that knows nothing of how they are made."""

import struct
from ipaddress import IPv4Network

import pytest

from dataplane.errors import BugError
from dataplane.observe.socket_filter import Assembler, Instruction, Wanted, compile_filter, encode

scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")

AD_TAG, AD_TAG_PRESENT = 0xFFFFF000 + 44, 0xFFFFF000 + 48
LOADS = {0x00: (4, "!I"), 0x08: (2, "!H"), 0x10: (1, "!B")}


def accepts(program: tuple[Instruction, ...], frame: bytes, tag: int | None = None) -> int:
    """What the kernel would do with a frame: 0 to drop it, else how much of it to keep. No program keeps all."""
    if not program:
        return len(frame)
    accumulator = index = position = 0
    while True:
        line = program[position]
        position += 1
        kind, mode = line.code & 0x07, line.code & 0xE0
        if kind == 0x06:
            return line.k
        if kind == 0x01:
            index = line.k
        elif kind == 0x00:
            if line.k == AD_TAG:
                accumulator = tag or 0
            elif line.k == AD_TAG_PRESENT:
                accumulator = int(tag is not None)
            else:
                size, form = LOADS[line.code & 0x18]
                offset = line.k + (index if mode == 0x40 else 0)
                if offset + size > len(frame):
                    return 0
                (accumulator,) = struct.unpack_from(form, frame, offset)
        elif kind == 0x04:
            operand = index if line.code & 0x08 else line.k
            operation = line.code & 0xF0
            accumulator = {0x50: accumulator & operand, 0x20: accumulator * operand, 0x00: accumulator + operand}[
                operation
            ]
        elif kind == 0x05:
            operation = line.code & 0xF0
            if operation == 0x00:
                position += line.k
            else:
                is_true = accumulator == line.k if operation == 0x10 else accumulator & line.k
                position += line.jump_true if is_true else line.jump_false
        else:
            assert (kind, line.code) == (0x07, 0x07)
            index = accumulator


ETHER = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
IP = scapy.IP(src="192.0.2.1", dst="198.51.100.7")
DNS = ETHER / IP / scapy.UDP(sport=4000, dport=53) / b"question"
WEB = ETHER / IP / scapy.TCP(sport=443, dport=50000)
OPTIONS = ETHER / scapy.IP(src="192.0.2.1", dst="198.51.100.7", options=scapy.IPOption_NOP() * 4) / scapy.UDP(dport=53)
ECHO = ETHER / IP / scapy.ICMP()
ARP = ETHER / scapy.ARP(psrc="192.0.2.1", pdst="192.0.2.254")
LATER = ETHER / scapy.IP(src="192.0.2.1", dst="198.51.100.7", proto=17, frag=185) / struct.pack("!HHHH", 53, 53, 8, 0)
FIRST = ETHER / scapy.IP(src="192.0.2.1", dst="198.51.100.7", flags="MF") / scapy.UDP(dport=53) / bytes(1400)
V6 = ETHER / scapy.IPv6(src="2001:db8::1", dst="2001:db8::2") / scapy.UDP(dport=53)
TAGGED = ETHER / scapy.Dot1Q(vlan=1000) / IP / scapy.UDP(dport=53)
DOUBLE = ETHER / scapy.Dot1AD(vlan=1000) / scapy.Dot1Q(vlan=20) / IP / scapy.UDP(dport=53)
TRIPLE = ETHER / scapy.Dot1Q(vlan=1) / scapy.Dot1Q(vlan=2) / scapy.Dot1Q(vlan=3) / IP / scapy.UDP(dport=53)
ALL = {
    "dns": DNS,
    "web": WEB,
    "options": OPTIONS,
    "echo": ECHO,
    "arp": ARP,
    "later": LATER,
    "first": FIRST,
    "v6": V6,
    "tagged": TAGGED,
    "double": DOUBLE,
}


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        (Wanted(), set(ALL)),
        (Wanted(protocol="udp"), {"dns", "options", "later", "first", "tagged", "double"}),
        (Wanted(protocol=17), {"dns", "options", "later", "first", "tagged", "double"}),
        (Wanted(protocol="tcp"), {"web"}),
        (Wanted(protocol="icmp"), {"echo"}),
        (Wanted(protocol="arp"), {"arp"}),
        (Wanted(protocol=89), set()),
        (Wanted(port=53), {"dns", "options", "first", "tagged", "double"}),
        (Wanted(port=4000), {"dns"}),
        (Wanted(port=443), {"web"}),
        (Wanted(port=443, protocol="udp"), set()),
        (Wanted(host=IPv4Network("192.0.2.1")), set(ALL) - {"v6"}),
        (Wanted(host=IPv4Network("198.51.100.0/24")), set(ALL) - {"v6", "arp"}),
        (Wanted(host=IPv4Network("192.0.2.254")), {"arp"}),
        (Wanted(host=IPv4Network("192.0.2.254"), protocol="arp"), {"arp"}),
        (Wanted(host=IPv4Network("203.0.113.1")), set()),
        (Wanted(host=IPv4Network("0.0.0.0/0")), set(ALL) - {"v6"}),
        (
            Wanted(host=IPv4Network("192.0.2.1"), protocol="udp", port=53),
            {"dns", "options", "first", "tagged", "double"},
        ),
        (Wanted(host=IPv4Network("203.0.113.1"), protocol="udp", port=53), set()),
        (Wanted(vlan=1000), {"tagged", "double"}),
        (Wanted(vlan=20), set()),
        (Wanted(vlan=1000, port=53), {"tagged", "double"}),
        (Wanted(vlan=1000, port=54), set()),
    ],
)
def test_what_passes(wanted: Wanted, passing: set[str]) -> None:
    program = compile_filter(wanted)
    assert {name for name, frame in ALL.items() if accepts(program, bytes(frame))} == passing


@pytest.mark.parametrize("frame", ALL.values(), ids=ALL)
def test_a_tag_beside_the_frame_is_a_tag(frame: object) -> None:
    """As a received frame comes: the outer tag in metadata, priority bits and all."""
    data = bytes(frame)  # type: ignore[call-overload]
    assert accepts(compile_filter(Wanted(vlan=7)), data, tag=0xE000 | 7)
    assert not accepts(compile_filter(Wanted(vlan=7)), data, tag=8)
    dns_beside = accepts(compile_filter(Wanted(vlan=7, port=53)), bytes(DNS), tag=7)
    assert dns_beside, "the network header is where it is without a tag"


def test_a_tag_beside_the_frame_comes_before_one_in_it() -> None:
    assert not accepts(compile_filter(Wanted(vlan=1000)), bytes(TAGGED), tag=7)


def test_more_than_two_tags_are_no_packet_of_ours() -> None:
    assert not accepts(compile_filter(Wanted(port=53)), bytes(TRIPLE))


@pytest.mark.parametrize("wanted", [Wanted(port=53), Wanted(vlan=1000, host=IPv4Network("192.0.2.1"))])
def test_frames_that_are_cut_short_are_dropped(wanted: Wanted) -> None:
    program = compile_filter(wanted)
    for length in range(18):
        assert not accepts(program, bytes(TAGGED)[:length])


def test_all_of_a_frame_is_kept_also_of_64_kib() -> None:
    assert accepts(compile_filter(Wanted(protocol="udp")), bytes(DNS)) > 65_536 + 18


def test_the_form_of_the_kernel() -> None:
    """``struct sock_filter``: u16 code, u8 jt, u8 jf, u32 k."""
    assert encode([Instruction(0x15, 1, 2, 0x0800)]) == struct.pack("=HBBI", 0x15, 1, 2, 0x0800)
    assert len(encode(compile_filter(Wanted(port=53)))) % 8 == 0


def test_the_assembler_refuses_what_the_kernel_would() -> None:
    behind = Assembler()
    behind.label("start")
    behind.add(0x05, if_true="start")
    with pytest.raises(BugError, match="not ahead"):
        behind.assemble()
    missing = Assembler()
    missing.add(0x15, 1, "nowhere")
    with pytest.raises(BugError, match="not ahead"):
        missing.assemble()
    far = Assembler()
    far.add(0x15, 1, "far")
    for _ in range(257):
        far.add(0x06)
    far.label("far")
    far.add(0x06)
    with pytest.raises(BugError, match="too far"):
        far.assemble()
    twice = Assembler()
    twice.label("a")
    with pytest.raises(BugError, match="twice"):
        twice.label("a")
