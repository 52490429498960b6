"""`capture` where the forwarder sits: some packets pass its taps by, and it says so."""

import pytest

from tests.fakes.networks import PEERED
from tests.netns.network import AppliedNetwork, hooked
from tests.netns.objects import inside
from tests.netns.test_capture import Start, capture, finish

__all__ = ["capture"]  # a fixture


@pytest.mark.parametrize(
    ("hook", "words", "places"), [("tc", "shows as `in` at the next place", 3), ("xdp", "in the driver", 0)]
)
def test_where_the_forwarder_sits_it_is_said_what_does_not_show(
    network: AppliedNetwork, capture: Start, ping: str, hook: str, words: str, places: int
) -> None:
    """One way of a ping: in at the first router, in at the second; of the answer, in at the second."""
    network.must_apply(hooked(PEERED, hook))
    process = capture("pcx-1", "ecs-1", "--proto", "icmp", "--duration", "1s", places=3)
    assert process.stderr is not None
    assert words in process.stderr.readline()
    assert inside("dp-i-ecs-1", ping, "-c1", "-W1", "192.168.1.10").returncode == 0
    _, lines, _ = finish(process)
    assert len(lines) == places
    assert all(" in " in line for line in lines)
