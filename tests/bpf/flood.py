"""A flood of random 5-tuples against a small flow table, beside a flow that keeps to its cap and one that does not.

    sudo .venv/bin/python -m tests.bpf.flood      # test 55 in full: a million 5-tuples at 100,000 packets a second

By test runs, on a clock of its own that goes by ticks of 4 ms, as the kernel's does: so the figures are exact.
"""

import random
import struct
from dataclasses import dataclass

from dataplane.datapath.limiter import counts
from dataplane.datapath.simulate import Simulator
from dataplane.model.forwarding import Reason
from dataplane.model.limit import Limit
from tests.bpf.programs import filled
from tests.bpf.rates import LEG, START_NS, UDP, frame, network
from tests.netns import sandbox

MILLION = 1_000_000
TICK_NS = 4_000_000
PACKET_NS = 10_000
HONEST_EVERY, GREEDY_EVERY, SIZE = 20, 5, 1400
"""Of a flow of 56 Mbit/s, which keeps to its cap, and one of 224: packets of the flood between two of theirs."""
CAP_BITS_S = 83_333_333


@dataclass
class Flood:
    """What came of it.

    Args:
        honest_lost: packets of the flow that kept to its cap.
        greedy_share: what the other got, by its cap, its burst subtracted.
        overflow: packets that found no entry.
    """

    sent: int
    honest_lost: int
    greedy_share: float
    overflow: int


def flood(there: Simulator, count: int, seed: int = 55) -> Flood:
    """Send so many random 5-tuples, and the two flows among them."""
    chance = random.Random(seed)
    honest, greedy = frame(SIZE, UDP, 7), frame(SIZE, UDP, 8)
    template = frame(64, UDP, 1)
    lost = got = 0
    for number in range(count):
        now = START_NS + number * PACKET_NS
        there.set_clock(now - now % TICK_NS)
        there.raw("tc", 1, template[:34] + struct.pack("!I", chance.getrandbits(32)) + template[38:])
        if number % HONEST_EVERY == 0:
            lost += there.run("tc", 1, honest).reason is not Reason.FORWARDED
        if number % GREEDY_EVERY == 0:
            got += there.run("tc", 1, greedy).reason is Reason.FORWARDED
    seconds = count * PACKET_NS / 1e9
    share = got * SIZE * 8 / CAP_BITS_S / (seconds + 0.05)
    return Flood(count, lost, share, counts(there.map("dp_limit_count"))[LEG].overflow_packets)


def main() -> None:
    """The whole test, at several sizes of the table."""
    sandbox.enter()
    for table in (256, 1024, 65_536):
        with filled(network({LEG: Limit(CAP_BITS_S, 0, 64)}, flow_table=table)) as there:
            print(f"a table of {table:,}: {flood(there, MILLION)}")


if __name__ == "__main__":
    main()
