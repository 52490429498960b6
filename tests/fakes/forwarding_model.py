"""What the forwarder must do with a frame, in plain Python: written from `ebpf/DESIGN.md`, section 2, not from the C.

Lists are searched from end to end, headers are taken apart with struct, and checksums are computed anew. Nothing here
is fast, and nothing is shared with the program or with the code that fills its maps. It has no limits: these are in
`tests/bpf/test_rates.py`.
"""

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from dataplane.model.buckets import bucket_orders
from dataplane.model.forwarding import Forwarding, How, LeafKind, LegState, Reason

IPV4 = struct.Struct("!BBHHHBBH4s4s")
NEVER_FORWARDED = [IPv4Network(text) for text in ("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32")]
WITH_PORTS = {6, 17, 33, 132, 136}  # TCP, UDP, DCCP, SCTP, UDP-Lite
QUOTING = {3, 4, 11, 12}  # ICMP errors
MOST_ROUTERS = 8


@dataclass(frozen=True)
class Fate:
    """What becomes of a frame.

    Args:
        routers: the ports that it came into, router by router, as far as the walk went.
        hops: the next hops that were taken, one for each router that forwarded it.
    """

    reason: Reason
    frame: bytes
    out: int = 0
    routers: list[int] = field(default_factory=list)
    hops: list[int] = field(default_factory=list)


class ForwardingModel:
    """
    Args:
        leg_states: leg id -> state, where they are not those of the state; may be changed at any time.
    """

    def __init__(self, state: Forwarding, leg_states: dict[int, LegState] | None = None) -> None:
        self._state = state
        self.legs = dict(state.legs) if leg_states is None else leg_states
        self._orders = {number: bucket_orders(group) for number, group in state.groups.items()}
        self._routes = {
            table.id: [
                (int(prefix.network_address), int(prefix.netmask), leaf) for prefix, leaf in table.routes.items()
            ]
            for table in state.tables.values()
        }

    def decide(self, port: int, frame: bytes, *, is_xdp: bool, is_tagged: bool = False) -> Fate:
        reason = self._admit(port, frame, is_tagged)
        if reason is not None:
            return Fate(reason, frame)
        routers: list[int] = []
        hops: list[int] = []
        _, _, length, _, _, ttl, *_ = IPV4.unpack_from(frame, 14)
        while True:
            routers.append(port)
            if ttl - len(hops) <= 1:
                return Fate(Reason.TTL, frame, routers=routers, hops=hops)
            found = self._route(self._state.ports[port].table, frame)
            if isinstance(found, Reason):
                return Fate(found, frame, routers=routers, hops=hops)
            reason = self._leave(found, length)
            if reason is not None:
                return Fate(reason, frame, routers=routers, hops=hops)
            if is_xdp and hops and self._state.hops[found].how is How.LINE:
                routers.pop()  # left at the door of the line's router, where tc goes on
                break
            hops.append(found)
            far = self._state.hops[found].far
            if not is_xdp or far == 0:
                break
            if far not in self._state.ports:
                return Fate(Reason.KERNEL_ONLY, frame, routers=routers, hops=hops)
            if len(routers) == MOST_ROUTERS:
                return Fate(Reason.TOO_MANY_ROUTERS, frame, routers=routers, hops=hops)
            port = far
        hop = self._state.hops[hops[-1]]
        if is_xdp and (hop.how in (How.LINE, How.TUNNEL) or hop.port not in self._state.ports):
            return Fate(Reason.KERNEL_ONLY, frame, routers=routers, hops=hops)
        macs = ("", "") if hop.how is How.LINE else (hop.mac, hop.source_mac)
        sent = routed(frame, ttl - len(hops), *macs)
        return Fate(Reason.FORWARDED, sent, hop.port, routers, hops)

    def _admit(self, number: int, frame: bytes, is_tagged: bool) -> Reason | None:
        """The checks of the first port, in their order; None: it goes on."""
        port = self._state.ports.get(number)
        if port is None:
            return Reason.NO_PORT
        if len(frame) < 14:
            return Reason.SHORT
        to, sender, kind = frame[:6], frame[6:12], frame[12:14]
        if is_tagged or kind in (b"\x81\x00", b"\x88\xa8"):
            return Reason.TAGGED
        if port.source_mac and sender != raw(port.source_mac):
            return Reason.SPOOFED_MAC
        if kind == b"\x08\x06":
            arp = frame[14:]
            if len(arp) < 28:
                return Reason.ARP
            if port.source_mac and arp[8:14] != raw(port.source_mac):
                return Reason.SPOOFED_ARP
            if port.source is not None and arp[14:18] not in (bytes(4), port.source.packed):
                return Reason.SPOOFED_ARP
            return Reason.ARP
        if kind != b"\x08\x00":
            return Reason.NOT_IPV4
        if not port.mac or to != raw(port.mac):
            return Reason.NOT_OURS
        return self._admit_ipv4(frame[14:], port.source)

    @staticmethod
    def _admit_ipv4(packet: bytes, allowed: IPv4Address | None) -> Reason | None:
        if len(packet) < 20:
            return Reason.SHORT
        first, _, length, _, _, _, _, _, source, destination = IPV4.unpack_from(packet)
        words = first & 15
        if first >> 4 != 4 or words < 5:
            return Reason.BAD_HEADER
        if length < 4 * words or length > len(packet):
            return Reason.BAD_LENGTH
        if allowed is not None and IPv4Address(source) != allowed:
            return Reason.SPOOFED_SOURCE
        if words > 5:
            return Reason.OPTIONS
        if checksum(packet[:10] + b"\0\0" + packet[12:20]) != packet[10:12]:
            return Reason.BAD_CHECKSUM
        if any(IPv4Address(address) in network for address in (source, destination) for network in NEVER_FORWARDED):
            return Reason.MARTIAN
        return None

    def _route(self, table: int, frame: bytes) -> int | Reason:
        """The id of the next hop that a table leads to, or what else it says."""
        if table == 0:
            return Reason.KERNEL_ONLY
        target = int.from_bytes(frame[30:34])
        matches = [(mask, leaf) for network, mask, leaf in self._routes.get(table, []) if target & mask == network]
        if not matches:
            return Reason.NO_ROUTE
        leaf = max(matches, key=lambda match: match[0])[1]
        if leaf.kind in (LeafKind.PASS, LeafKind.DROP):
            return Reason(leaf.value)
        chosen = leaf.value if leaf.kind is LeafKind.HOP else self._member(leaf.value, frame)
        if chosen is None:
            return Reason.BLACKHOLE
        return chosen if chosen in self._state.hops else Reason.KERNEL_ONLY

    def _member(self, number: int, frame: bytes) -> int | None:
        """Of a group, the next hop of a flow: the first in its bucket's order that is up, or else one that is down."""
        group = self._state.groups.get(number)
        if group is None:
            return None
        # The orders are data of the state like the routes; that they are fair is asked in test_groups.
        order = self._orders[number][bucket_of(frame)]
        for wanted in (LegState.UP, LegState.DOWN):
            for position in order:
                if self.legs.get(group.members[position].leg, LegState.UP) is wanted:
                    return group.members[position].hop
        return None

    def _leave(self, number: int, length: int) -> Reason | None:
        hop = self._state.hops[number]
        if hop.how is How.BLACKHOLE:
            return Reason.BLACKHOLE
        if not hop.source_mac or (not hop.mac and hop.how is not How.LINE):
            return Reason.NO_NEIGHBOUR
        return Reason.TOO_BIG if length > hop.mtu else None


def routed(frame: bytes, ttl: int, mac: str, source_mac: str) -> bytes:
    """A frame after its last router: other MACs, another TTL, and a header checksum computed from nothing.

    Args:
        mac: with ``source_mac``; both empty on a line, where the kernel puts them on behind the program.
    """
    header = bytearray(frame[14:34])
    header[8], header[10:12] = ttl, b"\0\0"
    header[10:12] = checksum(bytes(header))
    macs = raw(mac) + raw(source_mac) if mac else frame[:12]
    return macs + frame[12:14] + bytes(header) + frame[34:]


def checksum(data: bytes) -> bytes:
    """RFC 1071, as it stands there: the ones' complement of the ones' complement sum."""
    total = 0
    for word in struct.unpack(f"!{len(data) // 2}H", data):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", 0xFFFF - total)


def raw(mac: str) -> bytes:
    return bytes(int(part, 16) for part in mac.split(":"))


def flow_of(frame: bytes) -> tuple[object, ...]:
    """What makes two packets one flow, in either direction: the protocol and both ends; of a fragment, or where there
    are no ports, without these. An ICMP error belongs to the flow that it quotes."""
    packet = frame[14:]
    if (
        packet[9] == 1
        and not is_fragment(packet)
        and len(packet) >= 48
        and packet[20] in QUOTING
        and packet[28] == 0x45
    ):
        packet = packet[28:]
    ports = (0, 0)
    if packet[9] in WITH_PORTS and not is_fragment(packet) and len(packet) >= 24:
        ports = struct.unpack_from("!HH", packet, 20)
    ends = sorted([(packet[12:16], ports[0]), (packet[16:20], ports[1])])
    return (packet[9], *ends)


def is_fragment(packet: bytes) -> bool:
    return struct.unpack_from("!H", packet, 6)[0] & 0x3FFF != 0


def bucket_of(frame: bytes) -> int:
    """The bucket of a flow: the hash of DESIGN.md, in numbers of any size."""
    protocol, one, other = flow_of(frame)
    low, high = (int.from_bytes(end[0]) * 65536 + end[1] for end in (one, other))  # type: ignore[index]
    value = ((low ^ int(str(protocol))) * 0x9E3779B97F4A7C15) % 2**64
    value ^= value // 2**32
    value = ((value ^ high) * 0xC2B2AE3D27D4EB4F) % 2**64
    value ^= value // 2**29
    return (value * 0x165667B19E3779F9) % 2**64 // 2**56
