"""Limits without the forwarder, by real streams of iperf3 over a leased line: the kernel's own HTB (R21, R117, D4).

What arrives is counted at the data centre's interface, over a second and by the clock of this process. Bounds say that
a limit is held and can be used; how exactly is for scripts/bench. Flows that a hash puts into one leaf share its rate,
so that leaves are counted as well.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from dataplane.kernel import features, netns
from lab.around import End
from lab.surroundings import Vlan
from lab.vlan import make_vlans
from tests.netns.agent import AgentHost, wait
from tests.netns.lines import IDC, IDC_PARENT, cable
from tests.netns.load import load
from tests.netns.network import AppliedNetwork, hooked
from tests.netns.objects import run
from tests.netns.test_iperf import PEER, TEXT
from tests.netns.windows import measured, share_within

IPERF = shutil.which("iperf3") or ""
pytestmark = pytest.mark.skipif(not IPERF, reason="needs the package iperf3; scripts/setup installs it")

VPC, VBR, INSIDE = "dp-vpc-border", "dp-vbr-vbr-1", "dp-i-inside"
LINE, CAP = 240_000_000, 20_000_000
"""Bits of IP packets a second: of the connection, and of one flow of it (a twelfth)."""
CUBIC, BBR, UDP = ("--congestion", "cubic"), ("--congestion", "bbr"), ("--udp", "--bitrate", "40M", "--length", "1400")
WARM_UP_S, WINDOW_S, PATIENCE_S = 0.7, 1.2, 60
LEAST, MOST = 0.9, 1.03
"""Of a limit: what TCP must get (D4), and what nobody may."""
BUSY_BYTES = 200_000
"""A leaf that has sent more in a window belongs to a stream."""
_CONNECTION = "acceptor: {router_interface: ri-a, vpc: border}"


def limited(keys: str, hook: str = "off") -> str:
    """The line's network, with keys of its connection."""
    assert _CONNECTION in TEXT
    return hooked(TEXT.replace(_CONNECTION, f"{_CONNECTION}, {keys}"), hook)


@pytest.fixture
def centre(network: AppliedNetwork) -> Iterator[str]:
    """The namespace of the data centre, at the far end of a line whose network has a limit."""
    lacking = features.limits_lack()
    if lacking:
        pytest.skip(lacking)
    with cable("wire0"):
        network.must_apply(limited("bandwidth: 240Mbps"))
        fd = netns.open_reference(IDC)
        try:
            make_vlans("shaper", [(IDC, Vlan(0, "line", 1000, End(IDC, IDC_PARENT)))], {IDC: fd})
        finally:
            os.close(fd)
        run("ip", "-n", IDC, "addr", "add", f"{PEER}/30", "dev", "line")
        run("ip", "-n", IDC, "link", "set", "dev", "line", "up")
        run("ip", "-n", IDC, "route", "add", "192.168.0.0/16", "via", "10.10.10.1")
        yield IDC
        assert network.session().destroy().is_done


@contextmanager
def stream(source: str, target: str, address: str, *options: str, port: int = 5201) -> Iterator[None]:
    """iperf3 from one namespace to another during the block."""
    with netns.entered(target):
        server = subprocess.Popen(
            (IPERF, "--server", "--forceflush", "--port", str(port)), stdout=subprocess.PIPE, text=True
        )
    client: subprocess.Popen[bytes] | None = None
    try:
        assert server.stdout is not None
        assert any("listening" in line for line in server.stdout), "iperf3 did not begin to listen"
        with netns.entered(source):
            command = (IPERF, "--client", address, "--port", str(port), "--time", str(PATIENCE_S), *options)
            client = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(WARM_UP_S)
        yield
        assert client.poll() is None, "iperf3 has ended by itself"
    finally:
        for process in filter(None, (client, server)):
            process.kill()
            process.wait()
        if server.stdout is not None:
            server.stdout.close()


def received(namespace: str) -> tuple[int, float]:
    """Bytes of IP packets that an end has received by its interface, and when."""
    lines = run("ip", "netns", "exec", namespace, "cat", "/proc/net/dev").splitlines()
    ((length, packets),) = (line.split()[1:3] for line in lines if line.split()[0] in ("line:", "eth0:"))
    return int(length) - 14 * int(packets), time.monotonic()


def sent_by_leaves(namespace: str) -> dict[str, int]:
    """Leaf -> what it has sent, in bytes."""
    lines = run("ip", "netns", "exec", namespace, "tc", "-s", "class", "show", "dev", port(namespace)).splitlines()
    names = [line.split()[2] for line in lines if line.startswith("class htb")]
    sent = [int(line.split()[1]) for line in lines if line.startswith(" Sent")]
    return dict(zip(names, sent, strict=True))


def port(namespace: str) -> str:
    """The shaped interface of a router."""
    words = run("ip", "netns", "exec", namespace, "tc", "qdisc", "show").splitlines()
    return next(line.split()[4] for line in words if line.startswith("qdisc htb db:"))


Window = tuple[float, list[float]]


def window(router: str, receiver: str) -> Window:
    """Bits of IP packets a second that arrive in all, and what each busy leaf of a router has of it."""
    leaves, (before, since) = sent_by_leaves(router), received(receiver)
    time.sleep(WINDOW_S)
    (after, until), now = received(receiver), sent_by_leaves(router)
    seconds = until - since
    sent = [now[leaf] - leaves[leaf] for leaf in now if leaf != "db:1"]
    return (after - before) * 8 / seconds, [one * 8 / seconds for one in sent if one > BUSY_BYTES]


@pytest.mark.parametrize(
    ("flows", "kind"),
    [(1, CUBIC), (8, CUBIC), (12, CUBIC), (1, BBR), (12, BBR), (1, UDP), (8, UDP)],
    ids=["1 cubic", "8 cubic", "12 cubic", "1 bbr", "12 bbr", "1 udp", "8 udp"],
)
def test_r117_r122_d4_a_flow_has_a_twelfth(centre: str, flows: int, kind: Sequence[str]) -> None:
    """One flow gets its cap, eight get two thirds of the line, twelve all of it."""

    def check(seen: Window) -> None:
        total, leaves = seen
        assert flows - 2 <= len(leaves) <= flows
        assert LEAST * len(leaves) * CAP <= total <= MOST * min(len(leaves) * CAP, LINE)

    with stream(INSIDE, centre, PEER, "--parallel", str(flows), *kind):
        total, leaves = measured(lambda: window(VPC, centre), check)
    print(f"{flows} flows, {len(leaves)} leaves: {total / 1e6:.1f} Mbit/s")


def test_r117_the_example_of_a_gigabit(network: AppliedNetwork, centre: str) -> None:
    network.must_apply(limited("bandwidth: 1Gbps"))
    with stream(INSIDE, centre, PEER, "--udp", "--bitrate", "200M", "--length", "1400"):
        share_within(0.97, MOST, lambda: window(VPC, centre)[0] / 83.33e6)


def test_r119_the_way_back_has_no_cap(centre: str) -> None:
    with stream(INSIDE, centre, PEER, "--reverse"):
        share_within(LEAST, MOST, lambda: window(VBR, INSIDE)[0] / LINE)


def test_49_d4_fragments_of_many_flows_share_one_cap(centre: str) -> None:
    """By the 3-tuple, the first fragment included: no port would hold them apart (R120, D4)."""

    def check(seen: Window) -> None:
        total, leaves = seen
        assert len(leaves) == 1
        assert LEAST * CAP <= total <= MOST * CAP

    with stream(INSIDE, centre, PEER, "--parallel", "4", "--udp", "--bitrate", "20M", "--length", "4000"):
        measured(lambda: window(VPC, centre), check)


def test_r21_flows_without_a_cap_share_the_bandwidth(network: AppliedNetwork, centre: str) -> None:
    """One that asks for five times as much as another two gets a third, as they do; all of the line is used."""
    network.must_apply(limited("bandwidth: 60Mbps, flow_cap: off"))

    def new_flows() -> Window:
        with (
            stream(INSIDE, centre, PEER, "--udp", "--bitrate", "100M", "--length", "1400"),
            stream(INSIDE, centre, PEER, "--parallel", "2", port=5202),
        ):
            return window(VPC, centre)

    def check(seen: Window) -> None:
        total, leaves = seen
        assert LEAST * 60e6 <= total <= MOST * 60e6
        assert leaves == [pytest.approx(total / 3, rel=0.15)] * 3  # a hash may put two of three into one leaf of 64

    measured(new_flows, check)


def test_r106_a_bandwidth_changes_under_traffic_without_loss(network: AppliedNetwork, centre: str) -> None:
    with load(INSIDE, centre, PEER, 2_000) as sent:
        for bandwidth in ("100Mbps", "1Gbps", "50Mbps", "240Mbps"):
            time.sleep(0.2)
            assert network.apply(limited(f"bandwidth: {bandwidth}")).is_done
    print(f"{sent.sent} packets")
    assert sent.sent > 1_000
    assert sent.lost == 0


def test_20_the_agent_mends_a_shaper(host: AgentHost) -> None:
    """Nobody tells of disciplines and of nftables: the comparison of everything finds out (P3)."""
    lacking = features.limits_lack()
    if lacking:
        pytest.skip(lacking)
    with cable("wire0"):
        host.start(limited("bandwidth: 240Mbps", "tc"), "--compare-every", "1")
        made = limits_of(VPC)
        for damage in (("tc", "qdisc", "del", "dev", port(VPC), "root"), ("nft", "flush", "ruleset")):
            run("ip", "netns", "exec", VPC, *damage)
            wait("the limits", lambda: limits_of(VPC) == made)
        host.wait_until_healthy()
        host.kill()
        assert host.network.session().destroy().is_done


def limits_of(namespace: str) -> tuple[int, list[str]]:
    """How many classes a router has, and its rules."""
    inside = ("ip", "netns", "exec", namespace)
    shaped = [line for line in run(*inside, "tc", "qdisc", "show").splitlines() if line.startswith("qdisc htb db:")]
    classes = run(*inside, "tc", "class", "show", "dev", shaped[0].split()[4]) if shaped else ""
    return len(classes.splitlines()), run(*inside, "nft", "list", "ruleset").splitlines()
