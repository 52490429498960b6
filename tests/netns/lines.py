"""A leased line by hand: a device on the host whose other end stands in a namespace of the data centre.

What the data centre sends and hears is made here frame by frame, independently of the product.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface

from dataplane.datapath import vlan
from dataplane.kernel import netns
from dataplane.kernel.driver import KernelDriver
from dataplane.model import names
from dataplane.model.desired import Wanted
from dataplane.model.kernel import Address, KernelObject, Namespace, Sysctl, VlanLink, VlanMode
from dataplane.model.resource import NOWHERE, Resource
from dataplane.plan.action import Action, Verb
from dataplane.plan.planner import make_plan
from tests.netns.objects import World, run, set_sysctl

PARENT = "eth1"
IDC = "idc"
IDC_PARENT = "up0"
ROUTER, OTHER = names.vbr_namespace("vbr-1"), names.vbr_namespace("vbr-2")
ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_TP_STATUS_VLAN_VALID = 1 << 4


@dataclass
class Cable:
    """The wire between ``eth1`` on the host and ``up0`` in the data centre."""

    mac: str
    idc_mac: str


@contextlib.contextmanager
def cable(parent: str = PARENT, idc: str = IDC, far: str = IDC_PARENT) -> Iterator[Cable]:
    """Lay a cable, and take it away with whatever is on it."""
    netns.prepare_directory()
    run("ip", "netns", "add", idc)
    try:
        run("ip", "link", "add", "name", parent, "type", "veth", "peer", "name", far, "netns", idc)
        run("ip", "link", "set", "dev", parent, "up")
        run("ip", "-n", idc, "link", "set", "dev", far, "up")
        set_sysctl(idc, "net/ipv6/conf/all/disable_ipv6", "1")
        set_sysctl(names.HOST, f"net/ipv6/conf/{parent}/disable_ipv6", "1")
        with netns.entered(idc):
            idc_mac = mac_of(far)
        yield Cable(mac_of(parent), idc_mac)
    finally:
        run("ip", "netns", "delete", idc)
        with contextlib.suppress(Exception):
            run("ip", "link", "delete", "dev", parent)


def mac_of(ifname: str) -> str:
    """The MAC of an interface here."""
    words = run("ip", "-o", "link", "show", "dev", ifname).split()
    return words[words.index("link/ether") + 1]


def line(port: int = 1, tag: int = 1000, namespace: str = ROUTER, parent: str = PARENT, **changes: object) -> VlanLink:
    """A stand-in as the compiler asks for it; its far end has the next port number."""
    wanted = VlanLink(
        mark=names.mark("line", namespace.removeprefix("dp-vbr-")),
        namespace=namespace,
        ifname=names.port_ifname("v", port),
        ifindex=names.port_ifindex(port),
        parent=parent,
        vlan=tag,
        mode=VlanMode.TC,
        far_ifname=names.port_ifname("w", port + 1),
        far_ifindex=names.port_ifindex(port + 1),
    )
    return replace(wanted, **changes)  # type: ignore[arg-type]


def router(namespace: str = ROUTER) -> list[KernelObject]:
    """A border router's namespace, quiet."""
    mark = names.mark("vbr", namespace.removeprefix("dp-vbr-"))
    return [Namespace(namespace, mark), Sysctl(namespace, "net/ipv6/conf/all/disable_ipv6", "1")]


def addressed(link: VlanLink, address: str) -> Address:
    """The address of a line's near end."""
    return Address(link.namespace, link.ifname, IPv4Interface(address))


def counted() -> dict[vlan.Reason, int]:
    """Frames by reason."""
    with vlan.adopted() as program:
        assert program is not None
        return program.counters()


@contextlib.contextmanager
def tap(namespace: str, ifname: str) -> Iterator[socket.socket]:
    """A packet socket on an interface, which sends frames as they are and hears all of them, tags included."""
    with netns.Journey() as journey:
        journey.go(namespace)
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        opened.bind((ifname, ETH_P_ALL))
    opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    opened.settimeout(0.05)
    try:
        yield opened
    finally:
        opened.close()


def hear(opened: socket.socket, wanted: Callable[[bytes], bool], seconds: float = 2.0) -> list[bytes]:
    """The incoming frames that fit, until the first one did or the time is over; a tag is back in its place."""
    until = time.monotonic() + seconds
    heard: list[bytes] = []
    while time.monotonic() < until and not heard:
        try:
            data, extra, _, origin = opened.recvmsg(65536, 256)
        except TimeoutError:
            continue
        if origin[2] == socket.PACKET_OUTGOING:
            continue
        frame = _with_tag(data, extra)
        if wanted(frame):
            heard.append(frame)
    return heard


def _with_tag(data: bytes, extra: list[tuple[int, int, bytes]]) -> bytes:
    for level, kind, payload in extra:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, tci = int.from_bytes(payload[:4], "little"), int.from_bytes(payload[16:18], "little")
            if status & _TP_STATUS_VLAN_VALID:
                return data[:12] + b"\x81\x00" + tci.to_bytes(2, "big") + data[12:]
    return data


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(to: str, source: str, *tags: int, payload: bytes = b"", ethertype: int = 0x88B5) -> bytes:
    """An Ethernet frame with any number of 802.1Q tags; 0x88B5 is for local experiments (IEEE 802)."""
    head = mac_bytes(to) + mac_bytes(source) + b"".join(b"\x81\x00" + tag.to_bytes(2, "big") for tag in tags)
    return (head + ethertype.to_bytes(2, "big") + (payload or os.urandom(8))).ljust(60, b"\0")


@contextlib.contextmanager
def far_router(address: str, tag: int = 1000, port: int = 51, mode: VlanMode = VlanMode.TC) -> Iterator[VlanLink]:
    """The data centre's router: a VLAN link of the driver's own, made with ``idc`` as its host."""
    name = names.vbr_namespace(f"cpe-{tag}")
    link = for_mode(line(port, tag, name, IDC_PARENT), mode)
    driver = KernelDriver()
    made: list[KernelObject] = [*router(name), link, addressed(link, address)]
    with netns.entered(IDC):
        assert [outcome.error for outcome in driver.perform([Action(Verb.CREATE, item) for item in made])] == [None] * 4
    try:
        yield link
    finally:
        with netns.entered(IDC):
            (outcome,) = driver.perform([Action(Verb.DELETE, link)])
        netns.delete(name)
        assert outcome.error is None


def for_mode(link: VlanLink, mode: VlanMode) -> VlanLink:
    """The same link in another mode."""
    return link if mode is VlanMode.TC else replace(link, mode=mode, far_ifname=None, far_ifindex=None)


def converge(world: World, desired: Iterable[KernelObject], rounds: int = 2) -> list[list[Action]]:
    """Plan and perform until nothing is left to do; the actions of each round."""
    items = list(desired)
    wanted = {item.key: Wanted(item, Resource("vbr", "vbr-1"), NOWHERE, frozenset()) for item in items}
    done = []
    for _ in range(rounds + 1):
        actions = list(make_plan(wanted, world.seen(items)).actions)
        if not actions:
            return done
        outcomes = world.driver.perform(actions)
        assert [outcome.error for outcome in outcomes if outcome.error] == []
        done.append(actions)
    raise AssertionError(f"still to do: {done[-1]}")
