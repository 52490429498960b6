"""A real program's streams at each hook: iperf3 ends, and what it sent has come (issue 5). Rates are for scripts/bench.

Two ways: by three routers (VPC, VBR, VPC), and by a leased line to the data centre's router, both ways each. What a
checksum trap of the hooks would spoil (test 58) is asked of the receiver's kernel.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from dataplane.kernel import netns
from dataplane.model.forwarding import Reason
from tests.fakes.networks import ONE_LINE
from tests.netns.lines import cable, far_router
from tests.netns.network import AppliedNetwork, hooked
from tests.netns.objects import run
from tests.netns.test_forwarder_packets import counted, netstat_udp

IPERF = shutil.which("iperf3") or ""
pytestmark = pytest.mark.skipif(not IPERF, reason="needs the package iperf3; scripts/setup installs it")

TCP_BYTES, UDP_BYTES, DATAGRAM_BYTES = 100_000_000, 2_000_000, 1400
UDP_RATE = "20M"
"""Bits a second: what a slow machine with other work still sends and takes."""
MOST_LOST = 0.05
LEAST_TAKEN = 0.9
"""Of TCP: iperf3 ends when all is sent, and what the receiver has not read by then is not counted."""
PATIENCE_S = 60

_FAR = """\
  far:
    account: corp
    region: r1
    cidr: 10.0.0.0/16
    vswitches: {vsw-f: {zone: a, cidr: 10.0.1.0/24}}
    instances: {outside: {vswitch: vsw-f, ip: 10.0.1.10}}
    route_tables: {system: {routes: [{destination: 192.168.0.0/16, next_hop: {router_interface: ri-f}}]}}
physical_connections:"""
_TO_DATA_CENTRE = "{destination: 172.16.0.0/16, next_hop: {router_interface: ri-a}}"
_BY = "next_hop: {router_interface: ri-"
TEXT = (
    ONE_LINE.replace("physical_connections:", _FAR, 1)
    .replace(
        _TO_DATA_CENTRE,
        f"{_TO_DATA_CENTRE}, {{destination: 10.0.0.0/16, {_BY}a}}}}, {{destination: 10.10.10.0/24, {_BY}a}}}}",
    )
    .replace("    peer_ip: 10.10.10.2\n", "    peer_ip: 10.10.10.2\n    transit: true\n")
    .replace(
        "      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v}}\n",
        "      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v}}\n"
        f"      - {{destination: 10.0.0.0/16, {_BY}w}}}}\n",
    )
    .replace(
        "  pcx-2: {acceptor: {router_interface: ri-b, vpc: border}}",
        "  pcx-3: {initiator: {router_interface: ri-w, vbr: vbr-1}, acceptor: {router_interface: ri-f, vpc: far}}",
    )
)
"""``ONE_LINE`` with a second VPC behind its border router, which lets the two reach each other (D16)."""
PEER = "10.10.10.2"


@dataclass(frozen=True)
class Way:
    """Where a server listens, and the port of ours that its client's packets come in by."""

    server: str
    address: str
    port: str = "instance/inside"


@pytest.fixture(params=["off", "tc", "xdp"])
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["three routers", "a line"])
def way(request: pytest.FixtureRequest, network: AppliedNetwork, hook: str) -> Iterator[Way]:
    """The network at a hook, with whom ``inside`` talks to; it goes before the line does."""
    with cable("wire0"):
        network.must_apply(hooked(TEXT, hook))
        if request.param == "three routers":
            yield Way("dp-i-outside", "10.0.1.10")
        else:
            with far_router(f"{PEER}/30") as link:
                run("ip", "-n", link.namespace, "route", "add", "192.168.0.0/16", "via", "10.10.10.1")
                yield Way(link.namespace, PEER)
        assert network.session().destroy().is_done


@contextmanager
def listening(namespace: str) -> Iterator[None]:
    """A server for one client."""
    command = (IPERF, "--server", "--one-off", "--forceflush")
    with netns.entered(namespace):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        assert any("listening" in line for line in server.stdout), "iperf3 did not begin to listen"
        yield
        server.communicate(timeout=PATIENCE_S)
        assert server.returncode == 0
    finally:
        server.kill()
        server.wait()


def exchanged(way: Way, *options: str) -> dict[str, Any]:
    """What iperf3 says at the end of ``inside``'s exchange with the server."""
    with listening(way.server), netns.entered("dp-i-inside"):
        command = (IPERF, "--client", way.address, "--json", "--connect-timeout", "5000", *options)
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        # In here, since a server that nobody reached is not waited for.
        said: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode, said.get("error")) == (0, None), said.get("error", done.stderr)
    end: dict[str, Any] = said["end"]
    return end


@pytest.mark.parametrize("direction", [(), ("--reverse",)], ids=["there", "back"])
def test_tcp(network: AppliedNetwork, way: Way, hook: str, direction: tuple[str, ...]) -> None:
    end = exchanged(way, "--bytes", str(TCP_BYTES), *direction)
    assert end["sum_sent"]["bytes"] >= TCP_BYTES
    assert end["sum_received"]["bytes"] >= LEAST_TAKEN * TCP_BYTES
    took_the_fast_path(network, way, hook)


@pytest.mark.parametrize("direction", [(), ("--reverse",)], ids=["there", "back"])
def test_udp(network: AppliedNetwork, way: Way, hook: str, direction: tuple[str, ...]) -> None:
    """At a rate that any machine can do: few are lost, none is spoilt."""
    receiver = "dp-i-inside" if direction else way.server
    wrong = netstat_udp(receiver, "InCsumErrors")
    size = ("--length", str(DATAGRAM_BYTES), "--bytes", str(UDP_BYTES), "--bitrate", UDP_RATE)
    end = exchanged(way, "--udp", *size, *direction)
    assert end["sum"]["packets"] >= UDP_BYTES // DATAGRAM_BYTES
    assert end["sum"]["lost_packets"] <= MOST_LOST * end["sum"]["packets"]
    assert netstat_udp(receiver, "InCsumErrors") == wrong
    took_the_fast_path(network, way, hook)


def took_the_fast_path(network: AppliedNetwork, way: Way, hook: str) -> None:
    """The port's counters: nothing of it was the kernel's but ARP; and with the forwarder off there are none.

    A walk in the driver is counted as forwarded at its last router only.
    """
    if hook == "off":
        assert network.session().status().traffic is None
        return
    found = counted(network, way.port)
    assert found.get(Reason.FORWARDED, 0) + found.get(Reason.CONTINUED, 0) > 0
    assert set(found) <= {Reason.FORWARDED, Reason.CONTINUED, Reason.ARP, Reason.NO_NEIGHBOUR}


def test_a_way_that_carries_nothing_is_seen(network: AppliedNetwork) -> None:
    """The tests above, red."""
    with cable("wire0"):
        network.must_apply(hooked(TEXT.replace("    transit: true\n", ""), "tc"))
        with pytest.raises(AssertionError, match="unable to connect"):
            exchanged(Way("dp-i-outside", "10.0.1.10"), "--bytes", "1000")
        assert network.session().destroy().is_done
