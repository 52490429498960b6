"""What the agent asks for, carried out: legs, monitors, the map of legs, verdicts by hand.

Owns the descriptors that come with a message until somebody takes them over. Must never trust one to be what the
message says: what does not fit is closed and said to the agent, and probing goes on.
"""

import gc
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dataplane.health.carrier import Monitor
from dataplane.health.leg import Leg
from dataplane.health.legs_map import LegsMap
from dataplane.health.loop import Loop
from dataplane.health.outbox import AgentGone
from dataplane.health.wire import (
    LEGS_PER_DATAGRAM,
    MAX_DATAGRAM_BYTES,
    Ask,
    Drill,
    DropLegs,
    Force,
    LegOrder,
    SetLegs,
    Trouble,
    Unwatch,
    UseMap,
    Watch,
    WireError,
    decode,
)


class Control:
    """The agent's hand in the loop."""

    def __init__(self, loop: Loop, channel: socket.socket) -> None:
        self._loop = loop
        self._channel = channel
        self._fds: list[int] = []
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            SetLegs: self._set_legs,
            DropLegs: self._drop_legs,
            Watch: self._watch,
            Unwatch: self._unwatch,
            UseMap: self._use_map,
            Force: self._force,
            Drill: self._drill,
            Ask: lambda _: loop.report_all(),
        }

    def read(self) -> None:
        """Carry out one message: the rest waits for the next wake-up, so that many legs make no probe late.

        Raises:
            AgentGone: the other end is closed.
        """
        try:
            data, self._fds, _, _ = socket.recv_fds(self._channel, MAX_DATAGRAM_BYTES, LEGS_PER_DATAGRAM)
        except BlockingIOError:
            return
        except ConnectionResetError as error:
            raise AgentGone from error
        if not data:
            raise AgentGone
        try:
            message = decode(data)
            self._handlers[type(message)](message)
        except (WireError, KeyError, OSError) as error:
            self._loop.outbox.tell(Trouble(f"a message was not carried out: {error}"))
        finally:
            for fd in self._fds:
                os.close(fd)
            self._fds = []

    def _take(self) -> int:
        """The next descriptor that came along."""
        if not self._fds:
            raise WireError("a descriptor is missing; is the limit of open files too low?")
        return self._fds.pop(0)

    def _set_legs(self, message: SetLegs) -> None:
        for order in message.orders:
            self._set_leg(order)
        self._loop.retune()
        # Messages leave no garbage that counting would not find, and the loop has none: so it need not be looked for.
        gc.collect()
        gc.freeze()

    def _set_leg(self, order: LegOrder) -> None:
        loop, spec, now = self._loop, order.spec, time.monotonic_ns()
        leg = loop.legs.get(spec.name)
        if leg is None:
            leg = Leg(order, self._take(), now)
            loop.add(leg)
        else:
            interval = leg.spec.settings.interval_ns
            leg.adopt(spec)
            if order.has_socket:
                loop.detach(leg)
                leg.take_socket(self._take(), now)
                loop.attach(leg)
            if order.has_socket or interval != spec.settings.interval_ns:
                loop.reschedule(leg)
        loop.store(leg)

    def _drop_legs(self, message: DropLegs) -> None:
        for name in message.names:
            self._loop.remove(name)
        self._loop.retune()

    def _watch(self, message: Watch) -> None:
        for namespace in message.namespaces:
            monitor = Monitor(self._take())
            self._forget(namespace)
            self._loop.monitors[namespace] = monitor
            self._loop.listen(monitor)
        self._loop.retune()

    def _unwatch(self, message: Unwatch) -> None:
        for namespace in message.namespaces:
            self._forget(namespace)
        self._loop.retune()

    def _forget(self, namespace: str) -> None:
        monitor = self._loop.monitors.pop(namespace, None)
        if monitor is not None:
            with suppress(OSError):
                self._loop.ignore(monitor)
            monitor.close()

    def _use_map(self, message: UseMap) -> None:
        # The old one first: the agent has moved on, and must not find it written to if the new one cannot be mapped.
        self._loop.use_map(None)
        if message.capacity:
            fd = self._take()
            try:
                self._loop.use_map(LegsMap(fd, message.capacity))
            finally:
                os.close(fd)

    def _force(self, message: Force) -> None:
        leg = self._loop.legs.get(message.leg)
        if leg is not None:
            self._loop.changed(leg, leg.machine.force(message.verdict, time.monotonic_ns()))

    def _drill(self, message: Drill) -> None:
        leg = self._loop.legs.get(message.leg)
        if leg is not None:
            leg.machine.drill(is_on=message.is_on)
