"""Rules about packets, on the real kernel, with the packets that must not arrive looked for everywhere."""

import pytest

from dataplane.model import names
from dataplane.model.names import mac_address
from tests.fakes.networks import PEERED
from tests.netns.network import AppliedNetwork, hooked, is_arp, listening_everywhere, netstat, send_frame
from tests.netns.objects import inside

scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")

SPOOFED = b"spoofed-packet-payload"
HIDING = (
    PEERED.replace(
        "instances: {ecs-2: {vswitch: vsw-2, ip: 192.168.1.10}}",
        "instances: {ecs-2: {vswitch: vsw-2, ip: 192.168.1.10},"
        " box: {vswitch: vsw-9, ip: 192.168.9.10, forwarding: true}}",
    )
    .replace(
        "vswitches: {vsw-2: {zone: a, cidr: 192.168.1.0/24}}",
        "vswitches: {vsw-2: {zone: a, cidr: 192.168.1.0/24}, vsw-9: {zone: a, cidr: 192.168.9.0/24}}",
    )
    .replace(
        "          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}\n",
        "          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}\n"
        "          - {destination: 192.168.1.0/24, next_hop: {instance: box}}\n",
    )
)


def frame(source: str, destination: str, instance: str, payload: bytes = SPOOFED) -> bytes:
    ether = scapy.Ether(src=mac_address("instance", instance), dst=mac_address("port", instance))
    return bytes(ether / scapy.IP(src=source, dst=destination) / scapy.UDP(sport=1000, dport=2000) / payload)


def where_seen(frames: dict[str, list[bytes]], payload: bytes = SPOOFED) -> set[str]:
    return {name for name, seen in frames.items() if any(payload in one for one in seen)}


def test_first_packet_after_an_apply_waits_for_nobody(network: AppliedNetwork, ping: str) -> None:
    """Every MAC on the way is known before it: there is no ARP, so no proxy delay either."""
    network.must_apply(PEERED)
    with listening_everywhere() as frames:
        done = inside("dp-i-ecs-1", ping, "-c1", "-W2", "192.168.1.10")
    assert done.returncode == 0, done.stdout
    assert not any(is_arp(frame) for seen in frames.values() for frame in seen)


def test_spoofed_sources_are_dropped_and_counted(network: AppliedNetwork, ping: str) -> None:
    """Anti-spoofing of the slow path (kernel.md, section 1): neither a peer's address nor a neighbour's passes."""
    network.must_apply(hooked(PEERED, "off"))
    before = netstat("dp-vpc-vpc-1", "IPReversePathFilter")
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("192.168.1.10", "192.168.1.10", "ecs-1"))
        send_frame("ecs-1", frame("172.16.1.99", "192.168.1.10", "ecs-1"))
        send_frame("ecs-1", frame("203.0.113.1", "192.168.1.10", "ecs-1"))
    assert where_seen(frames) == {"dp-i-ecs-1", "dp-vpc-vpc-1"}, "seen where it was sent and at the first port only"
    assert netstat("dp-vpc-vpc-1", "IPReversePathFilter") == before + 3
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "192.168.1.10", "ecs-1"))
    assert "dp-i-ecs-2" in where_seen(frames), "its own address passes: the listener works"


def test_an_instance_behind_a_custom_route_keeps_its_own_address_and_no_other(network: AppliedNetwork) -> None:
    """R62 (DESIGN.md, "Source checks"): honest packets pass, spoofed ones do not, and the gateway still answers."""
    network.must_apply(HIDING)
    with listening_everywhere() as frames:
        send_frame("ecs-2", frame("192.168.1.10", "172.16.1.10", "ecs-2", b"honest"))
        send_frame("ecs-2", frame("192.168.9.10", "172.16.1.10", "ecs-2"))
    assert "dp-i-ecs-1" in where_seen(frames, b"honest")
    assert where_seen(frames) == {"dp-i-ecs-2", "dp-vpc-vpc-2"}
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "192.168.1.10", "ecs-1"))
    assert network.ping("ecs-2", "192.168.1.253")
    assert "dp-i-box" in where_seen(frames), "D16 and R62: what comes in by the peering goes to the box as well"


def test_r84_broadcast_and_multicast_reach_nobody(network: AppliedNetwork) -> None:
    text = PEERED.replace(
        "{ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}}",
        "{ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}, ecs-9: {vswitch: vsw-1}}",
    )
    network.must_apply(text)
    mac = mac_address("instance", "ecs-1")
    with listening_everywhere() as frames:
        for destination, to in (
            ("172.16.1.255", "ff:ff:ff:ff:ff:ff"),
            ("255.255.255.255", "ff:ff:ff:ff:ff:ff"),
            ("224.0.0.5", "01:00:5e:00:00:05"),
            ("172.16.1.255", mac_address("port", "ecs-1")),
        ):
            packet = scapy.Ether(src=mac, dst=to) / scapy.IP(src="172.16.1.10", dst=destination)
            send_frame("ecs-1", bytes(packet / scapy.UDP(sport=1, dport=2) / SPOOFED))
    assert where_seen(frames) == {"dp-i-ecs-1", "dp-vpc-vpc-1"}
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "172.16.1.1", "ecs-1"))
    assert "dp-i-ecs-9" in where_seen(frames), "R83: unicast within the vSwitch passes"


def test_link_local_addresses_of_transit_links_are_no_target(network: AppliedNetwork) -> None:
    """D12: nothing is to be reached at 169.254.0.1."""
    network.must_apply(PEERED)
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "169.254.0.1", "ecs-1"))
    assert where_seen(frames) == {"dp-i-ecs-1", "dp-vpc-vpc-1"}


def test_ttl_falls_by_one_at_each_router(network: AppliedNetwork) -> None:
    """D17, on whole packets: TTL and checksum are as they must be, and the payload is untouched."""
    network.must_apply(PEERED)
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "192.168.1.10", "ecs-1"))
    seen, *answers = [one for one in frames["dp-i-ecs-2"] if SPOOFED in one]
    assert len(answers) == 1, "and ecs-2 says that the port is closed"
    expected = (
        scapy.Ether(src=mac_address("port", "ecs-2"), dst=mac_address("instance", "ecs-2"))
        / scapy.IP(src="172.16.1.10", dst="192.168.1.10", ttl=62)
        / scapy.UDP(sport=1000, dport=2000)
        / SPOOFED
    )
    assert seen == bytes(expected)


def test_r15_suspended_is_silent_and_active_again_passes(network: AppliedNetwork) -> None:
    network.must_apply(PEERED)
    suspended = PEERED.replace("vpc: vpc-2}}", "vpc: vpc-2, state: suspended}}", 1)
    assert suspended != PEERED
    report = network.must_apply(suspended)
    assert {action.object.key[0] for action in report.planned.actions} == {"nexthop", "forwarder_state"}
    with listening_everywhere() as frames:
        send_frame("ecs-1", frame("172.16.1.10", "192.168.1.10", "ecs-1"))
    assert where_seen(frames) == {"dp-i-ecs-1", "dp-vpc-vpc-1"}
    answers = [one for one in frames["dp-i-ecs-1"] if scapy.Ether(one).haslayer(scapy.ICMP)]
    assert answers == [], "a blackhole says nothing"
    network.must_apply(PEERED)
    assert network.ping("ecs-1", "192.168.1.10")


def test_the_mtu_of_the_smaller_vpc_is_told_to_the_sender(network: AppliedNetwork) -> None:
    text = PEERED.replace("    cidr: 172.16.0.0/12\n", "    cidr: 172.16.0.0/12\n    mtu: 9000\n")
    network.must_apply(text)
    done = inside("dp-i-ecs-1", "ping", "-c1", "-W1", "-M", "do", "-s", "4000", "192.168.1.10")
    assert "Frag needed and DF set (mtu = 1500)" in done.stdout, done.stdout + done.stderr


def test_one_tenants_arp_scan_leaves_the_others_alone(network: AppliedNetwork) -> None:
    """The neighbour table is one per kernel: a scan of a /12 must leave no entries in a router."""
    network.must_apply(PEERED)
    mac = mac_address("instance", "ecs-1")
    for number in range(250):
        for sender in (f"172.16.1.{number}", f"172.17.0.{number}"):
            arp = scapy.Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / scapy.ARP(hwsrc=mac, psrc=sender, pdst="172.16.1.253")
            send_frame("ecs-1", bytes(arp))
    listed = inside(names.vpc_namespace("vpc-1"), "ip", "neigh", "show").stdout.splitlines()
    assert {line.split()[0] for line in listed} == {"172.16.1.10", "169.254.0.1"}
    assert network.ping("ecs-2", "172.16.1.10")
