"""What the prober has to tell the agent, and how it never waits for it: bounded by the number of legs.

A stopped agent fills the socket. From then on only the last change of each leg is kept, reports are dropped.
"""

import socket

from dataplane.health.state import Transition
from dataplane.health.wire import Change, Event, encode


class AgentGone(Exception):
    """The agent's end is closed: the verdicts stay as they are, and the prober ends (D3)."""


class Outbox:
    """Messages on their way to the agent.

    Args:
        channel: the prober's end, non-blocking.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._waiting: dict[str, Change] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether changes wait for the agent to read."""
        return bool(self._waiting)

    def change(self, leg: str, transition: Transition) -> None:
        """Tell a change, or keep it until there is room; an older one of the same leg gives way."""
        self.flush()
        earlier = self._waiting.pop(leg, None)
        if earlier is not None:
            first = earlier.transition
            merged = Transition(
                first.before,
                transition.after,
                transition.verdict,
                transition.cause,
                transition.at_ns,
                transition.lost_in_row,
            )
            self._waiting[leg] = Change(leg, merged, earlier.coalesced + 1)
            return
        if self._waiting or not self.tell(Change(leg, transition)):
            self._waiting[leg] = Change(leg, transition)

    def flush(self) -> None:
        """Tell what waits, as far as there is room."""
        while self._waiting:
            leg = next(iter(self._waiting))
            if not self.tell(self._waiting[leg]):
                return
            del self._waiting[leg]

    def tell(self, event: Event) -> bool:
        """Send one message; False where there is no room, and it is lost.

        Raises:
            AgentGone: nobody is there any more.
        """
        try:
            self._channel.send(encode(event))
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError) as error:
            raise AgentGone from error
        except OSError as error:  # ENOBUFS, ENOMEM: no room either
            if self._channel.fileno() < 0:
                raise AgentGone from error
            return False
        return True
