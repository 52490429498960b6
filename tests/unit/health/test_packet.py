"""The probe's bytes: what stays right without being computed anew, and what an independent reader makes of them."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP

from dataplane.health import packet

_WORD = st.integers(0, 0xFFFF)


@given(_WORD, st.integers(0, 2**32 - 1), st.lists(st.tuples(_WORD, st.integers(0, 2**64 - 1)), min_size=1, max_size=5))
def test_every_probe_of_a_leg_has_a_right_checksum(identifier: int, secret: int, probes: list[tuple[int, int]]) -> None:
    data = packet.echo(identifier, secret)
    for sequence, nonce in probes:
        packet.CHANGING.pack_into(
            data, packet.CHANGING_OFFSET, sequence, secret, nonce, nonce ^ packet.ALL_ONES, sequence ^ 0xFFFF
        )
        seen = ICMP(bytes(data))
        assert (seen.type, seen.code, seen.id, seen.seq) == (8, 0, identifier, sequence)
        assert bytes(seen.payload)[:12] == struct.pack("!IQ", secret, nonce)
        assert packet.checksum(bytes(data)) in (0, 0xFFFF)  # the sum over all of it, checksum included
        del seen.chksum
        again = int.from_bytes(bytes(seen)[2:4], "big")
        assert {again, int.from_bytes(data[2:4], "big")} in ({again}, {0, 0xFFFF})


def test_a_wrong_checksum_would_be_seen() -> None:
    data = packet.echo(1, 2)
    data[12] ^= 1  # the nonce without its inverse
    assert packet.checksum(bytes(data)) not in (0, 0xFFFF)


def test_the_layout_of_a_reply_is_that_of_the_packet_behind_an_ip_header() -> None:
    data = packet.echo(0x1234, 0x56789ABC)
    head = bytes([0x45, *([0] * 11), 10, 0, 0, 2, 10, 0, 0, 1])
    first, source, kind, identifier, sequence, secret, nonce, inverse, _ = packet.REPLY.unpack(head + bytes(data))
    assert (first, source, kind) == (0x45, 0x0A000002, 8)
    assert (identifier, sequence, secret) == (0x1234, 0, 0x56789ABC)
    assert nonce ^ inverse == packet.ALL_ONES
    assert packet.REPLY.size == packet.REPLY_BYTES
