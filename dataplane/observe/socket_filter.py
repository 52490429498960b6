"""Socket filters: a tiny assembler for classic BPF, and the one program that ``dataplane capture`` writes with it.

Pure: numbers and text in, instructions out. Must never attach anything; the kernel package does that.

A frame as a packet socket shows it has its outer VLAN tag in the kernel's metadata when it was received, and may
have it in its bytes when somebody sends it so; the program reads both.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from dataplane.errors import BugError

ETH_P_IP, ETH_P_ARP = 0x0800, 0x0806
ETH_P_8021Q, ETH_P_8021AD = 0x8100, 0x88A8
IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP = 1, 6, 17, 132

PROTOCOLS = {"icmp": IPPROTO_ICMP, "tcp": IPPROTO_TCP, "udp": IPPROTO_UDP}
"""IP protocols that may be asked for by name; ``arp`` is one more word, and a number is a protocol too."""

ARP = "arp"
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

_SNAP_LENGTH = 0x40000  # all of a frame, whatever segments it stands for
_AD_OFFSET = 0xFFFFF000  # SKF_AD_OFF: the kernel's metadata
_AD_VLAN_TAG, _AD_VLAN_TAG_PRESENT = _AD_OFFSET + 44, _AD_OFFSET + 48
_VLAN_ID_MASK = 0x0FFF
_TYPE_OFFSET, _ETHERNET_BYTES, _TAG_BYTES, _MAX_TAGS_IN_BYTES = 12, 14, 4, 2

_LD_W_ABS, _LD_H_ABS, _LD_B_ABS = 0x20, 0x28, 0x30
_LD_W_IND, _LD_H_IND, _LD_B_IND, _LDX_IMM = 0x40, 0x48, 0x50, 0x01
_AND, _MUL, _ADD_X, _TAX = 0x54, 0x24, 0x0C, 0x07
_JEQ, _JSET, _JA, _RET = 0x15, 0x45, 0x05, 0x06
_NEXT = ""
_FORMAT = struct.Struct("=HBBI")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of classic BPF (``struct sock_filter``); jumps count from the next instruction on."""

    code: int
    jump_true: int
    jump_false: int
    k: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a capture is narrowed to; None lets everything of that kind through.

    Args:
        host: packets from or to this address or prefix; the addresses inside ARP count too.
        protocol: ``arp``, or an IP protocol's name in ``PROTOCOLS`` or its number.
        port: TCP, UDP or SCTP packets from or to this port. A fragment after the first one has no ports.
        vlan: frames that carry this 802.1Q VLAN id.
    """

    host: IPv4Network | None = None
    protocol: str | int | None = None
    port: int | None = None
    vlan: int | None = None


class Assembler:
    """Instructions in order, with jumps to labels that come later. ``_NEXT`` falls through."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, str, str]] = []
        self._labels: dict[str, int] = {}

    def add(self, code: int, k: int = 0, if_true: str = _NEXT, if_false: str = _NEXT) -> None:
        """Append an instruction; for a conditional jump, the labels to go to."""
        self._lines.append((code, k, if_true, if_false))

    def label(self, name: str) -> None:
        """Name the next instruction."""
        if name in self._labels:
            raise BugError(f"the filter's label {name} is set twice; please report this")
        self._labels[name] = len(self._lines)

    def assemble(self) -> tuple[Instruction, ...]:
        """The program.

        Raises:
            BugError: a label is missing, lies behind, or is too far away.
        """
        return tuple(self._instruction(position, *line) for position, line in enumerate(self._lines))

    def _instruction(self, position: int, code: int, k: int, if_true: str, if_false: str) -> Instruction:
        if code == _JA:
            return Instruction(code, 0, 0, self._distance(position, if_true))
        near = [self._distance(position, name) for name in (if_true, if_false)]
        if max(near) > 255:
            raise BugError("a jump of the filter is too far; please report this")
        return Instruction(code, near[0], near[1], k)

    def _distance(self, position: int, name: str) -> int:
        if name == _NEXT:
            return 0
        distance = self._labels.get(name, -1) - position - 1
        if distance < 0:
            raise BugError(f"the filter's label {name} is not ahead; please report this")
        return distance


def encode(program: Sequence[Instruction]) -> bytes:
    """A program as the kernel reads it: an array of ``struct sock_filter``."""
    return b"".join(_FORMAT.pack(line.code, line.jump_true, line.jump_false, line.k) for line in program)


def compile_filter(wanted: Wanted) -> tuple[Instruction, ...]:
    """The program that lets through what is wanted; an empty program lets everything through."""
    if wanted == Wanted():
        return ()
    a = Assembler()
    if wanted.vlan is not None:
        _match_vlan(a, wanted.vlan)
    if wanted.host is not None or wanted.protocol is not None or wanted.port is not None:
        _find_network_header(a)
        _match_packet(a, wanted)
    else:
        a.add(_RET, _SNAP_LENGTH)
    a.label("drop")
    a.add(_RET, 0)
    return a.assemble()


def _match_vlan(a: Assembler, vlan: int) -> None:
    """The outer tag's id, be the tag in the metadata or in the frame."""
    a.add(_LD_B_ABS, _AD_VLAN_TAG_PRESENT)
    a.add(_JEQ, 0, "tag in bytes", _NEXT)
    a.add(_LD_H_ABS, _AD_VLAN_TAG)
    a.add(_JA, if_true="compare tag")
    a.label("tag in bytes")
    a.add(_LD_H_ABS, _TYPE_OFFSET)
    a.add(_JEQ, ETH_P_8021Q, "read tag", _NEXT)
    a.add(_JEQ, ETH_P_8021AD, "read tag", "drop")
    a.label("read tag")
    a.add(_LD_H_ABS, _ETHERNET_BYTES)
    a.label("compare tag")
    a.add(_AND, _VLAN_ID_MASK)
    a.add(_JEQ, vlan, _NEXT, "drop")


def _find_network_header(a: Assembler) -> None:
    """Step over the tags that are in the frame's bytes: X is then the header's offset, A its ethertype."""
    for tags in range(_MAX_TAGS_IN_BYTES + 1):
        a.add(_LDX_IMM, _ETHERNET_BYTES + tags * _TAG_BYTES)
        a.add(_LD_H_ABS, _TYPE_OFFSET + tags * _TAG_BYTES)
        if tags < _MAX_TAGS_IN_BYTES:
            a.add(_JEQ, ETH_P_8021Q, f"tag {tags}", _NEXT)
            a.add(_JEQ, ETH_P_8021AD, f"tag {tags}", "header")
            a.label(f"tag {tags}")
    a.label("header")


def _match_packet(a: Assembler, wanted: Wanted) -> None:
    """IPv4 or ARP, its addresses, its protocol, its ports. A is the ethertype, X the network header's offset."""
    is_arp_possible = wanted.port is None and wanted.protocol in (None, ARP)
    is_ip_possible = wanted.protocol != ARP
    a.add(_JEQ, ETH_P_ARP, "arp" if is_arp_possible else "drop", _NEXT)
    a.add(_JEQ, ETH_P_IP, "ip" if is_ip_possible else "drop", "drop")
    if is_ip_possible:
        a.label("ip")
        if wanted.host is not None:
            _match_host(a, wanted.host, source_offset=12, destination_offset=16, name="ip host")
        _match_protocol(a, wanted)
        if wanted.port is not None:
            _match_port(a, wanted.port)
        a.add(_RET, _SNAP_LENGTH)
    if is_arp_possible:
        a.label("arp")
        if wanted.host is not None:
            _match_host(a, wanted.host, source_offset=14, destination_offset=24, name="arp host")
        a.add(_RET, _SNAP_LENGTH)


def _match_host(a: Assembler, host: IPv4Network, source_offset: int, destination_offset: int, name: str) -> None:
    """One of two addresses, at offsets from the network header whose place is in X."""
    for offset, otherwise in ((source_offset, _NEXT), (destination_offset, "drop")):
        a.add(_LD_W_IND, offset)
        a.add(_AND, int(host.netmask))
        a.add(_JEQ, int(host.network_address), name, otherwise)
    a.label(name)


def _match_protocol(a: Assembler, wanted: Wanted) -> None:
    """The IP protocol; with a port and no protocol, those that have ports."""
    number = PROTOCOLS.get(wanted.protocol) if isinstance(wanted.protocol, str) else wanted.protocol
    allowed = [number] if number is not None else []
    if not allowed and wanted.port is not None:
        allowed = [IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP]
    if not allowed:
        return
    a.add(_LD_B_IND, 9)
    for protocol in allowed[:-1]:
        a.add(_JEQ, protocol, "protocol", _NEXT)
    a.add(_JEQ, allowed[-1], "protocol", "drop")
    a.label("protocol")


def _match_port(a: Assembler, port: int) -> None:
    """One of two ports, behind an IP header of any length; not in fragments after the first."""
    a.add(_LD_H_IND, 6)
    a.add(_JSET, 0x1FFF, "drop", _NEXT)
    a.add(_LD_B_IND, 0)
    a.add(_AND, 0x0F)
    a.add(_MUL, 4)
    a.add(_ADD_X)
    a.add(_TAX)
    a.add(_LD_H_IND, 0)
    a.add(_JEQ, port, "port", _NEXT)
    a.add(_LD_H_IND, 2)
    a.add(_JEQ, port, "port", "drop")
    a.label("port")
