"""Two underlay hosts by hand: this one, and a peer in a namespace whose links, entries and packets `ip` and bytes make.

Nothing of the peer comes from the product, so that the two are judged by each other.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dataplane.kernel import netns
from dataplane.model import names
from dataplane.model.kernel import Admission, FdbEntry, KernelObject, Neighbour, UnderlayFilter, VxlanLink
from tests.netns.lines import converge, mac_bytes
from tests.netns.objects import ROUTER_A, World, router, run, set_sysctl

DEVICE, PEER, PEER_DEVICE = "eth0", "peer", "up0"
FAR = "far"
"""A router on the peer."""
HERE, THERE, STRANGER = (IPv4Address(f"172.20.0.{last}") for last in (11, 12, 99))
NEAR_MAC, FAR_MAC = "02:00:00:00:00:07", "02:00:00:00:01:01"
VNI = 77
VXLAN_FLAGS = 0x08
ETHERTYPE_IPV4 = 0x0800
LINK = "dpx7"
IN_ROUTER = ("ip", "-n", ROUTER_A)
FDB = ("bridge", "-n", ROUTER_A, "fdb")


@contextlib.contextmanager
def cable() -> Iterator[None]:
    """The wire between the hosts; the peer also has a stranger's address. It is taken away with whatever is on it."""
    netns.prepare_directory()
    run("ip", "netns", "add", PEER)
    try:
        set_sysctl(PEER, "net/ipv6/conf/all/disable_ipv6", "1")
        lay(DEVICE, f"{HERE}/24", PEER_DEVICE, f"{THERE}/24")
        run("ip", "-n", PEER, "addr", "add", f"{STRANGER}/24", "dev", PEER_DEVICE)
        yield
    finally:
        run("ip", "netns", "delete", PEER)
        with contextlib.suppress(Exception):
            run("ip", "link", "delete", "dev", DEVICE)


def lay(device: str, address: str, far: str, far_address: str) -> None:
    """One wire to the peer, with an address at either end."""
    run("ip", "link", "add", "name", device, "type", "veth", "peer", "name", far, "netns", PEER)
    set_sysctl(names.HOST, f"net/ipv6/conf/{device}/disable_ipv6", "1")
    run("ip", "addr", "add", address, "dev", device)
    run("ip", "link", "set", "dev", device, "up")
    run("ip", "-n", PEER, "addr", "add", far_address, "dev", far)
    run("ip", "-n", PEER, "link", "set", "dev", far, "up")


def tunnel(port: int = 7, vni: int = VNI, namespace: str = ROUTER_A, **changes: object) -> VxlanLink:
    """A link as the compiler asks for it."""
    wanted = VxlanLink(
        mark=names.mark("vpc_tunnel", namespace.removeprefix("dp-vpc-")),
        namespace=namespace,
        ifname=names.port_ifname("x", port),
        ifindex=names.port_ifindex(port),
        mac=NEAR_MAC,
        vni=vni,
        local=HERE,
        device=DEVICE,
        mtu=1450,
    )
    return replace(wanted, **changes)  # type: ignore[arg-type]


def admission(first: str, last: str = "", vni: int = VNI, vtep: IPv4Address = THERE) -> Admission:
    return Admission(vtep, vni, IPv4Address(first), IPv4Address(last or first))


def underlay_filter(*admissions: Admission) -> UnderlayFilter:
    """A filter that lets in the given ones; 10.0.1.0/24 of the peer where none is given."""
    return UnderlayFilter(DEVICE, frozenset(admissions or [admission("10.0.1.0", "10.0.1.255")]))


def tunnelled(*, link: VxlanLink | None = None) -> list[KernelObject]:
    """A router with one tunnel to the peer."""
    wanted = link or tunnel()
    return [
        *router(wanted.namespace),
        underlay_filter(),
        wanted,
        FdbEntry(wanted.namespace, wanted.ifname, FAR_MAC, THERE),
        Neighbour(wanted.namespace, wanted.ifname, THERE, FAR_MAC),
    ]


def frame(
    source: str = "10.0.1.1",
    to: str = "10.0.0.1",
    payload: bytes = b"",
    ethertype: int = ETHERTYPE_IPV4,
    mac: str = NEAR_MAC,
) -> bytes:
    """An Ethernet frame as a far router sends it, with an IPv4 packet of protocol 253 (RFC 3692: for experiments)."""
    addresses = IPv4Address(source).packed + IPv4Address(to).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, 253, 0) + addresses
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    return mac_bytes(mac) + mac_bytes(FAR_MAC) + struct.pack("!H", ethertype) + head + payload


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def vxlan_packet(inner: bytes, vni: int = VNI, flags: int = VXLAN_FLAGS) -> bytes:
    """The UDP payload (RFC 7348, section 5)."""
    return struct.pack("!B3xI", flags, vni << 8) + inner


def throw(payload: bytes, source: IPv4Address = THERE, to: IPv4Address = HERE) -> None:
    """Send a UDP datagram to the VXLAN port, from the peer's namespace and one of its addresses."""
    with netns.entered(PEER), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((str(source), 0))
        opened.sendto(payload, (str(to), names.VXLAN_PORT))


def heard_until(opened: socket.socket, last: bytes, seconds: float = 20.0) -> list[bytes]:
    """Every frame that comes in up to and with the one that holds these bytes."""
    until = time.monotonic() + seconds
    heard: list[bytes] = []
    while time.monotonic() < until:
        try:
            data, _, _, origin = opened.recvmsg(65536, 0)
        except TimeoutError:
            continue
        if origin[2] != socket.PACKET_OUTGOING:
            heard.append(data)
            if last in data:
                return heard
    raise AssertionError(f"{last!r} was not heard, only {heard}")


@pytest.fixture(autouse=True)
def laid(world: World) -> Iterator[None]:
    """A wire to the peer."""
    with cable():
        yield


@pytest.fixture
def made(world: World) -> tuple[World, list[KernelObject], VxlanLink]:
    """A router with one tunnel."""
    wanted = tunnel()
    desired = tunnelled(link=wanted)
    converge(world, desired)
    return world, desired, wanted


def shown(namespace: str = ROUTER_A) -> str:
    return run("ip", "-n", namespace, "-d", "link", "show", "type", "vxlan")


def texts(world: World, desired: list[KernelObject]) -> dict[object, str]:
    return {foreign.key: foreign.text for foreign in world.observe(desired).foreign}
