"""The forwarder's map of legs as a program sees it, by the names of the legs."""

import mmap
import os
from pathlib import Path

from dataplane.agent.store import Store
from dataplane.datapath import legs
from dataplane.model.forwarding import LegState


def leg_states(state_dir: Path) -> dict[str, LegState]:
    """What each leg of the id book is in ``dp_leg``.

    Args:
        state_dir: of whoever has applied the network.
    """
    book = Store(state_dir).load().book.numbers
    fd = legs.legs_map_fd()
    assert fd is not None
    try:
        with mmap.mmap(fd, legs.legs_map_bytes(fd)) as stored:
            found = {name: stored[legs.leg_offset(number)] for (kind, name), number in book.items() if kind == "leg"}
    finally:
        os.close(fd)
    return {name: LegState(state) for name, state in found.items()}
