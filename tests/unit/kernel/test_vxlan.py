"""Which links of a dump are VXLAN links of ours: pure, on links written by hand."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dataplane.kernel import vxlan
from dataplane.kernel.link import Link
from dataplane.kernel.veth import LinkView
from dataplane.kernel.vlan import HostView
from dataplane.model import names
from dataplane.model.kernel import VxlanLink

MARK, VPC, MAC = "dataplane vpc_tunnel/a", "dp-vpc-a", "02:00:00:00:00:07"
LOCAL, DEVICE, HOME = IPv4Address("172.20.0.11"), 3, 0
IFINDEX = names.port_ifindex(7)
ETH0 = Link("", DEVICE, "eth0", "", "", MAC, 1500, True)
WANTED = VxlanLink(MARK, VPC, "dpx7", IFINDEX, MAC, 77, LOCAL, "eth0", 1450)


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def given(**changes: bytes | None) -> bytes:
    """The parameters of a link of ours, after <linux/if_link.h>, with some of them changed or left out."""
    numbers = {
        "id": 1,
        "group": 2,
        "link": 3,
        "local": 4,
        "ttl": 5,
        "learning": 7,
        "proxy": 11,
        "l2miss": 13,
        "port": 15,
        "udp_csum": 18,
        "gbp": 23,
        "collect_metadata": 25,
        "df": 29,
        "vnifilter": 30,
    }
    values: dict[str, bytes | None] = {
        "id": struct.pack("=I", 77),
        "link": struct.pack("=I", DEVICE),
        "local": LOCAL.packed,
        "ttl": b"\x40",
        "learning": b"\0",
        "proxy": b"\0",
        "l2miss": b"\0",
        "port": struct.pack("!H", 4789),
        "udp_csum": b"\0",
        "collect_metadata": b"\0",
        "df": b"\x01",
    }
    chosen = values | changes
    return b"".join(attribute(numbers[name], value) for name, value in chosen.items() if value is not None)


LINK = Link(VPC, IFINDEX, "dpx7", "vxlan", MARK, MAC, 1450, True, parameters=given(), lower_namespace=HOME)


def look(*links: Link) -> list[VxlanLink]:
    view = LinkView(list(links), {VPC}, {VPC})
    return list(vxlan.find(view, HostView({DEVICE: ETH0}), {VPC: HOME}).links.values())


def test_link_is_seen_as_it_was_made() -> None:
    assert look(LINK) == [WANTED]


@pytest.mark.parametrize("without", [("df",), ("ttl",), ("port",)], ids=" ".join)
def test_what_is_missing_shows(without: tuple[str, ...]) -> None:
    link = replace(LINK, parameters=given(**dict.fromkeys(without)))
    assert look(link) == [replace(WANTED, is_static=False)]


@pytest.mark.parametrize(
    "changes",
    [
        {"learning": b"\x01"},
        {"port": struct.pack("!H", 8472)},
        {"ttl": b"\x01"},
        {"df": b"\x02"},
        {"group": bytes([239, 1, 1, 1])},
        {"udp_csum": b"\x01"},
        {"proxy": b"\x01"},
        {"l2miss": b"\x01"},
        {"gbp": b""},
        {"collect_metadata": b"\x01"},
        {"vnifilter": b"\x01"},
    ],
    ids=str,
)
def test_every_parameter_of_others_shows(changes: dict[str, bytes | None]) -> None:
    assert look(replace(LINK, parameters=given(**changes))) == [replace(WANTED, is_static=False)]


def test_what_older_kernels_leave_out_does_not_show() -> None:
    """A flag that is not set may be shown as zero, or not at all."""
    for name in ("learning", "proxy", "l2miss", "udp_csum", "collect_metadata"):
        assert look(replace(LINK, parameters=given(**{name: None}))) == [WANTED]
    assert look(replace(LINK, parameters=given(vnifilter=b"\0"))) == [WANTED]


@pytest.mark.parametrize("lower", [None, 5])
def test_socket_elsewhere_than_on_the_host_shows(lower: int | None) -> None:
    """In the router itself, or in a third namespace whose device has the same number."""
    assert look(replace(LINK, lower_namespace=lower)) == [replace(WANTED, device="", is_static=False)]


def test_device_that_is_gone_or_another_shows() -> None:
    assert look(replace(LINK, parameters=given(link=struct.pack("=I", 9)))) == [replace(WANTED, device="")]
    assert look(replace(LINK, parameters=given(link=None))) == [replace(WANTED, device="")]


@pytest.mark.parametrize("changes", [{}, {"namespace": ""}, {"ifindex": 9}], ids=str)
def test_ours_is_what_carries_our_mark(changes: dict[str, object]) -> None:
    """In a namespace of ours, and on the host."""
    assert [one.key for one in look(replace(LINK, **changes))] == [WANTED.key]  # type: ignore[arg-type]


@pytest.mark.parametrize("alias", ["", "mine"])
def test_what_has_only_our_number_is_a_leftover(alias: str) -> None:
    """Born in a namespace of ours, and not marked yet."""
    (leftover,) = look(replace(LINK, alias=alias))
    assert leftover.key != WANTED.key
    assert names.parse_mark(leftover.mark) is None


@pytest.mark.parametrize(
    "changes",
    [{"alias": "", "ifindex": 9}, {"alias": "", "namespace": ""}, {"namespace": "web"}, {"kind": "veth"}],
    ids=str,
)
def test_everything_else_is_of_others(changes: dict[str, object]) -> None:
    assert look(replace(LINK, **changes)) == []  # type: ignore[arg-type]


def test_second_link_of_a_mark_is_a_leftover() -> None:
    second = replace(LINK, ifindex=IFINDEX + 1, ifname="dpx8")
    first, leftover = look(LINK, second)
    assert first == WANTED
    assert names.parse_mark(leftover.mark) is None


@pytest.mark.parametrize(
    ("changes", "is_said"),
    [
        ({}, True),
        ({"parameters": given(id=struct.pack("=I", 78))}, False),
        ({"parameters": given(port=struct.pack("!H", 8472))}, False),
        ({"namespace": VPC}, False),
        ({"kind": "veth"}, False),
    ],
    ids=["same VNI", "another VNI", "another port", "elsewhere", "no VXLAN link"],
)
def test_links_of_others_with_our_vni_are_in_the_way(changes: dict[str, object], is_said: bool) -> None:
    stranger = replace(LINK, namespace="", ifindex=9, ifname="vx0", alias="")
    found = vxlan.in_the_way([replace(stranger, **changes)], {WANTED.key: WANTED})  # type: ignore[arg-type]
    assert list(found) == ([WANTED.key] if is_said else [])
    assert all("ip link delete vx0" in text for text in found.values())
