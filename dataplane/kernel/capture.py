"""Packet sockets in namespaces: which links there are to listen on, and the frames that pass them.

Owns AF_PACKET. Listens only: it never sends a frame, and it changes no link (no promiscuous mode either: all that a
port of ours receives is meant for it, or is seen by the tap before anybody decides).
"""

import array
import errno
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dataplane.errors import HostError, PermissionDenied
from dataplane.kernel import libc, link, netns
from dataplane.kernel.link import Link
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.ownership import is_our_mark
from dataplane.model import names

_ETH_P_ALL = 0x0003
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_AUXDATA = 263, 6, 8
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 26, 33, 35
_PACKET_OUTGOING = 4
_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata: status, len, snaplen, mac, net, tag, type of tag
_TIMESPEC = struct.Struct("@ll")
_STATUS_CHECKSUM_PENDING, _STATUS_TAG_VALID, _STATUS_TAG_TYPE_VALID = 1 << 3, 1 << 4, 1 << 6
_ETH_P_8021Q = 0x8100
_INSTRUCTION_BYTES = 8

_FRAME_BYTES = 0x40000
_ANCILLARY_BYTES = 256
_RECEIVE_BUFFER_BYTES = 32 << 20
_FRAMES_PER_READ = 65_536
"""Frames taken from one socket, at the most, before the others have their turn: more than its buffer holds."""

_SETTLING_S, _SETTLING_NS = 0.005, 5_000_000
"""How long a frame is kept for older ones: the kernel stamps it a little before it puts it into the tap's queue."""
_CLOCK_STEP_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MarkedLinks:
    """A namespace that a capture may look into.

    Args:
        namespace: its reference; ``names.HOST`` is where the command runs.
        mark: of the namespace; empty on the host.
        links: all of its links.
    """

    namespace: str
    mark: str
    links: tuple[Link, ...]


def read_links() -> list[MarkedLinks]:
    """The links of every namespace that carries our mark, and those of the host.

    Raises:
        PermissionDenied: namespaces may not be entered.
        HostError: the kernel does not answer.
    """
    libc.require_privileges()
    found = []
    with netns.Journey() as journey:
        for name in netns.list_our_names():
            try:
                journey.go(name)
            except HostError:
                continue  # residue, or removed since the list was read
            with NetlinkSocket() as wire:
                mark = netns.read_mark(wire)
                if is_our_mark(mark):
                    found.append(MarkedLinks(name, mark, _links(name, wire)))
        journey.go_home()
        with NetlinkSocket() as wire:
            found.append(MarkedLinks(names.HOST, "", _links(names.HOST, wire)))
    return found


def _links(namespace: str, wire: NetlinkSocket) -> tuple[Link, ...]:
    return tuple(link.read(namespace, part) for part in wire.dump(link.DUMP_REQUEST))


@dataclass(frozen=True, slots=True)
class Tap:
    """Where to listen.

    Args:
        namespace: by reference.
        ifname: the interface there.
        program: a classic BPF program as the kernel reads it; empty lets everything through.
    """

    namespace: str
    ifname: str
    program: bytes = b""


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame.

    Args:
        tap: number of the tap that heard it.
        time_ns: the kernel's own stamp, since 1970 in UTC.
        data: from the destination MAC on.
        length: on the wire, in bytes.
        is_outgoing: whether the namespace sent it, rather than received it.
        tag: type and control information of a VLAN tag that the kernel keeps beside the frame.
        is_checksum_pending: whether a device further on is to fill in the transport checksum.
    """

    tap: int
    time_ns: int
    data: bytes
    length: int
    is_outgoing: bool
    tag: tuple[int, int] | None
    is_checksum_pending: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """What the kernel counted at one tap: frames that passed the filter, and those of them that were lost."""

    received: int
    dropped: int


class Capture:
    """Listening at several interfaces at once. Use it as a context manager; it listens once it is entered.

    Args:
        taps: where to listen.

    Raises:
        PermissionDenied: CAP_NET_RAW is missing.
        HostError: an interface is gone.
    """

    def __init__(self, taps: Sequence[Tap]) -> None:
        self._taps = taps
        self._sockets: list[socket.socket] = []
        self._counted = [Counted(0, 0) for _ in taps]
        self._selector = selectors.DefaultSelector()
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._buffer = bytearray(_FRAME_BYTES)
        self._is_stopped = False
        self.lost: list[int] = []
        """Numbers of the taps whose interface went away meanwhile."""

    def __enter__(self) -> Self:
        try:
            self._selector.register(self._wakeup, selectors.EVENT_READ)
            for number, tap in enumerate(self._taps):
                opened = _open(tap)
                self._sockets.append(opened)
                self._selector.register(opened, selectors.EVENT_READ, number)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for opened in self._sockets:
            opened.close()
        self._selector.close()
        os.close(self._wakeup)

    def stop(self) -> None:
        """End the listening after what is being read; may be called from a signal handler."""
        self._is_stopped = True
        os.eventfd_write(self._wakeup, 1)

    def frames(self, duration_s: float | None = None) -> Iterator[list[Heard]]:
        """What is heard, sorted by time over all taps, until it is stopped, the time is over or no interface is left.

        Args:
            duration_s: how long to listen, in seconds; None for ever.

        Yields:
            One or more frames that were read together, so that a reader can write and flush them together.
        """
        deadline = None if duration_s is None else time.monotonic() + duration_s
        held: list[Heard] = []
        while not self._is_stopped and len(self.lost) < len(self._taps):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            fresh = held + self._read_waiting(_SETTLING_S if held else left)
            horizon = time.time_ns() - _SETTLING_NS
            # Older ones may be on their way into another queue. A stamp far ahead is of a clock that was set back.
            held = [heard for heard in fresh if horizon < heard.time_ns < horizon + _CLOCK_STEP_NS]
            batch = [heard for heard in fresh if not horizon < heard.time_ns < horizon + _CLOCK_STEP_NS]
            if batch:
                yield sorted(batch, key=_time_of)
        if held:
            yield sorted(held, key=_time_of)

    def _read_waiting(self, timeout_s: float | None) -> list[Heard]:
        """The frames that wait at all taps."""
        frames: list[Heard] = []
        for key, _ in self._selector.select(timeout_s):
            if key.data is not None:
                frames += self._read(key.data, time.time_ns())
        return frames

    def _read(self, number: int, began_ns: int) -> Iterator[Heard]:
        """The frames that wait at one tap, up to the first one that came while they were read."""
        opened = self._sockets[number]
        for _ in range(_FRAMES_PER_READ):
            try:
                size, ancillary, _, address = opened.recvmsg_into([self._buffer], _ANCILLARY_BYTES, socket.MSG_TRUNC)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                self._note_down(number)
                return
            data = bytes(memoryview(self._buffer)[: min(size, _FRAME_BYTES)])
            heard = _heard(number, data, size, ancillary, address)
            yield heard
            if heard.time_ns > began_ns:
                return

    def _note_down(self, number: int) -> None:
        """A link that went down says so once, and is heard again when it comes up; one that was deleted is not."""
        if not self._sockets[number].getsockname()[0]:
            self._selector.unregister(self._sockets[number])
            self.lost.append(number)

    def counted(self) -> list[Counted]:
        """What the kernel counted so far, tap by tap."""
        for number, opened in enumerate(self._sockets):
            received, dropped = struct.unpack("=II", opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
            before = self._counted[number]  # the kernel starts again from 0 at each reading
            self._counted[number] = Counted(before.received + received, before.dropped + dropped)
        return list(self._counted)


def _time_of(heard: Heard) -> int:
    return heard.time_ns


def _open(tap: Tap) -> socket.socket:
    """A socket that hears one interface, and nothing before its filter is in place."""
    where = f"interface {tap.ifname} {'of the host' if tap.namespace == names.HOST else f'in {tap.namespace}'}"
    with _visit(tap.namespace):
        try:
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        except PermissionError as error:
            raise PermissionDenied(f"listening at {where} needs CAP_NET_RAW; run it with sudo") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
        opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _attach(opened, tap.program)
        opened.bind((tap.ifname, _ETH_P_ALL))  # protocol 0 until here: nothing was heard
    except OSError as error:
        opened.close()
        raise HostError(f"cannot listen at {where}: {os.strerror(error.errno or 0)}") from error
    return opened


def _visit(namespace: str) -> netns.Journey:
    """A journey that is in a namespace already, the present one included."""
    journey = netns.Journey()
    if namespace != names.HOST:
        try:
            journey.go(namespace)
        except BaseException:
            journey.__exit__(None, None, None)
            raise
    return journey


def _attach(opened: socket.socket, program: bytes) -> None:
    if not program:
        return
    instructions = array.array("B", program)  # must live until the call is over: the kernel reads by its address
    address, _ = instructions.buffer_info()
    filter_program = struct.pack("@HP", len(program) // _INSTRUCTION_BYTES, address)
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)


def _heard(
    tap: int,
    data: bytes,
    size: int,
    ancillary: Iterable[tuple[int, int, bytes]],
    address: tuple[str, int, int, int, bytes],
) -> Heard:
    """A frame with what the kernel says beside it."""
    time_ns, tag, is_pending, length = 0, None, False, size
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            time_ns = seconds * 1_000_000_000 + nanoseconds
        elif level == _SOL_PACKET and kind == _PACKET_AUXDATA:
            status, length, _, _, _, control, tag_type = _AUXDATA.unpack_from(value)
            is_pending = bool(status & _STATUS_CHECKSUM_PENDING)
            if status & _STATUS_TAG_VALID:
                tag = (tag_type if status & _STATUS_TAG_TYPE_VALID else _ETH_P_8021Q, control)
    return Heard(tap, time_ns or time.time_ns(), data, length, address[2] == _PACKET_OUTGOING, tag, is_pending)
