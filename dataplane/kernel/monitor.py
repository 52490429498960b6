"""The kernel's own word that something has changed: one netlink socket for this namespace and all of ours.

Owns the subscription, and which messages can mean that a kernel object of ours is not as it was. Says where, never
what: a round compares the whole, with the code that any other round uses. A namespace takes part once it has a number
here (NETLINK_LISTEN_ALL_NSID, netlink(7)), which ``watch`` gives it. Must never change an object.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dataplane.errors import HostError
from dataplane.kernel import netns, nsid
from dataplane.kernel.attributes import attributes, text
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.ownership import is_our_ifindex
from dataplane.kernel.rtnetlink import (
    NUD_PERMANENT,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
)
from dataplane.model import names

_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP, _NETLINK_LISTEN_ALL_NSID = 1, 8
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER_BYTES = 16 << 20
_READ_BYTES = 64 << 10
_ANCILLARY_BYTES = 64
_MOST_READS = 2_000
"""Datagrams that one look takes: whoever changes things without end must not keep us reading for ever."""

_GROUPS = {
    "link": 1,
    "neigh": 3,
    "tc": 4,
    "address": 5,
    "route": 7,
    "rule": 8,
    "address6": 9,
    "netconf": 24,
    "nsid": 28,
    "nexthop": 32,
}
"""RTNLGRP_*, of IPv4 where there is a choice; netconf tells of ip_forward and rp_filter. An address of IPv6 is how one
hears that it was switched on in a namespace of ours, where it is off."""
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ADDRESS = struct.Struct("=BBBBI")
_INT = struct.Struct("=i")
_IFLA_IFNAME = 3


@dataclass(frozen=True, slots=True)
class Changes:
    """What was heard since the last look.

    Args:
        namespaces: where something has changed; ``names.HOST`` is this one.
        is_overrun: messages were lost, so that anything may have changed anywhere.
    """

    namespaces: frozenset[str] = frozenset()
    is_overrun: bool = False

    def __bool__(self) -> bool:
        return bool(self.namespaces) or self.is_overrun


class Monitor:
    """A subscription of the namespace that the process is in. Use it as a context manager; wait on ``fileno``.

    Args:
        room: bytes for messages that nobody has read yet; when they are used up, a look says ``is_overrun``.

    Raises:
        HostError: CAP_NET_BROADCAST is missing, or the kernel has no such subscription.
    """

    def __init__(self, room: int = _RECEIVE_BUFFER_BYTES) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._places: dict[int, str] = {}
        self._devices: frozenset[str] = frozenset()
        self._directory = _state_of_directory()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, room)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID, 1)
            self._socket.bind((0, 0))  # unbound, it would count as the kernel itself, which hears nothing of its own
            for group in _GROUPS.values():
                self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        except OSError as error:
            self._socket.close()
            raise HostError(
                f"the kernel's changes cannot be followed ({error.strerror}); "
                "that needs CAP_NET_BROADCAST and CAP_NET_ADMIN"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable when something has changed."""
        return self._socket.fileno()

    def watch(self, namespaces: Iterable[str], devices: Iterable[str] = ()) -> None:
        """Follow these namespaces of ours from now on, and of this one these devices beside those of ours.

        A namespace that cannot be entered is left out: a round will say why.
        """
        self._devices = frozenset(devices)
        self._places = {}
        with NetlinkSocket() as asking:
            for namespace in namespaces:
                with contextlib.suppress(HostError):
                    fd = netns.open_reference(namespace)
                    try:
                        number = nsid.give(asking, fd)
                    finally:
                        os.close(fd)
                    self._places[number] = namespace

    def read(self) -> Changes:
        """What has changed since the last look; never waits."""
        found: set[str] = set()
        is_overrun = False
        for _ in range(_MOST_READS):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_READ_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                is_overrun = True
                continue
            place = self._place(ancillary)
            if place is not None and place not in found and self._concerns_us(data, place):
                found.add(place)
        directory = _state_of_directory()
        if directory != self._directory:  # a name was taken away or put there, of which netlink says nothing
            self._directory = directory
            found.add(names.HOST)
        return Changes(frozenset(found), is_overrun)

    def _place(self, ancillary: list[tuple[int, int, bytes]]) -> str | None:
        """The namespace that a message is of; None where it is none of ours."""
        for level, kind, value in ancillary:
            if level == _SOL_NETLINK and kind == _NETLINK_LISTEN_ALL_NSID:
                (number,) = _INT.unpack_from(value)
                return names.HOST if number < 0 else self._places.get(number)
        return names.HOST

    def _concerns_us(self, data: bytes, place: str) -> bool:
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
            if length < _HEADER.size:
                break
            if self._is_of_ours(data, kind, offset + _HEADER.size, offset + length, place):
                return True
            offset += (length + 3) & ~3
        return False

    def _is_of_ours(self, data: bytes, kind: int, start: int, end: int, place: str) -> bool:
        """Whether a message can mean a change of something of ours."""
        if kind == RTM_NEWNEIGH:
            # What ARP finds is no object of ours; and ours turn up as deleted when somebody removes them.
            return place != names.HOST and bool(_NEIGHBOUR.unpack_from(data, start)[2] & NUD_PERMANENT)
        if place != names.HOST:
            return True
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            ifindex = _LINK.unpack_from(data, start)[2]
            named = text(attributes(data, start + _LINK.size, end).get(_IFLA_IFNAME))
            return is_our_ifindex(ifindex) or named in self._devices
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            return self._is_watched(_ADDRESS.unpack_from(data, start)[4])
        # Routes, rules and the like of this namespace are not ours; a namespace of ours that is gone was named.
        return False

    def _is_watched(self, ifindex: int) -> bool:
        try:
            return socket.if_indextoname(ifindex) in self._devices
        except OSError:
            return bool(self._devices)


def _state_of_directory() -> int:
    """Changes with every name that comes or goes under /run/netns."""
    try:
        return netns.NETNS_DIRECTORY.stat().st_mtime_ns
    except OSError:
        return 0
