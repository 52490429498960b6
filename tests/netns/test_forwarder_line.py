"""A leased line on the fast path: what is on its wire is the kernel's own frame, and counters say who sent it.

Each test runs at both hooks. What senders are answered is in ``test_forwarder_line_answers.py``.
"""

import hashlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from dataplane.kernel import netns
from dataplane.model.forwarding import Reason
from dataplane.plan.action import Verb
from tests.netns.data_centre import (
    DEVICE,
    DOOR,
    LINE,
    MACS,
    NEAR,
    PAYLOAD,
    PEER,
    SENDER,
    TEXT,
    VBR,
    carries,
    data_centre,
    packet,
    resolved,
)
from tests.netns.lines import Cable, cable, far_router
from tests.netns.network import AppliedNetwork, hooked, listening_everywhere, send_frame
from tests.netns.objects import inside, run
from tests.netns.test_forwarder_packets import counted, netstat_udp, without

scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")

STREAM_BYTES = 20_000_000
SEGMENT_BYTES = 1448


@pytest.fixture(params=["tc", "xdp"])
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wire(network: AppliedNetwork) -> Iterator[Cable]:
    """A line with nobody but this test at its far end; the network goes before it does."""
    with cable(DEVICE) as laid:
        yield laid
        assert network.session().destroy().is_done


def settled(network: AppliedNetwork, action: Callable[[], object]) -> dict[str, dict[Reason, int]]:
    """What an action adds to the counters of the ports on the way to the line."""
    before = {port: counted(network, port) for port in (SENDER, NEAR, DOOR, LINE)}
    action()
    return {port: without(counted(network, port), seen) for port, seen in before.items()}


def test_the_frame_on_the_wire_is_the_kernels_own(network: AppliedNetwork, wire: Cable) -> None:
    """R26, R28, D17: byte for byte (MACs, tag, TTL, checksum), behind the line and on its own subnet, at every hook."""
    seen: dict[str, list[bytes | None]] = {}
    shapes: list[dict[str, object]] = [
        {},
        {"ttl": 3},
        {"tos": 0xB8, "flags": "DF"},
        {"destination": PEER},
        {"flags": "MF"},
        {"frag": 185},
    ]
    for hook in ("off", "tc", "xdp"):
        network.must_apply(hooked(TEXT, hook))
        with data_centre(wire) as there:
            resolved(there)
            seen[hook] = []
            for number, shape in enumerate(shapes):
                send_frame("inside", packet(number=number, **shape))  # type: ignore[arg-type]
                seen[hook].append(there.hears(carries(number)))
        assert network.session().destroy().is_done
    assert [number for number, frame in enumerate(seen["off"]) if frame is None] == []
    assert seen["tc"] == seen["off"]
    assert seen["xdp"] == seen["off"]
    first = seen["off"][0] or b""
    assert (first[:6], first[12:16], first[26]) == (bytes.fromhex(MACS[0].replace(":", "")), b"\x81\x00\x03\xe8", 62)


def test_only_the_first_packets_and_arp_are_the_kernels(network: AppliedNetwork, wire: Cable, hook: str) -> None:
    """And at XDP the frame is handed to tc at the door of the line's router, both of whose sides are at tc."""
    network.must_apply(hooked(TEXT, hook))
    with data_centre(wire) as there:
        first = settled(network, lambda: resolved(there))
        assert first[DOOR] == {Reason.NO_NEIGHBOUR: 1}
        assert first[LINE] == {Reason.ARP: 1}

        def hundred() -> None:
            for number in range(100):
                send_frame("inside", packet(number=number))
                assert there.hears(carries(number)) is not None

        assert settled(network, hundred) == {
            SENDER: {Reason.FORWARDED: 100},
            NEAR: {},
            DOOR: {Reason.FORWARDED: 100},
            LINE: {},
        }


def test_what_comes_in_by_the_line_stays_on_the_fast_path(network: AppliedNetwork, wire: Cable, hook: str) -> None:
    """Two routers, and neither kernel has a part in it; back to the line goes nothing (D16, split horizon)."""
    network.must_apply(hooked(TEXT, hook))
    udp = scapy.UDP(sport=1, dport=2) / PAYLOAD
    with data_centre(wire) as there:
        with listening_everywhere() as frames:
            inwards = settled(network, lambda: there.send(scapy.IP(src="172.16.9.9", dst="192.168.1.10", ttl=9) / udp))
        (arrived,) = [frame for frame in frames["dp-i-inside"] if PAYLOAD in frame and frame[22] == 7]
        assert arrived[26:30] == socket.inet_aton("172.16.9.9")
        assert [inwards[port] for port in (LINE, NEAR)] == [{Reason.FORWARDED: 1}] * 2
        for destination in ("172.16.9.10", PEER):
            back = settled(network, lambda to=destination: there.send(scapy.IP(src="172.16.9.9", dst=to) / udp))
            assert back[LINE] == {Reason.PROHIBITED: 1}
            assert there.hears(lambda frame: PAYLOAD in frame and frame[26] == 63, 0.2) is None


def test_a_changed_mac_is_followed_at_once(network: AppliedNetwork, wire: Cable, hook: str) -> None:
    """Another router of the data centre takes the address over, and says so; no apply, no agent."""
    network.must_apply(hooked(TEXT, hook))
    with data_centre(wire) as there:
        resolved(there, MACS[0])
        for number, mac in enumerate((MACS[0], MACS[1], MACS[0])):
            there.say(mac)
            send_frame("inside", packet(number=number))
            found = there.hears(carries(number))
            assert found is not None
            assert found[:6].hex(":") == mac
    assert set(counted(network, DOOR)) == {Reason.NO_NEIGHBOUR, Reason.FORWARDED}


def test_each_address_on_the_line_is_asked_for_by_itself(network: AppliedNetwork, wire: Cable, hook: str) -> None:
    """D20: a subnet wider than two hosts has several, and each has the MAC that it says."""
    network.must_apply(hooked(TEXT.replace("10.10.10.1/30", "10.10.10.1/29"), hook))
    with data_centre(wire) as there:
        for address, mac in zip((PEER, "10.10.10.3"), MACS, strict=True):
            resolved(there, mac, address)
        for number, (address, mac) in enumerate((("10.10.10.3", MACS[1]), (PEER, MACS[0]), ("172.16.9.9", MACS[0]))):
            send_frame("inside", packet(address, number))
            found = there.hears(carries(number))
            assert found is not None
            assert found[:6].hex(":") == mac
    assert counted(network, DOOR) == {Reason.NO_NEIGHBOUR: 2, Reason.FORWARDED: 3}


def test_what_is_known_of_one_address_says_nothing_of_another(network: AppliedNetwork, wire: Cable, hook: str) -> None:
    """Packets in turn, many to a jiffy, to one that has answered and to one that never does."""
    network.must_apply(hooked(TEXT.replace("10.10.10.1/30", "10.10.10.1/29"), hook))
    with data_centre(wire) as there:
        resolved(there)
        pair = [packet(PEER), packet("10.10.10.3")]
        with netns.entered("dp-i-inside"):
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)

        def in_turn() -> None:
            with sender:
                sender.bind(("eth0", 0))
                for _ in range(200):
                    for frame in pair:
                        sender.send(frame)

        assert settled(network, in_turn)[DOOR] == {Reason.FORWARDED: 200, Reason.NO_NEIGHBOUR: 200}


def test_large_segments_pass_whole(network: AppliedNetwork, wire: Cable, hook: str) -> None:
    """A TCP stream and real datagrams to the data centre's router: offloads of all kinds, and right checksums (58)."""
    network.must_apply(hooked(TEXT, hook))
    with far_router(f"{PEER}/30") as link:
        run("ip", "-n", link.namespace, "route", "add", "192.168.0.0/16", "via", "10.10.10.1")
        assert network.ping("inside", PEER)
        sent = hashlib.sha256(bytes(STREAM_BYTES)).hexdigest()
        assert stream("dp-i-inside", link.namespace, PEER) == sent
        assert stream(link.namespace, "dp-i-inside", "192.168.1.10") == sent
        wrong = netstat_udp(link.namespace, "InCsumErrors")
        with bound(link.namespace, socket.SOCK_DGRAM, PEER) as there, bound("dp-i-inside", socket.SOCK_DGRAM) as here:
            for size in (0, 1, 2, 3, 17, 512, 1471, 1472):
                here.sendto(b"x" * size, (PEER, 5001))
                assert there.recv(65536) == b"x" * size
        assert netstat_udp(link.namespace, "InCsumErrors") == wrong
    door, sender = counted(network, DOOR), counted(network, SENDER)
    assert set(door) == {Reason.FORWARDED, Reason.NO_NEIGHBOUR}
    assert set(sender) <= {Reason.FORWARDED, Reason.ARP}
    assert door[Reason.FORWARDED] < STREAM_BYTES / SEGMENT_BYTES, "large ones: at XDP the door puts them together"


def bound(namespace: str, kind: socket.SocketKind, address: str = "0.0.0.0") -> socket.socket:
    """A socket in a namespace, on port 5001 where it has an address."""
    with netns.entered(namespace):
        made = socket.socket(socket.AF_INET, kind)
    made.settimeout(20)
    if address != "0.0.0.0":
        made.bind((address, 5001))
    return made


def stream(source: str, target: str, address: str) -> str:
    """The hash of what arrives of a TCP stream."""
    digest = hashlib.sha256()
    with bound(target, socket.SOCK_STREAM, address) as listener, bound(source, socket.SOCK_STREAM) as sender:
        listener.listen()
        sender.connect((address, 5001))
        thread = threading.Thread(target=lambda: (sender.sendall(bytes(STREAM_BYTES)), sender.shutdown(1)))
        thread.start()
        with listener.accept()[0] as connection:
            connection.settimeout(20)
            while data := connection.recv(1 << 20):
                digest.update(data)
        thread.join()
    return digest.hexdigest()


@pytest.mark.parametrize("hook", ["xdp"])
def test_the_door_is_kept_ready_for_frames(network: AppliedNetwork, wire: Cable, hook: str) -> None:
    """Without GRO every frame that XDP sends there is lost, and nothing counts it: so it is watched, and mended."""
    if shutil.which("ethtool") is None:
        pytest.skip("needs the package ethtool")
    text = hooked(TEXT, hook)
    network.must_apply(text)
    with data_centre(wire) as there:
        resolved(there)
        with netns.entered(VBR):
            ifname = next(word for word in run("ip", "-o", "link").replace("@", " ").split() if word.startswith("dpr"))
        inside(VBR, "ethtool", "-K", ifname, "gro", "off")
        send_frame("inside", packet(number=1))
        assert there.hears(carries(1), 0.3) is None
        report = network.apply(text)
        changed = {(action.object.key, action.verb) for action in report.planned.actions}
        assert changed == {(("far_end", VBR, ifname), Verb.CHANGE)}
        send_frame("inside", packet(number=2))
        assert there.hears(carries(2)) is not None
    network.must_apply(hooked(TEXT, "tc"))
    assert "tx-checksumming: on" in inside(VBR, "ethtool", "-k", ifname).stdout
