"""The pcapng form of a capture: blocks of bytes, with interfaces named in the words of the configuration.

Pure: bytes out of values. Readable by tcpdump, tshark and scapy; every interface has the same link type and
snapshot length, which older libpcaps ask for.
"""

import struct
from dataclasses import dataclass

from dataplane.observe.capture import Direction

_SECTION, _INTERFACE, _STATISTICS, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 5, 6
_BYTE_ORDER = 0x1A2B3C4D
_LINKTYPE_ETHERNET = 1
_SNAP_LENGTH = 0x40000
_OPT_END, _OPT_COMMENT = 0, 1
_IF_NAME, _IF_DESCRIPTION, _IF_TSRESOL = 2, 3, 9
_SHB_USERAPPL = 4
_EPB_FLAGS = 2
_ISB_IFRECV, _ISB_IFDROP = 4, 5
_NANOSECONDS = 9
_FLAGS = {Direction.IN: 1, Direction.OUT: 2}

Option = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of the file.

    Args:
        name: as the kernel calls it (``dpi7``).
        description: what it is in the words of the configuration, and where.
    """

    name: str
    description: str


def header(application: str, interfaces: tuple[Interface, ...]) -> bytes:
    """What a file begins with: the section, and its interfaces numbered in this order from 0."""
    section = struct.pack("=IHHq", _BYTE_ORDER, 1, 0, -1) + _options(((_SHB_USERAPPL, application.encode()),))
    return _block(_SECTION, section) + b"".join(_interface(interface) for interface in interfaces)


def packet(interface: int, time_ns: int, frame: bytes, length: int, direction: Direction, comment: str) -> bytes:
    """One packet.

    Args:
        interface: its number in the header.
        time_ns: since 1970 in UTC.
        frame: its bytes, VLAN tags included.
        length: of the frame on the wire, in bytes; more than ``frame`` holds where it was cut short.
        direction: seen from the router.
        comment: where it was seen, in words.
    """
    fixed = struct.pack("=IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, len(frame), length)
    options = _options(((_OPT_COMMENT, comment.encode()), (_EPB_FLAGS, struct.pack("=I", _FLAGS[direction]))))
    return _block(_ENHANCED_PACKET, fixed + _padded(frame) + options)


def statistics(interface: int, time_ns: int, received: int, dropped: int) -> bytes:
    """What became of the packets of an interface, for the end of a file.

    Args:
        received: that passed the filter, the dropped ones included.
        dropped: lost by the kernel since nobody read fast enough.
    """
    fixed = struct.pack("=III", interface, time_ns >> 32, time_ns & 0xFFFFFFFF)
    counters = ((_ISB_IFRECV, struct.pack("=Q", received)), (_ISB_IFDROP, struct.pack("=Q", dropped)))
    return _block(_STATISTICS, fixed + _options(counters))


def _interface(interface: Interface) -> bytes:
    fixed = struct.pack("=HHI", _LINKTYPE_ETHERNET, 0, _SNAP_LENGTH)
    options = (
        (_IF_NAME, interface.name.encode()),
        (_IF_DESCRIPTION, interface.description.encode()),
        (_IF_TSRESOL, bytes((_NANOSECONDS,))),
    )
    return _block(_INTERFACE, fixed + _options(options))


def _options(options: tuple[Option, ...]) -> bytes:
    written = b"".join(struct.pack("=HH", code, len(value)) + _padded(value) for code, value in options)
    return written + struct.pack("=HH", _OPT_END, 0)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + length + body + length


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)
