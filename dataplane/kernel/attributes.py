"""Reading netlink attributes: a walk over type-length-value records, and the values inside.

Owns decoding below the level of messages. A general decoder takes 27 us for a route, this 3: an apply that
finds nothing to do reads thousands of them (performance.md, T16). Must never know what an attribute is for.
"""

import struct
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

_HEADER = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_TYPE_MASK = 0x3FFF  # the two bits above say "nested" and "network byte order"


def attributes(data: bytes, offset: int, end: int) -> dict[int, bytes]:
    """The attributes between two offsets, by number. A record that overruns the end stops the walk."""
    found: dict[int, bytes] = {}
    unpack = _HEADER.unpack_from
    while offset + 4 <= end:
        length, kind = unpack(data, offset)
        if length < 4 or offset + length > end:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def u32(value: bytes | None) -> int | None:
    """A number of the host's byte order, or None where the attribute is absent."""
    return None if value is None else int(_U32.unpack_from(value)[0])


def u8(value: bytes | None) -> int | None:
    """A number of one byte, or None where the attribute is absent."""
    return value[0] if value else None


def text(value: bytes | None) -> str:
    """A zero-terminated text; empty where the attribute is absent."""
    return "" if value is None else value.rstrip(b"\0").decode("utf-8", "replace")


def mac(value: bytes | None) -> str:
    """A MAC as ``02:00:...``; empty where the attribute is absent."""
    return "" if value is None else value.hex(":")


@lru_cache(maxsize=65536)
def address(value: bytes | None) -> IPv4Address | None:
    """An IPv4 address, or None where the attribute is absent."""
    return None if value is None else IPv4Address(value)


@lru_cache(maxsize=65536)
def prefix(value: bytes | None, length: int) -> IPv4Network:
    """An IPv4 prefix; an absent attribute is 0.0.0.0."""
    return IPv4Network((value or bytes(4), length))


@lru_cache(maxsize=65536)
def interface_address(value: bytes, length: int) -> IPv4Interface:
    """An IPv4 address with the length of its prefix."""
    return IPv4Interface((value, length))
