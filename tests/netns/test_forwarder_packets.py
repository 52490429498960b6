"""The fast path on the real kernel: it forwards alone, answers as the slow path does, lets through no more than that.

Each test runs at both hooks. Beside what arrives, the forwarder's counters say which way it took.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.agent import datapath
from dataplane.cli.datapath_meters import meters_document
from dataplane.kernel import netns
from dataplane.kernel.driver import KernelDriver
from dataplane.model.forwarding import Reason
from dataplane.model.names import mac_address
from dataplane.model.traffic import NamedTraffic
from tests.fakes.networks import PEERED
from tests.netns.network import AppliedNetwork, hooked, listening_everywhere, send_frame
from tests.netns.objects import inside

scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")

SPOOFED = b"spoofed-packet-payload"
NONE: dict[Reason, int] = {}
ROUTERS = ("dp-vpc-vpc-1", "dp-vpc-vpc-2", "dp-vpc-vpc-3")


@pytest.fixture(params=["tc", "xdp"])
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fast(network: AppliedNetwork, hook: str) -> Iterator[AppliedNetwork]:
    """The network with the forwarder at a hook, and with routers whose kernels forward nothing."""
    network.must_apply(hooked(PEERED, hook))
    for router in ROUTERS:
        inside(router, "ip", "rule", "flush")
    yield network
    network.must_apply(hooked(PEERED, hook))


def traffic(network: AppliedNetwork) -> NamedTraffic:
    found = network.session().status().traffic
    assert found is not None
    return found


def counted(network: AppliedNetwork, port: str = "instance/ecs-1") -> dict[Reason, int]:
    """Frames that came in by a port, by reason."""
    return {reason: count.packets for reason, count in traffic(network).ports[port].items()}


def without(after: dict[Reason, int], before: dict[Reason, int]) -> dict[Reason, int]:
    return {reason: count - before.get(reason, 0) for reason, count in after.items() if count != before.get(reason, 0)}


def frame(source: str, destination: str, **fields: object) -> bytes:
    """A UDP packet from ecs-1's interface."""
    ether = scapy.Ether(src=mac_address("instance", "ecs-1"), dst=mac_address("port", "ecs-1"))
    ether.src = str(fields.pop("mac", ether.src))
    return bytes(ether / scapy.IP(src=source, dst=destination, **fields) / scapy.UDP(sport=1000, dport=2000) / SPOOFED)


def where_seen(frames: dict[str, list[bytes]]) -> set[str]:
    return {name for name, seen in frames.items() if any(SPOOFED in one for one in seen)}


def test_without_the_kernels_rules_the_forwarder_alone_delivers(fast: AppliedNetwork, hook: str) -> None:
    """And red once: with the forwarder off, the same routers deliver nothing."""
    before = counted(fast)
    assert fast.ping("ecs-1", "192.168.1.10", count=3)
    assert without(counted(fast), before).keys() <= {Reason.FORWARDED, Reason.CONTINUED}
    assert sum(without(counted(fast), before).values()) == 3
    assert fast.apply(hooked(PEERED, "off")).is_done
    for router in ROUTERS:
        inside(router, "ip", "rule", "flush")
    assert not fast.ping("ecs-1", "192.168.1.10")


def test_58_udp_arrives_whole_with_right_checksums(network: AppliedNetwork, hook: str) -> None:
    """Of every size, after every apply: from the slow path, to the other hook, and over again."""
    for text in (hooked(PEERED, hook), hooked(PEERED, "off"), hooked(PEERED, "xdp"), hooked(PEERED, hook)):
        network.must_apply(text)
        wrong = netstat_udp("dp-i-ecs-2", "InCsumErrors")
        assert echo([b"x" * size for size in (0, 1, 2, 3, 17, 512, 1471, 1472)]) == 8
        assert netstat_udp("dp-i-ecs-2", "InCsumErrors") == wrong


def test_tcp_carries_much(network: AppliedNetwork, hook: str) -> None:
    """Large segments pass, whatever offloads do on the way."""
    network.must_apply(hooked(PEERED, hook))
    sent = bytes(range(256)) * 8192
    with netns.entered("dp-i-ecs-2"):
        server = socket.create_server(("192.168.1.10", 5001))
    with netns.entered("dp-i-ecs-1"):
        client = socket.create_connection(("192.168.1.10", 5001), timeout=5)
    with server, client, server.accept()[0] as there:
        there.settimeout(5)
        got = bytearray()
        client.setblocking(False)
        position = 0
        while len(got) < len(sent):
            with_room = position < len(sent)
            if with_room:
                try:
                    position += client.send(sent[position : position + 65536])
                except BlockingIOError:
                    with_room = False
            if not with_room or position == len(sent) or position - len(got) > 1 << 20:
                got += there.recv(1 << 20)
    assert bytes(got) == sent


def test_47_ttl_and_the_answer_when_it_ends(network: AppliedNetwork, hook: str) -> None:
    """A router less for each; the kernel of the very router where it ends says so, as on the slow path."""
    said: dict[str, list[str]] = {}
    for text in (hooked(PEERED, hook), hooked(PEERED, "off")):
        network.must_apply(text)
        said[text] = []
        for ttl in ("1", "2", "3"):
            done = inside("dp-i-ecs-1", "ping", "-c1", "-W1", "-t", ttl, "192.168.1.10")
            said[text].append(done.stdout.splitlines()[1].split(" time=")[0])
    fast, slow = said.values()
    assert fast == slow
    assert "From 172.16.1.253 icmp_seq=1 Time to live exceeded" in slow[0]
    assert "ttl=62" in slow[2]


def test_50_too_large_and_unreachable_are_answered_as_on_the_slow_path(network: AppliedNetwork, hook: str) -> None:
    words: dict[str, list[str]] = {}
    for text in (hooked(PEERED, hook), hooked(PEERED, "off")):
        text = text.replace("    cidr: 192.168.0.0/16\n", "    cidr: 192.168.0.0/16\n    mtu: 1300\n")
        network.must_apply(text)
        inside("dp-i-ecs-1", "ip", "route", "flush", "cache")  # what it has learned of the MTU
        words[text] = []
        for options in (
            ("-M", "do", "-s", "1400", "192.168.1.10"),
            ("192.168.1.99",),
            ("172.16.1.99",),
            ("10.0.1.10",),
        ):
            done = inside("dp-i-ecs-1", "ping", "-c1", "-W1", *options)
            words[text].append(done.stdout.splitlines()[1])
    fast, slow = words.values()
    assert fast == slow
    assert "Frag needed and DF set (mtu = 1300)" in slow[0]


def test_fragments_of_a_large_datagram_arrive(network: AppliedNetwork, hook: str) -> None:
    """48: from 1500 to 1300, the kernel cuts what the forwarder may not send on."""
    text = hooked(PEERED, hook).replace("    cidr: 192.168.0.0/16\n", "    cidr: 192.168.0.0/16\n    mtu: 1300\n")
    network.must_apply(text)
    assert echo([b"x" * 1472, b"y" * 4000], is_cut=True) == 2


@pytest.mark.parametrize("source", ["192.168.1.10", "172.16.1.99", "203.0.113.1", "172.16.1.253"])
def test_a_spoofed_source_is_dropped_at_the_port(fast: AppliedNetwork, hook: str, source: str) -> None:
    """A peer's address, a neighbour's, a stranger's, the gateway's: 0 of them, and each counted."""
    before = counted(fast)
    with listening_everywhere() as frames:
        for _ in range(10):
            send_frame("ecs-1", frame(source, "192.168.1.10"))
    # At XDP not even the port's own taps see it.
    assert where_seen(frames) == ({"dp-i-ecs-1", "dp-vpc-vpc-1"} if hook == "tc" else {"dp-i-ecs-1"})
    assert without(counted(fast), before) == {Reason.SPOOFED_SOURCE: 10}
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "192.168.1.10"))
    assert "dp-i-ecs-2" in where_seen(frames), "its own address passes: the listener works"


def test_a_spoofed_mac_and_arp_are_dropped_at_the_port(fast: AppliedNetwork, hook: str) -> None:
    before = counted(fast)
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "192.168.1.10", mac="02:00:00:00:00:99"))
        forged = scapy.Ether(src=mac_address("instance", "ecs-1"), dst="ff:ff:ff:ff:ff:ff") / scapy.ARP(
            hwsrc=mac_address("instance", "ecs-1"), psrc="172.16.1.253", pdst="172.16.1.1"
        )
        send_frame("ecs-1", bytes(forged))
    assert "dp-i-ecs-2" not in where_seen(frames)
    assert without(counted(fast), before) == {Reason.SPOOFED_MAC: 1, Reason.SPOOFED_ARP: 1}
    notes = fast.session().status().notes
    assert any("frames dropped by the forwarder: " in note for note in notes), notes


def test_d16_nothing_passes_through_a_vpc(fast: AppliedNetwork) -> None:
    """vpc-1 and vpc-3 both peer with vpc-2; the kernel refuses, and says so when it may."""
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "10.0.1.10"))
    assert "dp-i-ecs-3" not in where_seen(frames)


def test_39_the_kernels_own_ways_stay_open(network: AppliedNetwork, hook: str) -> None:
    """The gateway answers, ARP is answered, and an unknown port answers nothing."""
    network.must_apply(hooked(PEERED, hook))
    assert network.ping("ecs-1", "172.16.1.253")
    inside("dp-i-ecs-1", "ip", "neigh", "flush", "all")
    assert network.ping("ecs-1", "172.16.1.253")
    assert Reason.LOCAL in counted(network)


def test_counters_of_ports_and_legs_are_in_the_words_of_the_configuration(network: AppliedNetwork, hook: str) -> None:
    network.must_apply(hooked(PEERED, hook))
    assert network.ping("ecs-1", "192.168.1.10", count=5)
    found = traffic(network)
    assert {port for port in found.ports if port.startswith("instance/")} == {f"instance/ecs-{n}" for n in (1, 2, 3)}
    assert found.legs["ri-1"].packets == found.legs["ri-2"].packets == 5
    assert found.legs["ri-1"].bytes == 5 * 98
    assert KernelDriver().traffic().drops() == NONE
    meters = meters_document(*datapath.counted(network.folder / "state"))
    (end,) = [row for row in meters["connections"] if row["router_interface"] == "ri-1"]
    assert end["connection"] == "pcx-1"
    assert (end["sent"], end["received"]) == ({"packets": 5, "bytes": 490}, {"packets": 5, "bytes": 490})
    (port,) = [row for row in meters["ports"] if row["port"] == "instance/ecs-1"]
    assert (port["sent_on"]["packets"], port["dropped"]["packets"]) == (5, 0)


def netstat_udp(namespace: str, counter: str) -> int:
    with netns.entered(namespace):
        lines = [line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()]
    head, values = (line for line in lines if line[0] == "Udp:")
    return int(values[head.index(counter)])


def echo(payloads: list[bytes], *, is_cut: bool = False) -> int:
    """How many datagrams arrive at ecs-2 as they were sent by ecs-1."""
    with netns.entered("dp-i-ecs-2"):
        there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        there.bind(("192.168.1.10", 7))
    with netns.entered("dp-i-ecs-1"):
        here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with there, here:
        there.settimeout(1)
        if is_cut:
            here.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: no DF
        arrived = 0
        for payload in payloads:
            here.sendto(payload, ("192.168.1.10", 7))
            try:
                arrived += there.recv(65536) == payload
            except TimeoutError:
                continue
    return arrived
