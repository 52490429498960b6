"""What the forwarder's program says of one frame: the words that its loader and whoever asks share. Pure values."""

from dataclasses import dataclass
from typing import Literal

from dataplane.model.forwarding import How, Leaf, Reason, Verdict

Hook = Literal["tc", "xdp"]


@dataclass(frozen=True, slots=True)
class Step:
    """One router of a run.

    Args:
        port: that the packet came in by.
        table: that was looked up; 0 where none was.
        leaf: what the route says; None where there was none, or no lookup.
        group: id; 0 where the route leads to none.
        bucket: of the flow in that group.
        hop: the id of the next hop that was chosen; 0: none.
    """

    port: int
    table: int
    leaf: Leaf | None
    group: int
    bucket: int
    hop: int


@dataclass(frozen=True, slots=True)
class Run:
    """What a program decided on one frame.

    Args:
        frame: as it left the program.
        out: the port that it is sent by; 0 where it is not forwarded. Likewise ``how``.
        steps: router by router; none where the first port did not take it.
    """

    verdict: Verdict
    reason: Reason
    frame: bytes
    out: int
    how: How | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Frames and their bytes."""

    packets: int
    bytes: int
