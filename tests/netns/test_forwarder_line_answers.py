"""What a sender hears of a line that cannot carry its packet: on the fast path the same as on the slow one (D17)."""

from collections.abc import Iterator

import pytest

from dataplane.model.forwarding import Reason
from tests.netns.data_centre import (
    DEVICE,
    DOOR,
    LINE,
    MACS,
    PEER,
    SENDER,
    TEXT,
    VBR,
    carries,
    data_centre,
    line_ifname,
    packet,
    resolved,
)
from tests.netns.lines import IDC, IDC_PARENT, Cable, cable, far_router
from tests.netns.network import AppliedNetwork, hooked, send_frame
from tests.netns.objects import inside, run, set_sysctl
from tests.netns.test_forwarder_packets import counted

pytest.importorskip("scapy.all", reason="needs the Python package scapy")

SMALL_MTU = 1400


@pytest.fixture(params=["tc", "xdp"])
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wire(network: AppliedNetwork) -> Iterator[Cable]:
    """A line with nobody but this test at its far end; the network goes before it does."""
    with cable(DEVICE) as laid:
        yield laid
        assert network.session().destroy().is_done


def test_a_silent_line_is_answered_as_on_the_slow_path(network: AppliedNetwork, wire: Cable, hook: str) -> None:
    """ARP fails: the sender hears host unreachable from the VBR, also when the MAC was known before."""
    said = []
    for text in (hooked(TEXT, "off"), hooked(TEXT, hook)):
        network.must_apply(text)
        quick_arp()
        said.append(unreachable())
        with data_centre(wire) as there:
            send_frame("inside", packet(number=65_000))
            assert there.is_asked()
            there.say(MACS[0])
            assert there.hears(carries(65_000)) is not None
        inside(VBR, "ip", "neigh", "flush", "dev", line_ifname())
        said.append(unreachable())
    assert said[0] == "From 10.10.10.1 icmp_seq=1 Destination Host Unreachable"
    assert set(said) == {said[0]}
    assert counted(network, DOOR)[Reason.NO_NEIGHBOUR] >= 2


def test_a_router_that_dies_is_answered_for_when_its_mac_has_run_out(
    network: AppliedNetwork, wire: Cable, hook: str
) -> None:
    """Under traffic, the kernel asks it once more by its MAC, then everybody, and gives it up: by itself."""
    network.must_apply(hooked(TEXT, hook))
    quick_arp("delay_first_probe_time=0", "base_reachable_time_ms=100")
    with data_centre(wire) as there:
        resolved(there)
    for _ in range(100):
        done = inside("dp-i-inside", "ping", "-c1", "-W1", "-i0.1", "172.16.9.9")
        if "Host Unreachable" in done.stdout:
            break
    assert "From 10.10.10.1 icmp_seq=1 Destination Host Unreachable" in done.stdout
    assert Reason.FORWARDED in counted(network, DOOR), "as long as the MAC was good"


def quick_arp(*settings: str) -> None:
    """Three requests in a tenth of a second rather than three."""
    for setting in ("retrans_time_ms=30", *settings):
        name, value = setting.split("=")
        set_sysctl(VBR, f"net/ipv4/neigh/{line_ifname()}/{name}", value)


def unreachable() -> str:
    done = inside("dp-i-inside", "ping", "-c1", "-W2", "172.16.9.9")
    return done.stdout.splitlines()[1]


def test_what_does_not_fit_and_what_ends_is_answered_as_on_the_slow_path(
    network: AppliedNetwork, wire: Cable, hook: str
) -> None:
    """50, 47: the line's MTU with DF; the TTL at the VPC, at the VBR, at the data centre's router."""
    del wire
    run("ip", "link", "set", "dev", DEVICE, "mtu", str(SMALL_MTU))
    run("ip", "-n", IDC, "link", "set", "dev", IDC_PARENT, "mtu", str(SMALL_MTU))
    said = []
    for text in (hooked(TEXT, "off"), hooked(TEXT, hook)):
        network.must_apply(text)
        inside("dp-i-inside", "ip", "route", "flush", "cache")  # what it has learned of the MTU
        with far_router(f"{PEER}/30") as link:
            run("ip", "-n", link.namespace, "route", "add", "192.168.0.0/16", "via", "10.10.10.1")
            assert network.ping("inside", PEER)
            said.append([answer(*options) for options in ASKED])
    slow, fast = said
    assert fast == slow
    assert "1480 bytes" in slow[0], "in two pieces, cut by the kernel"
    assert slow[1] == f"From 10.10.10.1 icmp_seq=1 Frag needed and DF set (mtu = {SMALL_MTU})"
    assert [line.split(" icmp_seq")[0] for line in slow[2:4]] == ["From 192.168.1.253", "From 10.10.10.1"]
    assert "ttl=62" in slow[4]
    where = SENDER if hook == "xdp" else DOOR
    assert counted(network, where)[Reason.TOO_BIG] == 2
    assert set(counted(network, LINE)) <= {Reason.FORWARDED, Reason.ARP, Reason.LOCAL}


ASKED = (
    ("-M", "dont", "-s", "1472", PEER),
    ("-M", "do", "-s", "1472", PEER),
    ("-t", "1", PEER),
    ("-t", "2", PEER),
    ("-t", "3", PEER),
)


def answer(*options: str) -> str:
    """The first thing that ping says of a packet, without the time it took."""
    done = inside("dp-i-inside", "ping", "-c1", "-W2", *options)
    return done.stdout.splitlines()[1].split(" time=")[0]
