"""Where to capture for a word of the user, and a captured packet as a line of text.

Pure: it computes on ports that were read elsewhere. Names come from the marks on the links, so that what is live is
what is named; only the wire of a VBR is known from the applied configuration alone, since the device is not ours.

Directions are the router's: ``in`` is what it receives by a port.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dataplane.errors import HostError
from dataplane.model import names
from dataplane.observe.packet import Packet, dissect

INSTANCE, CONNECTION, VBR, VPC, PORT = "instance", "peering_connection", "vbr", "vpc", "port"
KINDS = (INSTANCE, CONNECTION, VBR, VPC, PORT)
"""What a target may be; ``KIND/NAME`` says which, where several are called alike."""

_LINE, _SERVICE = "line", "service"
_TUNNELS = {"peering_tunnel": CONNECTION, "vpc_tunnel": VPC}
"""Tunnels to other hosts, and what is asked for by their names; one to a next hop is asked for as a port."""
_NEXT_HOP_TUNNEL = "next_hop_tunnel"
_TAG_AT = 12


class Direction(StrEnum):
    """Which way a packet goes through a port, as its router sees it."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Port:
    """A live link that carries our mark.

    Args:
        namespace: its namespace, by reference.
        ifname: there.
        mark: what it belongs to: kind and id out of its alias.
        router: kind and id of the router whose namespace it is in; None on the host and in instances.
    """

    namespace: str
    ifname: str
    mark: tuple[str, str]
    router: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """The wire of a VBR, as the applied configuration has it: a device of the host, and a VLAN on it."""

    device: str
    vlan: int


@dataclass(frozen=True, slots=True)
class Point:
    """One place to capture at.

    Args:
        near: whose port it is, in the words of the configuration (``vpc-1``).
        far: what is at its other end (``instance ecs-1``).
        through: the connection between the two, or empty.
        vlan: capture only this VLAN, for a wire that others use too.
    """

    namespace: str
    ifname: str
    near: str
    far: str
    through: str = ""
    vlan: int | None = None

    def words(self, direction: Direction) -> str:
        """From where to where a packet goes: ``pcx-1 vpc-1 -> vpc-2``."""
        ends = (self.far, self.near) if direction is Direction.IN else (self.near, self.far)
        return f"{self.through} {' -> '.join(ends)}".lstrip()

    @property
    def description(self) -> str:
        """The place itself: ``pcx-1 vpc-1 <-> vpc-2 (dpr9 in dp-vpc-vpc-1)``."""
        vlan = f", vlan {self.vlan}" if self.vlan is not None else ""
        where = "of the host" if self.namespace == names.HOST else f"in {self.namespace}"
        return f"{self.through} {self.near} <-> {self.far} ({self.ifname} {where}{vlan})".lstrip()


class UnknownTarget(HostError):
    """No live port is meant by a word, or several are.

    Args:
        is_absent: nothing live is called so.
        known: the words that would be understood, for a near miss.
    """

    def __init__(self, message: str, known: tuple[str, ...] = (), *, is_absent: bool = False) -> None:
        super().__init__(message)
        self.known, self.is_absent = known, is_absent


def find_points(target: str, ports: Sequence[Port], lines: Mapping[str, Line], devices: Iterable[str]) -> list[Point]:
    """The places that a user's word means.

    Args:
        target: an instance, a connection, a VBR, an interface name; or ``KIND/NAME``.
        ports: every live link that carries our mark.
        lines: VBR id -> its wire, of the applied configuration.
        devices: the interfaces of the host that a wire could be.

    Raises:
        UnknownTarget: nothing live is called so, or several things are.
    """
    candidates = _candidates(ports, lines, frozenset(devices))
    kind, slash, name = target.partition("/")
    if not slash:
        kind, name = "", target
    found = {found_kind: points for (found_kind, id), points in candidates.items() if id == name}
    if slash:
        found = {found_kind: points for found_kind, points in found.items() if found_kind == kind}
    if len(found) > 1:
        choices = " or ".join(f"{found_kind}/{name}" for found_kind in sorted(found))
        raise UnknownTarget(f"{name} names several things here; say {choices}.")
    if not found:
        known = tuple(dict.fromkeys(name for kind in KINDS for found_kind, name in candidates if found_kind == kind))
        raise UnknownTarget(f"nothing live on this host is called {target}.", known, is_absent=True)
    return next(iter(found.values()))


def _candidates(
    ports: Sequence[Port], lines: Mapping[str, Line], devices: frozenset[str]
) -> dict[tuple[str, str], list[Point]]:
    """(kind, name) -> the places of everything that may be asked for."""
    found: dict[tuple[str, str], list[Point]] = {}
    for port in ports:
        point = _point(port, ports)
        kind, id = port.mark
        if names.is_port_ifname(port.ifname):
            found.setdefault((PORT, port.ifname), []).append(point)
        if port.router is None:
            continue
        if kind in (INSTANCE, CONNECTION):
            found.setdefault((kind, id), []).append(point)
        elif kind in _TUNNELS:
            found.setdefault((_TUNNELS[kind], id), []).append(point)
        elif kind == _LINE:
            found.setdefault((VBR, id), []).append(point)
    for vbr, line in lines.items():
        if line.device in devices:
            # The wire itself rather than the router's end of it: that is where the tag can be seen.
            found[VBR, vbr] = [Point(names.HOST, line.device, vbr, _LINE, vlan=line.vlan)]
    return found


def _point(port: Port, ports: Sequence[Port]) -> Point:
    kind, id = port.mark
    near = port.router[1] if port.router is not None else (port.namespace or "host")
    if kind == CONNECTION:
        others = [other for other in ports if other.mark == port.mark and other != port and other.router is not None]
        far = others[0].router[1] if others and others[0].router is not None else "?"
        return Point(port.namespace, port.ifname, near, far, through=id)
    if kind in _TUNNELS:
        through = id if _TUNNELS[kind] == CONNECTION else ""
        return Point(port.namespace, port.ifname, near, "other hosts", through)
    if kind == _NEXT_HOP_TUNNEL:
        return Point(port.namespace, port.ifname, near, f"tunnel to {id}")
    if kind == _LINE and port.router is not None:
        return Point(port.namespace, port.ifname, near, _LINE)
    return Point(port.namespace, port.ifname, near, "services" if kind == _SERVICE else f"{kind} {id}")


@dataclass(frozen=True, slots=True)
class Frame:
    """A captured frame.

    Args:
        point: the number of its place among those that were asked for.
        time_ns: when the kernel saw it, since 1970 in UTC.
        data: from the destination MAC on, without a tag that the kernel took out.
        length: on the wire, in bytes, likewise.
        tag: type and control information of that tag, or None.
        is_checksum_pending: whether a device further on is to fill in the transport checksum.
    """

    point: int
    time_ns: int
    data: bytes
    length: int
    direction: Direction
    tag: tuple[int, int] | None = None
    is_checksum_pending: bool = False

    @property
    def tagged(self) -> bytes:
        """The frame as it is on the wire, its tag in place."""
        if self.tag is None:
            return self.data
        kind, control = self.tag
        tag = kind.to_bytes(2, "big") + control.to_bytes(2, "big")
        return self.data[:_TAG_AT] + tag + self.data[_TAG_AT:]


def line_of(frame: Frame, point: Point, clock: str) -> str:
    """A packet as one line.

    Args:
        clock: its time as text, to the second; the microseconds are put behind it.
    """
    control = frame.tag[1] if frame.tag is not None else None
    packet = dissect(frame.data, control, is_checksum_pending=frame.is_checksum_pending)
    micro = frame.time_ns // 1000 % 1_000_000
    where = f"{clock}.{micro:06d} {point.words(frame.direction)} {frame.direction.value} {point.ifname}"
    return f"{where}: {_packet_words(packet)}"


def _packet_words(packet: Packet) -> str:
    words = [f"vlan {','.join(map(str, packet.vlans))}"] if packet.vlans else []
    words.append(f"{packet.source} > {packet.destination} {packet.what}")
    if packet.ttl is not None:
        words.append(f"ttl {packet.ttl}")
    words.append(f"length {packet.length}")
    text = " ".join(words)
    return f"{text} [{'; '.join(packet.notes)}]" if packet.notes else text
