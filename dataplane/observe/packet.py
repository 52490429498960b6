"""What a frame is: headers read out of bytes, checksums, and the few words that say it.

Pure. Must never raise on bytes from the wire: whatever is cut short or malformed is said so in words.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

ETHERNET_BYTES = 14
_TAG_BYTES = 4
_TAG_TYPES = frozenset({0x8100, 0x88A8, 0x9100})
_ETH_P_IP, _ETH_P_ARP, _ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD
_ICMP, _TCP, _UDP = 1, 6, 17
_VLAN_ID_MASK = 0x0FFF
_DONT_FRAGMENT, _MORE_FRAGMENTS, _OFFSET_MASK = 0x4000, 0x2000, 0x1FFF

_IP_HEADER = struct.Struct("!BBHHHBBH4s4s")
_ARP_BODY = struct.Struct("!HHBBH6s4s6s4s")
_PROTOCOL_NAMES = {1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 89: "ospf", 132: "sctp"}
_TCP_FLAGS = ((0x02, "syn"), (0x01, "fin"), (0x04, "rst"), (0x08, "psh"), (0x10, "ack"), (0x20, "urg"))
_ICMP_NAMES = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "network prohibited",
    (3, 10): "host prohibited",
    (3, 13): "prohibited",
    (5, 0): "redirect",
    (5, 1): "redirect",
    (11, 0): "time exceeded",
    (11, 1): "reassembly time exceeded",
}
_ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})
_ECHO = {8: "echo request", 0: "echo reply"}


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame in words.

    Args:
        source: address, with the port where there is one; a MAC where the packet has no address.
        destination: likewise.
        what: protocol and what it says, ``tcp syn``, ``icmp echo request id 1 seq 2``.
        vlans: VLAN ids, the outer one first.
        ttl: None where there is none (ARP).
        length: bytes from the network header on, as an MTU counts them.
        notes: what is wrong or unusual with it, one phrase each.
    """

    source: str
    destination: str
    what: str
    vlans: tuple[int, ...]
    ttl: int | None
    length: int
    notes: tuple[str, ...] = ()


def dissect(frame: bytes, tag: int | None = None, *, is_checksum_pending: bool = False) -> Packet:
    """Read a frame.

    Args:
        frame: from the destination MAC on.
        tag: the tag control information of an outer VLAN tag that the kernel took out of the frame.
        is_checksum_pending: whether the transport checksum is left to a device further on, so that it says nothing.
    """
    vlans = [] if tag is None else [tag & _VLAN_ID_MASK]
    if len(frame) < ETHERNET_BYTES:
        return Packet("?", "?", "cut short", tuple(vlans), None, 0, ("frame cut short",))
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    start = ETHERNET_BYTES
    while ethertype in _TAG_TYPES and len(frame) >= start + _TAG_BYTES:
        inner, ethertype = struct.unpack_from("!HH", frame, start)
        vlans.append(inner & _VLAN_ID_MASK)
        start += _TAG_BYTES
    body = frame[start:]
    if ethertype == _ETH_P_IP and len(body) >= _IP_HEADER.size and body[0] >> 4 == 4:
        return _ip(body, tuple(vlans), is_checksum_pending)
    if ethertype == _ETH_P_ARP and len(body) >= _ARP_BODY.size:
        return _arp(frame, body, tuple(vlans))
    if ethertype == _ETH_P_IPV6 and len(body) >= 40:
        return _ipv6(body, tuple(vlans))
    notes = ("packet cut short or malformed",) if ethertype in (_ETH_P_IP, _ETH_P_ARP, _ETH_P_IPV6) else ()
    return Packet(
        _mac(frame[6:12]), _mac(frame[:6]), f"ethertype {ethertype:#06x}", tuple(vlans), None, len(body), notes
    )


def _ip(body: bytes, vlans: tuple[int, ...], is_checksum_pending: bool) -> Packet:
    first, _, total, identity, fragment, ttl, protocol, _, source, destination = _IP_HEADER.unpack_from(body)
    header_length = (first & 0x0F) * 4
    here, there = str(IPv4Address(source)), str(IPv4Address(destination))
    if header_length < _IP_HEADER.size or total < header_length or len(body) < header_length:
        return Packet(here, there, "ip", vlans, ttl, len(body), ("ip header malformed",))
    notes = []
    if checksum(body[:header_length]) != 0:
        notes.append("ip checksum wrong")
    is_complete = len(body) >= total
    if not is_complete:
        notes.append(f"cut short, {total} bytes announced")
    payload = body[header_length:total]
    offset = (fragment & _OFFSET_MASK) * 8
    is_fragment = bool(offset or fragment & _MORE_FRAGMENTS)
    if is_fragment:
        more = "" if not fragment & _MORE_FRAGMENTS else ", more to come"
        notes.append(f"fragment of {identity:#06x} at {offset}{more}")
    if header_length > _IP_HEADER.size:
        notes.append("ip options")
    if offset:
        return Packet(here, there, _protocol_name(protocol), vlans, ttl, total, tuple(notes))
    ports, what = _transport(protocol, payload)
    # A sum over a part of the packet says nothing.
    is_summed = is_complete and not is_fragment and not is_checksum_pending
    if is_summed and not _is_sum_right(protocol, source, destination, payload):
        notes.append(f"{_protocol_name(protocol)} checksum wrong")
    return Packet(here + ports[0], there + ports[1], what, vlans, ttl, total, tuple(notes))


def _transport(protocol: int, payload: bytes) -> tuple[tuple[str, str], str]:
    """``:port`` of both ends (empty where there is none), and what the packet says."""
    name = _protocol_name(protocol)
    if protocol in (_TCP, _UDP) and len(payload) >= 8:
        source, destination = struct.unpack_from("!HH", payload)
        ports = (f":{source}", f":{destination}")
        if protocol == _UDP:
            return ports, name
        if len(payload) >= 20:
            return ports, f"tcp {_tcp_words(payload)}"
        return ports, "tcp, header cut short"
    if protocol == _ICMP and len(payload) >= 8:
        return ("", ""), f"icmp {_icmp_words(payload)}"
    if protocol in (_ICMP, _TCP, _UDP):
        return ("", ""), f"{name}, header cut short"
    return ("", ""), name


def _tcp_words(payload: bytes) -> str:
    sequence, acknowledged, offset, flags = struct.unpack_from("!IIBB", payload, 4)
    words = ",".join(name for bit, name in _TCP_FLAGS if flags & bit) or "no flags"
    data = max(0, len(payload) - (offset >> 4) * 4)
    acknowledges = f" ack {acknowledged}" if flags & 0x10 else ""
    return f"{words} seq {sequence}{acknowledges} data {data}"


def _icmp_words(payload: bytes) -> str:
    kind, code, _, first, second = struct.unpack_from("!BBHHH", payload)
    if kind in _ECHO:
        return f"{_ECHO[kind]} id {first} seq {second}"
    words = _ICMP_NAMES.get((kind, code), f"type {kind} code {code}")
    if (kind, code) == (3, 4):
        words += f", mtu {second}"
    return words + (_quoted(payload[8:]) if kind in _ICMP_ERRORS else "")


def _quoted(inner: bytes) -> str:
    """Which packet an ICMP error is about."""
    if len(inner) < _IP_HEADER.size or inner[0] >> 4 != 4:
        return ""
    fields = _IP_HEADER.unpack_from(inner)
    here, there = str(IPv4Address(fields[8])), str(IPv4Address(fields[9]))
    header_length = (inner[0] & 0x0F) * 4
    if fields[6] in (_TCP, _UDP) and not fields[4] & _OFFSET_MASK and len(inner) >= header_length + 4:
        source, destination = struct.unpack_from("!HH", inner, header_length)
        here, there = f"{here}:{source}", f"{there}:{destination}"
    return f", about {_protocol_name(fields[6])} {here} > {there}"


def _arp(frame: bytes, body: bytes, vlans: tuple[int, ...]) -> Packet:
    _, _, _, _, operation, sender_mac, sender, _, target = _ARP_BODY.unpack_from(body)
    here, there = IPv4Address(sender), IPv4Address(target)
    if operation == 1:
        what = f"arp who has {there}? tell {here}"
    elif operation == 2:
        what = f"arp {here} is at {_mac(sender_mac)}"
    else:
        what = f"arp operation {operation}"
    return Packet(_mac(frame[6:12]), _mac(frame[:6]), what, vlans, None, len(body))


def _ipv6(body: bytes, vlans: tuple[int, ...]) -> Packet:
    source, destination = IPv6Address(body[8:24]), IPv6Address(body[24:40])
    what = f"ipv6 next header {body[6]}"
    return Packet(str(source), str(destination), what, vlans, body[7], len(body), ("ipv6 is not forwarded",))


def checksum(data: bytes) -> int:
    """The Internet checksum over data that holds its own checksum: 0 where that is right."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _is_sum_right(protocol: int, source: bytes, destination: bytes, payload: bytes) -> bool:
    """Whether the transport checksum holds; true of protocols that we do not check."""
    if protocol == _ICMP:
        return checksum(payload) == 0
    if protocol == _UDP and len(payload) >= 8:
        length, given = struct.unpack_from("!HH", payload, 4)
        if given == 0:  # the sender did without
            return True
        payload = payload[: max(8, length)]
    elif protocol != _TCP or len(payload) < 20:
        return True
    pseudo = source + destination + struct.pack("!BBH", 0, protocol, len(payload) & 0xFFFF)
    return checksum(pseudo + payload) == 0


def _protocol_name(protocol: int) -> str:
    return _PROTOCOL_NAMES.get(protocol, f"protocol {protocol}")


def _mac(octets: bytes) -> str:
    return octets.hex(":")
