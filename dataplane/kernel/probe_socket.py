"""The prober's sockets, opened where they belong: echoes in the namespace of their source, link events in any.

Owns what needs privileges about probing, so that the prober itself needs none. Must never send anything.
"""

import os
import socket
import struct
from contextlib import suppress

from dataplane.errors import HostError, PermissionDenied
from dataplane.kernel import netns

_SOL_RAW, _ICMP_FILTER = 255, 1
_ICMP_ECHO_REPLY = 0
_ALL_BUT_ECHO_REPLY = ~(1 << _ICMP_ECHO_REPLY) & 0xFFFFFFFF
_SO_TIMESTAMPNS = 35
_PRIORITY = 6  # before tenants in our own queues; the highest that needs no privilege
_SO_BINDTODEVICE, _LOOPBACK, _NO_DEVICE = 25, b"lo", b""
_IP_PKTINFO = 8
_RECEIVE_BUFFER_BYTES = 64 << 10
_LINK_BUFFER_BYTES = 1 << 20
_SO_RCVBUFFORCE = 33
_RTMGRP_LINK = 1


def open_echo(namespace: str, source: str, destination: str) -> int:
    """A socket for the echoes of one leg: bound to its source, connected to its destination (R40, R41).

    It hears echo replies from there only, each with the time of its arrival and the interface that it came in by.

    Args:
        namespace: a name under /run/netns, ``pid:N``, or ``names.HOST`` for the one that the thread is in.

    Returns:
        A non-blocking descriptor; the caller closes it.

    Raises:
        HostError: there is no such namespace, or the source address is not there yet.
        PermissionDenied: raw sockets need CAP_NET_RAW.
    """
    what = f"probes from {source} to {destination} in {namespace}"
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    opened: socket.socket | None = None
    try:
        with netns.Journey() as journey:
            journey.go(namespace)
            opened = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        opened.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", _ALL_BUT_ECHO_REPLY))
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        opened.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        opened.bind((source, 0))
        # By device, so that it works without a route: a leg whose link is down must be probed too, and found dead.
        opened.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, _LOOPBACK)
        opened.connect((destination, 0))
        opened.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, _NO_DEVICE)
    except PermissionError as error:
        raise PermissionDenied(f"{what} need CAP_NET_RAW; run it with sudo") from error
    except OSError as error:
        raise HostError(f"{what} cannot be sent: {os.strerror(error.errno or 0)} (R40)") from error
    else:
        return opened.detach()
    finally:
        if opened is not None:
            opened.close()


def open_link_events(namespace: str) -> int:
    """A socket that hears every change of a link in a namespace.

    Returns:
        A non-blocking descriptor; the caller closes it.

    Raises:
        HostError: there is no such namespace.
    """
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with netns.Journey() as journey:
        journey.go(namespace)
        opened = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
    with suppress(PermissionError):
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _LINK_BUFFER_BYTES)
    opened.bind((0, _RTMGRP_LINK))
    return opened.detach()
