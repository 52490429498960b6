"""Messages of nf_tables: tables, chains and rules of a few expressions, encoded and read without the tool `nft`.

A call of the tool takes 10 ms, and every router with limits has a table. Owns the encoding, which is that of
<linux/netfilter/nf_tables.h>: numbers in network byte order. Must never know what a rule is for.
"""

import socket as sockets
import struct
from collections.abc import Sequence
from enum import IntEnum

from dataplane.kernel.attributes import attributes
from dataplane.kernel.netlink import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NetlinkSocket,
    Part,
    Refusal,
)

NETLINK_NETFILTER = 12
_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct(">BBH")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_COMMENT = 0
"""The kind of record in user data that is a comment (libnftnl, ``NFTNL_UDATA_*_COMMENT``)."""
_LIST_ELEMENT = 1
_APPEND = 0x800
"""Of a new rule: after those that are there."""
_GOTO = -4


class Message(IntEnum):
    """What a message does."""

    NEW_TABLE = 0
    DELETE_TABLE = 2
    NEW_CHAIN = 3
    GET_CHAIN = 4
    NEW_RULE = 6
    GET_RULE = 7
    DELETE_RULE = 8


class Meta(IntEnum):
    """What is known of a packet besides its bytes."""

    PRIORITY = 2
    OUT_NAME = 7
    PROTOCOL = 16


class Header(IntEnum):
    """Where bytes are counted from."""

    NETWORK = 1
    TRANSPORT = 2


class Register(IntEnum):
    """Where expressions leave what the next ones take: words of 4 bytes, in a row."""

    FIRST = 8
    THIRD = 10
    FOURTH = 11


def attribute(number: int, value: bytes) -> bytes:
    """One attribute, padded to a multiple of four bytes."""
    return _ATTRIBUTE.pack(len(value) + _ATTRIBUTE.size, number) + value + bytes(-len(value) % 4)


def nested(number: int, *inner: bytes) -> bytes:
    """An attribute with others in it."""
    return attribute(number | _NESTED, b"".join(inner))


def number(kind: int, value: int) -> bytes:
    """An attribute that is a number of 32 bits."""
    return attribute(kind, (value & 0xFFFFFFFF).to_bytes(4))


def name(kind: int, value: str) -> bytes:
    """An attribute that is a text."""
    return attribute(kind, value.encode() + b"\0")


def comment(words: str) -> bytes:
    """User data that is a comment, as the tool writes and prints it."""
    data = words.encode() + b"\0"
    return bytes([_COMMENT, len(data)]) + data


def message(kind: Message, flags: int, *body: bytes) -> bytearray:
    """A message about IPv4."""
    data = _GENERIC.pack(int(sockets.AF_INET), 0, 0) + b"".join(body)
    return bytearray(_HEADER.pack(_HEADER.size + len(data), _SUBSYSTEM << 8 | kind, flags, 0, 0) + data)


def change(kind: Message, *body: bytes, is_new: bool = True) -> bytearray:
    """A message that changes something, for a transaction."""
    return message(kind, NLM_F_REQUEST | NLM_F_ACK | (NLM_F_CREATE | _APPEND if is_new else 0), *body)


def transaction(requests: Sequence[bytearray], *, is_rehearsal: bool = False) -> Refusal | None:
    """Carry out changes in the namespace of the thread: all of them, or none and the first refusal.

    Args:
        is_rehearsal: the kernel checks them all, and undoes them, since the end is not sent.
    """
    begin, end = (
        bytearray(
            _HEADER.pack(_HEADER.size + _GENERIC.size, kind, NLM_F_REQUEST, 0, 0)
            + _GENERIC.pack(int(sockets.AF_UNSPEC), 0, _SUBSYSTEM)
        )
        for kind in (_BATCH_BEGIN, _BATCH_END)
    )
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        answers = socket.execute_together(begin, requests, None if is_rehearsal else end)
    return next((answer for answer in answers if answer is not None), None)


def dump(kind: Message, *body: bytes) -> list[dict[int, bytes]]:
    """The attributes of everything of a kind in the namespace of the thread."""
    with NetlinkSocket(NETLINK_NETFILTER) as socket:
        parts = socket.dump(bytes(message(kind, NLM_F_REQUEST | NLM_F_DUMP, *body)))
    return [_attributes(part) for part in parts]


def _attributes(part: Part) -> dict[int, bytes]:
    data, start, end = part
    return attributes(data, start + _GENERIC.size, end)


def expression(kind: str, *options: bytes) -> bytes:
    """One expression of a rule."""
    return nested(_LIST_ELEMENT, name(1, kind), nested(2, *options))


def load_meta(key: Meta, register: Register) -> bytes:
    """Put what is known of a packet into a register."""
    return expression("meta", number(1, register), number(2, key))


def set_meta(key: Meta, register: Register) -> bytes:
    """Make what a register holds known of a packet."""
    return expression("meta", number(2, key), number(3, register))


def load(base: Header, offset: int, length: int, register: Register) -> bytes:
    """Put bytes of a packet into a register; a packet without them does not match."""
    return expression("payload", number(1, register), number(2, base), number(3, offset), number(4, length))


def masked(register: Register, mask: bytes) -> bytes:
    """Keep some bits of what a register holds."""
    value = nested(4, attribute(1, mask)), nested(5, attribute(1, bytes(len(mask))))
    return expression("bitwise", number(1, register), number(2, register), number(3, len(mask)), *value)


def equals(register: Register, value: bytes) -> bytes:
    """Go on only where a register holds a value."""
    return expression("cmp", number(1, register), number(2, 0), nested(3, attribute(1, value)))


def hashed(register: Register, length: int, modulus: int, offset: int) -> bytes:
    """Put a number made of a register's bytes into it: offset and up, as many as the modulus says.

    The kernel chooses the seed by chance, so that nobody can aim at a number.
    """
    numbers = number(1, register), number(2, register), number(3, length), number(4, modulus), number(6, offset)
    return expression("hash", *numbers, number(7, 0))


def go_to(chain: str) -> bytes:
    """Go on in another chain, and not come back."""
    return expression("immediate", number(1, 0), nested(2, nested(2, number(1, _GOTO), name(2, chain))))
