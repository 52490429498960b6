"""Which leg each flow takes: flows that carry their numbers, and ears at the far end of every line."""

import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dataplane.kernel import netns
from tests.fakes.circuits import DEVICE, Circuits
from tests.netns.lines import cable
from tests.netns.network import AppliedNetwork, hooked
from tests.netns.objects import inside

FLOWS = 80
TARGET = "172.16.0.1"
ETH_P_ALL = 3
RTM_NEWROUTE, RTM_NEWNEXTHOP = 24, 104
_MARK = b"flow of the leg test "
_SO_RCVBUFFORCE = 33
_RTMGRP_IPV4_ROUTE, _RTNLGRP_NEXTHOP = 0x40, 32
_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 270, 1


@contextmanager
def lines(count: int) -> Iterator[None]:
    """The cables of some circuits; the network goes before they do."""
    with ExitStack() as stack:
        for n in range(count):
            stack.enter_context(cable(f"{DEVICE}{n}", f"idc-{n}", "up0"))
        yield


def neighbour(vbr: str, address: str) -> None:
    """Whoever is at the far end of a line, without asking for him."""
    shown = inside(f"dp-vbr-{vbr}", "ip", "-br", "link", "show").stdout.split()
    line = next(word.partition("@")[0] for word in shown if word.startswith("dpv"))
    command = ("ip", "neigh", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", line)
    assert inside(f"dp-vbr-{vbr}", *command).returncode == 0


def neighbours(count: int) -> None:
    for n in range(count):
        neighbour(f"vbr-{n}", f"10.10.{n}.2")


@contextmanager
def built(network: AppliedNetwork, circuits: Circuits, hook: str) -> Iterator[None]:
    with lines(circuits.count):
        network.must_apply(hooked(circuits.text, hook))
        neighbours(circuits.count)
        yield
        assert network.session().destroy().is_done


@contextmanager
def listening(count: int) -> Iterator[list[socket.socket]]:
    """A socket at the far end of each line, with room for a second of packets and more."""
    with ExitStack() as stack:
        opened = []
        for n in range(count):
            with netns.entered(f"idc-{n}"):
                there = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
                there.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 128 << 20)
                there.bind(("up0", ETH_P_ALL))
            there.setblocking(False)
            opened.append(there)
        yield opened


def drained(there: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield there.recv(2048)
        except BlockingIOError:
            return


def ways(count: int, instance: str = "ecs", target: str = TARGET) -> dict[int, int]:
    """Which leg (the number of its circuit) each flow takes now; a flow that arrives nowhere is missing."""
    found: dict[int, int] = {}
    with listening(count) as opened:
        with netns.entered(f"dp-i-{instance}"):
            for flow in range(FLOWS):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.bind(("192.168.1.10", 20_000 + flow))
                    sender.sendto(_MARK + struct.pack("!H", flow), (target, 9))
        time.sleep(0.1)
        for leg, there in enumerate(opened):
            for frame in drained(there):
                _, mark, rest = frame.partition(_MARK)
                if mark:
                    (flow,) = struct.unpack_from("!H", rest)
                    assert flow not in found, "no flow arrives twice"
                    found[flow] = leg
    return found


class RouteListener:
    """Hears what the kernel tells of routes and next hops in the namespace that it is made in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_IPV4_ROUTE))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _RTNLGRP_NEXTHOP)
        self._socket.setblocking(False)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def kinds(self) -> set[int]:
        """The types of the messages so far."""
        return {int.from_bytes(message[4:6], sys.byteorder) for message in drained(self._socket)}


def numbers(there: socket.socket) -> list[int]:
    """The numbers of the load's packets that arrived at a line."""
    found = []
    for frame in drained(there):
        start = frame.find(b"\x08\x00\x45")
        if start >= 0 and len(frame) >= start + 46 and frame[start + 11] == socket.IPPROTO_UDP:
            found.append(int.from_bytes(frame[start + 30 : start + 38], "little"))
    return found
