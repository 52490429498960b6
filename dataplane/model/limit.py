"""What a leg of the forwarder allows (``ebpf/lib/limit.h``): a flow (R117, D4), and all of them together (R21)."""

from dataclasses import dataclass

FLOW_TABLE = 65_536
"""Flows that the table has room for, unless the file says otherwise (``datapath.flow_table``)."""

BURST_NS = 50_000_000
"""What conforms beyond a rate, as time of that rate (D4)."""

QUEUE_NS = 50_000_000
"""As long as the queue of a flow that is over its rate may become (D4)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The limits of a leg, in bits of IP packets a second; 0: none.

    Args:
        flow: of one 5-tuple.
        bandwidth: of everything that leaves by the leg.
        leaves: of the shaper at its port: a power of two, of which the forwarder uses 64 at most.
    """

    flow: int
    bandwidth: int
    leaves: int
