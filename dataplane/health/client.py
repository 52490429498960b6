"""The agent's side of the prober: starts it, hands it what it needs, hears what it says, starts it again.

Owns the process and everything that would be needed to begin anew: the legs, the map, verdicts by hand, the last
verdict of each leg. Must never wait for the prober: it may be stopped, and the agent has other things to do.
"""

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from dataplane.errors import BugError, DataplaneError
from dataplane.health.child import Child
from dataplane.health.state import NS_PER_MS, NS_PER_S, State, Verdict
from dataplane.health.wire import (
    LEGS_PER_DATAGRAM,
    MAX_DATAGRAM_BYTES,
    Ask,
    Beat,
    Change,
    Drill,
    DropLegs,
    Event,
    Force,
    Hello,
    LegOrder,
    LegReport,
    LegSpec,
    Order,
    Report,
    SetLegs,
    Trouble,
    Unwatch,
    UseMap,
    Watch,
    decode,
    encode,
)

_RETRY_NS = NS_PER_S
_FIRST_PAUSE_NS, _LONGEST_PAUSE_NS = 100 * NS_PER_MS, 10 * NS_PER_S
_SETTLED_NS = 10 * NS_PER_S
_READS_PER_PUMP = 256
_MOST_WAITING = 4096

Known = tuple[Verdict, int]
"""A verdict, and since when (monotonic nanoseconds)."""


class Sockets(Protocol):
    """Who opens sockets where privileges are needed (``kernel/probe_socket.py``); each descriptor is the caller's."""

    def open_echo(self, namespace: str, source: str, destination: str, /) -> int:
        """For the echoes of one leg."""
        ...

    def open_link_events(self, namespace: str, /) -> int:
        """For the links of a namespace."""
        ...


@dataclass(frozen=True, slots=True)
class Died:
    """The prober ended; verdicts are frozen until it is back (D3).

    Args:
        code: its exit code, negative for a signal.
        at_ns: when that was seen, monotonic.
    """

    code: int
    at_ns: int


class Prober:
    """A prober, and its successors.

    Args:
        sockets: opens what it cannot open itself.
        clock: the monotonic clock in nanoseconds.
    """

    def __init__(self, sockets: Sockets, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.reports: dict[str, LegReport] = {}
        """What was last said of each leg."""
        self.beat: Beat | None = None
        self.hello: Hello | None = None
        self.failures: dict[str, str] = {}
        """Why a leg or a namespace has no socket yet; tried again every second."""
        self.known: dict[str, Known] = {}
        """The last verdict of each leg by its probes: where the next prober begins."""
        self.deaths = 0
        self._sockets = sockets
        self._clock = clock
        self._specs: dict[str, LegSpec] = {}
        self._forced: dict[str, Verdict] = {}
        self._drilled: set[str] = set()
        self._map_fd, self._map_capacity = -1, 0
        self._backlog: deque[Order] = deque()
        self._equipped: dict[str, tuple[str, str, str]] = {}
        self._child: Child | None = None
        self._started_ns = self._restart_ns = self._retry_ns = 0
        self._pause_ns = _FIRST_PAUSE_NS
        self._epoll = select.epoll()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._child.pid if self._child is not None else None

    def fileno(self) -> int:
        """Readable when ``pump`` has something to do; the same over every restart."""
        return self._epoll.fileno()

    def start(self) -> None:
        """Start the process, if none runs, and tell it everything."""
        if self._child is not None:
            return
        self._child = Child.start()
        self._started_ns = self._clock()
        self._epoll.register(self._child.channel.fileno(), select.EPOLLIN)
        self._backlog.clear()
        self._equipped.clear()
        self.failures.clear()
        self._watch(self._namespaces(self._specs.values()))
        self._send_legs(list(self._specs.values()))
        # Before the map, which is written at once: nobody is to take a leg that is down by hand meanwhile.
        self._backlog.extend(Force(leg, verdict) for leg, verdict in self._forced.items())
        self._backlog.extend(Drill(leg, True) for leg in sorted(self._drilled))
        if self._map_fd >= 0:
            self._backlog.append(UseMap(self._map_capacity))
        self._flush()

    def set_legs(self, specs: Iterable[LegSpec], known: Mapping[str, Known] | None = None) -> None:
        """Probe exactly these legs. A leg that did not change keeps its state and counters.

        Args:
            known: where legs begin that are new; any other begins as unknown, which counts as up (D1).
        """
        wanted = {spec.name: spec for spec in specs}
        before, self._specs = self._specs, wanted
        for name in before.keys() - wanted.keys():
            for memory in (self.known, self.reports, self._forced, self.failures):
                memory.pop(name, None)
            self._drilled.discard(name)
        self.known.update(
            {name: (known or {})[name] for name in wanted if name in (known or {}) and name not in before}
        )
        gone = tuple(sorted(before.keys() - wanted.keys()))
        for start in range(0, len(gone), LEGS_PER_DATAGRAM):
            self._backlog.append(DropLegs(gone[start : start + LEGS_PER_DATAGRAM]))
        had, has = self._namespaces(before.values()), self._namespaces(wanted.values())
        self._watch(has - had)
        changed = [spec for spec in wanted.values() if spec != before.get(spec.name)]
        self._send_legs(changed)
        if had - has:
            self._backlog.append(Unwatch(tuple(sorted(had - has))))
        self._flush()

    def use_map(self, fd: int, capacity: int) -> None:
        """Let it write verdicts into a map of legs from now on; a capacity of 0: there is none.

        Args:
            fd: stays the caller's.
            capacity: how many legs the map has room for.
        """
        if self._map_fd >= 0:
            os.close(self._map_fd)
        self._map_fd = os.dup(fd) if capacity else -1
        self._map_capacity = capacity
        self._backlog.append(UseMap(capacity))
        self._flush()

    def force(self, leg: str, verdict: Verdict | None) -> None:
        """Fix a leg's verdict by hand; None gives it back to the probes."""
        if verdict is None:
            self._forced.pop(leg, None)
        else:
            self._forced[leg] = verdict
        self._backlog.append(Force(leg, verdict))
        self._flush()

    def drill(self, leg: str, *, is_on: bool) -> None:
        """A leg is being cut on purpose, or is mended again: its flips damp nothing, the way back included (D1)."""
        (self._drilled.add if is_on else self._drilled.discard)(leg)
        self._backlog.append(Drill(leg, is_on))
        self._flush()

    def ask(self) -> None:
        """Have every leg reported now; it happens every second anyway."""
        self._backlog.append(Ask())
        self._flush()

    def pump(self) -> list[Event | Died]:
        """Take in what was said, send what waits, bring back what died. Never waits; call it at least every second."""
        events: list[Event | Died] = []
        if self._child is not None:
            events += self._read(self._child)
        now = self._clock()
        if self._child is None:
            if self.deaths and now >= self._restart_ns:
                self.start()
            return events
        if now - self._started_ns > _SETTLED_NS:
            self._pause_ns = _FIRST_PAUSE_NS
        if self.failures and now >= self._retry_ns:
            self._retry_ns = now + _RETRY_NS
            self._try_again()
        self._flush()
        return events

    def restart(self) -> None:
        """End a prober that hangs; the next ``pump`` sees its death, and a successor begins with its verdicts."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """End the prober for good. Verdicts stay where they were written (D3)."""
        if self._child is not None:
            self._bury(self._child)
        self._epoll.close()
        if self._map_fd >= 0:
            os.close(self._map_fd)
            self._map_fd = -1

    def _read(self, child: Child) -> list[Event | Died]:
        events: list[Event | Died] = []
        for _ in range(_READS_PER_PUMP):
            try:
                data = child.channel.recv(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return events
            except ConnectionResetError:
                data = b""
            if not data:
                events.append(self._died(child))
                return events
            event = decode(data)
            if not isinstance(event, Hello | Trouble | Change | Beat | Report):
                raise BugError(f"the prober said {event}, which is the agent's to say; please report this")
            self._note(event)
            events.append(event)
        return events

    def _note(self, event: Event) -> None:
        if isinstance(event, Change) and event.leg in self._specs:
            after = event.transition.after
            if after is State.UNKNOWN:
                self.known.pop(event.leg, None)
            elif after is not State.DISABLED:
                self.known[event.leg] = (event.transition.verdict, event.transition.at_ns)
            self._report(event)
        elif isinstance(event, Report):
            for row in event.legs:
                if row.name in self._specs:
                    self.reports[row.name] = row
        elif isinstance(event, Beat):
            self.beat = event
        elif isinstance(event, Hello):
            self.hello = event

    def _report(self, event: Change) -> None:
        """What is reported of a leg is as new as its last change: reports themselves come once a second."""
        report, change = self.reports.get(event.leg), event.transition
        if report is not None:
            found = replace(report, state=change.after, verdict=change.verdict, since_ns=change.at_ns)
            self.reports[event.leg] = found

    def _died(self, child: Child) -> Died:
        code = self._bury(child)
        self.deaths += 1
        now = self._clock()
        self._restart_ns = now + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, _LONGEST_PAUSE_NS)
        return Died(code, now)

    def _bury(self, child: Child) -> int:
        with suppress(OSError):
            self._epoll.unregister(child.channel.fileno())
        self._child = None
        return child.end()

    @staticmethod
    def _namespaces(specs: Iterable[LegSpec]) -> set[str]:
        return {namespace for spec in specs for namespace, _ in spec.links}

    def _watch(self, namespaces: Iterable[str]) -> None:
        self._backlog.extend(Watch((namespace,)) for namespace in sorted(namespaces))

    def _send_legs(self, specs: list[LegSpec]) -> None:
        """Legs in small datagrams; what else they need is found when they are sent."""
        orders = tuple(LegOrder(spec, has_socket=False) for spec in specs)
        for start in range(0, len(orders), LEGS_PER_DATAGRAM):
            self._backlog.append(SetLegs(orders[start : start + LEGS_PER_DATAGRAM]))

    def _try_again(self) -> None:
        """Open once more what could not be opened."""
        failed = self.failures.keys() & self._specs.keys()
        self._send_legs([self._specs[name] for name in sorted(failed)])
        self._watch(self.failures.keys() & self._namespaces(self._specs.values()))
        self.failures = {}

    def _flush(self) -> None:
        """Send what waits, as far as the prober reads. One that has read nothing for very long is started anew."""
        if self._child is None:
            self._backlog.clear()  # a start tells everything
            return
        while self._backlog:
            if not self._send(self._child.channel, self._backlog[0]):
                break
            self._backlog.popleft()
        if len(self._backlog) > _MOST_WAITING:
            self._backlog.clear()
            self._child.kill()

    def _send(self, channel: socket.socket, order: Order) -> bool:
        """Send one message with descriptors that are opened for just as long; False where there is no room."""
        opened: list[int] = []
        try:
            fds = opened
            if isinstance(order, UseMap):
                if order.capacity != self._map_capacity or (order.capacity and self._map_fd < 0):
                    return True  # overtaken by a later one
                fds = [self._map_fd] if order.capacity else []
            ready = self._equip(order, opened)
            if ready is not None:
                socket.send_fds(channel, [encode(ready)], fds)
                self._note_sent(ready)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            return True  # its death is heard when it is read from
        finally:
            for fd in opened:
                os.close(fd)
        return True

    def _equip(self, order: Order, opened: list[int]) -> Order | None:
        """A message with its sockets; what cannot be opened is left out, and None is left of a message without rest."""
        if isinstance(order, Watch):
            return order if self._open(order.namespaces[0], opened, self._sockets.open_link_events) else None
        if not isinstance(order, SetLegs):
            return order
        legs = []
        for leg in order.orders:
            if self._specs.get(leg.spec.name) != leg.spec:
                continue  # overtaken
            is_new = self._equipped.get(leg.spec.name) != leg.spec.target
            if is_new and not self._open(leg.spec.name, opened, self._sockets.open_echo, leg.spec):
                continue
            verdict, since_ns = self.known.get(leg.spec.name, (None, 0))
            legs.append(LegOrder(leg.spec, is_new, verdict, since_ns))
        return SetLegs(tuple(legs)) if legs else None

    def _note_sent(self, order: Order) -> None:
        """Remember which legs the prober has a socket for."""
        if isinstance(order, SetLegs):
            self._equipped.update({leg.spec.name: leg.spec.target for leg in order.orders})
        elif isinstance(order, DropLegs):
            for name in order.names:
                self._equipped.pop(name, None)

    def _open(self, name: str, opened: list[int], open_it: Callable[..., int], spec: LegSpec | None = None) -> bool:
        try:
            opened.append(open_it(*(spec.target if spec is not None else (name,))))
        except (DataplaneError, OSError) as error:
            self.failures[name] = str(error)
            return False
        self.failures.pop(name, None)
        return True
