"""One raw netlink socket: many requests a send, answers matched by sequence number, whole dumps.

Owns the wire protocol (headers, acknowledgements, dumps, the kernel's own words in extended
acknowledgements). Must never know what a request means: bodies are encoded and decoded elsewhere.

A socket belongs to the namespace that it was opened in, for as long as it lives; it is opened and
closed inside one visit, so that an interrupted exchange can never be read by a later one.
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dataplane.errors import HostError
from dataplane.kernel.attributes import attributes

NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

_NLM_F_DUMP_INTR = 0x10
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSGERR_ATTR_MSG = 1

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_SO_RCVBUFFORCE = 33
_MSG_TRUNC = int(socket.MSG_TRUNC)  # as an enum it costs 3 us a message

_RECEIVE_BUFFER_BYTES = 4 << 20
_READ_BYTES = 128 << 10
_ANSWER_TIMEOUT_S = 20
# An acknowledgement takes about 1 KB of the receive buffer, whatever its length: 200 of them stay far below it.
_REQUESTS_PER_SEND = 200
_BYTES_PER_SEND = 48 << 10
# Others may change hundreds of links a second for a while: about 4 s in all, the pauses growing to 0.1 s.
_DUMP_ATTEMPTS = 60
_DUMP_PAUSE_S = 0.005
_MAX_DUMP_PAUSE_S = 0.1

_HEADER = struct.Struct("=IHHII")
_SEQUENCE = struct.Struct("=I")
_SEQUENCE_OFFSET = 8
_INT = struct.Struct("=i")

Part = tuple[bytes, int, int]
"""The body of one received message: the buffer that it lies in, its first byte, the byte after its last."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The kernel's no to one request.

    Args:
        code: the errno, positive.
        words: what the kernel says about it in an extended acknowledgement; often empty.
    """

    code: int
    words: str = ""

    def __str__(self) -> str:
        # Python calls this number by its other name, which no manual page of netlink knows.
        name = "EOPNOTSUPP" if self.code == errno.EOPNOTSUPP else errno.errorcode.get(self.code, str(self.code))
        return f"{name}: {self.words or os.strerror(self.code)}"


class NetlinkError(HostError):
    """A dump or a single look-up was refused.

    Args:
        refusal: the kernel's answer.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"the kernel refused a netlink query: {refusal}")
        self.refusal = refusal


class NetlinkSocket:
    """A netlink socket of the calling thread's present namespace. Use it as a context manager.

    Args:
        protocol: the netlink family; rtnetlink where nothing else is said.

    Raises:
        HostError: the kernel has no rtnetlink, or did not answer in 20 s.
    """

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        self._set_options()

    def _set_options(self) -> None:
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
        timeout = struct.pack("@ll", _ANSWER_TIMEOUT_S, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def execute(self, requests: Sequence[bytearray]) -> list[Refusal | None]:
        """Send requests in order and collect one answer each. A refused request does not stop the next.

        Args:
            requests: encoded messages; their flags must ask for an acknowledgement.

        Returns:
            In the order of the requests: None where it was done, otherwise the refusal.
        """
        answers: list[Refusal | None] = []
        for chunk in _chunks(requests):
            answers.extend(self._execute_chunk(chunk))
        return answers

    def _execute_chunk(self, requests: Sequence[bytearray]) -> list[Refusal | None]:
        first = self._sequence + 1
        for request in requests:
            self._number(request)
        self._send(b"".join(requests))
        answers: dict[int, Refusal | None] = {}
        while len(answers) < len(requests):
            try:
                data = self._receive()
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                break  # answers were lost: the requests without one are reported, and found out by the next observe
            for kind, flags, sequence, start, end in _messages(data):
                if kind == _NLMSG_ERROR and sequence >= first:
                    answers[sequence] = _refusal(data, flags, start, end)
        lost = Refusal(errno.ENOBUFS, "the kernel's answer was lost")
        return [answers.get(sequence, lost) for sequence in range(first, first + len(requests))]

    def execute_together(
        self, first: bytearray, requests: Sequence[bytearray], last: bytearray | None
    ) -> list[Refusal | None]:
        """Send requests between two messages that nobody answers (a transaction of nf_tables), all with one send.

        Args:
            last: None: the kernel takes the transaction back.

        Returns:
            As ``execute`` does; a request that another one's refusal has undone counts as done.
        """
        self._number(first)
        numbers = [self._number(request) for request in requests]
        if last is not None:
            self._number(last)
        self._send(b"".join((first, *requests, last or b"")))
        answers: dict[int, Refusal | None] = {}
        while len(answers) < len(requests):
            data = self._receive()
            for kind, flags, sequence, start, end in _messages(data):
                if kind == _NLMSG_ERROR and sequence >= numbers[0] - 1:
                    answers[sequence] = _refusal(data, flags, start, end)
            if numbers[0] - 1 in answers:  # all of it is refused, as by a kernel without the subsystem
                return [answers[numbers[0] - 1]] * len(requests)
        return [answers.get(number) for number in numbers]

    def dump(self, request: bytes) -> list[Part]:
        """Read a whole table; start again when the kernel says that it changed meanwhile.

        Args:
            request: an encoded dump request.

        Raises:
            NetlinkError: the kernel refuses the dump.
            HostError: the table changed during every attempt.
        """
        for attempt in range(_DUMP_ATTEMPTS):
            parts = self._dump_once(bytearray(request))
            if parts is not None:
                return parts
            time.sleep(min(attempt * _DUMP_PAUSE_S, _MAX_DUMP_PAUSE_S))
        raise HostError(
            f"a kernel table changed during each of {_DUMP_ATTEMPTS} attempts to read it; try again when whoever "
            "changes it (ip monitor shows what) has finished"
        )

    def _dump_once(self, request: bytearray) -> list[Part] | None:
        """One attempt: the messages, or None where they are not one consistent picture."""
        wanted = self._number(request)
        self._send(request)
        parts: list[Part] = []
        is_consistent = True
        while True:
            try:
                data = self._receive()
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                is_consistent = False
                continue
            for kind, flags, sequence, start, end in _messages(data):
                if sequence != wanted:
                    continue
                is_consistent = is_consistent and not flags & _NLM_F_DUMP_INTR
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    refusal = _refusal(data, flags, start, end)
                    if refusal is not None and refusal.code != errno.EINTR:
                        raise NetlinkError(refusal)
                    return parts if is_consistent and refusal is None else None
                parts.append((data, start, end))

    def get(self, request: bytearray) -> Part | None:
        """Look one object up; None where there is no such object.

        Raises:
            NetlinkError: the kernel refuses for another reason than its absence.
        """
        wanted = self._number(request)
        self._send(request)
        while True:
            data = self._receive()
            for kind, flags, sequence, start, end in _messages(data):
                if sequence != wanted:
                    continue
                if kind != _NLMSG_ERROR:
                    return data, start, end
                refusal = _refusal(data, flags, start, end)
                if refusal is not None and refusal.code not in (errno.ENODEV, errno.ENOENT, errno.ESRCH):
                    raise NetlinkError(refusal)
                return None

    def _number(self, request: bytearray) -> int:
        """Write the next sequence number into a request's header."""
        self._sequence += 1
        _SEQUENCE.pack_into(request, _SEQUENCE_OFFSET, self._sequence)
        return self._sequence

    def _send(self, data: bytes | bytearray) -> None:
        self._socket.sendto(data, (0, 0))

    def _receive(self) -> bytes:
        try:
            data, _, flags, _ = self._socket.recvmsg(_READ_BYTES)
        except BlockingIOError as error:
            raise HostError(f"the kernel did not answer a netlink request in {_ANSWER_TIMEOUT_S} s") from error
        if flags & _MSG_TRUNC:
            raise HostError(f"the kernel sent a netlink message of more than {_READ_BYTES} bytes")
        return data


def _chunks(requests: Sequence[bytearray]) -> Iterable[Sequence[bytearray]]:
    """Cut requests into sends whose answers surely fit into the receive buffer."""
    start, size = 0, 0
    for index, request in enumerate(requests):
        if index > start and (index - start >= _REQUESTS_PER_SEND or size + len(request) > _BYTES_PER_SEND):
            yield requests[start:index]
            start, size = index, 0
        size += len(request)
    if start < len(requests):
        yield requests[start:]


def _messages(data: bytes) -> Iterable[tuple[int, int, int, int, int]]:
    """Kind, flags, sequence number, first and end byte of the body of each message in a received buffer."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            raise HostError("the kernel sent a netlink message that does not fit its own length")
        yield kind, flags, sequence, offset + _HEADER.size, offset + length
        offset += (length + 3) & ~3


def _refusal(data: bytes, flags: int, start: int, end: int) -> Refusal | None:
    """Read an acknowledgement or the end of a dump: an errno, then perhaps the request, then perhaps attributes."""
    if end - start < _INT.size:
        return None
    (code,) = _INT.unpack_from(data, start)
    if code == 0:
        return None
    words = b""
    if flags & _NLM_F_ACK_TLVS and end - start >= _INT.size + _HEADER.size:
        (request_length,) = _SEQUENCE.unpack_from(data, start + _INT.size)
        echoed = _HEADER.size if flags & _NLM_F_CAPPED else (request_length + 3) & ~3
        words = attributes(data, start + _INT.size + echoed, end).get(_NLMSGERR_ATTR_MSG, b"")
    return Refusal(-code, words.rstrip(b"\0").decode("utf-8", "replace"))
