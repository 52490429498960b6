"""The probe on the wire: an ICMP echo whose checksum never changes, and the filter that keeps forgeries out.

Owns the layout. Every part that changes from probe to probe stands in the packet twice, once inverted, so that the sum
over it is constant: the checksum is made once for each leg. Pure; must never read a clock or draw a random number.

Payload after the eight bytes of the ICMP header::

    secret (4, of the leg)  nonce (8)  ~nonce (8)  ~sequence (2)  0 (2)
"""

import struct

ECHO_REPLY, ECHO_REQUEST = 0, 8
PACKET_BYTES = 32
_IP_HEADER_BYTES = 20
REPLY_BYTES = _IP_HEADER_BYTES + PACKET_BYTES
ALL_ONES = (1 << 64) - 1
_ECHO = struct.Struct("!BBHHHIQQHH")
CHANGING = struct.Struct("!HIQQH")
"""Sequence, secret, nonce, ~nonce, ~sequence: packed into a packet at ``CHANGING_OFFSET``."""
CHANGING_OFFSET = 6
REPLY = struct.Struct("!B11xI4xBxxxHHIQQHxx")
"""Of a received packet with its IP header: first byte, source, type, id, sequence, secret, nonce, ~nonce, ~sequence."""
PLAIN_HEADER = 0x45
"""IPv4 with a header of 20 bytes; a reply to a probe of ours has no options."""

# Classic BPF: what the socket's filter is made of (code, jump if true, jump if false, operand).
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD_HALF, _LOAD_BYTE, _LOAD_WORD, _LOAD_LENGTH, _RETURN = 0x28, 0x30, 0x20, 0x80, 0x06
_JUMP_EQUAL = 0x15
_KEEP_ALL = 0xFFFFFFFF


def echo(identifier: int, secret: int) -> bytearray:
    """A leg's packet with sequence and nonce 0, ready to be filled in place and sent."""
    empty = _ECHO.pack(ECHO_REQUEST, 0, 0, identifier, 0, secret, 0, ALL_ONES, 0xFFFF, 0)
    return bytearray(_ECHO.pack(ECHO_REQUEST, 0, checksum(empty), identifier, 0, secret, 0, ALL_ONES, 0xFFFF, 0))


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def reply_filter(identifier: int, secret: int) -> bytes:
    """A socket filter that lets nothing in but echo replies with a leg's id and secret, in packets of our own size.

    The kernel drops the rest before it takes room in the socket's buffer: a flood of forged replies can neither be
    accepted nor push the true one out.
    """
    after_header = _IP_HEADER_BYTES
    checks = (
        (_LOAD_LENGTH, 0, REPLY_BYTES),
        (_LOAD_BYTE, 0, PLAIN_HEADER),
        (_LOAD_BYTE, after_header, ECHO_REPLY),
        (_LOAD_HALF, after_header + 4, identifier),
        (_LOAD_WORD, after_header + 8, secret),
    )
    program, left = b"", 2 * len(checks)
    for load, offset, wanted in checks:
        left -= 2
        program += _INSTRUCTION.pack(load, 0, 0, offset)
        program += _INSTRUCTION.pack(_JUMP_EQUAL, 0, left + 1, wanted)
    return program + _INSTRUCTION.pack(_RETURN, 0, 0, _KEEP_ALL) + _INSTRUCTION.pack(_RETURN, 0, 0, 0)
