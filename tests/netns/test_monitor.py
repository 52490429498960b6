"""The subscription: every kind of damage by hand is heard of, with its place; what is not ours is not."""

import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.kernel import netns
from dataplane.kernel.monitor import Monitor
from dataplane.model import names
from tests.fakes.networks import PEERED
from tests.netns.network import AppliedNetwork
from tests.netns.objects import inside, run

ROUTER = "dp-vpc-vpc-1"
INSTANCE = "dp-i-ecs-1"


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """A network that is up, and somebody who listens."""
    network = AppliedNetwork(Path(tmp_path_factory.mktemp("network")))
    network.must_apply(PEERED)
    try:
        with Monitor() as found:
            found.watch(netns.list_our_names())
            yield found
    finally:
        network.session().destroy()


def heard(monitor: Monitor) -> frozenset[str]:
    """Where something was heard of, until a tenth of a second is quiet; twice that long at the first."""
    places: frozenset[str] = frozenset()
    while select.select([monitor], [], [], 0.1)[0]:
        changes = monitor.read()
        assert not changes.is_overrun
        places |= changes.namespaces
    return places | monitor.read().namespaces


def port() -> str:
    """The name of the first instance's port in its router."""
    listing = inside(ROUTER, "ip", "-o", "link", "show", "type", "veth").stdout
    return next(line.split(": ")[1].partition("@")[0] for line in listing.splitlines() if "dpi" in line)


DAMAGE = {
    "an address": ("ip", "address", "add", "10.9.9.9/32", "dev", "lo"),
    "a route": ("ip", "route", "add", "10.9.9.0/24", "dev", "lo"),
    "a rule": ("ip", "rule", "add", "pref", "99", "lookup", "main"),
    "a neighbour": (
        "ip",
        "neigh",
        "add",
        "10.9.9.8",
        "lladdr",
        "02:00:00:00:00:01",
        "dev",
        "{port}",
        "nud",
        "permanent",
    ),
    "a neighbour that goes": ("ip", "neigh", "del", "10.9.9.8", "dev", "{port}"),
    "a next hop": ("ip", "nexthop", "add", "id", "99", "blackhole"),
    "a link that goes down": ("ip", "link", "set", "{port}", "down"),
    "an MTU": ("ip", "link", "set", "{port}", "mtu", "1400"),
    "forwarding": ("bash", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    "the return path filter": ("bash", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter"),
    "a program": ("tc", "qdisc", "del", "dev", "{port}", "clsact"),
    "a link that is deleted": ("ip", "link", "del", "{port}"),
}


@pytest.mark.parametrize("command", DAMAGE.values(), ids=DAMAGE)
def test_damage_in_a_namespace_of_ours_is_heard_of(monitor: Monitor, command: tuple[str, ...]) -> None:
    heard(monitor)
    words = [word.format(port=port() if "{port}" in command else "") for word in command]
    done = inside(ROUTER, *words)
    assert done.returncode == 0, done.stderr
    assert ROUTER in heard(monitor)


def test_what_is_not_ours_is_not_heard_of(monitor: Monitor) -> None:
    """Links, addresses and routes of the host's, and a namespace of somebody else's."""
    heard(monitor)
    try:
        run("ip", "link", "add", "foreign0", "type", "veth", "peer", "name", "foreign1")
        run("ip", "address", "add", "192.0.2.1/24", "dev", "foreign0")
        run("ip", "link", "set", "foreign0", "up")
        run("ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.2", "dev", "foreign0", "onlink")
        assert heard(monitor) == frozenset()
        monitor.watch(netns.list_our_names(), ["foreign0"])
        run("ip", "link", "set", "foreign0", "mtu", "1400")
        assert heard(monitor) == {names.HOST}
        run("ip", "address", "add", "192.0.2.9/24", "dev", "foreign0")
        assert heard(monitor) == {names.HOST}
    finally:
        run("ip", "link", "del", "foreign0")
        heard(monitor)


def test_a_name_that_goes_is_heard_of(monitor: Monitor) -> None:
    """Of which netlink says nothing: the namespace lives on while a process is in it."""
    heard(monitor)
    run("ip", "netns", "delete", INSTANCE)
    assert names.HOST in monitor.read().namespaces | heard(monitor)


def test_traffic_alone_is_not_heard_of(monitor: Monitor) -> None:
    """ARP finds neighbours and forgets them: none of them is an object of ours."""
    monitor.watch(netns.list_our_names())
    heard(monitor)
    inside("dp-i-ecs-2", "ping", "-c", "1", "-W", "1", "192.168.1.77")
    assert heard(monitor) == frozenset()


def test_lost_messages_are_known_and_the_next_ones_heard(monitor: Monitor) -> None:
    """The kernel drops what does not fit, and says so once (netlink(7), ENOBUFS)."""
    with Monitor(room=4096) as limited:
        limited.watch(netns.list_our_names())
        inside(ROUTER, "bash", "-c", "for i in {1..400}; do echo link set lo mtu $((20000 + i)); done | ip -batch -")
        assert limited.read().is_overrun
        inside(ROUTER, "ip", "link", "set", "lo", "mtu", "65536")
        assert heard(limited) == {ROUTER}
