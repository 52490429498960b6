"""What is flowing, looked at twice: for ``dataplane top``, with an agent and without.

Owns when the counters are read. It reads the forwarder's maps alone, which belong to no namespace, and changes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from dataplane.agent.executor import Driver
from dataplane.config import Network
from dataplane.errors import HostError, UnknownError
from dataplane.model.desired import Desired
from dataplane.model.forwarding import Forwarding
from dataplane.model.program import FORWARDER_STATE_KEY, ForwarderState
from dataplane.model.traffic import named
from dataplane.observe.top import Look, Top, top


def forwarding_of(desired: Desired) -> Forwarding:
    """The forwarder's state.

    Raises:
        HostError: there is no forwarder under the network.
    """
    wish = desired.wanted.get(FORWARDER_STATE_KEY)
    if wish is None or not isinstance(wish.object, ForwarderState):
        raise HostError("no forwarder is under this network, so nothing is counted: `dataplane status` says why")
    return wish.object.forwarding


@dataclass(frozen=True, slots=True)
class Watch:
    """A network whose counters are looked at.

    Args:
        driver: reads them.
        state: whose numbers are in the maps.
    """

    network: Network
    state: Forwarding
    driver: Driver

    def look(self) -> Look:
        """The counters now."""
        began_ns = time.monotonic_ns()
        traffic = named(self.driver.traffic(), self.state)
        between_ns = time.monotonic_ns()
        flows = self.driver.flows()
        ended_ns = time.monotonic_ns()
        names = self.state.leg_names
        return Look((began_ns + between_ns) // 2, traffic, names, flows, (between_ns + ended_ns) // 2)

    def top(self, before: Look, after: Look, most: int, connection: str = "") -> Top:
        """What flowed between two looks.

        Args:
            most: flows, at most.
            connection: only of this one; empty: of all.
        """
        return top(self.network, before, after, most, connection)

    def need_connection(self, name: str) -> None:
        """Refuse a connection that there is not.

        Raises:
            UnknownError: there is none of this id.
        """
        known = self.network.peering_connections
        if name and name not in known:
            raise UnknownError(f"there is no connection {name}; there are: {', '.join(known) or 'none'}")

    def top_in(self, seconds: float, most: int, connection: str, wait: Callable[[float], None]) -> Top:
        """What flows in the seconds that come.

        Args:
            wait: lets so many seconds go by.

        Raises:
            UnknownError: there is no such connection.
        """
        self.need_connection(connection)
        before = self.look()
        wait(seconds)
        return self.top(before, self.look(), most, connection)
