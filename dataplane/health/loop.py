"""The one loop of the prober: when each leg sends and is judged, and what follows from it.

Owns time in the prober: one monotonic clock, one timer, one queue with one entry for each leg. Order inside a wake-up:
links first, then every reply that waits, only then what is due, so that nothing that came in time is called lost.
"""

import ctypes
import heapq
import select
import socket
import time
from collections import deque
from itertools import count

from dataplane.health import packet
from dataplane.health.carrier import Monitor
from dataplane.health.leg import Leg, Nonces
from dataplane.health.legs_map import LegsMap
from dataplane.health.outbox import Outbox
from dataplane.health.state import NS_PER_MS, NS_PER_S, Transition
from dataplane.health.system import Receiver, Timer
from dataplane.health.wire import LEGS_PER_DATAGRAM, Beat, LegReport, Report

_SLOT_BITS = 20
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_REPORTER = _SLOT_MASK
"""The queue's entry that is no leg."""
_REPORTS_EVERY_NS = NS_PER_S
_REPORTS_APART_NS = 2 * NS_PER_MS
_REPORTS_PER_BEAT = 256
"""Legs reported a second without being asked; more than that take turns."""
_LATE_NS = NS_PER_MS
_EVENTS = 512
_DRAIN_PASSES = 64
_PROMPT_BELOW_PER_S = 1_000
"""Up to this many probes a second each reply wakes the loop; beyond it they wait for the next wake-up (T9)."""
_GOLDEN = 0x9E3779B97F4A7C15
_TOGETHER, _APART_SHIFT = 8, 12
_clock = time.monotonic_ns
_wall = time.time_ns


class Loop:
    """All legs, and the way to the agent.

    Args:
        channel: the socket to the agent, non-blocking.
    """

    def __init__(self, channel: socket.socket) -> None:
        self.outbox = Outbox(channel)
        self.legs: dict[str, Leg] = {}
        self.monitors: dict[str, Monitor] = {}
        self._channel = channel
        self._map: LegsMap | None = None
        self._by_fd: dict[int, Leg] = {}
        self._by_slot: dict[int, Leg] = {}
        self._slots = count()
        self._queue: list[int] = []
        self._nonces = Nonces()
        self._receiver = Receiver()
        self._timer = Timer()
        self._armed_ns = 0
        self._replies = select.epoll()
        self._outer = select.epoll()
        self._outer.register(self._timer.fd, select.EPOLLIN)
        self._outer.register(channel.fileno(), select.EPOLLIN)
        self._is_prompt = self._is_writing = False
        self._to_report: deque[str] = deque()
        self._may_report = 0
        self._phase = self._nonces.draw()
        self._phases: dict[str, tuple[int, int]] = {}
        self._beat_ns = self._reporter = 0
        self._on_way: list[Leg] = []
        self._late_ns = self._late_wakes = self._wakes = self._gone_probes = 0
        self._wake_reporter(_clock())

    def step(self) -> bool:
        """Sleep until something is to do, and do it; whether the agent has said something.

        Raises:
            AgentGone: it is no more.
        """
        self._arm()
        is_spoken_to = False
        for fd, _ in self._outer.poll():
            if fd == self._channel.fileno():
                is_spoken_to = True
            elif fd != self._timer.fd and fd != self._replies.fileno():
                self._read_links(fd)
        now = _clock()
        self._note_lateness(now)
        self._drain()
        self._run_due(now)
        self.outbox.flush()
        self._listen_for_room()
        return is_spoken_to

    def add(self, leg: Leg) -> None:
        """Begin with a leg, somewhere within its first interval (test 69)."""
        slot = next(self._slots) & _SLOT_MASK
        while slot == _REPORTER or slot in self._by_slot:
            slot = next(self._slots) & _SLOT_MASK
        leg.due_ns = self._first_due(leg)
        self.legs[leg.spec.name] = self._by_slot[slot] = leg
        leg.slot = slot
        self.attach(leg)
        self._schedule(leg, leg.due_ns, leg.send_mask)

    def attach(self, leg: Leg) -> None:
        """Listen to a leg's socket, which is new."""
        self._by_fd[leg.fd] = leg
        self._replies.register(leg.fd, select.EPOLLIN)

    def detach(self, leg: Leg) -> None:
        """Listen to its socket no more; before it is closed."""
        del self._by_fd[leg.fd]
        self._replies.unregister(leg.fd)

    def reschedule(self, leg: Leg) -> None:
        """Its interval changed: begin anew within the new one, and let go of the probe on its way."""
        leg.forget_probe()
        leg.due_ns = self._first_due(leg)
        self._schedule(leg, leg.due_ns, leg.send_mask)

    def remove(self, name: str) -> None:
        """End a leg. Its byte in the map is the agent's from here on."""
        leg = self.legs.pop(name, None)
        if leg is not None:
            del self._by_slot[leg.slot]  # its entry in the queue finds nobody
            leg.slot = -1
            self.detach(leg)
            self._gone_probes += leg.sent
            leg.close()

    def retune(self) -> None:
        """Legs came or went: watch what they need, and see whether replies may wake the loop."""
        wanted: dict[str, set[int]] = {namespace: set() for namespace in self.monitors}
        rate = 0.0
        for leg in self.legs.values():
            rate += NS_PER_S / leg.spec.settings.interval_ns
            for namespace, ifindex in leg.spec.links:
                wanted.setdefault(namespace, set()).add(ifindex)
        for namespace, monitor in self.monitors.items():
            monitor.watch(frozenset(wanted[namespace]))
        self.apply_carrier()
        namespaces = {leg.spec.namespace for leg in self.legs.values()}
        self._phases = {name: phase for name, phase in self._phases.items() if name in namespaces}
        is_prompt = rate <= _PROMPT_BELOW_PER_S
        if is_prompt != self._is_prompt:
            self._is_prompt = is_prompt
            change = self._outer.register if is_prompt else self._outer.unregister
            change(self._replies.fileno())

    def listen(self, monitor: Monitor) -> None:
        """Wake up for a monitor's events."""
        self._outer.register(monitor.fd, select.EPOLLIN)

    def ignore(self, monitor: Monitor) -> None:
        """No more; before it is closed."""
        self._outer.unregister(monitor.fd)

    def use_map(self, legs_map: LegsMap | None) -> None:
        """Write into another map of legs: first what is so now, then the old one is let go."""
        if legs_map is not None:
            for leg in self.legs.values():
                legs_map.store(leg.spec.number, leg.map_value)
        before, self._map = self._map, legs_map
        if before is not None:
            before.close()

    def store(self, leg: Leg) -> None:
        """Write a leg's verdict into the map."""
        if self._map is not None:
            self._map.store(leg.spec.number, leg.map_value)

    def changed(self, leg: Leg, transition: Transition | None) -> None:
        """The flip: the forwarder first, by one store, then the agent hears of it."""
        if transition is not None:
            self.store(leg)
            self.outbox.change(leg.spec.name, transition)

    def report_all(self) -> None:
        """Report every leg from now on, a few at a time; one that goes meanwhile is left out."""
        self._to_report = deque(self.legs)
        self._may_report = len(self._to_report)
        self._wake_reporter(_clock())

    def _first_due(self, leg: Leg) -> int:
        """A moment within the next interval, far from those of others: multiples of the golden ratio spread evenly.

        A few legs of one namespace go together, since entering its routes and links anew is what a probe costs most.
        """
        phase, used = self._phases.get(leg.spec.namespace, (0, _TOGETHER))
        if used == _TOGETHER:
            self._phase = self._phase + _GOLDEN & (1 << 64) - 1
            phase, used = self._phase, 0
        self._phases[leg.spec.namespace] = phase, used + 1
        interval, now = leg.spec.settings.interval_ns, _clock()
        offset = (interval * phase >> 64) + used * (interval >> _APART_SHIFT)
        return now + (offset - now) % interval

    def _arm(self) -> None:
        """The timer rings when the first entry is due."""
        next_ns = self._queue[0] >> _SLOT_BITS
        for leg in self._on_way:
            if leg.deadline_ns < next_ns:
                next_ns = leg.deadline_ns + leg.judge_mask & ~leg.judge_mask
        if next_ns != self._armed_ns:
            self._armed_ns = next_ns
            self._timer.arm(next_ns)

    def _note_lateness(self, now: int) -> None:
        self._wakes += 1
        late = now - self._armed_ns
        if late > self._late_ns:
            self._late_ns = late
        if late > _LATE_NS:
            self._late_wakes += 1

    def _read_links(self, fd: int) -> None:
        for monitor in self.monitors.values():
            if monitor.fd == fd and monitor.read():
                self.apply_carrier()

    def apply_carrier(self) -> None:
        """Tell every leg whether all of its links are there; the machine flips at once (D1)."""
        now = _clock()
        for leg in self.legs.values():
            if leg.spec.links:
                has = all(
                    namespace not in self.monitors or self.monitors[namespace].has(ifindex)
                    for namespace, ifindex in leg.spec.links
                )
                self.changed(leg, leg.machine.carrier(has, now))

    def _drain(self) -> None:
        """Take every reply that waits, whichever leg it is for."""
        by_fd, receiver, receive, poll = self._by_fd, self._receiver, self._receiver.receive, self._replies.poll
        for _ in range(_DRAIN_PASSES):
            ready = poll(0, _EVENTS)
            now = _clock()
            offset = _wall() - now
            for fd, _ in ready:
                size = receive(fd)
                if size == packet.REPLY_BYTES:
                    transition = by_fd[fd].take(receiver, offset, now)
                    if transition is not None:
                        self.changed(by_fd[fd], transition)
                elif size < 0:
                    by_fd[fd].fail(ctypes.get_errno())
            if len(ready) < _EVENTS:  # what else waits in a socket is taken before its probe is judged
                return

    def _run_due(self, now: int) -> None:
        """Judge and send for every leg whose moment has come; each has one entry in the queue."""
        queue, by_slot, pop = self._queue, self._by_slot, heapq.heappop
        limit = now + 1 << _SLOT_BITS
        self._queue_open()
        while queue[0] < limit:
            entry = pop(queue)
            slot = entry & _SLOT_MASK
            leg = by_slot.get(slot)
            if leg is None or leg.event_ns != entry >> _SLOT_BITS:  # gone, or moved
                if entry == self._reporter:
                    self._report(now)
                continue
            if leg.nonce:
                self._judge(leg, now)
            if leg.due_ns <= now:
                leg.plan_next(now)
                leg.send(self._nonces.draw(), _clock())
                self._on_way.append(leg)
            else:
                self._schedule(leg, leg.due_ns, leg.send_mask)

    def _judge(self, leg: Leg, now: int) -> None:
        fresh = _clock()
        transition = leg.judge(self._receiver, _wall() - fresh, now)
        if transition is not None:
            self.changed(leg, transition)

    def _queue_open(self) -> None:
        """Put legs that sent at the last wake-up into the queue: most are answered by now, and need no judgement."""
        for leg in self._on_way:
            if leg.slot >= 0:
                if leg.nonce:
                    self._schedule(leg, leg.deadline_ns, leg.judge_mask)
                else:
                    self._schedule(leg, leg.due_ns, leg.send_mask)
        self._on_way.clear()

    def _schedule(self, leg: Leg, at_ns: int, mask: int) -> None:
        leg.event_ns = at = at_ns + mask & ~mask
        heapq.heappush(self._queue, at << _SLOT_BITS | leg.slot)

    def _wake_reporter(self, at_ns: int) -> None:
        self._reporter = at_ns << _SLOT_BITS | _REPORTER
        heapq.heappush(self._queue, self._reporter)

    def _report(self, now: int) -> None:
        """Once a second the beat, then legs in small portions, so that reporting makes no probe late."""
        if now >= self._beat_ns:
            self._beat_ns = now + _REPORTS_EVERY_NS
            self.outbox.tell(self._beat(now))
            self._to_report = self._to_report or deque(self.legs)
            self._may_report = _REPORTS_PER_BEAT
        rows: list[LegReport] = []
        while self._to_report and self._may_report and len(rows) < LEGS_PER_DATAGRAM:
            leg = self.legs.get(self._to_report.popleft())
            if leg is not None:
                self.store(leg)  # a round of the agent that began before the last flip may have written over it
                rows.append(leg.report(now))
                self._may_report -= 1
        if rows:
            self.outbox.tell(Report(tuple(rows)))
        self._wake_reporter(now + _REPORTS_APART_NS if rows else self._beat_ns)

    def _beat(self, now: int) -> Beat:
        late, self._late_ns = self._late_ns, 0
        probes = self._gone_probes + sum(leg.sent for leg in self.legs.values())
        has_map = self._map is not None
        return Beat(now, probes, late, self._late_wakes, self._wakes, len(self.legs), has_map)

    def _listen_for_room(self) -> None:
        """While changes wait, also wake up when the agent has read something."""
        if self.outbox.is_waiting != self._is_writing:
            self._is_writing = self.outbox.is_waiting
            events = select.EPOLLIN | (select.EPOLLOUT if self._is_writing else 0)
            self._outer.modify(self._channel.fileno(), events)
