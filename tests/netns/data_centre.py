"""A data centre's router by hand, at the far end of the line of ``ONE_LINE``: it hears and says single frames.

What it knows of ARP is written here, so that a test says when a MAC is found, which one, and when it is another.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from dataplane.kernel import netns
from dataplane.model.names import mac_address
from tests.fakes.networks import ONE_LINE
from tests.netns.lines import IDC, IDC_PARENT, Cable, hear, tap
from tests.netns.network import send_frame
from tests.netns.objects import run

scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")

_ROUTE = "{destination: 172.16.0.0/16, next_hop: {router_interface: ri-a}}"
TEXT = ONE_LINE.replace(_ROUTE, f"{_ROUTE}, {_ROUTE.replace('172.16.0.0/16', '10.10.10.0/24')}")
"""The line's own subnet is reached too, as by a health check (R41)."""
DEVICE, VBR, PEER = "wire0", "dp-vbr-vbr-1", "10.10.10.2"
SENDER, DOOR, NEAR, LINE = (
    "instance/inside",
    "peering_connection/pcx-1/initiator",
    "peering_connection/pcx-1/acceptor",
    "line/vbr-1",
)
"""Ports: of the instance, of the VBR and the VPC to each other, of the line."""
PAYLOAD = b"towards the data centre"
MACS = ("02:00:5e:00:00:0a", "02:00:5e:00:00:0b")
_FIRST = 65_000


class DataCentre:
    """Its router, by hand: it hears all frames, and says whose MAC it has when it is told to."""

    def __init__(self, wire: Cable, opened: socket.socket) -> None:
        self._wire, self._socket = wire, opened

    def send(self, inside: object) -> None:
        ether = scapy.Ether(src=self._wire.idc_mac, dst=self._wire.mac)
        self._socket.send(bytes(ether / scapy.Dot1Q(vlan=1000) / inside))

    def say(self, mac: str, address: str = PEER) -> None:
        """An announcement (RFC 5227): the kernel takes it for a neighbour that it knows or asks for."""
        ether = scapy.Ether(src=mac, dst=self._wire.mac) / scapy.Dot1Q(vlan=1000)
        self._socket.send(bytes(ether / scapy.ARP(op=2, hwsrc=mac, psrc=address, hwdst=mac, pdst=address)))

    def hears(self, wanted: Callable[[bytes], bool], seconds: float = 2.0) -> bytes | None:
        """The first frame that fits, with its tag; None where none comes."""
        return next(iter(hear(self._socket, wanted, seconds)), None)

    def is_asked(self, address: str = PEER) -> bool:
        """Whether a request for the MAC of an address comes."""
        target = socket.inet_aton(address)
        return self.hears(lambda frame: frame[16:18] == b"\x08\x06" and frame[42:46] == target) is not None


@contextlib.contextmanager
def data_centre(wire: Cable) -> Iterator[DataCentre]:
    with tap(IDC, IDC_PARENT) as opened:
        yield DataCentre(wire, opened)


def packet(destination: str = "172.16.9.9", number: int = 0, **fields: object) -> bytes:
    """A UDP packet of the instance, as it leaves it."""
    ether = scapy.Ether(src=mac_address("instance", "inside"), dst=mac_address("port", "inside"))
    ip = scapy.IP(src="192.168.1.10", dst=destination, id=number, **fields)
    return bytes(ether / ip / scapy.UDP(sport=1000, dport=2000) / (PAYLOAD + b" %d" % number))


def carries(number: int) -> Callable[[bytes], bool]:
    return lambda frame: frame.endswith(PAYLOAD + b" %d" % number)


def resolved(there: DataCentre, mac: str = MACS[0], address: str = PEER) -> None:
    """The VBR knows a MAC of the data centre's router: it has asked for it, or is told anew."""
    send_frame("inside", packet(address if address != PEER else "172.16.9.9", _FIRST))
    assert there.is_asked(address)
    there.say(mac, address)
    assert there.hears(carries(_FIRST)) is not None


def line_ifname() -> str:
    """The VBR's interface on the line."""
    with netns.entered(VBR):
        names = run("ip", "-o", "link").replace("@", " ").replace(":", " ").split()
    return next(name for name in names if name.startswith("dpv"))
