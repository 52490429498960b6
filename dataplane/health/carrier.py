"""Carrier: which of the links that legs need are there, by listening to rtnetlink in their namespaces.

Owns the monitors: sockets that others opened and subscribed to link events. Asking for a link needs no privilege. Must
never take silence for a link that is there: when events were lost, every watched link is asked for again.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_NLMSG_ERROR, _NLM_F_REQUEST = 2, 1
_IFF_UP, _IFF_LOWER_UP = 1, 1 << 16
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ERROR = struct.Struct("=i")
_EXT_MASK = struct.Struct("=HHI")
_IFLA_EXT_MASK, _SKIP_STATS = 29, 1 << 3
_ALIGNMENT = 4
_READ_BYTES = 64 << 10
_READS_PER_WAKE = 64


class Monitor:
    """The links of one namespace.

    Args:
        fd: a non-blocking rtnetlink socket, subscribed to link events; the monitor's from here on.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._is_there: dict[int, bool] = {}

    def watch(self, ifindexes: frozenset[int]) -> None:
        """Watch exactly these links. What is new counts as there until the kernel says otherwise, which it is asked."""
        asked = ifindexes - self._is_there.keys()
        self._is_there = {ifindex: self._is_there.get(ifindex, True) for ifindex in ifindexes}
        for ifindex in asked:
            self._ask(ifindex)

    def has(self, ifindex: int) -> bool:
        """Whether a link is up and hears the other side; one that nobody watches is."""
        return self._is_there.get(ifindex, True)

    def read(self) -> bool:
        """Take in what the kernel said; whether anything about a watched link changed."""
        is_changed = False
        for _ in range(_READS_PER_WAKE):
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                for ifindex in self._is_there:  # events were lost
                    self._ask(ifindex)
                continue
            for ifindex, is_there in links_in(data):
                if self._is_there.get(ifindex, is_there) != is_there:
                    self._is_there[ifindex] = is_there
                    is_changed = True
        return is_changed

    def close(self) -> None:
        """Stop listening."""
        os.close(self.fd)

    def _ask(self, ifindex: int) -> None:
        """Ask for one link; the answer comes as an event does. The sequence number says which one was asked for."""
        body = _LINK.pack(socket.AF_UNSPEC, 0, ifindex, 0, 0) + _EXT_MASK.pack(
            _EXT_MASK.size, _IFLA_EXT_MASK, _SKIP_STATS
        )
        os.write(self.fd, _HEADER.pack(_HEADER.size + len(body), _RTM_GETLINK, _NLM_F_REQUEST, ifindex, 0) + body)


def links_in(data: bytes) -> Iterator[tuple[int, bool]]:
    """Every link that a read is about, and whether it is there; one that the kernel does not know is not."""
    place = 0
    while place + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, place)
        if length < _HEADER.size or place + length > len(data):
            return
        body = place + _HEADER.size
        if kind in (_RTM_NEWLINK, _RTM_DELLINK) and length >= _HEADER.size + _LINK.size:
            family, _, ifindex, flags, _ = _LINK.unpack_from(data, body)
            # A bridge says of a port that leaves it that the link is deleted, in its own family.
            if family == socket.AF_UNSPEC:
                wanted = _IFF_UP | _IFF_LOWER_UP
                yield ifindex, kind == _RTM_NEWLINK and flags & wanted == wanted
        elif kind == _NLMSG_ERROR and length >= _HEADER.size + _ERROR.size:
            (code,) = _ERROR.unpack_from(data, body)
            if -code == errno.ENODEV:
                yield sequence, False
        place += length + -length % _ALIGNMENT
