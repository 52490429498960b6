"""Requests compared byte by byte with messages written by hand after <linux/*.h>, and read back."""

import struct
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from dataplane.errors import BugError
from dataplane.kernel import address, link, neighbour, nexthop, route, rule
from dataplane.kernel.messages import CREATE as CREATE_FLAGS
from dataplane.kernel.messages import Attributes, Kind, encode
from dataplane.kernel.rtnetlink import nlmsg
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Neighbour,
    Nexthop,
    NexthopGroup,
    RouteType,
    Rule,
    VethEnd,
)
from dataplane.plan.action import Verb

CREATE, CHANGE, DELETE = 0x605, 0x505, 0x005
"""NLM_F_REQUEST|ACK with CREATE|EXCL, with CREATE|REPLACE, with nothing."""
OURS = 219
IFINDEX = 1_000_007


def ifindex_of(ifname: str) -> int:
    return {"dpi7": IFINDEX}[ifname]


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def message(kind: int, flags: int, *body: bytes) -> bytes:
    content = b"".join(body)
    return struct.pack("=IHHII", len(content) + 16, kind, flags, 0, 0) + content


def ip(text: str) -> bytes:
    return IPv4Address(text).packed


def rtmsg(length: int, table: int, scope: int, kind: int, flags: int = 0) -> bytes:
    return struct.pack("=BBBBBBBBI", 2, length, 0, 0, table, OURS, scope, kind, flags)


PORT_ROUTE = KernelRoute("vr", 1001, IPv4Network("192.168.1.10/32"), ifname="dpi7", source=IPv4Address("192.168.1.253"))
GROUP_ROUTE = KernelRoute("vr", 1001, IPv4Network("172.16.0.0/16"), nexthop=100_001)
CLOSING = KernelRoute("vr", 1001, IPv4Network("0.0.0.0/0"), RouteType.UNREACHABLE, metric=0xFFFFFFFF)
GATEWAY_ROUTE = KernelRoute("i", 254, IPv4Network("0.0.0.0/0"), ifname="dpi7", via=IPv4Address("192.168.1.253"))
GROUP = NexthopGroup("vr", 100_001, ((11, 1), (12, 256)))
RULE = Rule("vr", 50, 1003, "lo", IPv4Network("192.168.10.1/32"), IPv4Network("10.10.0.0/16"))

CASES: dict[str, tuple[Kind, Verb, KernelObject, bytes]] = {
    "address": (
        address,
        Verb.CREATE,
        Address("i", "dpi7", IPv4Interface("192.168.1.10/24")),
        message(
            20,
            CREATE,
            struct.pack("=BBBBI", 2, 24, 0, 0, IFINDEX),
            attribute(2, ip("192.168.1.10")),
            attribute(1, ip("192.168.1.10")),
            attribute(11, bytes([OURS])),
        ),
    ),
    "neighbour": (
        neighbour,
        Verb.CREATE,
        Neighbour("vr", "dpi7", IPv4Address("169.254.0.1"), "02:00:00:00:00:0a"),
        message(
            28,
            CREATE,
            struct.pack("=B3xiHBB", 2, IFINDEX, 0x80, 0, 0),
            attribute(1, ip("169.254.0.1")),
            attribute(2, bytes.fromhex("02000000000a")),
            attribute(12, bytes([OURS])),
        ),
    ),
    "port route": (
        route,
        Verb.CREATE,
        PORT_ROUTE,
        message(
            24,
            CREATE,
            rtmsg(32, 252, 253, 1),
            u32(15, 1001),
            attribute(1, ip("192.168.1.10")),
            u32(4, IFINDEX),
            attribute(7, ip("192.168.1.253")),
        ),
    ),
    "group route, changed": (
        route,
        Verb.CHANGE,
        GROUP_ROUTE,
        message(24, CHANGE, rtmsg(16, 252, 0, 1), u32(15, 1001), attribute(1, ip("172.16.0.0")), u32(30, 100_001)),
    ),
    "closing route": (
        route,
        Verb.CREATE,
        CLOSING,
        message(24, CREATE, rtmsg(0, 252, 0, 7), u32(15, 1001), u32(6, 0xFFFFFFFF)),
    ),
    "gateway route": (
        route,
        Verb.CREATE,
        GATEWAY_ROUTE,
        message(24, CREATE, rtmsg(0, 254, 0, 1, 4), u32(15, 254), u32(4, IFINDEX), attribute(5, ip("192.168.1.253"))),
    ),
    "group route, deleted": (
        route,
        Verb.DELETE,
        GROUP_ROUTE,
        message(25, DELETE, rtmsg(16, 252, 255, 0), u32(15, 1001), attribute(1, ip("172.16.0.0")), u32(30, 100_001)),
    ),
    "next hop": (
        nexthop,
        Verb.CREATE,
        Nexthop("vr", 11, "dpi7", IPv4Address("169.254.0.1")),
        message(
            104,
            CREATE,
            struct.pack("=BBBBI", 2, 0, OURS, 0, 4),
            u32(1, 11),
            u32(5, IFINDEX),
            attribute(6, ip("169.254.0.1")),
        ),
    ),
    "blackhole next hop": (
        nexthop,
        Verb.CHANGE,
        Nexthop("vr", 11),
        message(104, CHANGE, struct.pack("=BBBBI", 2, 0, OURS, 0, 0), u32(1, 11), attribute(4, b"")),
    ),
    "resilient group": (
        nexthop,
        Verb.CREATE,
        GROUP,
        message(
            104,
            CREATE,
            struct.pack("=BBBBI", 0, 0, OURS, 0, 0),
            u32(1, 100_001),
            attribute(2, struct.pack("=IBBHIBBH", 11, 0, 0, 0, 12, 255, 0, 0)),
            attribute(3, struct.pack("=H", 1)),
            attribute(0x8000 | 12, attribute(1, struct.pack("=H", 256)) + u32(2, 0) + u32(3, 0)),
        ),
    ),
    "rule": (
        rule,
        Verb.CREATE,
        RULE,
        message(
            32,
            CREATE,
            struct.pack("=BBBBBBBBI", 2, 16, 32, 0, 0, 0, 0, 1, 0),
            u32(6, 50),
            u32(15, 1003),
            attribute(3, b"lo\0"),
            attribute(2, ip("192.168.10.1")),
            attribute(1, ip("10.10.0.0")),
            attribute(21, bytes([OURS])),
        ),
    ),
    "default rule, deleted": (
        rule,
        Verb.DELETE,
        Rule("vr", 32766, 254),
        message(33, DELETE, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 0, 0, 0, 1, 0), u32(6, 32766), u32(15, 254)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_request_is_what_the_kernel_headers_say(case: str) -> None:
    """Every byte, sequence number and port id left to the socket."""
    kind, verb, item, expected = CASES[case]
    assert bytes(kind.request(verb, item, ifindex_of)).hex(" ", 4) == expected.hex(" ", 4)


@pytest.mark.parametrize("case", [name for name, (_, verb, _, _) in CASES.items() if verb is not Verb.DELETE])
def test_what_was_sent_is_what_is_read(case: str) -> None:
    """The kernel dumps attributes in the form in which it takes them: reading gives the object back, as ours."""
    kind, _, item, sent = CASES[case]
    seen = kind.read(item.namespace, {IFINDEX: "dpi7"}, (sent, 16, len(sent)))
    assert seen is not None
    assert seen.item == item
    assert seen.is_ours


@pytest.mark.parametrize("case", ["address", "neighbour", "next hop", "rule", "closing route"])
def test_without_our_mark_it_is_not_ours(case: str) -> None:
    """The same bytes with another protocol number (`static`): the object is somebody else's."""
    kind, _, item, sent = CASES[case]
    others = sent.replace(bytes([OURS]), bytes([4]))
    assert others != sent
    seen = kind.read(item.namespace, {IFINDEX: "dpi7"}, (others, 16, len(others)))
    assert seen is not None
    assert not seen.is_ours


def test_veth_is_born_with_its_far_end_elsewhere() -> None:
    """kernel.md, section 5: chosen numbers at both ends, the far one in the namespace behind a descriptor."""
    near = VethEnd("vr", "dpi7", IFINDEX, "02:00:00:00:00:07")
    far = VethEnd("i", "eth0", IFINDEX + 1, "02:00:00:00:00:08")
    peer = (
        struct.pack("=BxHiII", 0, 0, IFINDEX + 1, 0, 0)
        + attribute(3, b"eth0\0")
        + attribute(1, bytes.fromhex("020000000008"))
        + u32(4, 1500)
        + u32(28, 9)
    )
    info = attribute(1, b"veth\0") + attribute(0x8000 | 2, attribute(0x8000 | 1, peer))
    expected = message(
        16,
        CREATE,
        struct.pack("=BxHiII", 0, 0, IFINDEX, 0, 0),
        attribute(3, b"dpi7\0"),
        attribute(1, bytes.fromhex("020000000007")),
        u32(4, 1500),
        attribute(0x8000 | 18, info),
    )
    assert bytes(link.create_request(near, far, 9, 1500)).hex(" ", 4) == expected.hex(" ", 4)


def test_several_links_are_deleted_as_a_group() -> None:
    """One message deletes them all; a single link needs no group."""
    body = [struct.pack("=BxHiII", 0, 0, ifindex, 0, 0) for ifindex in (5, 6, 0)]
    together = u32(27, 77)
    expected = [
        message(19, DELETE, body[0], together),
        message(19, DELETE, body[1], together),
        message(17, DELETE, body[2], together),
    ]
    assert [bytes(sent) for sent in link.delete_requests([5, 6], 77)] == expected
    assert [bytes(sent) for sent in link.delete_requests([5], 77)] == [message(17, DELETE, body[0])]


@pytest.mark.parametrize(
    ("table", "protocol", "kind"),
    [(255, 2, 2), (254, 2, 1), (254, OURS, 3), (254, OURS, 5)],
    ids=["local table", "connected", "broadcast", "multicast"],
)
def test_routes_that_the_kernel_adds_are_not_read(table: int, protocol: int, kind: int) -> None:
    """Whatever they lead to."""
    body = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, table, protocol, 0, kind, 0) + attribute(1, ip("192.0.2.0"))
    assert route.read("vr", {}, (body, 0, len(body))) is None


@pytest.mark.parametrize("extra", [u32(10, 1), attribute(17, b"eth9\0"), u32(14, 0)], ids=["fwmark", "oif", "suppress"])
def test_rules_that_we_could_not_have_made_are_never_ours(extra: bytes) -> None:
    """A rule with a selector that our rules lack is another rule, and has no key of ours, whatever it says."""
    body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 0, 0, 0, 1, 0) + u32(6, 200) + u32(15, 1001) + attribute(21, b"\4")
    ours, other = (rule.read("vr", {}, (data, 0, len(data))) for data in (body, body + extra))
    assert ours is not None
    assert other is not None
    assert not other.is_ours
    assert other.item.key != ours.item.key


def test_nexthop_route_is_read_as_what_was_asked_for() -> None:
    """The kernel adds device and gateway of the next hop, and calls the route a blackhole where the next hop is one."""
    body = rtmsg(16, 252, 0, 6) + attribute(1, ip("172.16.0.0")) + u32(15, 1001) + u32(30, 100_001)
    body += u32(4, IFINDEX) + attribute(5, ip("169.254.0.1"))
    seen = route.read("vr", {IFINDEX: "dpi7"}, (body, 0, len(body)))
    assert seen is not None
    assert seen.item == GROUP_ROUTE


def test_lengths_are_without_padding_and_nesting_is_marked() -> None:
    """Messages within messages, odd lengths: each part says its own length and ends on four bytes."""
    peer: Attributes = [("IFLA_IFNAME", "odd"), ("IFLA_ADDRESS", "02:00:00:00:00:01")]
    data = {"attrs": [("VETH_INFO_PEER", {"index": 5, "attrs": peer})]}
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    sent = encode(link.LinkMessage, 16, CREATE_FLAGS, {"index": 9}, [("IFLA_LINKINFO", info), ("IFLA_MTU", 1500)])
    inner = attribute(3, b"odd\0") + attribute(1, bytes.fromhex("020000000001"))
    far = attribute(0x8001, struct.pack("=BxHiII", 0, 0, 5, 0, 0) + inner)
    nested = attribute(0x8012, attribute(1, b"veth\0") + attribute(0x8002, far))
    assert sent == message(16, CREATE_FLAGS, struct.pack("=BxHiII", 0, 0, 9, 0, 0), nested, u32(4, 1500))


def test_unknown_kind_of_attribute_is_a_bug_of_ours() -> None:
    """Rather than a message that lacks something."""

    class Odd(nlmsg):
        fields = (("family", "B"),)
        nla_map = ((1, "ODD_ONE", "uint128"),)

    with pytest.raises(BugError, match="ODD_ONE"):
        encode(Odd, 1, 0, {})


def test_driver_does_without_pyroute2() -> None:
    """Importing it takes 0.13 s, which every command that looks at the kernel would pay (T16)."""
    question = "import sys, dataplane.kernel.driver; sys.exit('pyroute2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", question], check=False).returncode == 0
