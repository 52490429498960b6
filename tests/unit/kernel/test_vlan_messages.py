"""Requests for VLAN sub-interfaces and tc filters, byte by byte, against messages written by hand after <linux/*.h>."""

import struct

from dataplane.kernel import link, tc, vlan
from dataplane.model.kernel import VlanLink, VlanMode

NESTED = 0x8000
REAL = VlanLink("dataplane line/vbr-1", "dp-vbr-vbr-1", "dpv7", 1_000_007, "eth1", 1000, VlanMode.KERNEL)


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def message(kind: int, flags: int, *body: bytes) -> bytes:
    content = b"".join(body)
    return struct.pack("=IHHII", len(content) + 16, kind, flags, 0, 0) + content


def ifinfo(ifindex: int, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, ifindex, flags, 0)


def tcmsg(ifindex: int, handle: int, parent: int, info: int = 0) -> bytes:
    return struct.pack("=BxxxiIII", 0, ifindex, handle, parent, info)


def test_r26_sub_interface_is_born_in_the_routers_namespace() -> None:
    """RTM_NEWLINK with IFLA_LINK, IFLA_NET_NS_FD, a chosen ifindex and IFLA_VLAN_ID; must not meet its like."""
    data = attribute(NESTED | 2, attribute(1, struct.pack("=H", 1000)))
    expected = message(
        16,
        0x605,
        ifinfo(1_000_007),
        attribute(3, b"dpv7\0"),
        u32(5, 3),
        attribute(NESTED | 18, attribute(1, b"vlan\0") + data),
        u32(28, 9),
    )
    assert bytes(vlan.create_request(REAL, 3, 9)) == expected


def test_sub_interface_is_read() -> None:
    """Parent and VLAN id out of a dump; the protocol and flags beside the id do not disturb."""
    data = attribute(1, struct.pack("=H", 1000)) + attribute(2, bytes(8)) + attribute(5, struct.pack("!H", 0x8100))
    body = (
        ifinfo(1_000_007, 0x11043)
        + attribute(3, b"dpv7\0")
        + u32(5, 3)
        + attribute(1, bytes.fromhex("020000000001"))
        + attribute(18, attribute(1, b"vlan\0") + attribute(2, data))
    )
    seen = link.read("dp-vbr-vbr-1", (body, 0, len(body)))
    assert (seen.kind, seen.ifname, seen.parent_ifindex, seen.vlan, seen.peer_ifindex) == ("vlan", "dpv7", 3, 1000, 0)
    assert seen.up
    assert seen.has_carrier


def test_carrier_is_more_than_being_up() -> None:
    """IFF_UP without IFF_LOWER_UP."""
    body = ifinfo(3, 0x1003)
    seen = link.read("", (body, 0, len(body)))
    assert seen.up
    assert not seen.has_carrier


def test_clsact() -> None:
    """TC_H_CLSACT as parent, its major as handle."""
    expected = message(36, 0x605, tcmsg(3, 0xFFFF0000, 0xFFFFFFF1), attribute(1, b"clsact\0"))
    assert bytes(tc.clsact_request(3)) == expected
    assert bytes(tc.clsact_removal_request(3)) == message(37, 0x005, tcmsg(3, 0xFFFF0000, 0xFFFFFFF1))


def test_filter_is_attached_and_exchanged_by_one_message() -> None:
    """NLM_F_CREATE without NLM_F_EXCL; all protocols, in network byte order; direct action."""
    info = 219 << 16 | struct.unpack("=H", b"\x00\x03")[0]
    options = u32(6, 11) + attribute(7, b"dataplane_vlan\0") + u32(8, 1)
    expected = message(44, 0x405, tcmsg(3, 2, 0xFFFFFFF2, info), attribute(1, b"bpf\0"), attribute(NESTED | 2, options))
    assert bytes(tc.attach_request(3, tc.Hook.INGRESS, 11, 2)) == expected
    removed = message(45, 0x005, tcmsg(3, 2, 0xFFFFFFF3, info), attribute(1, b"bpf\0"))
    assert bytes(tc.detach_request(3, tc.Hook.EGRESS, 2)) == removed


def test_only_our_name_at_our_priority_is_ours() -> None:
    """A filter of another name, kind or priority is somebody else's."""

    def seen(name: bytes, kind: bytes = b"bpf\0", priority: int = 219) -> tc.Filter:
        body = tcmsg(3, 1, 0xFFFFFFF2, priority << 16 | 0x0300) + attribute(1, kind)
        body += attribute(2, attribute(7, name) + u32(11, 42))
        return tc.read_filter((body, 0, len(body)))

    assert seen(b"dataplane_vlan\0").carries(tc.VLAN)
    assert seen(b"dataplane_vlan\0").program_id == 42
    assert not seen(b"cil_from_netdev\0").carries(tc.VLAN)
    assert not seen(b"dataplane_vlan\0").carries(tc.FORWARDER)
    assert seen(b"dataplane_forwarder\0", priority=220).carries(tc.FORWARDER)
    assert not seen(b"dataplane_vlan\0", b"u32\0").carries(tc.VLAN)
    assert not seen(b"dataplane_vlan\0", priority=1).carries(tc.VLAN)
