"""Circuits to probe, made by hand: a VPC's router, a border router for each circuit, a data centre behind all of them.

What answers, what is dropped and what is forged is the kernel's doing or bytes made here, independent of the prober.
"""

import contextlib
import mmap
import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataplane.health.client import Died, Prober
from dataplane.health.legs_map import STRIDE_BYTES
from dataplane.health.state import NS_PER_MS, Settings, Verdict
from dataplane.health.wire import Beat, Change, LegReport, LegSpec
from dataplane.kernel import netns, probe_socket
from tests.netns.objects import run, set_sysctl

ROUTER, CENTRE = "probe-vpc", "probe-idc"
FAST = Settings(interval_ns=10 * NS_PER_MS, timeout_ns=10 * NS_PER_MS, fall=3, rise=3, is_damped=False)
CAPACITY = 64
PATIENCE_S = 30.0
_NEIGHBOUR = "169.254.0.1"


@dataclass(frozen=True)
class Circuit:
    """One way from the router to the data centre, through a border router of its own."""

    number: int

    @property
    def border(self) -> str:
        return f"probe-vbr{self.number}"

    @property
    def source(self) -> str:
        return f"192.168.10.{self.number}"

    @property
    def destination(self) -> str:
        return f"10.10.{self.number}.2"

    @property
    def link(self) -> str:
        return f"leg{self.number}"

    def cut_forth(self) -> None:
        """From now on no probe reaches the data centre, and nobody is told."""
        run("ip", "-n", self.border, "route", "replace", "blackhole", f"{self.destination}/32")

    def cut_back(self) -> None:
        """From now on no answer comes back, and nobody is told."""
        run("ip", "-n", self.border, "route", "replace", "blackhole", f"{self.source}/32")

    def mend(self) -> None:
        """Both ways are open."""
        run("ip", "-n", self.border, "route", "replace", f"{self.destination}/32", *_via("south"))
        run("ip", "-n", self.border, "route", "replace", f"{self.source}/32", *_via("north"))

    def drop_requests(self, condition: str) -> None:
        """Drop the echo requests that meet a condition of nftables."""
        text = (
            "table ip probe {\n chain forward {\n type filter hook forward priority 0; policy accept;\n"
            f" icmp type echo-request {condition} drop\n }}\n}}\n"
        )
        subprocess.run(["ip", "netns", "exec", self.border, "nft", "-f", "-"], input=text.encode(), check=True)

    def drop_nothing(self) -> None:
        run("ip", "netns", "exec", self.border, "nft", "delete", "table", "ip", "probe")


def _via(device: str) -> tuple[str, ...]:
    return "via", _NEIGHBOUR, "dev", device, "onlink"


@contextlib.contextmanager
def circuits(count: int = 1) -> Iterator[list[Circuit]]:
    """Build them, and take them away by name."""
    made = [Circuit(number + 1) for number in range(count)]
    places = [ROUTER, CENTRE, *(circuit.border for circuit in made)]
    netns.prepare_directory()
    try:
        for place in places:
            run("ip", "netns", "add", place)
            run("ip", "-n", place, "link", "set", "lo", "up")
        for circuit in made:
            _build(circuit)
        yield made
    finally:
        for place in places:
            with contextlib.suppress(Exception):
                run("ip", "netns", "delete", place)


def _build(circuit: Circuit) -> None:
    border, number = circuit.border, circuit.number
    set_sysctl(border, "net/ipv4/ip_forward", "1")
    set_sysctl(border, "net/ipv4/conf/all/rp_filter", "0")
    _cable(ROUTER, circuit.link, border, "north")
    _cable(CENTRE, f"line{number}", border, "south")
    run("ip", "-n", ROUTER, "addr", "add", f"{circuit.source}/32", "dev", "lo")
    run("ip", "-n", CENTRE, "addr", "add", f"{circuit.destination}/32", "dev", "lo")
    for place in (ROUTER, CENTRE):
        set_sysctl(place, "net/ipv4/conf/all/rp_filter", "0")
    # A leg table of its own, as kernel.md, section 4, has it.
    run("ip", "-n", ROUTER, "route", "add", "default", *_via(circuit.link), "table", str(100 + number))
    run("ip", "-n", ROUTER, "rule", "add", "iif", "lo", "from", circuit.source, "lookup", str(100 + number))
    run("ip", "-n", CENTRE, "route", "add", f"{circuit.source}/32", *_via(f"line{number}"))
    circuit.mend()


def _cable(near: str, link: str, far: str, far_link: str) -> None:
    run("ip", "-n", near, "link", "add", link, "type", "veth", "peer", "name", far_link, "netns", far)
    for place, device, other_place, other in ((near, link, far, far_link), (far, far_link, near, link)):
        mac = run("ip", "netns", "exec", other_place, "cat", f"/sys/class/net/{other}/address").strip()
        run("ip", "-n", place, "link", "set", device, "up")
        run("ip", "-n", place, "neigh", "add", _NEIGHBOUR, "lladdr", mac, "dev", device, "nud", "permanent")
        set_sysctl(place, f"net/ipv4/conf/{device}/rp_filter", "0")


def ifindex(place: str, link: str) -> int:
    """The kernel's number of a link."""
    with netns.entered(place):
        return socket.if_nametoindex(link)


def leg(circuit: Circuit, settings: Settings = FAST, **more: Any) -> LegSpec:
    """The leg of a circuit."""
    return LegSpec(
        f"ri-{circuit.number}",
        circuit.number,
        ROUTER,
        circuit.source,
        circuit.destination,
        settings,
        **{"arrivals": (ifindex(ROUTER, circuit.link),), **more},
    )


@dataclass
class Probing:
    """A prober under test, everything that it said, and the map of legs as a forwarder would read it."""

    prober: Prober
    map_fd: int
    states: mmap.mmap
    changes: list[Change] = field(default_factory=list)
    deaths: list[Died] = field(default_factory=list)
    late_ns: int = 0

    def pump(self, seconds: float = 0.02) -> None:
        """Hear what it says for at least this long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            select.select([self.prober.fileno()], [], [], min(left, 0.05))
            for event in self.prober.pump():
                if isinstance(event, Change):
                    self.changes.append(event)
                elif isinstance(event, Beat):
                    self.late_ns = max(self.late_ns, event.late_ns)
                elif isinstance(event, Died):
                    self.deaths.append(event)

    def wait(self, what: str, holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        """Wait until something holds; how long it may take says nothing about how long it should."""
        until = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < until, f"{what}: {self.prober.reports}, {self.changes}, {self.prober.failures}"
            self.pump()

    def value(self, number: int) -> int:
        """A leg's byte in the map."""
        return self.states[STRIDE_BYTES * number]

    def fresh(self, name: str) -> LegReport:
        """A report that was made after this call."""
        now = time.monotonic_ns()
        self.prober.ask()
        self.wait(f"a report of {name}", lambda: name in self.prober.reports and self.prober.reports[name].at_ns > now)
        return self.prober.reports[name]

    def more(self, name: str, counter: str, count: int) -> LegReport:
        """Wait until a counter of a leg has grown by so much."""
        begin = getattr(self.fresh(name), counter)
        self.wait(f"{count} more {counter} of {name}", lambda: getattr(self.fresh(name), counter) >= begin + count)
        return self.prober.reports[name]

    def wait_for(self, names: Sequence[str], verdict: Verdict) -> None:
        """Wait until the prober has come to this verdict about legs, by evidence."""

        def all_are() -> bool:
            return all(self.prober.known.get(name, (None, 0))[0] is verdict for name in names)

        self.wait(f"{names} {verdict}", all_are)


@contextlib.contextmanager
def probing(specs: Sequence[LegSpec] = ()) -> Iterator[Probing]:
    """A prober with legs; it ends with the block, and its process surely."""
    prober = Prober(probe_socket)
    fd = os.memfd_create("dp_leg")
    os.truncate(fd, CAPACITY * STRIDE_BYTES)
    there = Probing(prober, fd, mmap.mmap(fd, CAPACITY * STRIDE_BYTES))
    try:
        prober.start()
        prober.use_map(fd, CAPACITY)
        prober.set_legs(specs)
        yield there
        assert "".join(prober.failures.values()) == ""
    finally:
        pid = prober.pid
        prober.close()
        there.states.close()
        os.close(fd)
        assert pid is None or not Path(f"/proc/{pid}").exists()


def forged_reply(source: str, destination: str, identifier: int, sequence: int, payload: bytes) -> bytes:
    """An echo reply with its IP header, from an address that is not the sender's."""
    icmp = struct.pack("!BBHHH", 0, 0, 0, identifier, sequence) + payload
    icmp = icmp[:2] + _checksum(icmp).to_bytes(2, "big") + icmp[4:]
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0) + addresses
    return head[:10] + _checksum(head).to_bytes(2, "big") + head[12:] + icmp


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@contextlib.contextmanager
def requests_heard(place: str, link: str) -> Iterator[Callable[[], list[int]]]:
    """When echo requests came by an interface: the kernel's moments of arrival (nanoseconds), more at each call."""
    with netns.entered(place):
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(0x0800))
    moments: list[int] = []

    def look() -> list[int]:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = heard.recvmsg(256, 64)
                if data[9] == socket.IPPROTO_ICMP and data[20] == 8:
                    seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
                    moments.append(seconds * 1_000_000_000 + nanoseconds)
        return moments

    with heard:
        heard.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        heard.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        heard.bind((link, 0x0800))
        yield look
