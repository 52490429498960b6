"""The data centre's routers as one thread of this process: they answer ARP and pings on their lines, nothing else.

For tests whose legs must be up. Frames are made here byte by byte, independently of the product.
"""

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dataplane.kernel import netns
from tests.netns.lines import IDC_PARENT, mac_bytes, mac_of, tap

_ARP, _IPV4, _VLAN = b"\x08\x06", b"\x08\x00", b"\x81\x00"
_REQUEST, _REPLY = b"\x00\x01", b"\x00\x02"
_ICMP, _ECHO = 1, 8
_TAGGED = 18
"""Bytes in front of what a tagged frame carries."""


@contextmanager
def answering(cables: dict[str, str]) -> Iterator[None]:
    """Answer during the block.

    Args:
        cables: the namespace at the far end of a line -> the address that is answered for there.
    """
    has_ended = threading.Event()
    with ExitStack() as stack:
        ends = {stack.enter_context(tap(place, IDC_PARENT)): place for place in cables}
        macs = {place: _mac(place) for place in cables}

        def answer() -> None:
            while not has_ended.is_set():
                for end in select.select(list(ends), [], [], 0.05)[0]:
                    place = ends[end]
                    reply = _reply(*_heard(end), macs[place], socket.inet_aton(cables[place]))
                    if reply:
                        end.send(reply)

        thread = threading.Thread(target=answer, name="data centre", daemon=True)
        thread.start()
        try:
            yield
        finally:
            has_ended.set()
            thread.join()


def _mac(place: str) -> bytes:
    with netns.entered(place):
        return mac_bytes(mac_of(IDC_PARENT))


def _heard(end: socket.socket) -> tuple[bytes, bytes]:
    """A frame without its tag, and the tag; nothing where it is one of our own."""
    data, extra, _, origin = end.recvmsg(65536, 256)
    if origin[2] == socket.PACKET_OUTGOING:
        return b"", b""
    if data[12:14] == _VLAN:
        return data[:12] + data[16:], data[14:16]
    for level, kind, payload in extra:
        if (level, kind) == (263, 8):  # SOL_PACKET, PACKET_AUXDATA: the kernel keeps the tag beside the frame
            return data, payload[16:18][::-1]
    return data, b"\0\0"


def _reply(frame: bytes, tag: bytes, mac: bytes, address: bytes) -> bytes:
    """What is said to a frame; empty where nothing is."""
    if not frame:
        return b""
    head = frame[6:12] + mac + _VLAN + tag + frame[12:14]
    carried = frame[_TAGGED - 4 :]
    if frame[12:14] == _ARP and carried[6:8] == _REQUEST and carried[24:28] == address:
        return head + carried[:6] + _REPLY + mac + address + carried[8:18]
    if frame[12:14] == _IPV4 and carried[9] == _ICMP and carried[16:20] == address and carried[20] == _ECHO:
        end = struct.unpack_from("!H", carried, 2)[0]
        echo = b"\0\0\0\0" + carried[24:end]
        echo = echo[:2] + _checksum(echo) + echo[4:]
        return head + carried[:12] + carried[16:20] + carried[12:16] + echo
    return b""


def _checksum(data: bytes) -> bytes:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
