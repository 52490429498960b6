"""The wire protocol against a kernel that misbehaves: lost answers, interrupted dumps, refusals with words."""

import errno
import socket
import struct
import time
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.errors import HostError
from dataplane.kernel.attributes import attributes
from dataplane.kernel.netlink import NetlinkError, NetlinkSocket, Refusal

ERROR, DONE, DATA = 2, 3, 24
MULTI, INTERRUPTED, CAPPED, WORDS = 0x2, 0x10, 0x100, 0x200


class FakeKernel:
    """Stands where the raw socket stands: scripted answers, numbered with the requests' sequence numbers."""

    def __init__(self, *script: object) -> None:
        self.script = deque(script)
        self.sent: list[list[int]] = []
        self.is_closed = False

    def setsockopt(self, *_: object) -> None: ...

    def close(self) -> None:
        self.is_closed = True

    def sendto(self, data: bytes, _: object) -> None:
        numbers, offset = [], 0
        while offset < len(data):
            length, _, _, number = struct.unpack_from("=IHHI", data, offset)
            numbers.append(number)
            offset += length
        self.sent.append(numbers)

    def recvmsg(self, _: int) -> tuple[bytes, list[object], int, object]:
        answer = self.script.popleft()
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            answer = answer(self.sent[-1])
        if isinstance(answer, tuple):
            return answer[0], [], answer[1], None
        return answer, [], 0, None


def message(kind: int, flags: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, number, 0) + body + bytes(-len(body) % 4)


def answer(number: int, code: int = 0, words: str = "", echo: bytes | None = None) -> bytes:
    """An acknowledgement, with the request echoed whole or capped, and the kernel's words behind it."""
    header = struct.pack("=IHHII", 16 + len(echo or b""), DATA, 5, number, 0)
    flags = CAPPED if echo is None else 0
    body = struct.pack("=i", -code) + header + (echo or b"")
    if words:
        text = words.encode() + b"\0"
        flags |= WORDS
        body += struct.pack("=HH", 4 + len(text), 1) + text + bytes(-len(text) % 4)
    return message(ERROR, flags, number, body)


def request() -> bytearray:
    return bytearray(message(DATA, 5, 0, b"body"))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    fake = FakeKernel()
    monkeypatch.setattr(socket, "socket", lambda *_: fake)
    return fake


def test_answers_are_matched_by_number_not_by_order(kernel: FakeKernel) -> None:
    """Out of order and in pieces: each refusal lands at its own request."""
    kernel.script.extend(
        [
            lambda sent: answer(sent[2], errno.EEXIST) + answer(sent[0]),
            lambda sent: answer(sent[1], errno.EINVAL, "Nexthop id does not exist"),
        ]
    )
    with NetlinkSocket() as wire:
        assert wire.execute([request() for _ in range(3)]) == [
            None,
            Refusal(errno.EINVAL, "Nexthop id does not exist"),
            Refusal(errno.EEXIST),
        ]
    assert kernel.is_closed


@pytest.mark.parametrize("echo", [None, b"request!"], ids=["capped", "whole"])
def test_the_kernels_own_words_are_found_behind_the_echo(kernel: FakeKernel, echo: bytes | None) -> None:
    """Extended acknowledgements stand behind the echoed request, however much of it there is."""
    kernel.script.append(lambda sent: answer(sent[0], errno.EPERM, "Not now", echo))
    with NetlinkSocket() as wire:
        (refusal,) = wire.execute([request()])
    assert str(refusal) == "EPERM: Not now"
    assert str(Refusal(errno.ENODEV)) == "ENODEV: No such device"


def test_answer_of_an_earlier_exchange_is_not_taken(kernel: FakeKernel) -> None:
    """A late acknowledgement with an old number answers nothing of this send."""
    kernel.script.extend([lambda sent: answer(sent[0]), lambda sent: answer(1, errno.EIO) + answer(sent[0])])
    with NetlinkSocket() as wire:
        assert wire.execute([request()]) == [None]
        assert wire.execute([request()]) == [None]


def test_lost_answers_are_said_to_be_lost(kernel: FakeKernel) -> None:
    """ENOBUFS: what was answered counts, the rest is reported, nothing hangs."""
    kernel.script.extend([lambda sent: answer(sent[0]), OSError(errno.ENOBUFS, "full")])
    with NetlinkSocket() as wire:
        first, second = wire.execute([request(), request()])
    assert first is None
    assert second is not None
    assert second.code == errno.ENOBUFS


def test_long_runs_are_cut_so_that_answers_fit(kernel: FakeKernel) -> None:
    """At most 200 requests and 48 KiB a send."""
    kernel.script.extend([lambda sent: b"".join(answer(number) for number in sent)] * 9)
    with NetlinkSocket() as wire:
        assert wire.execute([request() for _ in range(450)]) == [None] * 450
        assert wire.execute([bytearray(message(DATA, 5, 0, bytes(30_000))) for _ in range(3)]) == [None] * 3
        assert wire.execute([]) == []
    assert [len(numbers) for numbers in kernel.sent] == [200, 200, 50, 1, 1, 1]
    numbers = [number for send in kernel.sent for number in send]
    assert numbers == sorted(set(numbers))


def _table(*bodies: bytes, flags: int = MULTI) -> object:
    return lambda sent: b"".join(message(DATA, flags, sent[0], body) for body in bodies)


def _done(code: int = 0, flags: int = MULTI) -> object:
    return lambda sent: message(DONE, flags, sent[0], struct.pack("=i", -code))


def _read(wire: NetlinkSocket) -> list[bytes]:
    return [data[start:end] for data, start, end in wire.dump(bytes(request()))]


def test_dump_of_several_parts(kernel: FakeKernel) -> None:
    """All parts until the end, and nobody else's messages among them."""
    kernel.script.extend([_table(b"one.", b"two."), lambda sent: message(DATA, MULTI, 999, b"odd."), _done()])
    with NetlinkSocket() as wire:
        assert _read(wire) == [b"one.", b"two."]


@pytest.mark.parametrize("where", ["part", "end", "buffer"])
def test_inconsistent_dump_is_read_again(kernel: FakeKernel, where: str) -> None:
    """The table changed meanwhile, or messages were lost: what was read is thrown away."""
    first = {
        "part": [_table(b"old.", flags=MULTI | INTERRUPTED), _done()],
        "end": [_table(b"old."), _done(flags=MULTI | INTERRUPTED)],
        "buffer": [_table(b"old."), OSError(errno.ENOBUFS, "full"), _done()],
    }[where]
    kernel.script.extend([*first, _table(b"new."), _done()])
    with NetlinkSocket() as wire:
        assert _read(wire) == [b"new."]


def test_table_that_never_rests_is_an_error(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty attempts, with pauses that are long enough in all for a storm to pass, then a sentence; no endless loop."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    kernel.script.extend([_table(b"old.", flags=MULTI | INTERRUPTED), _done()] * 60)
    with NetlinkSocket() as wire, pytest.raises(HostError, match="each of 60 attempts"):
        _read(wire)
    assert pauses[0] == 0, "mostly once more is enough"
    assert 3 < sum(pauses) < 6


def test_refused_dump_carries_the_refusal(kernel: FakeKernel) -> None:
    """A kernel without next-hop objects says so at once."""
    kernel.script.append(lambda sent: answer(sent[0], errno.EOPNOTSUPP))
    with NetlinkSocket() as wire, pytest.raises(NetlinkError, match="EOPNOTSUPP") as caught:
        _read(wire)
    assert caught.value.refusal.code == errno.EOPNOTSUPP


def test_truncated_message_is_an_error(kernel: FakeKernel) -> None:
    """A message that does not fit the buffer, or its own length, is never half read."""
    kernel.script.extend([(b"", socket.MSG_TRUNC), struct.pack("=IHHII", 64, DATA, MULTI, 2, 0)])
    with NetlinkSocket() as wire:
        with pytest.raises(HostError, match="more than"):
            _read(wire)
        with pytest.raises(HostError, match="its own length"):
            _read(wire)


def test_silent_kernel_is_an_error(kernel: FakeKernel) -> None:
    """No answer within the time limit: a sentence instead of a process that hangs."""
    kernel.script.append(BlockingIOError())
    with NetlinkSocket() as wire, pytest.raises(HostError, match="did not answer"):
        wire.execute([request()])


def test_look_up_of_what_is_not_there_is_none(kernel: FakeKernel) -> None:
    """Absence is an answer; any other refusal is an error."""
    kernel.script.extend([lambda sent: answer(sent[0], errno.ENODEV), lambda sent: answer(sent[0], errno.EPERM)])
    with NetlinkSocket() as wire:
        assert wire.get(request()) is None
        with pytest.raises(NetlinkError, match="EPERM"):
            wire.get(request())


@given(st.binary(max_size=200))
def test_no_bytes_break_the_walk_over_attributes(data: bytes) -> None:
    """Any garbage ends the walk; nothing outside the record is read."""
    found = attributes(data, 0, len(data))
    assert sum(len(value) + 4 for value in found.values()) <= len(data)


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_are_read_as_written(wanted: dict[int, bytes]) -> None:
    """Any set of attributes, padded to four bytes as the kernel does, nested flag or not."""
    data = b"".join(
        struct.pack("=HH", 4 + len(value), kind | 0x8000) + value + bytes(-len(value) % 4)
        for kind, value in wanted.items()
    )
    assert attributes(data, 0, len(data)) == wanted
