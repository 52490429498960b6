"""Which places a word means, how a packet reads as a line, and what a pcapng file holds."""

import struct
from pathlib import Path

import pytest

from dataplane.model import names
from dataplane.observe import pcapng
from dataplane.observe.capture import Direction, Frame, Line, Point, Port, UnknownTarget, find_points, line_of

VPC_1, VPC_2, VBR_1 = ("vpc", "vpc-1"), ("vpc", "vpc-2"), ("vbr", "vbr-1")
PORTS = [
    Port("dp-vpc-vpc-1", "dpi1", ("instance", "ecs-1"), VPC_1),
    Port("dp-i-ecs-1", "eth0", ("instance", "ecs-1")),
    Port("dp-vpc-vpc-1", "dpr5", ("peering_connection", "pcx-1"), VPC_1),
    Port("dp-vpc-vpc-2", "dpr6", ("peering_connection", "pcx-1"), VPC_2),
    Port("dp-vbr-vbr-1", "dpr7", ("peering_connection", "pcx-2"), VBR_1),
    Port("dp-vpc-vpc-1", "dpr8", ("peering_connection", "pcx-2"), VPC_1),
    Port("dp-vbr-vbr-1", "dpl9", ("line", "vbr-1"), VBR_1),
    Port(names.HOST, "dpl10", ("line", "vbr-1")),
    Port("dp-vpc-vpc-1", "dps11", ("service", "vpc-1"), VPC_1),
]
LINES = {"vbr-1": Line("eth1", 1000)}


def words(target: str, lines: dict[str, Line] | None = None, devices: tuple[str, ...] = ("eth0", "eth1")) -> list[str]:
    return [point.description for point in find_points(target, PORTS, LINES if lines is None else lines, devices)]


@pytest.mark.parametrize(
    ("target", "places"),
    [
        ("ecs-1", ["vpc-1 <-> instance ecs-1 (dpi1 in dp-vpc-vpc-1)"]),
        ("instance/ecs-1", ["vpc-1 <-> instance ecs-1 (dpi1 in dp-vpc-vpc-1)"]),
        (
            "pcx-1",
            [
                "pcx-1 vpc-1 <-> vpc-2 (dpr5 in dp-vpc-vpc-1)",
                "pcx-1 vpc-2 <-> vpc-1 (dpr6 in dp-vpc-vpc-2)",
            ],
        ),
        ("dpr6", ["pcx-1 vpc-2 <-> vpc-1 (dpr6 in dp-vpc-vpc-2)"]),
        ("port/dpr7", ["pcx-2 vbr-1 <-> vpc-1 (dpr7 in dp-vbr-vbr-1)"]),
        ("vbr-1", ["vbr-1 <-> line (eth1 of the host, vlan 1000)"]),
        ("dpl9", ["vbr-1 <-> line (dpl9 in dp-vbr-vbr-1)"]),
        ("dpl10", ["host <-> line vbr-1 (dpl10 of the host)"]),
        ("dps11", ["vpc-1 <-> services (dps11 in dp-vpc-vpc-1)"]),
    ],
)
def test_what_a_word_means(target: str, places: list[str]) -> None:
    assert words(target) == places


ACROSS = [
    Port("dp-vpc-vpc-1", "dpx12", ("vpc_tunnel", "vpc-1"), VPC_1),
    Port("dp-vpc-vpc-1", "dpx13", ("peering_tunnel", "pcx-1"), VPC_1),
    Port("dp-vpc-vpc-1", "dpx14", ("next_hop_tunnel", "fw"), VPC_1),
]
"""Tunnels to other hosts."""


@pytest.mark.parametrize(
    ("target", "places"),
    [
        ("vpc-1", ["vpc-1 <-> other hosts (dpx12 in dp-vpc-vpc-1)"]),
        ("vpc/vpc-1", ["vpc-1 <-> other hosts (dpx12 in dp-vpc-vpc-1)"]),
        (
            "pcx-1",
            [
                "pcx-1 vpc-1 <-> vpc-2 (dpr5 in dp-vpc-vpc-1)",
                "pcx-1 vpc-2 <-> vpc-1 (dpr6 in dp-vpc-vpc-2)",
                "pcx-1 vpc-1 <-> other hosts (dpx13 in dp-vpc-vpc-1)",
            ],
        ),
        ("dpx14", ["vpc-1 <-> tunnel to fw (dpx14 in dp-vpc-vpc-1)"]),
    ],
)
def test_what_leads_to_other_hosts_is_heard_at_its_tunnel(target: str, places: list[str]) -> None:
    points = find_points(target, [*PORTS, *ACROSS], LINES, ("eth0", "eth1"))
    assert [point.description for point in points] == places


def test_an_instance_is_not_taken_for_the_tunnel_to_it() -> None:
    with pytest.raises(UnknownTarget, match="nothing live on this host is called fw"):
        find_points("fw", [*PORTS, *ACROSS], LINES, ())


def test_a_vbr_is_heard_at_its_router_where_the_wire_is_not_to_be_found() -> None:
    at_router = ["vbr-1 <-> line (dpl9 in dp-vbr-vbr-1)"]
    assert words("vbr-1", lines={}) == at_router
    assert words("vbr-1", devices=("eth0",)) == at_router


def test_one_name_for_two_things_is_asked_back() -> None:
    ports = [*PORTS, Port("dp-vpc-vpc-1", "dpi20", ("instance", "pcx-1"), VPC_1)]
    with pytest.raises(UnknownTarget, match=r"say instance/pcx-1 or peering_connection/pcx-1") as caught:
        find_points("pcx-1", ports, {}, ())
    assert not caught.value.is_absent
    assert [point.ifname for point in find_points("instance/pcx-1", ports, {}, ())] == ["dpi20"]


@pytest.mark.parametrize("target", ["esc-1", "vbr/ecs-1", "eth0", "vpc-1", "", "/", "instance/"])
def test_what_is_not_known_comes_with_what_is(target: str) -> None:
    with pytest.raises(UnknownTarget) as caught:
        words(target)
    assert caught.value.is_absent
    assert {"ecs-1", "pcx-1", "pcx-2", "vbr-1", "dpi1", "dpl9"} <= set(caught.value.known)
    assert "eth0" not in caught.value.known, "an interface of everybody's name says nothing"


def test_a_connection_with_one_end_says_that_the_other_is_missing() -> None:
    (point,) = find_points("pcx-1", PORTS[2:3], {}, ())
    assert point.description == "pcx-1 vpc-1 <-> ? (dpr5 in dp-vpc-vpc-1)"


ECHO = bytes.fromhex(
    "020000000002 020000000001 0800"
    "4500001c 00010000 4001 8ea4 c0000201 c6336407"  # 192.0.2.1 > 198.51.100.7, ttl 64
    "0800 f7f6 0003 0006".replace(" ", "")
)
POINT = Point("dp-vpc-vpc-1", "dpr5", "vpc-1", "vpc-2", "pcx-1")


def frame(direction: Direction = Direction.IN, tag: tuple[int, int] | None = None, data: bytes = ECHO) -> Frame:
    return Frame(0, 1_700_000_000_123_456_789, data, len(data), direction, tag)


def test_a_line_of_text() -> None:
    packet = "192.0.2.1 > 198.51.100.7 icmp echo request id 3 seq 6 ttl 64 length 28"
    assert line_of(frame(), POINT, "10:00:00") == f"10:00:00.123456 pcx-1 vpc-2 -> vpc-1 in dpr5: {packet}"
    sent = line_of(frame(Direction.OUT, (0x8100, 1000)), POINT, "10:00:00")
    assert sent == f"10:00:00.123456 pcx-1 vpc-1 -> vpc-2 out dpr5: vlan 1000 {packet}"
    instance = Point("dp-vpc-vpc-1", "dpi1", "vpc-1", "instance ecs-1")
    assert " instance ecs-1 -> vpc-1 in dpi1: " in line_of(frame(), instance, "")


def test_a_wrong_checksum_ends_the_line_unless_a_device_is_to_fill_it_in() -> None:
    broken = ECHO[:-1] + b"\x07"
    assert line_of(frame(data=broken), POINT, "").endswith(" length 28 [icmp checksum wrong]")
    pending = Frame(0, 0, broken, len(broken), Direction.IN, is_checksum_pending=True)
    assert line_of(pending, POINT, "").endswith(" length 28")


def test_a_tag_that_the_kernel_took_out_is_put_back() -> None:
    assert frame().tagged == ECHO
    assert frame(tag=(0x88A8, 0x2003)).tagged == ECHO[:12] + bytes.fromhex("88a82003") + ECHO[12:]


def test_a_pcapng_file_reads_back_with_its_words(tmp_path: Path) -> None:
    """Scapy reads it: frames, nanoseconds, interface, direction and comment."""
    scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")
    interfaces = (pcapng.Interface("dpi1", "vpc-1 <-> instance ecs-1"), pcapng.Interface("dpr5", "one"))
    odd = ECHO + b"x"
    path = tmp_path / "out.pcapng"
    path.write_bytes(
        pcapng.header("dataplane test", interfaces)
        + pcapng.packet(1, 1_700_000_000_123_456_789, odd, len(odd), Direction.OUT, "pcx-1 vpc-1 -> vpc-2")
        + pcapng.packet(0, 1_700_000_001_000_000_001, ECHO, 9000, Direction.IN, "instance ecs-1 -> vpc-1")
        + pcapng.statistics(0, 1_700_000_001_000_000_001, 5, 4)
    )
    first, second = scapy.rdpcap(str(path))
    assert (bytes(first), bytes(second)) == (odd, ECHO)
    assert (first.sniffed_on, second.sniffed_on) == ("dpr5", "dpi1")
    assert (first.direction, second.direction) == (2, 1)
    # Versions of scapy differ in whether a packet has one comment or several.
    assert "pcx-1 vpc-1 -> vpc-2" in str(getattr(first, "comments", None) or first.comment)
    assert int(first.time) == 1_700_000_000
    assert second.wirelen == 9000


def test_every_block_of_a_pcapng_file_frames_itself() -> None:
    """Total length in front and behind, a multiple of four (the format's section 3.1)."""
    data = pcapng.header("d", (pcapng.Interface("a", "é"),)) + pcapng.packet(0, 2**40, b"abc", 3, Direction.IN, "c")
    data += pcapng.statistics(0, 2**40, 5, 4)
    kinds, position = [], 0
    while position < len(data):
        kind, length = struct.unpack_from("=II", data, position)
        assert length % 4 == 0
        assert struct.unpack_from("=I", data, position + length - 4) == (length,)
        kinds.append(kind)
        position += length
    assert kinds == [0x0A0D0D0A, 1, 6, 5]
    assert position == len(data)
