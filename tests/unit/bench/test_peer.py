"""The peer's scripts: a line for every object, in an order that the kernel takes."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from dataplane.compile.compiler import compile_network
from dataplane.config import Source, load_sources
from dataplane.model.ids import IdBook
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    RouteType,
    Rule,
    Sysctl,
    Veth,
)
from lab.bench import networks, peer
from lab.bench.model import BenchError


def objects(text: str) -> list[KernelObject]:
    desired = compile_network(load_sources([Source("network.yaml", text)]), IdBook(), {})
    return [wish.object for wish in desired.wanted.values()]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Address("n", "eth0", IPv4Interface("10.0.0.1/20")), "address add 10.0.0.1/20 dev eth0"),
        (
            Neighbour("n", "dpi1", IPv4Address("10.0.0.1"), "02:00:00:00:00:01"),
            "neighbour add 10.0.0.1 lladdr 02:00:00:00:00:01 dev dpi1 nud permanent protocol 219",
        ),
        (
            Nexthop("n", 7, "dpr2", IPv4Address("169.254.0.1")),
            "nexthop add id 7 via 169.254.0.1 dev dpr2 onlink protocol 219",
        ),
        (Nexthop("n", 7), "nexthop add id 7 blackhole protocol 219"),
        (
            KernelRoute("n", 1001, IPv4Network("10.1.0.0/16"), nexthop=7, source=IPv4Address("10.0.15.253")),
            "route add 10.1.0.0/16 table 1001 protocol 219 nhid 7 src 10.0.15.253",
        ),
        (
            KernelRoute("n", 254, IPv4Network("0.0.0.0/0"), ifname="eth0", via=IPv4Address("10.0.15.253")),
            "route add 0.0.0.0/0 table 254 protocol 219 via 10.0.15.253 dev eth0 onlink",
        ),
        (
            KernelRoute("n", 1001, IPv4Network("0.0.0.0/0"), RouteType.UNREACHABLE, metric=4294967295),
            "route add unreachable 0.0.0.0/0 table 1001 protocol 219 metric 4294967295",
        ),
        (
            Rule("n", 145, 1001, "dpi1", IPv4Network("10.0.0.1/32")),
            "rule add priority 145 from 10.0.0.1/32 iif dpi1 lookup 1001 protocol 219",
        ),
    ],
)
def test_lines(item: KernelObject, expected: str) -> None:
    """In the words of iproute2."""
    assert peer.line(item) == expected


def test_what_has_no_words_is_refused() -> None:
    """Rather than left out: the peer would be faster by it."""
    with pytest.raises(BenchError, match="NexthopGroup"):
        peer.line(NexthopGroup("n", 100_001, ((1, 1), (2, 1))))


def test_everything_is_made_once() -> None:
    """One line or one setting for every object of a network, besides those of the machine itself."""
    wanted = objects(networks.peered(3, 9))
    visits = peer.visits(wanted)
    lines = [line for visit in visits for line in visit.lines]
    settings = [(visit.namespace, name) for visit in visits for name, _ in visit.sysctls]
    spaces = [item for item in wanted if isinstance(item, Namespace)]
    pairs = [item for item in wanted if isinstance(item, Veth)]
    sysctls = [item for item in wanted if isinstance(item, Sysctl) and item.namespace]
    others = len(wanted) - len(spaces) - len(pairs) - len([item for item in wanted if isinstance(item, Sysctl)])
    assert len(peer.namespace_lines(wanted)) == len(spaces) == 3 + 9
    assert sorted(settings) == sorted((item.namespace, item.name) for item in sysctls)
    # The mark of each namespace, the birth of each pair and its two marks, two default rules of each router.
    assert len(lines) == len(spaces) + 3 * len(pairs) + 2 * 3 + others
    assert len(set(zip([visit.namespace for visit in visits for _ in visit.lines], lines, strict=True))) == len(lines)


def test_instances_are_entered_once_and_routers_at_most_three_times() -> None:
    """What makes the peer as fast as it can be."""
    entered = [visit.namespace for visit in peer.visits(objects(networks.peered(2, 4)))]
    assert {name: entered.count(name) for name in entered} == {
        **dict.fromkeys(("dp-vpc-v0", "dp-vpc-v1"), 3),
        **dict.fromkeys(("dp-i-i0-0", "dp-i-i0-1", "dp-i-i1-0", "dp-i-i1-1"), 1),
    }


def test_settings_come_before_the_batch() -> None:
    """A port is born with the defaults of its namespace."""
    visit = peer.Visit("n", [("net/ipv4/ip_forward", "1")], ["link set dev lo up"])
    assert visit.shell("/tmp/7") == "set -e\necho 1 >/proc/sys/net/ipv4/ip_forward\nexec ip -batch /tmp/7\n"
