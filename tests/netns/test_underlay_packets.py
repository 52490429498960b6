"""What the underlay filter does to real and to forged packets: two hosts, a tunnel, and bytes put together by hand."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from dataplane.kernel import netns
from dataplane.kernel.underlay import Reason
from dataplane.model import names
from dataplane.model.kernel import (
    Address,
    FdbEntry,
    KernelObject,
    KernelRoute,
    Neighbour,
    Sysctl,
)
from dataplane.plan.action import Verb
from tests.netns.lines import converge, tap
from tests.netns.objects import ROUTER_A, SYSTEM, World, inside, run, set_sysctl
from tests.netns.underlay import (
    FAR,
    FAR_MAC,
    HERE,
    NEAR_MAC,
    PEER,
    PEER_DEVICE,
    STRANGER,
    THERE,
    VNI,
    admission,
    cable,
    frame,
    heard_until,
    lay,
    throw,
    tunnel,
    tunnelled,
    underlay_filter,
    vxlan_packet,
)

SECOND_HERE, SECOND_THERE = IPv4Address("172.20.9.11"), IPv4Address("172.20.9.12")
"""Of a second wire between the two, which is no underlay."""


@pytest.fixture(autouse=True)
def laid(world: World) -> Iterator[None]:
    """A wire to the peer."""
    with cable():
        yield


@pytest.fixture
def joined(world: World) -> World:
    """A router here and one on the peer, each with an address, joined by a tunnel; the peer's is made by `ip`."""
    near, far = IPv4Network("10.0.0.0/24"), IPv4Network("10.0.1.0/24")
    link = tunnel()
    desired: list[KernelObject] = [
        *tunnelled(link=link),
        Sysctl(ROUTER_A, f"net/ipv4/conf/{link.ifname}/rp_filter", "0", ifname=link.ifname),
        *(Address(ROUTER_A, "lo", IPv4Interface(near[host])) for host in (1, 2)),
        KernelRoute(ROUTER_A, SYSTEM, far, ifname=link.ifname, via=THERE, source=near[1]),
    ]
    converge(world, desired)
    _far_router(world, near, far)
    return world


def _far_router(world: World, near: IPv4Network, far: IPv4Network) -> None:
    world.foreign_namespace(FAR)
    set_sysctl(FAR, "net/ipv6/conf/all/disable_ipv6", "1")
    kind = f"id {VNI} local {THERE} dev {PEER_DEVICE} dstport 4789 nolearning"
    run(*f"ip -n {PEER} link add vx netns {FAR} address {FAR_MAC} type vxlan {kind}".split())
    for command in (
        "link set dev lo up",
        "link set dev vx up",
        f"addr add {far[1]}/32 dev lo",
        f"neigh add {HERE} lladdr {NEAR_MAC} dev vx nud permanent",
        f"route add {near} via {HERE} dev vx onlink src {far[1]}",
    ):
        run("ip", "-n", FAR, *command.split())
    run("bridge", "-n", FAR, *f"fdb add {NEAR_MAC} dev vx dst {HERE} self permanent".split())


def test_routers_on_two_hosts_reach_each_other(joined: World, ping: str) -> None:
    """Both ways through the tunnel, from small to full packets, and nothing is dropped."""
    for size in (8, 1422):
        done = inside(ROUTER_A, ping, "-c2", "-W2", "-i0.2", "-Mdo", f"-s{size}", "10.0.1.1")
        assert "2 received" in done.stdout, done.stdout
        done = inside(FAR, ping, "-c2", "-W2", "-i0.2", "-Mdo", f"-s{size}", "10.0.0.1")
        assert "2 received" in done.stdout, done.stdout
    assert joined.driver.underlay_drops() == {}


def test_the_tunnel_speaks_as_it_should_on_the_wire(joined: World, ping: str) -> None:
    """Outer TTL, DF, port, no checksum, VNI and the inner MACs, byte by byte."""
    with tap(PEER, PEER_DEVICE) as wire:
        inside(ROUTER_A, ping, "-c1", "-W2", "-pdada", "10.0.1.1")
        packet = heard_until(wire, b"\xda" * 16)[-1]
    outer, udp, inner = packet[14:34], packet[34:42], packet[50:]
    assert (outer[12:16], outer[16:20]) == (HERE.packed, THERE.packed)
    assert (outer[6] & 0x40, outer[8], outer[9]) == (0x40, 64, 17)
    assert (udp[2:4], udp[6:8]) == (names.VXLAN_PORT.to_bytes(2), b"\0\0")
    assert packet[42:50] == b"\x08\0\0\0" + VNI.to_bytes(3) + b"\0"
    assert inner[:6].hex(":") == FAR_MAC
    assert inner[6:12].hex(":") == NEAR_MAC


FORGED: dict[str, tuple[Reason, bytes, IPv4Address, IPv4Address]] = {
    "from a stranger": (Reason.UNKNOWN_HOST, vxlan_packet(frame(payload=b"F0")), STRANGER, HERE),
    "with another VNI": (Reason.WRONG_VNI, vxlan_packet(frame(payload=b"F1"), vni=78), THERE, HERE),
    "from another inner source": (
        Reason.WRONG_SOURCE,
        vxlan_packet(frame(source="10.0.2.1", payload=b"F2")),
        THERE,
        HERE,
    ),
    "from the address before": (Reason.WRONG_SOURCE, vxlan_packet(frame("10.0.0.255", payload=b"F3")), THERE, HERE),
    "from the address after": (Reason.WRONG_SOURCE, vxlan_packet(frame("10.0.2.0", payload=b"F4")), THERE, HERE),
    "ARP": (Reason.NOT_IPV4, vxlan_packet(frame(payload=b"F5", ethertype=0x0806)), THERE, HERE),
    "IPv6": (Reason.NOT_IPV4, vxlan_packet(frame(payload=bytes(40) + b"F6", ethertype=0x86DD)), THERE, HERE),
    "a VLAN tag": (Reason.NOT_IPV4, vxlan_packet(frame(payload=b"F7", ethertype=0x8100)), THERE, HERE),
    "by another wire": (Reason.WRONG_DEVICE, vxlan_packet(frame(payload=b"F8")), SECOND_THERE, SECOND_HERE),
    "by another wire to the right address": (
        Reason.WRONG_DEVICE,
        vxlan_packet(frame(payload=b"F9")),
        SECOND_THERE,
        HERE,
    ),
}
"""Reason, packet, sender, destination: each with a payload of its own to be recognised by."""
DEAF = {
    "without a VNI": (Reason.MALFORMED, vxlan_packet(frame(payload=b"G0"), flags=0)),
    "too short for a source": (Reason.MALFORMED, vxlan_packet(frame()[:20])),
    "too short for a VNI": (Reason.MALFORMED, b"\x08"),
    "empty": (Reason.MALFORMED, b""),
}
"""What the kernel's own VXLAN would not take, either; it must be counted all the same."""


@pytest.fixture
def second_wire(joined: World) -> World:
    """A wire that is no underlay, in the same two namespaces; the router's VNI 78 has a link, too."""
    lay("eth9", f"{SECOND_HERE}/24", "up9", f"{SECOND_THERE}/24")
    run("ip", "-n", PEER, "route", "add", f"{HERE}/32", "via", str(SECOND_HERE), "src", str(SECOND_THERE), "table", "9")
    run("ip", "-n", PEER, "rule", "add", "from", str(SECOND_THERE), "lookup", "9")
    for name in ("all", "eth9"):
        set_sysctl(names.HOST, f"net/ipv4/conf/{name}/rp_filter", "0")
    other = tunnel(8, 78, mark=names.mark("peering_tunnel", "pcx-1"))
    assert joined.do(Verb.CREATE, other).error is None
    return joined


def _good(marker: bytes) -> None:
    throw(vxlan_packet(frame(payload=marker)))


@pytest.mark.parametrize("case", FORGED)
def test_forged_packet_is_dropped_and_counted(second_wire: World, case: str) -> None:
    """Nothing of it is heard up to a good packet that was sent after it, by either link of the router."""
    reason, packet, sender, to = FORGED[case]
    payload = packet[-2:]
    ifname = "dpx8" if reason is Reason.WRONG_VNI else "dpx7"
    with tap(ROUTER_A, ifname) as here, tap(ROUTER_A, "dpx7") as good:
        for _ in range(3):
            throw(packet, sender, to)
        _wait_for(second_wire, {reason.words: 3})
        _good(b"good")
        heard = heard_until(good, b"good")
        assert [one for one in heard if one.endswith(payload)] == []
        assert _heard_now(here, payload) == 0
    assert second_wire.driver.underlay_drops() == {reason.words: 3}


@pytest.mark.parametrize("case", FORGED)
def test_forged_packet_arrives_where_there_is_no_filter(second_wire: World, case: str) -> None:
    """The test above can fail: each of its packets is heard as soon as the filter is gone."""
    reason, packet, sender, to = FORGED[case]
    assert second_wire.do(Verb.DELETE, underlay_filter()).error is None
    ifname = "dpx8" if reason is Reason.WRONG_VNI else "dpx7"
    with tap(ROUTER_A, ifname) as here:
        throw(packet, sender, to)
        assert heard_until(here, packet[-2:])


@pytest.mark.parametrize("case", DEAF)
def test_malformed_packet_is_dropped_and_counted(joined: World, case: str) -> None:
    """What is too short to have a VNI or a source never reaches the rule that accepts."""
    reason, packet = DEAF[case]
    for _ in range(3):
        throw(packet)
    _wait_for(joined, {reason.words: 3})
    with tap(ROUTER_A, "dpx7") as good:
        _good(b"good")
        assert len(heard_until(good, b"good")) == 1


def test_fragments_of_a_forged_packet_are_put_together_first(joined: World) -> None:
    """The inner source stands in the first one only; the kernel joins them before it asks the filter."""
    forged = vxlan_packet(frame(source="10.0.2.1", payload=bytes(3000)))
    for packet, words in ((forged, {Reason.WRONG_SOURCE.words: 1}), (vxlan_packet(frame(payload=bytes(3000))), {})):
        before = joined.driver.underlay_drops()
        throw(packet)
        _wait_for(joined, {**before, **words})


def test_each_admission_lets_in_its_ranges_and_no_more(joined: World) -> None:
    """First and last address of each range pass, their neighbours do not."""
    wanted = underlay_filter(admission("10.0.1.8", "10.0.1.11"), admission("10.0.1.16"), admission("10.0.1.17", vni=78))
    assert joined.do(Verb.CHANGE, wanted).error is None
    with tap(ROUTER_A, "dpx7") as here:
        for last in (7, 8, 11, 12, 15, 16, 17, 18):
            throw(vxlan_packet(frame(f"10.0.1.{last}", payload=b"\xabnumber" + bytes([last]))))
        throw(vxlan_packet(frame("10.0.1.8", payload=b"the end")))
        heard = heard_until(here, b"the end")
    assert [one[-1] for one in heard if b"\xabnumber" in one] == [8, 11, 16]
    assert joined.driver.underlay_drops() == {Reason.WRONG_SOURCE.words: 5}


def test_other_traffic_of_the_host_is_not_touched(joined: World, ping: str) -> None:
    """Only the VXLAN port is asked about: other UDP ports, ICMP and TCP pass on every device."""
    done = inside(PEER, ping, "-c1", "-W2", str(HERE))
    assert "1 received" in done.stdout
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind((str(HERE), 4790))
        here.settimeout(5)
        with netns.entered(PEER), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.sendto(b"hello", (str(HERE), 4790))
        assert here.recv(16) == b"hello"
    with socket.create_server((str(HERE), 4791)) as server:
        server.settimeout(5)
        with netns.entered(PEER), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect((str(HERE), 4791))
    assert joined.driver.underlay_drops() == {}


def test_local_program_cannot_put_a_packet_in(joined: World) -> None:
    """A program on the host sends to its own port, from its own address or the peer's: another device, `lo`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.sendto(vxlan_packet(frame(payload=b"F9")), (str(HERE), names.VXLAN_PORT))
    _wait_for(joined, {Reason.WRONG_DEVICE.words: 1})


def test_entry_decides_which_host_hears_a_packet(joined: World, ping: str) -> None:
    """Without its entry a MAC is reached by nobody: nothing is flooded."""
    entry = FdbEntry(ROUTER_A, "dpx7", FAR_MAC, THERE)
    assert joined.do(Verb.DELETE, entry).error is None
    with tap(PEER, PEER_DEVICE) as wire:
        inside(ROUTER_A, ping, "-c1", "-W1", "-pdada", "10.0.1.1")
        assert joined.do(Verb.CREATE, entry).error is None
        inside(ROUTER_A, ping, "-c1", "-W2", "-pbaba", "10.0.1.1")
        heard = heard_until(wire, b"\xba" * 16)
    assert [one for one in heard if b"\xda" * 16 in one] == []
    assert isinstance(joined.seen()[Neighbour(ROUTER_A, "dpx7", THERE, FAR_MAC).key], Neighbour)


def _wait_for(world: World, counted: dict[str, int]) -> None:
    """Packets between two namespaces of one machine are handled at once, or a little later."""
    for _ in range(200):
        if world.driver.underlay_drops() == counted:
            return
        inside(PEER, "sleep", "0.02")
    assert world.driver.underlay_drops() == counted


def _heard_now(opened: socket.socket, payload: bytes) -> int:
    """How many of the frames that have come in so far end like this."""
    opened.setblocking(False)
    count = 0
    while True:
        try:
            count += opened.recv(65536).endswith(payload)
        except BlockingIOError:
            return count
