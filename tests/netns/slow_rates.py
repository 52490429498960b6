"""A cap per flow, in the forwarder and without it, with iperf3, at a rate that an emulated machine can send.

Not collected by itself: ``scripts/test vm`` names it, inside the machine. tests/netns/test_rates.py asks for a line of
a gigabit, and tests/netns/test_shaper.py for one of 240 Mbit/s.
"""

import time
from collections.abc import Iterator

import pytest

from dataplane.datapath import forwarder
from dataplane.model.limit import Limit
from tests.netns.lines import cable
from tests.netns.network import AppliedNetwork, hooked
from tests.netns.shaped import Limits, limits, make_shaper
from tests.netns.test_iperf import IPERF, TEXT
from tests.netns.test_rates import rate_s, streaming
from tests.netns.test_shaper import INSIDE, PEER, centre, received, stream
from tests.netns.test_shaper import limited as limited_line

__all__ = ["centre"]  # a fixture

pytestmark = pytest.mark.skipif(not IPERF, reason="needs the package iperf3; scripts/setup installs it")

LIMIT = Limit(3_000_000, 36_000_000, 64)
WINDOW_S = 4
MOST = 1.15
"""A counter is read by a process, which takes as many tenths of a second there as it likes."""


@pytest.fixture
def limited(network: AppliedNetwork) -> Iterator[Limits]:
    """Two VPCs behind a border router; what the first sends to it is limited."""
    with limits({"ri-a": LIMIT}) as found, cable("wire0"):
        network.must_apply(hooked(TEXT, "tc"))
        make_shaper(*found.port("ri-a"), LIMIT)
        yield found
        assert network.session().destroy().is_done


def test_r117_a_flow_has_its_cap(limited: Limits) -> None:
    """R117, R118, D4: datagrams of one flow are policed, and two flows get twice as much."""
    for flows in (1, 2):
        with streaming("--udp", "--bitrate", "8M", "--length", "1400", "--parallel", str(flows)):
            assert 0.7 <= rate_s(WINDOW_S) / (flows * LIMIT.flow) <= MOST, flows
    with forwarder.adopted() as present:
        assert present is not None
        count = present.limit_counters()[limited.leg("ri-a")]
    assert count.dropped_packets > 200 and count.overflow_packets == 0


def test_r117_the_kernels_shaper_holds_the_same(network: AppliedNetwork, centre: str) -> None:
    network.must_apply(limited_line("bandwidth: 36Mbps"))
    with stream(INSIDE, centre, PEER, "--udp", "--bitrate", "8M", "--length", "1400"):
        before, began = received(centre)
        time.sleep(WINDOW_S)
        after, ended = received(centre)
    assert 0.7 <= (after - before) * 8 / (ended - began) / LIMIT.flow <= MOST
