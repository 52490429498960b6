"""A border router applied from a file, on the real kernel: what is dropped and counted, never goes back, or waits.

The data centre is a namespace that sends frames made by hand; pings through real routers are the lab's.
"""

import socket
from collections.abc import Iterator

import pytest

from dataplane.kernel import features, netns
from tests.fakes.networks import ONE_LINE
from tests.netns.lines import IDC, IDC_PARENT, Cable, cable, frame
from tests.netns.network import AppliedNetwork, listening_everywhere
from tests.netns.objects import inside, run

scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")

DEVICE = "wire0"
PAYLOAD = b"from the data centre"


@pytest.fixture
def wire(network: AppliedNetwork) -> Iterator[Cable]:
    """A line with nobody but this test at its far end; the network goes before it does."""
    with cable(DEVICE) as laid:
        yield laid
        assert network.session().destroy().is_done


def send(*frames: bytes) -> None:
    with netns.entered(IDC):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with sender:
        sender.bind((IDC_PARENT, 0))
        for data in frames:
            sender.send(data)


def packet(wire: Cable, destination: str, vlan: int = 1000) -> bytes:
    ether = scapy.Ether(src=wire.idc_mac, dst=wire.mac) / scapy.Dot1Q(vlan=vlan)
    return bytes(ether / scapy.IP(src="172.16.0.1", dst=destination) / scapy.UDP(sport=1, dport=2) / PAYLOAD)


def where_seen(frames: dict[str, list[bytes]]) -> set[str]:
    return {name for name, seen in frames.items() if any(PAYLOAD in one for one in seen)}


def test_d16_what_comes_in_by_the_line_reaches_the_vpc_and_never_the_line(network: AppliedNetwork, wire: Cable) -> None:
    """R28: both routes are there; split horizon keeps VBR and data centre from playing ping-pong."""
    network.must_apply(ONE_LINE)
    with listening_everywhere() as frames:
        send(packet(wire, "192.168.1.10"))
    assert where_seen(frames) == {"dp-vbr-vbr-1", "dp-vpc-border", "dp-i-inside"}
    with listening_everywhere(IDC) as frames:
        send(packet(wire, "172.16.99.9"))
    assert where_seen(frames) == {IDC, "dp-vbr-vbr-1"}
    assert len([one for one in frames[IDC] if PAYLOAD in one]) == 1, "the one that was sent, and none that came back"


def test_r26_frames_for_nobody_are_dropped_and_counted_in_the_status(network: AppliedNetwork, wire: Cable) -> None:
    if features.has_8021q():
        pytest.skip("the kernel's own 8021q counts on the device")
    network.must_apply(ONE_LINE)
    assert not [note for note in network.session().status().notes if "dropped on the lines" in note]
    with listening_everywhere() as frames:
        send(packet(wire, "192.168.1.10", vlan=77), frame(wire.mac, wire.idc_mac, 1000, 5, payload=PAYLOAD))
    assert where_seen(frames) == set()
    notes = " ".join(network.session().status().notes)
    assert "1 of a VLAN that no VBR has" in notes
    assert "1 with two tags" in notes


def test_a_missing_device_holds_up_its_vbr_only(network: AppliedNetwork) -> None:
    """P5: the device is not ours to make; what does not need it is built, and the rest follows when it comes."""
    report = network.apply(ONE_LINE)
    assert not report.is_done
    assert report.rolled_back == ()
    assert any(f"there is no device {DEVICE}" in str(outcome.error) for outcome in report.failures)
    assert inside("dp-i-inside", "ping", "-c1", "-W1", "192.168.1.253").returncode == 0
    with cable(DEVICE):
        network.must_apply(ONE_LINE)
        assert network.session().destroy().is_done
        assert "dp" not in run("ip", "-o", "link", "show", "type", "veth").replace(DEVICE, "")
