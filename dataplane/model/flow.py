"""Flows as the forwarder's flow table has them (D4): a 5-tuple on a leg, its bytes, and how much of its burst is used.

Pure. How an entry lies in the map is the matter of ``datapath/flows.py``; rates are differences of two looks at the
table, which is the matter of ``observe/flow_rates.py``.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol

from dataplane.model.limit import BURST_NS

_SPENT_NS = BURST_NS * 3 // 4
"""A flow that is policed keeps its burst used up but for a packet or two, whenever one looks."""

TCP = 6


class FlowState(StrEnum):
    """What its limit does with a flow.

    IDLE: its burst is whole, and others may take its entry. UNDER: within its limit. QUEUED: over it, and its packets
    wait in a queue of their own. POLICED: over it, and what is too much is dropped.
    """

    IDLE = "idle"
    UNDER = "under"
    QUEUED = "queued"
    POLICED = "policed"


class FlowKey(NamedTuple):
    """Which flow. Addresses are numbers, since a table has tens of thousands of them; ports are 0 where there are none.

    Args:
        leg: the leg (id) that it leaves by: it has an entry for each limit that it meets.
    """

    leg: int
    source: int
    destination: int
    protocol: int
    source_port: int
    destination_port: int


class FlowEntry(NamedTuple):
    """An entry of the table.

    Args:
        bytes: of IP packets that it let through since it was claimed for the flow.
        used_ns: how much of its burst is used, as time at its rate; 0: nothing, so that the entry is free for others.
        is_queued: whether its packets go by a queue, from the first beyond its burst until that is whole again.
    """

    key: FlowKey
    bytes: int
    used_ns: int
    is_queued: bool = False

    @property
    def state(self) -> FlowState:
        """What its limit does with it."""
        if self.used_ns <= 0:
            return FlowState.IDLE
        if self.is_queued:
            return FlowState.QUEUED
        is_spent = self.used_ns > _SPENT_NS and self.key.protocol != TCP  # which is queued, not dropped
        return FlowState.POLICED if is_spent else FlowState.UNDER


class FlowTable(Protocol):
    """The table at one moment."""

    @property
    def size(self) -> int:
        """How many flows it has room for."""
        ...

    @property
    def used(self) -> int:
        """Entries that nobody else may take now."""
        ...

    def entries(self) -> Iterable[FlowEntry]:
        """All that a flow has ever had, in their order."""
        ...

    def busy(self) -> Iterable[FlowEntry]:
        """Those that nobody else may take now."""
        ...

    def changes(self, before: "FlowTable | None") -> Iterable[tuple[FlowEntry | None, FlowEntry]]:
        """What differs from an earlier look: the entry that was in the place, if any, and the one that is there now.

        Args:
            before: None: all are new.
        """
        ...
