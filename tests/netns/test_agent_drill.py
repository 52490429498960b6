"""Drills (R54) with a real agent and real packets: what they report, when they are refused, and that each is mended.

A cut that outlives whoever asked for it would be an outage of our own making.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dataplane.agent.api.service import DrillReport, DrillRequest, LegRequest
from dataplane.agent.api.wire import pieces
from dataplane.errors import ConflictError, DataplaneError, UnknownError
from dataplane.kernel import cut, netns, tc
from dataplane.kernel.netlink import NetlinkSocket
from tests.netns.stream import Stream
from tests.netns.test_agent_failover import ALLOWANCE_MS, SLOW_PATH_MS
from tests.netns.two_circuits import FAST, LEGS, PREFERRED, RunningAgent, Timing, flowing, running

SECONDS = 0.4
LONG = 60.0
"""Longer than any test waits: who ends such a drill is somebody else."""
SLOWEST = Timing(2000, 2000, 8, 3)
"""R39's own numbers."""


@pytest.fixture(scope="module", params=["off", "tc", "xdp"])
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def agent(hook: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """Damping is on, as it is by default."""
    with running(tmp_path_factory.mktemp(hook), FAST.text(hook, "")) as there:
        yield there


def cuts() -> list[str]:
    """The namespaces with a filter of a drill."""
    found = []
    for name in netns.list_our_names():
        with netns.entered(name), NetlinkSocket() as opened:
            if tc.Hooks(opened, cut.MARK).holders():
                found.append(name)
    return found


def assert_mended(agent: RunningAgent) -> None:
    """No filter is left, and the leg comes back by its probes."""
    agent.wait("no cut is left", lambda: cuts() == [])
    agent.wait_up()


class Asked(threading.Thread):
    """A drill that somebody waits for."""

    def __init__(self, agent: RunningAgent, seconds: float = LONG) -> None:
        super().__init__(daemon=True)
        self.failure: Exception | None = None
        self._agent, self._seconds = agent, seconds
        self.start()
        agent.wait("the cut", lambda: len(cuts()) == 2)

    def run(self) -> None:
        try:
            self._agent.client.drill(DrillRequest(LEGS[0], self._seconds))
        except (DataplaneError, OSError) as error:
            self.failure = error


def drilled(agent: RunningAgent, seconds: float = SECONDS) -> tuple[DrillReport, Stream]:
    """A drill of the active leg, with the stream over it."""
    with flowing() as seen:
        report = agent.client.drill(DrillRequest(LEGS[0], seconds))
    return report, seen


def test_r54_the_outage_that_it_reports_is_the_one_that_packets_see(agent: RunningAgent, hook: str) -> None:
    """Four within a minute, and no damping: drills do not count (D1)."""
    for _ in range(4):
        report, seen = drilled(agent)
        assert report.outage_s is not None and report.took_over == (LEGS[1],)
        lost_ms = seen.outage_ms(PREFERRED)
        print(f"{hook}: {1000 * report.outage_s:.1f} ms reported, {lost_ms:.1f} ms of packets lost")
        slack = ALLOWANCE_MS + (FAST.fall + 2) * agent.late_ms + (SLOW_PATH_MS if hook == "off" else 0.0)
        assert 0 < lost_ms <= 1000 * report.outage_s + slack
        assert (FAST.fall - 1) * FAST.interval_ms <= 1000 * report.outage_s <= FAST.outage_ms + SLOW_PATH_MS
        assert_mended(agent)
    assert not agent.leg(LEGS[0]).is_damped


def test_the_way_back_loses_nothing(agent: RunningAgent) -> None:
    drill = Asked(agent, SECONDS)
    agent.wait_for(LEGS[0], "down")
    with flowing() as seen:
        drill.join()
        assert_mended(agent)
    assert [seen.lost(target) for target in seen.targets] == [[], []]


def test_it_is_refused_where_it_would_cut_traffic(agent: RunningAgent) -> None:
    ask: Callable[[str], object] = lambda leg: agent.client.drill(DrillRequest(leg, SECONDS))  # noqa: E731
    with pytest.raises(UnknownError, match="ri-x is no leg that is probed here"):
        ask("ri-x")
    agent.client.force_leg(LegRequest(LEGS[1], "down"))
    with pytest.raises(ConflictError, match=r"no other leg of .* is healthy"):
        ask(LEGS[0])
    with pytest.raises(ConflictError, match="ri-a2 is down already"):
        ask(LEGS[1])
    agent.client.force_leg(LegRequest(LEGS[1], "auto"))
    drill = Asked(agent, 1.0)
    with pytest.raises(ConflictError, match="a drill of ri-a1 is under way"):
        ask(LEGS[0])
    drill.join()
    assert drill.failure is None
    assert_mended(agent)


def test_it_ends_when_the_caller_goes_away(agent: RunningAgent) -> None:
    body = b"".join(pieces(DrillRequest(LEGS[0], LONG)))
    caller = agent.client._connected(5.0)
    caller.sendall(f"POST /v1/drill HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    agent.wait("the cut", lambda: len(cuts()) == 2)
    agent.wait_for(LEGS[0], "down")
    assert len(cuts()) == 2, "as long as somebody waits"
    caller.close()
    assert_mended(agent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_it_ends_with_the_agent(agent: RunningAgent, number: signal.Signals) -> None:
    """A killed agent leaves its cut, and the next one removes it before it does anything else."""
    drill = Asked(agent)
    agent.send(number)
    drill.join(10.0)
    assert not drill.is_alive() and drill.failure is not None
    assert (len(cuts()) == 2) is (number is signal.SIGKILL)
    agent.start()
    assert cuts() == []
    assert_mended(agent)


def test_r39_the_sources_own_numbers(agent: RunningAgent, hook: str) -> None:
    """Every 2 s, 8 misses, timeout 2 s: the other circuit takes over 16 to 18 s after the cut; a drill says so."""
    if hook != "tc":
        pytest.skip("once is enough: it takes half a minute")
    agent.follow(SLOWEST.text(hook, ""))
    began = time.monotonic()
    report = agent.client.drill(DrillRequest(LEGS[0], 20.0))
    assert time.monotonic() - began >= 20.0
    print(f"2 s x 8: {report.outage_s} s")
    assert report.outage_s is not None
    assert 16.0 - ALLOWANCE_MS / 1e3 <= report.outage_s <= 18.1 + (SLOWEST.fall + 2) * agent.late_ms / 1e3
    assert report.took_over == (LEGS[1],)
