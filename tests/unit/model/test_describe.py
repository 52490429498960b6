"""Kernel objects in the kernel's words: one golden line per kind, and every kind has one."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import get_args

import pytest

from dataplane.model import names
from dataplane.model.describe import describe, describe_change, kind_of, namespace_of
from dataplane.model.forwarding import Forwarding
from dataplane.model.kernel import (
    Address,
    Admission,
    Classifier,
    DeviceQueues,
    FarEnd,
    FdbEntry,
    ForwarderState,
    KernelObject,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    PortProgram,
    RouteType,
    Rule,
    Shaper,
    Sysctl,
    UnderlayFilter,
    Veth,
    VethEnd,
    VlanLink,
    VlanMode,
    VxlanLink,
)

VR = "dp-vpc-red"
NEAR = VethEnd(VR, "dpi7", 1_000_007, "02:00:00:00:00:07")
FAR = VethEnd("dp-i-web", "eth0", 1_000_008, "02:00:00:00:00:08", up=False)
VETH = Veth("dataplane instance/web", NEAR, FAR, 1500)
ANY = IPv4Network("0.0.0.0/0")
TEN = IPv4Network("10.1.0.0/16")
GATEWAY = IPv4Address("192.0.2.253")

VTEP = IPv4Address("172.20.0.12")
TUNNEL = VxlanLink(
    *("dataplane vpc_tunnel/red", VR, "dpx7", 1_000_007, "02:00:00:00:00:07", 77, IPv4Address("172.20.0.11"), "eth0"),
    1450,
)
ADMISSIONS = frozenset(Admission(VTEP, 77, IPv4Address(number), IPv4Address(number)) for number in range(1200))

LINES: list[tuple[KernelObject, str]] = [
    (Namespace(VR, "dataplane vpc/red"), "namespace dp-vpc-red"),
    (Sysctl(VR, "net/ipv4/ip_forward", "1"), "dp-vpc-red: sysctl net.ipv4.ip_forward = 1"),
    (
        Sysctl(names.HOST, "net/ipv4/neigh/default/gc_thresh3", "65536", at_least=True),
        "host: sysctl net.ipv4.neigh.default.gc_thresh3 >= 65536",
    ),
    (VETH, "veth dp-vpc-red: dpi7 02:00:00:00:00:07 <-> dp-i-web: eth0 02:00:00:00:00:08 down mtu 1500"),
    (Veth("dataplane instance/web", NEAR, None, 1500), "veth dp-vpc-red: dpi7 02:00:00:00:00:07 mtu 1500"),
    (Address(VR, "lo", IPv4Interface("192.0.2.253/32")), "dp-vpc-red: address 192.0.2.253/32 dev lo"),
    (
        Neighbour(VR, "dpi7", IPv4Address("192.0.2.10"), "02:00:00:00:00:08"),
        "dp-vpc-red: neighbour 192.0.2.10 lladdr 02:00:00:00:00:08 dev dpi7 permanent",
    ),
    (
        Nexthop(VR, 11, "dpr9", names.TRANSIT_NEIGHBOUR),
        "dp-vpc-red: nexthop id 11 via 169.254.0.1 onlink dev dpr9",
    ),
    (Nexthop(VR, 11), "dp-vpc-red: nexthop id 11 blackhole"),
    (
        NexthopGroup(VR, 100_001, ((11, 1), (12, 1))),
        "dp-vpc-red: nexthop id 100001 group 11,1/12,1 resilient buckets 256",
    ),
    (
        KernelRoute(VR, 1001, IPv4Network("192.0.2.10/32"), ifname="dpi7", source=GATEWAY),
        "dp-vpc-red: route 192.0.2.10/32 dev dpi7 table 1001 src 192.0.2.253",
    ),
    (KernelRoute(VR, 1001, TEN, nexthop=11), "dp-vpc-red: route 10.1.0.0/16 nhid 11 table 1001"),
    (
        KernelRoute(VR, 1001, ANY, RouteType.UNREACHABLE, metric=names.MAX_METRIC),
        "dp-vpc-red: route unreachable default table 1001 metric 4294967295",
    ),
    (
        KernelRoute("dp-i-web", 254, ANY, ifname="eth0", via=GATEWAY),
        "dp-i-web: route default via 192.0.2.253 dev eth0 table main",
    ),
    (
        VlanLink("m", VR, "dpv1", 1000001, "eth1", 1000, VlanMode.KERNEL),
        "dp-vpc-red: vlan 1000 dpv1 on eth1 (8021q)",
    ),
    (
        VlanLink("m", VR, "dpv1", 1000001, "eth1", 1000, VlanMode.TC, "dpw2", 1000002, follows_parent=False),
        "dp-vpc-red: vlan 1000 dpv1 on eth1 (tc by dpw2), not as its parent is",
    ),
    (TUNNEL, f"{VR}: vxlan dpx7 vni 77 local 172.20.0.11 dev eth0 02:00:00:00:00:07 mtu 1450"),
    (
        replace(TUNNEL, up=False, is_static=False),
        f"{VR}: vxlan dpx7 vni 77 local 172.20.0.11 dev eth0 02:00:00:00:00:07 mtu 1450 down, not as we make it",
    ),
    (FdbEntry(VR, "dpx7", "02:00:00:00:01:01", VTEP), f"{VR}: fdb 02:00:00:00:01:01 dev dpx7 dst 172.20.0.12"),
    (UnderlayFilter("eth0", ADMISSIONS), "host: underlay filter on eth0: 1,200 admissions"),
    (
        UnderlayFilter("eth0", frozenset(), is_whole=False),
        "host: underlay filter on eth0: 0 admissions, not as we make it",
    ),
    (Rule(VR, 200, 1001), "dp-vpc-red: rule 200: from all lookup 1001"),
    (
        Rule(VR, 50, 1003, "lo", IPv4Network("192.0.2.1/32"), TEN),
        "dp-vpc-red: rule 50: from 192.0.2.1/32 to 10.1.0.0/16 iif lo lookup 1003",
    ),
    (
        Shaper(VR, "dpr1", 1_000_000_000, 83_333_333, 64),
        "dp-vpc-red: shaper at dpr1: 1,000,000,000 bit/s, a flow 83,333,333 bit/s, 64 leaves",
    ),
    (
        Shaper(VR, "dpr1", 0, 5_000_000, 1024, is_whole=False),
        "dp-vpc-red: shaper at dpr1: unlimited, a flow 5,000,000 bit/s, 1,024 leaves, not as we make it",
    ),
    (Classifier(VR, frozenset({"dpr2", "dpr1"}), 64), "dp-vpc-red: classifier of dpr1, dpr2 for 64 leaves"),
    (
        Classifier(VR, frozenset(), 64, is_whole=False),
        "dp-vpc-red: classifier of no port for 64 leaves, not as we make it",
    ),
    (ForwarderState(Forwarding()), "host: forwarder state: 0 ports, 0 routes, 0 next hops, 0 groups"),
    (PortProgram(VR, "dpi7", "tc"), "dp-vpc-red: forwarder at dpi7 (tc)"),
    (
        PortProgram(VR, "dpi7", "xdp", is_current=False),
        "dp-vpc-red: forwarder at dpi7 (xdp), not the one that is loaded",
    ),
    (DeviceQueues("eth1", 4, 0xFF), "host: queues of eth1: combined 4, rps_cpus ff"),
    (DeviceQueues("eth1", rps_cpus=3), "host: queues of eth1: rps_cpus 3"),
    (FarEnd("dp-i-web", "eth0"), "dp-i-web: eth0 ready for XDP (gro on, tx-checksumming off)"),
    (FarEnd("dp-i-web", "eth0", is_ready=False), "dp-i-web: eth0 ready for XDP (gro on, tx-checksumming off), not yet"),
]


@pytest.mark.parametrize(("item", "line"), LINES, ids=[line for _, line in LINES])
def test_an_object_is_one_line(item: KernelObject, line: str) -> None:
    assert describe(item) == line


def test_every_kind_has_its_line() -> None:
    assert {type(item) for item, _ in LINES} == set(get_args(KernelObject))


def test_a_change_names_what_differs_and_nothing_else() -> None:
    before = Sysctl(VR, "net/ipv4/ip_forward", "0")
    after = Sysctl(VR, "net/ipv4/ip_forward", "1")
    assert describe_change(before, after) == "dp-vpc-red: sysctl net.ipv4.ip_forward = 1 (value: 0 -> 1)"


def test_a_changed_end_of_a_veth_is_named_whole() -> None:
    before = Veth(VETH.mark, NEAR, None, 1500)
    assert "(b: none -> dp-i-web: eth0 02:00:00:00:00:08 down)" in describe_change(before, VETH)


@pytest.mark.parametrize(("item", "line"), LINES, ids=[line for _, line in LINES])
def test_kind_and_namespace_are_those_of_the_key(item: KernelObject, line: str) -> None:
    assert kind_of(item) == item.key[0]
    assert namespace_of(item) in (VR, "dp-i-web", names.HOST)


def test_a_change_of_the_underlay_filter_says_how_many_come_and_go() -> None:
    """There may be thousands of them."""
    before, after = UnderlayFilter("eth0", ADMISSIONS), UnderlayFilter("eth0", frozenset(sorted(ADMISSIONS)[:-2]))
    assert describe_change(before, after) == (
        "host: underlay filter on eth0: 1,198 admissions (admissions: 0 come, 2 go)"
    )


def test_a_change_of_the_forwarder_says_what_is_written_and_not_the_whole_network() -> None:
    after = ForwarderState(Forwarding())
    before = replace(after, differs=("3 routes", "1 port"))
    assert describe_change(before, after).endswith("0 groups (3 routes, 1 port)")
