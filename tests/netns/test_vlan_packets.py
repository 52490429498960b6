"""Frames across a VLAN link, compared byte by byte: in the stand-in, and in 8021q where the kernel has it."""

import contextlib
import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from dataplane.datapath.vlan import Reason
from dataplane.kernel import features, netns
from dataplane.model.kernel import VlanLink, VlanMode
from tests.netns.lines import (
    IDC,
    IDC_PARENT,
    OTHER,
    PARENT,
    ROUTER,
    Cable,
    addressed,
    cable,
    counted,
    far_router,
    for_mode,
    frame,
    hear,
    line,
    router,
    tap,
)
from tests.netns.objects import World, inside, run

STREAM_BYTES = 50_000_000
MODES = [VlanMode.TC, VlanMode.KERNEL]
QUIET_S = 0.3


@pytest.fixture(params=MODES, ids=[mode.value for mode in MODES])
def mode(request: pytest.FixtureRequest) -> VlanMode:
    """Both modes; the kernel's own only where it has 8021q."""
    if request.param is VlanMode.KERNEL and not features.has_8021q():
        pytest.skip("this kernel has no 8021q")
    return request.param


@contextlib.contextmanager
def a_line(world: World, mode: VlanMode = VlanMode.TC) -> Iterator[tuple[Cable, VlanLink]]:
    """VLAN 1000 on a cable, with an address on our side."""
    with cable() as laid:
        wanted = for_mode(line(), mode)
        world.create([*router(), wanted, addressed(wanted, "10.10.10.1/30")])
        yield laid, wanted


@contextlib.contextmanager
def counting(**expected: int) -> Iterator[None]:
    """The named reasons grow by exactly this much, and no other reason grows."""
    before = counted()
    yield
    grown = {reason.name.lower(): count - before[reason] for reason, count in counted().items()}
    assert {name: count for name, count in grown.items() if count} == expected


def test_r26_sent_frames_carry_the_tag(world: World, mode: VlanMode) -> None:
    """What leaves the router arrives in the data centre byte for byte, with VLAN 1000 put in."""
    with a_line(world, mode) as (laid, wanted), tap(ROUTER, wanted.ifname) as near, tap(IDC, IDC_PARENT) as far:
        sent = frame(laid.idc_mac, laid.mac, payload=os.urandom(1000))
        near.send(sent)
        assert hear(far, lambda heard: heard[20:] == sent[16:]) == [sent[:12] + b"\x81\x00\x03\xe8" + sent[12:]]


def test_r26_tagged_frames_arrive_without_the_tag(world: World, mode: VlanMode) -> None:
    """What the data centre tags with 1000 arrives in the router byte for byte, addressed to it."""
    with a_line(world, mode) as (laid, wanted), tap(ROUTER, wanted.ifname) as near, tap(IDC, IDC_PARENT) as far:
        plain = frame(laid.mac, laid.idc_mac, payload=os.urandom(1000))
        far.send(plain[:12] + b"\x81\x00\x03\xe8" + plain[12:])
        assert hear(near, lambda heard: heard[12:14] == b"\x88\xb5") == [plain]


def test_r27_ping_and_arp_across(world: World, mode: VlanMode, ping: str) -> None:
    """The /30 of the rule book; tcpdump on the line shows vlan 1000 for ARP and for ICMP, both ways."""
    with a_line(world, mode), far_router("10.10.10.2/30", mode=mode):
        command = ["tcpdump", "-nn", "-e", "-l", "-c", "4", "-i", PARENT, "vlan", "1000"]
        capture = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert capture.stderr is not None
        while "listening on" not in capture.stderr.readline():
            pass
        done = inside(ROUTER, ping, "-c", "3", "-i", "0.2", "-W", "1", "10.10.10.2")
        shown = capture.communicate(timeout=10)[0]
        assert done.returncode == 0, done.stdout
        assert ", 0% packet loss" in done.stdout
        assert shown.count("vlan 1000") == 4
        for part in ("Request who-has 10.10.10.2", "Reply 10.10.10.2", "echo request", "echo reply"):
            assert part in shown


def test_frames_of_others_vlans_are_dropped_and_counted(world: World) -> None:
    """VLAN 1001 that nobody speaks, an S-tag, and a tag within the tag reach neither the router nor the host."""
    with a_line(world) as (laid, wanted), tap(ROUTER, wanted.ifname) as near, tap(IDC, IDC_PARENT) as far:
        service = bytearray(frame(laid.mac, laid.idc_mac, 1000))
        service[12:14] = b"\x88\xa8"
        with counting(unknown=2, double_tag=2):
            for bad in (
                frame(laid.mac, laid.idc_mac, 1001),
                bytes(service),
                frame(laid.mac, laid.idc_mac, 1000, 1000),
                frame(laid.mac, laid.idc_mac, 1001, 1000),
            ):
                far.send(bad)
            assert hear(near, lambda _: True, QUIET_S) == []
        with counting(delivered=1):  # and the tap does hear what is right
            far.send(frame(laid.mac, laid.idc_mac, 1000))
            assert len(hear(near, lambda _: True)) == 1


def test_unknown_vlans_reach_no_socket_of_the_router(world: World, mode: VlanMode) -> None:
    """In both modes."""
    with a_line(world, mode) as (laid, wanted), tap(ROUTER, wanted.ifname) as near, tap(IDC, IDC_PARENT) as far:
        far.send(frame(laid.mac, laid.idc_mac, 1001))
        assert hear(near, lambda _: True, QUIET_S) == []


def test_a_router_that_tags_is_dropped_and_counted(world: World) -> None:
    """A tag of the router's own would be a double tag on the line."""
    with a_line(world) as (laid, wanted), tap(ROUTER, wanted.ifname) as near, tap(IDC, IDC_PARENT) as far:
        before = counted()
        near.send(frame(laid.idc_mac, laid.mac, 7))
        assert hear(far, lambda _: True, QUIET_S) == []
        assert counted()[Reason.DOUBLE_TAG] == before[Reason.DOUBLE_TAG] + 1


def test_the_host_cannot_speak_on_the_line(world: World) -> None:
    """A far end is an interface of the host: what a DHCP client or the like sends into it is dropped and counted."""
    with a_line(world) as (laid, wanted), tap(ROUTER, wanted.ifname) as near:
        with tap("", "dpw2") as host, counting(hosts_own=1):
            with pytest.raises(OSError, match="No buffer space"):  # how the kernel says that a filter dropped it
                host.send(frame("ff:ff:ff:ff:ff:ff", laid.mac))
            assert hear(near, lambda _: True, QUIET_S) == []
        assert "inet6" not in run("ip", "address", "show", "dev", "dpw2")


def test_untagged_frames_stay_the_hosts(world: World, mode: VlanMode, ping: str) -> None:
    """The host's own addresses on the device work as before, priority tags (VLAN 0) included."""
    with a_line(world, mode) as (laid, wanted), tap(ROUTER, wanted.ifname) as near:
        run("ip", "address", "add", "192.0.2.1/24", "dev", PARENT)
        run("ip", "-n", IDC, "address", "add", "192.0.2.2/24", "dev", IDC_PARENT)
        done = inside(IDC, ping, "-c", "2", "-i", "0.2", "-W", "1", "192.0.2.1")
        assert done.returncode == 0, done.stdout
        assert hear(near, lambda _: True, QUIET_S) == []
        if mode is VlanMode.TC:
            with tap(IDC, IDC_PARENT) as far, counting(untagged=1):
                far.send(frame(laid.mac, laid.idc_mac, 0))
                assert hear(near, lambda _: True, QUIET_S) == []


def test_two_vlans_on_one_device_are_isolated(world: World, mode: VlanMode, ping: str) -> None:
    """Equal addresses behind both; each router hears its own data centre only."""
    with a_line(world, mode) as (laid, first):
        second = for_mode(line(3, 1001, OTHER), mode)
        world.create([*router(OTHER), second, addressed(second, "10.10.10.1/30")])
        with far_router("10.10.10.2/30", mode=mode), tap(OTHER, second.ifname) as other, tap(IDC, IDC_PARENT) as far:
            assert inside(ROUTER, ping, "-c", "2", "-i", "0.2", "-W", "1", "10.10.10.2").returncode == 0
            assert inside(OTHER, ping, "-c", "2", "-i", "0.2", "-W", "1", "10.10.10.2").returncode == 1
            with tap(ROUTER, first.ifname) as own:
                probe = frame("ff:ff:ff:ff:ff:ff", laid.idc_mac, 1001)
                far.send(probe)
                assert hear(other, lambda heard: heard[12:14] == b"\x88\xb5") == [probe[:12] + probe[16:]]
                assert hear(own, lambda heard: heard[12:14] == b"\x88\xb5", QUIET_S) == []


def test_a_large_stream_arrives_intact(world: World, mode: VlanMode) -> None:
    """50 MB of TCP, segmentation offload included, compared by hash."""
    block = os.urandom(1 << 20)
    expected = hashlib.blake2b()
    heard = hashlib.blake2b()
    with a_line(world, mode), far_router("10.10.10.2/30", mode=mode) as cpe:
        with netns.entered(cpe.namespace):
            server = socket.create_server(("10.10.10.2", 5001))

        def receive() -> None:
            connection = server.accept()[0]
            with connection:
                while data := connection.recv(1 << 20):
                    heard.update(data)

        thread = threading.Thread(target=receive)
        thread.start()
        with netns.entered(ROUTER):
            client = socket.socket()
        client.settimeout(20)
        client.connect(("10.10.10.2", 5001))
        with server, client:
            for _ in range(STREAM_BYTES // len(block)):
                client.sendall(block)
                expected.update(block)
            client.shutdown(socket.SHUT_WR)
            thread.join(30)
    assert heard.digest() == expected.digest()


def test_counters_account_for_every_frame(world: World, ping: str) -> None:
    """The sum of the reasons is the number of frames that the two programs saw."""
    with a_line(world), far_router("10.10.10.2/30"):
        before = counted()
        assert inside(ROUTER, ping, "-f", "-c", "200", "10.10.10.2").returncode == 0
        grown = {reason: count - before[reason] for reason, count in counted().items()}
    assert grown[Reason.PUSHED] == grown[Reason.DELIVERED]
    assert 200 <= grown[Reason.PUSHED] <= 202  # and an ARP exchange or two
    assert sum(grown.values()) == grown[Reason.PUSHED] * 2
