"""Real frames through real ports: what a test run cannot show (segmentation offload, tags in metadata, redirects)."""

import errno
import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.agent.store import Store
from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarding import compile_forwarding
from dataplane.config import Source, load_sources
from dataplane.kernel import netns
from dataplane.kernel.driver import KernelDriver
from dataplane.model.forwarding import Reason
from dataplane.model.kernel import FarEnd
from dataplane.model.simulation import Hook
from dataplane.plan.action import Action, Verb
from lab.topology import TOPOLOGIES
from tests.bpf.attached import Attached, attached
from tests.bpf.test_networks import frame
from tests.netns.network import AppliedNetwork
from tests.netns.objects import inside

TEXT = (TOPOLOGIES / "vpc-peering" / "network.yaml").read_text()
ONE, NEIGHBOUR, OTHER, ISOLATED = "ecs-1a", "ecs-1b", "ecs-2a", "ecs-3a"
STREAM_BYTES = 20_000_000


@pytest.fixture(params=["tc", "xdp"])
def hook(request: pytest.FixtureRequest) -> Hook:
    return request.param


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AppliedNetwork]:
    there = AppliedNetwork(tmp_path)
    there.must_apply(TEXT)
    yield there
    assert there.session().destroy().is_done


@pytest.fixture
def running(network: AppliedNetwork, hook: Hook) -> Iterator[Attached]:
    """The forwarder under every port; at XDP with the far ends prepared (design, section 9)."""
    known = Store(network.folder / "state").load()
    loaded = load_sources([Source("network.yaml", TEXT)])
    desired = compile_network(loaded, known.book, known.memory.addresses(), KernelDriver().facts())
    try:
        with attached(compile_forwarding(desired), hook) as there:
            if hook == "xdp":
                ends = [Action(Verb.CREATE, FarEnd(f"dp-i-{name}", "eth0")) for name in desired.addresses]
                assert [outcome.error for outcome in KernelDriver().perform(ends)] == [None] * len(ends)
            yield there
    except OSError as error:
        if hook == "tc" and error.errno == errno.EINVAL:
            pytest.skip("this kernel has no tcx")
        raise


def ping(source: str, destination: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return inside(f"dp-i-{source}", "ping", "-c", "1", "-W", "1", *options, destination)


def stream(source: str, target: str, destination: str) -> str:
    """The hash of what arrives of a TCP stream."""
    digest = hashlib.sha256()
    with netns.entered(f"dp-i-{target}"):
        listener = socket.create_server((destination, 5001))
    with netns.entered(f"dp-i-{source}"):
        sender = socket.socket()

    def send() -> None:
        with sender:
            sender.settimeout(20)
            sender.connect((destination, 5001))
            sender.sendall(b"".join(hashlib.sha256(bytes([n % 256])).digest() for n in range(STREAM_BYTES // 32)))

    thread = threading.Thread(target=send)
    with listener:
        listener.settimeout(20)
        thread.start()
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            while data := connection.recv(1 << 20):
                digest.update(data)
    thread.join()
    return digest.hexdigest()


def address(running: Attached, name: str) -> str:
    return str(running.port(f"instance/{name}").source)


def test_packets_take_the_fast_path_and_the_kernel_answers_what_is_its(running: Attached, hook: Hook) -> None:
    """One TTL for each router (D17); time exceeded, and forbidden by D16, as the kernel says it."""
    near, far, isolated = (address(running, name) for name in (NEIGHBOUR, OTHER, ISOLATED))
    assert "ttl=63" in ping(ONE, near).stdout
    assert "ttl=62" in ping(ONE, far).stdout
    assert "Time to live exceeded" in ping(ONE, near, "-t", "1").stdout
    assert "Time to live exceeded" in ping(ONE, far, "-t", "2").stdout
    # Its VPC and that of the other one are both joined to a third, which hands nothing on (D16, R101).
    assert "Packet filtered" in ping(OTHER, isolated).stdout
    counted = running.counters(f"instance/{ONE}")
    assert counted[Reason.TTL] == (1 if hook == "tc" else 2)
    forwarded = counted[Reason.FORWARDED] + counted.get(Reason.CONTINUED, 0)
    assert forwarded == (3 if hook == "tc" else 2)


def test_a_tcp_stream_arrives_whole(running: Attached) -> None:
    """At tc in large packets of many segments; through one router, and through two."""
    whole = hashlib.sha256(b"".join(hashlib.sha256(bytes([n % 256])).digest() for n in range(STREAM_BYTES // 32)))
    for target in (NEIGHBOUR, OTHER):
        assert stream(ONE, target, address(running, target)) == whole.hexdigest()
    counted = running.counters(f"instance/{ONE}")
    assert set(counted) <= {Reason.FORWARDED, Reason.CONTINUED, Reason.ARP}


def test_what_an_instance_must_not_send_is_dropped(running: Attached) -> None:
    """A tag comes in the metadata at tc; another MAC, another address, and ARP for somebody else."""
    port = running.port(f"instance/{ONE}")
    with netns.entered(f"dp-i-{ONE}"):
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    good = frame(port, port.source, running.port(f"instance/{NEIGHBOUR}").source)
    spoofed = frame(port, running.port(f"instance/{NEIGHBOUR}").source, port.source)
    with link:
        link.bind(("eth0", 0))
        link.send(good[:12] + b"\x81\x00\x00\x07" + good[12:])
        link.send(good[:6] + bytes([2, 1, 1, 1, 1, 1]) + good[12:])
        link.send(spoofed)
        link.send(good[:12] + b"\x08\x06" + bytes.fromhex("0001080006040002") + os.urandom(20) + bytes(18))
    counted = running.counters(f"instance/{ONE}")
    wanted = {Reason.TAGGED: 1, Reason.SPOOFED_MAC: 1, Reason.SPOOFED_SOURCE: 1, Reason.SPOOFED_ARP: 1}
    assert {reason: counted.get(reason) for reason in wanted} == wanted


@pytest.mark.parametrize("hook", ["xdp"])
def test_a_device_that_is_gone_is_counted(running: Attached, hook: Hook) -> None:
    """Not as forwarded: where it was to leave, and the routers before that count it as handed on."""
    running.lose_device(f"instance/{OTHER}")
    assert ping(ONE, address(running, OTHER)).returncode != 0
    assert running.counters(f"instance/{ONE}") == {Reason.CONTINUED: 1}
    assert running.counters("peering_connection/pcx-12/acceptor") == {Reason.REFUSED: 1}
