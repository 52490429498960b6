"""Offloads of an interface, by ioctl: what XDP needs of the far ends that it sends to.

Two settings count, and only together: GRO on, tx checksumming off. Must never touch any other.
"""

import ctypes
import errno
import fcntl
import socket as sockets
from collections.abc import Iterable, Iterator, Sequence

from dataplane.errors import PermissionDenied
from dataplane.kernel.link import Link
from dataplane.kernel.ownership import is_our_ifindex
from dataplane.kernel.visits import Visits
from dataplane.kernel.wording import failure_sentence
from dataplane.model.kernel import FarEnd
from dataplane.plan.action import Action, Outcome, Verb

_SIOCETHTOOL = 0x8946
_GET_TX, _SET_TX, _GET_GRO, _SET_GRO = 0x16, 0x17, 0x2B, 0x2C


class _Value(ctypes.Structure):
    """``struct ethtool_value``."""

    _fields_ = (("command", ctypes.c_uint32), ("data", ctypes.c_uint32))


class _Request(ctypes.Structure):
    """``struct ifreq`` with a pointer."""

    _fields_ = (("name", ctypes.c_char * 16), ("data", ctypes.c_void_p), ("rest", ctypes.c_uint8 * 16))


def read(namespace: str, links: Iterable[Link]) -> Iterator[FarEnd]:
    """The prepared ones among the links of the namespace that the thread is in."""
    candidates = [link for link in links if link.kind == "veth" and is_our_ifindex(link.ifindex)]
    if not candidates:
        return
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as there:
        for link in candidates:
            if not _ask(there, link.ifname, _GET_TX):
                yield FarEnd(namespace, link.ifname, bool(_ask(there, link.ifname, _GET_GRO)))


def perform(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Prepare interfaces, or give them back what veths are born with."""
    return [_perform(action, visits) for action in actions]


def _perform(action: Action, visits: Visits) -> Outcome:
    item, is_made = action.object, action.verb is not Verb.DELETE
    assert isinstance(item, FarEnd)
    stop = visits.go(item.namespace)
    if stop is not None:
        is_gone = not is_made and stop.is_missing
        return Outcome(
            action, None if is_gone else failure_sentence(action, stop.text), stop.is_conflict and not is_gone
        )
    try:
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as there:
            _ask(there, item.ifname, _SET_GRO, int(is_made))
            _ask(there, item.ifname, _SET_TX, int(not is_made))
    except OSError as error:
        if error.errno == errno.EPERM:
            raise PermissionDenied(f"changing offloads of {item.ifname} is not permitted; run it with sudo") from error
        if is_made or error.errno != errno.ENODEV:
            return Outcome(action, failure_sentence(action, str(error)))
    return Outcome(action)


def _ask(there: sockets.socket, ifname: str, command: int, data: int = 0) -> int:
    value = _Value(command, data)
    request = _Request(ifname.encode(), ctypes.addressof(value))
    fcntl.ioctl(there, _SIOCETHTOOL, request)
    return int(value.data)
