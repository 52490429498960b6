"""Requests for VXLAN links and their entries, byte by byte, against messages written by hand after <linux/*.h>."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dataplane.kernel import fdb, link, vxlan
from dataplane.model.kernel import FdbEntry, VxlanLink
from dataplane.plan.action import Verb

NESTED = 0x8000
VPC, MAC, OTHER_MAC = "dp-vpc-a", bytes.fromhex("020000000007"), bytes.fromhex("020000000101")
LOCAL, VTEP = IPv4Address("172.20.0.11"), IPv4Address("172.20.0.12")
WANTED = VxlanLink("dataplane vpc_tunnel/a", VPC, "dpx7", 1_000_007, MAC.hex(":"), 77, LOCAL, "eth0", 1450)
ENTRY = FdbEntry(VPC, "dpx7", OTHER_MAC.hex(":"), VTEP)
SELF, PERMANENT, NOARP = 2, 0x80, 0x40


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def message(kind: int, flags: int, *body: bytes) -> bytes:
    content = b"".join(body)
    return struct.pack("=IHHII", len(content) + 16, kind, flags, 0, 0) + content


def ifinfo(ifindex: int, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, ifindex, flags, 0)


def ndmsg(state: int = PERMANENT | NOARP, flags: int = SELF, family: int = 7) -> bytes:
    return struct.pack("=BxxxiHBB", family, 1_000_007, state, flags, 0)


def parameters() -> bytes:
    """VNI, device, source, TTL 64, no learning, port 4789, no checksum, DF; no group, so that nothing is flooded."""
    return (
        u32(1, 77)
        + u32(3, 3)
        + attribute(4, LOCAL.packed)
        + attribute(5, b"\x40")
        + attribute(7, b"\0")
        + attribute(15, struct.pack("!H", 4789))
        + attribute(18, b"\0")
        + attribute(29, b"\x01")
    )


def test_link_is_born_in_the_routers_namespace() -> None:
    """RTM_NEWLINK with IFLA_NET_NS_FD and a chosen ifindex; must not meet its like."""
    expected = message(
        16,
        0x605,
        ifinfo(1_000_007),
        attribute(1, MAC),
        attribute(3, b"dpx7\0"),
        u32(4, 1450),
        attribute(NESTED | 18, attribute(1, b"vxlan\0") + attribute(NESTED | 2, parameters())),
        u32(28, 9),
    )
    assert bytes(vxlan.create_request(WANTED, 3, 9)) == expected


def test_link_is_read() -> None:
    """Parameters and the number of the other namespace out of a dump; a veth has neither."""
    body = (
        ifinfo(1_000_007, 0x11043)
        + attribute(1, MAC)
        + attribute(3, b"dpx7\0")
        + u32(4, 1450)
        + attribute(20, b"dataplane vpc_tunnel/a\0")
        + attribute(18, attribute(1, b"vxlan\0") + attribute(2, parameters()))
        + u32(37, 0)
    )
    seen = link.read(VPC, (body, 0, len(body)))
    assert (seen.kind, seen.ifname, seen.mtu, seen.lower_namespace) == ("vxlan", "dpx7", 1450, 0)
    assert vxlan.parameters(seen) == vxlan.Parameters(77, LOCAL, 3, has_our_port=True, is_static=True)
    body = body.replace(b"vxlan\0", b"veth\0\0")
    seen = link.read(VPC, (body, 0, len(body)))
    assert (seen.parameters, seen.lower_namespace) == (b"", None)


@pytest.mark.parametrize(("verb", "flags"), [(Verb.CREATE, 0x605), (Verb.CHANGE, 0x505)])
def test_entry_is_set(verb: Verb, flags: int) -> None:
    """RTM_NEWNEIGH of the bridge family for the link itself, permanent."""
    expected = message(28, flags, ndmsg(), attribute(2, OTHER_MAC), attribute(1, VTEP.packed))
    assert bytes(fdb.request(verb, ENTRY, lambda _: 1_000_007)) == expected


def test_entry_is_deleted_with_all_destinations() -> None:
    """RTM_DELNEIGH without a destination: whatever the MAC has."""
    assert bytes(fdb.request(Verb.DELETE, ENTRY, lambda _: 1_000_007)) == message(
        29, 0x005, ndmsg(), attribute(2, OTHER_MAC)
    )


def read(*body: bytes, ifnames: dict[int, str] | None = None) -> FdbEntry | None:
    content = b"".join(body)
    seen = fdb.read(VPC, {1_000_007: "dpx7"} if ifnames is None else ifnames, (content, 0, len(content)))
    assert seen is None or (seen.is_ours and isinstance(seen.item, FdbEntry))
    return seen.item if seen is not None else None  # type: ignore[return-value]


def test_entry_is_read() -> None:
    """What the kernel adds (the state of the cache, the number of the other namespace) does not disturb."""
    body = (ndmsg(), attribute(2, OTHER_MAC), attribute(1, VTEP.packed), attribute(3, bytes(16)), u32(10, 0))
    assert read(*body) == ENTRY
    assert read(*body, ifnames={}) is None
    assert read(ndmsg(flags=0), *body[1:]) is None
    assert read(ndmsg(state=PERMANENT), *body[1:]) == ENTRY


@pytest.mark.parametrize(
    "body",
    [
        (ndmsg(state=0x02), attribute(2, OTHER_MAC), attribute(1, VTEP.packed)),
        (ndmsg(), attribute(2, OTHER_MAC), attribute(1, VTEP.packed), attribute(6, struct.pack("!H", 4790))),
        (ndmsg(), attribute(2, OTHER_MAC), attribute(1, VTEP.packed), u32(7, 78)),
        (ndmsg(), attribute(2, OTHER_MAC), attribute(1, VTEP.packed), u32(8, 3)),
        (ndmsg(), attribute(2, OTHER_MAC), attribute(1, bytes(16))),
        (ndmsg(), attribute(2, OTHER_MAC), u32(13, 5)),
        (ndmsg(), attribute(2, OTHER_MAC)),
    ],
    ids=["learned", "port", "VNI", "device", "IPv6", "next hop", "nowhere"],
)
def test_entry_that_leads_elsewhere_is_unlike_any_of_ours(body: tuple[bytes, ...]) -> None:
    assert read(*body) == replace(ENTRY, vtep=IPv4Address("0.0.0.0"))
