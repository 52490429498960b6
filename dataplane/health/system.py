"""The few system calls of the prober that Python 3.11 has no name for: a timer in nanoseconds, and cheap receiving.

Owns ctypes in this package. Must never allocate per call: both objects work in memory that they got at the start.
"""

import ctypes
import os
import struct
from ctypes import POINTER, Structure, byref, c_int, c_long, c_size_t, c_ssize_t, c_uint, c_void_p

from dataplane.errors import BugError

_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = 0o4000, 0o2000000, 1
_CLOCK_MONOTONIC = 1
_NS_PER_S = 1_000_000_000
_MSG_DONTWAIT = 0x40
_SOL_SOCKET, _SCM_TIMESTAMPNS = 1, 35
_IPPROTO_IP, _IP_PKTINFO = 0, 8
_BUFFER_BYTES, _CONTROL_BYTES = 256, 128
# The kernel writes them in this order: sock_recv_cmsgs() before ip_cmsg_recv().
_CONTROL = struct.Struct("@NiillNiii")

libc = ctypes.CDLL(None, use_errno=True)
"""The C library; errors are in ``ctypes.get_errno()``."""


class _Timespec(Structure):
    _fields_ = (("tv_sec", c_long), ("tv_nsec", c_long))


class _Itimerspec(Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class _Iovec(Structure):
    _fields_ = (("iov_base", c_void_p), ("iov_len", c_size_t))


class _Msghdr(Structure):
    _fields_ = (
        ("msg_name", c_void_p),
        ("msg_namelen", c_uint),
        ("msg_iov", POINTER(_Iovec)),
        ("msg_iovlen", c_size_t),
        ("msg_control", c_void_p),
        ("msg_controllen", c_size_t),
        ("msg_flags", c_int),
    )


libc.recvmsg.argtypes = (c_int, c_void_p, c_int)
libc.recvmsg.restype = c_ssize_t
libc.timerfd_settime.argtypes = (c_int, c_int, c_void_p, c_void_p)


def check(result: int, what: str) -> int:
    """The result of a call.

    Raises:
        OSError: it is negative.
    """
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


class Timer:
    """A monotonic alarm: readable from its moment on. ``select.epoll`` alone rounds to milliseconds."""

    def __init__(self) -> None:
        self.fd = check(libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC), "timerfd_create")
        self._spec = _Itimerspec()
        self._value = self._spec.it_value
        self._address = ctypes.addressof(self._spec)

    def arm(self, at_ns: int) -> None:
        """Ring at a monotonic moment, at once where it is past. Setting it anew also takes the last ring back."""
        self._value.tv_sec, self._value.tv_nsec = divmod(at_ns, _NS_PER_S)
        check(libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, self._address, None), "timerfd_settime")


class Receiver:
    """Takes one datagram at a time, with the time of its arrival and the interface that it came in by."""

    def __init__(self) -> None:
        self.data = bytearray(_BUFFER_BYTES)
        """What came; valid until the next ``receive``."""
        self.time_ns = 0
        """When it arrived, by the wall clock; 0: not known."""
        self.ifindex = 0
        self._control = bytearray(_CONTROL_BYTES)
        buffer = (ctypes.c_char * _BUFFER_BYTES).from_buffer(self.data)
        control = (ctypes.c_char * _CONTROL_BYTES).from_buffer(self._control)
        self._iov = _Iovec(ctypes.addressof(buffer), _BUFFER_BYTES)
        self._message = _Msghdr(None, 0, ctypes.pointer(self._iov), 1, ctypes.addressof(control), _CONTROL_BYTES, 0)
        self._reference = byref(self._message)
        self._kept = (buffer, control)
        if _CONTROL.size > _CONTROL_BYTES:
            raise BugError("the control buffer of the prober is too small; please report this")

    def receive(self, fd: int) -> int:
        """The length of the next datagram, now in ``data``; -1 where there is none, or an error waited (errno)."""
        self._message.msg_controllen = _CONTROL_BYTES
        size: int = libc.recvmsg(fd, self._reference, _MSG_DONTWAIT)
        if size < 0:
            return -1
        _, level, kind, seconds, nanoseconds, _, second_level, second_kind, ifindex = _CONTROL.unpack_from(
            self._control
        )
        is_timed = level == _SOL_SOCKET and kind == _SCM_TIMESTAMPNS
        self.time_ns = seconds * _NS_PER_S + nanoseconds if is_timed else 0
        self.ifindex = ifindex if is_timed and second_level == _IPPROTO_IP and second_kind == _IP_PKTINFO else 0
        return size
