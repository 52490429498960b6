"""Rates of flows: the difference of two looks at the flow table, entry by entry.

Pure. An entry may be another flow's at the second look, or the same flow's anew: keys are compared, never places alone.
"""

from collections.abc import Callable, Mapping
from heapq import nsmallest
from typing import NamedTuple

from dataplane.model.flow import FlowKey, FlowState, FlowTable
from dataplane.model.limit import Limit

_SLACK_NS = 100_000_000
"""D4: what a flow may have above its rate, as time at it: a burst of 50 ms, and a queue of 50 ms."""


class FlowBytes(NamedTuple):
    """What one flow sent between two looks.

    Args:
        bytes: of IP packets, let through.
        state: queued, if it was at the second look; policed, if at either and flows have a limit there; else under.
    """

    key: FlowKey
    bytes: int
    state: FlowState


def flow_bytes(
    before: FlowTable | None, after: FlowTable, elapsed_ns: int, limit_of: Callable[[int], Limit]
) -> dict[FlowKey, FlowBytes]:
    """What every flow of the later look has sent since the earlier one; only those with any bytes.

    An entry that was another flow's before, or that counts less than before, was claimed in between: all that it has
    counted is new. One that says more than its limit can have let through is being claimed at this moment, with the
    bytes of whom it belonged to: it says nothing this time.

    Args:
        elapsed_ns: between the looks, by the monotonic clock.
        limit_of: leg -> its limits.
    """
    found: dict[FlowKey, FlowBytes] = {}
    for earlier, entry in after.changes(before):
        is_same = earlier is not None and earlier.key == entry.key and earlier.bytes <= entry.bytes
        counted = entry.bytes - earlier.bytes if is_same and earlier is not None else entry.bytes
        if counted <= 0 or (not is_same and _is_absurd(counted, elapsed_ns, limit_of(entry.key.leg))):
            continue
        known = found.get(entry.key)  # it has moved to another place: both are its own
        counted += known.bytes if known is not None else 0
        is_policed = FlowState.POLICED in (entry.state, earlier.state if is_same and earlier is not None else None)
        found[entry.key] = FlowBytes(entry.key, counted, _state(entry.state, is_policed, limit_of(entry.key.leg)))
    return found


def _state(state: FlowState, is_policed: bool, limit: Limit) -> FlowState:
    """Of a flow that has sent something: never idle, however little it was."""
    if state is FlowState.QUEUED:
        return state
    return FlowState.POLICED if is_policed and limit.flow else FlowState.UNDER


def _is_absurd(counted: int, elapsed_ns: int, limit: Limit) -> bool:
    rate = limit.flow or limit.bandwidth
    return rate > 0 and counted * 8 * 10**9 > rate * (elapsed_ns + _SLACK_NS) * 2


def heaviest(flows: Mapping[FlowKey, FlowBytes], most: int) -> list[FlowBytes]:
    """The flows with the most bytes, in that order; of equals, in that of their keys."""
    return nsmallest(most, flows.values(), key=lambda flow: (-flow.bytes, flow.key))
