"""One leg as the prober runs it: its socket, the probe that is on its way, its machine and its counters.

Owns what a probe costs: nothing here allocates more than numbers. Must never decide when to run; the loop does.
"""

import errno
import os
import socket
import struct
from array import array
from contextlib import suppress

from dataplane.health import packet
from dataplane.health.legs_map import DOWN, DOWN_FOR_GOOD, UP
from dataplane.health.machine import Machine
from dataplane.health.state import NS_PER_MS, Transition, Verdict
from dataplane.health.system import Receiver
from dataplane.health.window import Window
from dataplane.health.wire import LegOrder, LegReport, LegSpec

_SO_ATTACH_FILTER = 26
_INSTRUCTION_BYTES = 8
# The answer of our own routing: as good as a lost probe, since traffic has no way either.
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
# An ICMP error that came for an earlier probe; the call reported it and did nothing else.
_ABOUT_EARLIER = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPROTO, errno.ENOPROTOOPT})
_STEPS_SHIFT = 5
_LONGEST_STEP_SHIFT = 21  # 2 ms to send and 1 ms to judge: within the 5 ms that P4 leaves
_CLOCK_STEP_NS = NS_PER_MS
_RANDOM_WORDS = 512
_PERCENTILES = (50, 90, 99, 100)
_DRAIN_LIMIT = 64
_TIMEOUT_EVERY = 15  # an automatic timeout follows the round trip every 16 probes
# Where things stand in a received packet after an IP header of 20 bytes; from the id on an answer repeats the question
_SOURCE_START, _SOURCE_END, _TYPE = 12, 16, 20
_REPLY_START, _REPLY_END = 24, packet.REPLY_BYTES
_ECHO_START = 4
# Bound once: the next lines run for every probe.
_PACK, _ALL_ONES, _write = packet.CHANGING.pack_into, packet.ALL_ONES, os.write


class Nonces:
    """Random numbers of 64 bits from the kernel, fetched many at a time; never 0."""

    def __init__(self) -> None:
        self._pool = array("Q")

    def draw(self) -> int:
        """The next one."""
        if not self._pool:
            self._pool.frombytes(os.urandom(8 * _RANDOM_WORDS))
        return self._pool.pop() or self.draw()


class Leg:
    """A leg under way. The socket is the leg's from here on; ``close`` closes it."""

    __slots__ = (
        "_address",
        "_arrivals",
        "_identifier",
        "_is_automatic",
        "_last_nonce",
        "_packet",
        "_secret",
        "_sent_ns",
        "_sequence",
        "deadline_ns",
        "due_ns",
        "error",
        "event_ns",
        "fd",
        "judge_mask",
        "judged_ns",
        "late",
        "machine",
        "misses",
        "nonce",
        "rejected",
        "replies",
        "send_mask",
        "sent",
        "slot",
        "spec",
        "strays",
        "timeout_ns",
        "unsent",
        "window",
    )

    def __init__(self, order: LegOrder, fd: int, now_ns: int) -> None:
        self.machine = Machine(order.spec.settings, now_ns, order.verdict, order.since_ns or None)
        self.due_ns = self.event_ns = now_ns
        self.fd = self.slot = -1
        self.adopt(order.spec)
        self.take_socket(fd, now_ns)

    def adopt(self, spec: LegSpec) -> None:
        """Take on other settings; state and counters stay."""
        self.spec = spec
        self.machine.settings = spec.settings
        self._arrivals = frozenset(spec.arrivals)
        self._address = bytearray(socket.inet_aton(spec.destination))
        self._is_automatic = spec.settings.timeout_for(1) != spec.settings.timeout_for(0)
        self.timeout_ns = spec.settings.timeout_for(0)
        shift = max(1, min((spec.settings.interval_ns >> _STEPS_SHIFT).bit_length() - 1, _LONGEST_STEP_SHIFT))
        # Moments are rounded up to powers of two, so that many legs share a wake-up (T9); judgement twice as fine.
        self.send_mask, self.judge_mask = (1 << shift) - 1, (1 << shift - 1) - 1

    def take_socket(self, fd: int, now_ns: int) -> None:
        """Probe by another socket: what is known of the old way is no evidence for this one, except the verdict."""
        self.close()
        self.fd = fd
        self._identifier = int.from_bytes(os.urandom(2), "big")
        self._secret = int.from_bytes(os.urandom(4), "big")
        self._packet = packet.echo(self._identifier, self._secret)
        self._sequence = self.nonce = self._last_nonce = self._sent_ns = self.deadline_ns = 0
        self.sent = self.replies = self.misses = self.unsent = self.late = self.strays = self.rejected = self.error = 0
        self.judged_ns = now_ns
        self.window = Window()
        attach_filter(fd, packet.reply_filter(self._identifier, self._secret))

    def close(self) -> None:
        """Close the socket."""
        if self.fd >= 0:
            with suppress(OSError):
                os.close(self.fd)
            self.fd = -1

    @property
    def map_value(self) -> int:
        """The byte in the forwarder's map of legs."""
        if self.machine.verdict is Verdict.UP:
            return UP
        return DOWN if self.spec.is_last_resort else DOWN_FOR_GOOD

    def send(self, nonce: int, now_ns: int) -> None:
        """Send the next probe; ``due_ns`` is the moment of the one after it already, and ends the wait for this one."""
        self._sequence = sequence = self._sequence + 1 & 0xFFFF
        _PACK(self._packet, packet.CHANGING_OFFSET, sequence, self._secret, nonce, nonce ^ _ALL_ONES, sequence ^ 0xFFFF)
        try:
            _write(self.fd, self._packet)
        except OSError as error:
            if not self._is_sent_after(error):
                return
        self.sent += 1
        self.nonce = nonce
        self._sent_ns = now_ns
        deadline = now_ns + self.timeout_ns
        self.deadline_ns = deadline if deadline < self.due_ns else self.due_ns

    def _is_sent_after(self, error: OSError) -> bool:
        """Whether a refused probe counts as sent: an error that was about an earlier one is retried (raw(7)).

        What nobody sent is no miss (D3), unless it was routing that refused.
        """
        if error.errno in _ABOUT_EARLIER:
            try:
                os.write(self.fd, self._packet)
            except OSError as again:
                error = again
            else:
                return True
        self.error = error.errno or 0
        if error.errno in _NO_WAY:
            return True
        self.unsent += 1
        return False

    def take(self, receiver: Receiver, wall_offset_ns: int, now_ns: int) -> Transition | None:
        """Take in the datagram that the receiver holds, which came by this leg's socket.

        Args:
            wall_offset_ns: the wall clock minus the monotonic one, now.
        """
        data = receiver.data
        arrived_ns = receiver.time_ns - wall_offset_ns if receiver.time_ns else now_ns
        if (
            data[_REPLY_START:_REPLY_END] != self._packet[_ECHO_START:]
            or data[_SOURCE_START:_SOURCE_END] != self._address
            or data[0] != packet.PLAIN_HEADER
            or data[_TYPE] != packet.ECHO_REPLY
            or not self.nonce
        ):
            self._classify(data, arrived_ns)
            return None
        if self._arrivals and receiver.ifindex not in self._arrivals:
            self.strays += 1
            return None
        round_trip_ns = arrived_ns - self._sent_ns
        if not -_CLOCK_STEP_NS < round_trip_ns < now_ns - self._sent_ns + _CLOCK_STEP_NS:
            # The wall clock was set meanwhile: the answer is there, its time is not known.
            round_trip_ns = 0
        elif arrived_ns > self.deadline_ns:
            self._came_late(round_trip_ns)
            return None
        self.nonce = 0
        self.replies += 1
        self.judged_ns = now_ns
        self.window.answered(round_trip_ns if round_trip_ns > 0 else 0)
        return self.machine.reply(now_ns)

    def fail(self, code: int) -> None:
        """Receiving reported an error (errno): an ICMP error, or something worse; the probes will tell."""
        self.error = code

    def _classify(self, data: bytearray, arrived_ns: int) -> None:
        """Count what is no answer to the probe on its way."""
        _, _, _, identifier, _, secret, nonce, _, _ = packet.REPLY.unpack_from(data)
        is_ours = identifier == self._identifier and secret == self._secret
        if is_ours and nonce and nonce == self._last_nonce:
            self._last_nonce = 0
            # Once the next probe is on its way, nobody knows any more when this one was sent.
            self._came_late(0 if self.nonce else arrived_ns - self._sent_ns)
        else:
            self.rejected += 1

    def _came_late(self, round_trip_ns: int) -> None:
        """An answer after its time: no proof of life, but it says how long answers take (D1's automatic timeout)."""
        self.late += 1
        if 0 < round_trip_ns <= self.spec.settings.interval_ns + _CLOCK_STEP_NS:
            self.window.took(round_trip_ns)

    def judge(self, receiver: Receiver, wall_offset_ns: int, now_ns: int) -> Transition | None:
        """The time of the probe on its way is over: take what waits in the socket first, then count a miss."""
        for _ in range(_DRAIN_LIMIT):
            size = receiver.receive(self.fd)
            if size < 0:
                break
            transition = self.take(receiver, wall_offset_ns, now_ns)
            if not self.nonce:
                return transition
        voided = self.machine.voided
        transition = self.machine.expire(self.deadline_ns, self.timeout_ns, now_ns)
        self._last_nonce, self.nonce = self.nonce, 0
        if self.machine.voided == voided:
            self.misses += 1
            self.judged_ns = now_ns
            self.window.lost()
        return transition

    def forget_probe(self) -> None:
        """Let go of the probe on its way: neither answered nor lost."""
        self._last_nonce, self.nonce = self.nonce, 0

    def plan_next(self, now_ns: int) -> None:
        """Move ``due_ns`` on by an interval; after a long pause to the next beat of its own, so legs stay spread."""
        interval = self.spec.settings.interval_ns
        self.due_ns += interval
        if self.due_ns <= now_ns:
            self.due_ns += (now_ns - self.due_ns) // interval * interval + interval
        if self._is_automatic and not self._sequence & _TIMEOUT_EVERY:
            self.timeout_ns = self.spec.settings.timeout_for(self.window.smoothed_ns)

    def report(self, now_ns: int) -> LegReport:
        """What is known of it."""
        machine, window = self.machine, self.window
        recent_lost, recent = window.loss()
        middle, most, nearly_all, longest = window.percentiles(_PERCENTILES)
        return LegReport(
            name=self.spec.name,
            state=machine.state,
            verdict=machine.verdict,
            at_ns=now_ns,
            since_ns=machine.since_ns,
            judged_ns=self.judged_ns,
            interval_ns=self.spec.settings.interval_ns,
            timeout_ns=self.timeout_ns,
            sent=self.sent,
            replies=self.replies,
            misses=self.misses,
            voided=machine.voided,
            unsent=self.unsent,
            late=self.late,
            strays=self.strays,
            rejected=self.rejected,
            lost_in_row=machine.lost_in_row,
            recent_lost=recent_lost,
            recent_probes=recent,
            round_trip_ns=(middle, most, nearly_all, longest),
            flips=machine.flips,
            damped_until_ns=machine.damped_until_ns,
            has_carrier=machine.has_carrier,
            error=self.error,
        )


def attach_filter(fd: int, program: bytes) -> None:
    """Attach a classic filter to a socket. What came before it is no answer, since nothing was asked."""
    instructions = array("B", program)  # must live until the call is over: the kernel reads by its address
    address, _ = instructions.buffer_info()
    held = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, fileno=fd)
    try:
        filter_program = struct.pack("@HP", len(program) // _INSTRUCTION_BYTES, address)
        held.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)
    finally:
        held.detach()
