"""Failover by a real agent, measured on packets: silence, one-way silence, carrier, all down, and the way back.

An outage is what a numbered stream lost. It is compared with interval, fall and timeout (D1), an allowance for the
machine, and what the prober itself says of how late it was; so a busy machine makes nothing red.
"""

import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dataplane.agent.api.service import Force, LegRequest
from dataplane.health.carrier import links_in
from dataplane.kernel import probe_socket
from dataplane.model import names
from dataplane.model.forwarding import LegState
from tests.netns.leg_bytes import leg_states
from tests.netns.objects import inside
from tests.netns.stream import Stream
from tests.netns.two_circuits import (
    FAST,
    LEGS,
    PREFERRED,
    ROUTERS,
    SHARED,
    USUAL,
    RunningAgent,
    Timing,
    flowing,
    running,
)

ALLOWANCE_MS = 10.0
"""Of the machine, beyond D1's bound, what the prober says of itself, and where the slow path has to follow."""
SLOW_PATH_MS = 250.0
"""Likewise, for an agent that shares two processors with four people: its own part is 3 ms."""
SLOW_PROBES = Timing(300, 300, 20, 2)
"""Found dead by its probes after 6 s."""
VPC = "dp-vpc-vpc-a"


@pytest.fixture(scope="module", params=["off", "tc", "xdp"])
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def agent(hook: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    with running(tmp_path_factory.mktemp(hook), FAST.text(hook)) as there:
        yield there


@pytest.fixture(autouse=True)
def mended() -> Iterator[None]:
    """One test that fails is one failure: the next one finds the lines whole."""
    yield
    for router in ROUTERS:
        router.restore()


def told(agent: RunningAgent, text: str) -> None:
    """Have an agent that runs follow a file, and find all legs up."""
    if not agent.is_running:
        agent.start()
    if agent.file.read_text() != text:
        agent.follow(text)
    agent.wait_up()


@contextmanager
def no_answers(agent: RunningAgent, *numbers: int) -> Iterator[None]:
    """Nothing comes back by these lines during the block; the agent has found all legs up again when it ends."""
    for number in numbers:
        ROUTERS[number].cut("out")
    yield
    for number in numbers:
        ROUTERS[number].mend()
    agent.wait_up()


def assert_outage(agent: RunningAgent, timing: Timing, hook: str, outage_ms: float) -> None:
    """Within what D1 says; where it is longer, the prober must have said so of itself."""
    allowed = timing.outage_ms + ALLOWANCE_MS + (SLOW_PATH_MS if hook == "off" else 0.0)
    print(f"{hook}, {timing.interval_ms} ms x {timing.fall}: {outage_ms:.1f} ms, allowed {allowed:.0f} ms")
    if outage_ms > allowed:
        until = time.monotonic() + 1.2  # a beat that covers the time of the cut
        agent.wait("a beat", lambda: agent.health() and time.monotonic() > until)
        voided = agent.leg(LEGS[0]).voided * timing.interval_ms
        allowed += (timing.fall + 2) * agent.late_ms + voided
    assert outage_ms <= allowed, f"late {agent.late_ms:.1f} ms"
    assert outage_ms >= (timing.fall - 1) * timing.interval_ms - ALLOWANCE_MS, "it was cut, and judged by its probes"


def kernel_legs() -> set[str]:
    """The legs that places of the kernel's groups lead to; it is asked, not the product."""
    shown = json.loads(inside(VPC, "ip", "-j", "nexthop", "show").stdout)
    leading = [entry for entry in shown if "dev" in entry]
    behind = {entry["dev"]: entry["id"] for entry in leading if names.parse_group_number(entry["id"]) is None}
    places = [entry["dev"] for entry in leading if names.parse_group_number(entry["id"]) is not None]
    order = sorted(behind.values())
    return {LEGS[order.index(behind[device])] for device in places}


def forwarder_legs(agent: RunningAgent) -> set[str]:
    """The legs that the forwarder may use, by its map."""
    states = leg_states(agent.folder / "state")
    return {leg for leg in LEGS if states[leg] is LegState.UP}


def assert_both_paths(agent: RunningAgent, hook: str, up: set[str]) -> None:
    """Within a round, the kernel's places, the forwarder's legs, status and the prober say the same."""
    agent.wait(f"the kernel uses {up}", lambda: kernel_legs() == up)
    if hook != "off":
        # A round that began before the flip may have written the older verdict; the prober writes its own again.
        agent.wait(f"the forwarder uses {up}", lambda: forwarder_legs(agent) == up)
    assert {one.leg for one in agent.health().legs if one.is_up} == up
    reasons = {str(one.resource): one.reason for one in agent.status().resources}
    for number, leg in enumerate(LEGS, start=1):
        is_said_down = f"leg {leg} is down by its health check" in reasons[f"peering_connection pcx-{number}"]
        assert is_said_down is (leg not in up)


def surviving(before: Stream) -> dict[int, set[int]]:
    """The flows that the second line carries anyway."""
    return {flow: lines for flow, lines in before.ways(SHARED).items() if lines == {1}}


@pytest.mark.parametrize("timing", [FAST, USUAL], ids=["10 ms x 3", "100 ms x 3"])
def test_61_r50_r51_a_silent_cut_and_the_way_back(agent: RunningAgent, hook: str, timing: Timing) -> None:
    """Only the dead leg's flows lose packets, for no longer than D1 says; nothing is lost on the way back (71)."""
    told(agent, timing.text(hook))
    with flowing() as before:
        pass
    assert [set.union(*before.ways(target).values()) for target in before.targets] == [{0}, {0, 1}]
    stay = surviving(before)
    agent.late_ms = 0.0
    with flowing() as seen:
        ROUTERS[0].cut()
        agent.wait_for(LEGS[0], "down")
    for target in seen.targets:
        lost = seen.lost(target)
        assert lost and {seen.lines[number] for number in lost} == {0}
        assert_outage(agent, timing, hook, seen.outage_ms(target))
    assert len(seen.lost(PREFERRED)) / seen.rate(PREFERRED) * 1e3 == pytest.approx(seen.outage_ms(PREFERRED), rel=0.5)
    assert {flow: seen.ways(SHARED)[flow] for flow in stay} == stay, "flows of the other leg do not move (R51)"
    assert not {seen.flow(number) for number in seen.lost(SHARED)} & stay.keys()
    assert_both_paths(agent, hook, {LEGS[1]})
    with flowing() as after:
        ROUTERS[0].mend()
        agent.wait_up()
    assert [after.lost(target) for target in after.targets] == [[], []], "make before break"
    assert {flow: after.ways(SHARED)[flow] for flow in stay} == stay
    assert_both_paths(agent, hook, set(LEGS))
    with flowing() as again:
        pass
    assert [again.ways(target) for target in again.targets] == [before.ways(target) for target in before.targets]


def test_70_a_cut_on_the_way_back_alone(agent: RunningAgent, hook: str) -> None:
    """Nothing that we send is lost, and yet the leg is dead: nobody would hear the answers."""
    told(agent, FAST.text(hook))
    with no_answers(agent, 0):
        agent.wait_for(LEGS[0], "down")
        assert_both_paths(agent, hook, {LEGS[1]})
        with flowing() as seen:
            pass
        assert set.union(*seen.ways(PREFERRED).values(), *seen.ways(SHARED).values()) == {1}
        assert [seen.lost(target) for target in seen.targets] == [[], []]


def test_d1_a_lost_carrier_flips_as_soon_as_the_kernel_tells(agent: RunningAgent, hook: str) -> None:
    """The kernel tells of a lost carrier at once, or up to a second after another one on this machine (linkwatch)."""
    told(agent, SLOW_PROBES.text(hook))
    agent.late_ms = 0.0
    with socket.socket(fileno=probe_socket.open_link_events(names.HOST)) as events:
        device = socket.if_nametoindex("eth1")
        with flowing() as seen:
            ROUTERS[0].set_carrier(is_up=False)
            told_ns = _loss_told(events, device)
            agent.wait_for(LEGS[0], "down")
        assert "carrier" in agent.leg(LEGS[0]).cause
        for target in seen.targets:
            last = max((seen.sent_ns[number] for number in seen.lost(target)), default=told_ns)
            late_ms = (last - told_ns) / 1e6
            print(f"{hook}: flipped {late_ms:.1f} ms after the kernel's word")
            allowed = ALLOWANCE_MS + agent.late_ms + (SLOW_PATH_MS if hook == "off" else 0.0)
            assert late_ms <= allowed < SLOW_PROBES.outage_ms / 4
        assert_both_paths(agent, hook, {LEGS[1]})
        with flowing() as back:
            ROUTERS[0].set_carrier(is_up=True)
            agent.wait_up()
        assert [back.lost(target) for target in back.targets] == [[], []]


def _loss_told(events: socket.socket, ifindex: int) -> int:
    """When the kernel said that a link is not there any more (monotonic nanoseconds)."""
    until = time.monotonic() + 10.0
    while select.select([events], [], [], max(0.0, until - time.monotonic()))[0]:
        if (ifindex, False) in links_in(events.recv(65_536)):
            return time.monotonic_ns()
    raise AssertionError("the kernel said nothing of a lost carrier")


def test_67_d2_all_down_goes_on_by_all(agent: RunningAgent, hook: str) -> None:
    """The probes are the likelier fault then: the active leg as if it were up, and both where both are used."""
    told(agent, FAST.text(hook))
    with no_answers(agent, 0, 1):
        for leg in LEGS:
            agent.wait_for(leg, "down")
        assert_is_used(agent, {PREFERRED: {0}, SHARED: {0, 1}})
        assert any("are down" in note for note in agent.status().notes), "and it is said loudly"


def test_67_d2_all_down_drops_where_the_file_says_so(agent: RunningAgent, hook: str) -> None:
    told(agent, FAST.text(hook, "damping: 'off', on_all_down: drop"))
    with no_answers(agent, 0, 1):
        for leg in LEGS:
            agent.wait_for(leg, "down")
        assert_is_used(agent, {PREFERRED: set(), SHARED: set()})
        states = {str(one.resource): one.state for one in agent.status().resources}
        assert states["route vpc-a/system/172.16.0.0/16"] == "Blackhole"
    assert_is_used(agent, {PREFERRED: {0}, SHARED: {0, 1}})


def assert_is_used(agent: RunningAgent, lines: dict[str, set[int]]) -> None:
    """Within a round, packets to each server take these lines and no others."""
    found: dict[str, set[int]] = {}
    for _ in range(20):
        with flowing() as seen:
            pass
        found = {target: set().union(*seen.ways(target).values()) for target in seen.targets}
        if found == lines:
            return
    raise AssertionError(f"{found}, not {lines}\n{agent.said()}")


def test_d3_a_killed_agent_flips_nothing_and_the_next_one_finds_what_died(agent: RunningAgent, hook: str) -> None:
    told(agent, FAST.text(hook))
    agent.send(signal.SIGKILL)
    ROUTERS[0].cut()
    try:
        with flowing() as frozen:
            time.sleep(0.3)
        assert set.union(*frozen.ways(PREFERRED).values()) == {0}, "nobody probes, nothing flips"
        agent.start()
        agent.wait_for(LEGS[0], "down")
        assert_both_paths(agent, hook, {LEGS[1]})
        agent.send(signal.SIGKILL)
        with flowing() as seen:
            agent.start()
            agent.wait("its probes", lambda: agent.leg(LEGS[0]).misses > 3 * FAST.fall)
        assert set.union(*seen.ways(PREFERRED).values()) == {1}, "verdicts are taken over"
        assert [seen.lost(target) for target in seen.targets] == [[], []]
    finally:
        ROUTERS[0].mend()
    agent.wait_up()
    assert_both_paths(agent, hook, set(LEGS))


def test_d3_a_killed_prober_comes_back_and_nothing_flips(agent: RunningAgent, hook: str) -> None:
    told(agent, FAST.text(hook))
    before = agent.prober()
    with flowing() as seen:
        os.kill(before, signal.SIGKILL)
        agent.wait("another prober", lambda: agent.has_other_prober(before))
        agent.wait_up()
    assert [seen.lost(target) for target in seen.targets] == [[], []]
    assert set.union(*seen.ways(PREFERRED).values()) == {0}
    assert "the prober has ended (signal 9)" in agent.said()


def test_d1_by_hand_beats_health_and_auto_gives_back(agent: RunningAgent, hook: str) -> None:
    told(agent, FAST.text(hook))

    def say(leg: str, force: Force) -> None:
        agent.client.force_leg(LegRequest(leg, force))

    say(LEGS[0], "down")
    agent.wait_for(LEGS[0], "disabled")
    assert_is_used(agent, {PREFERRED: {1}, SHARED: {1}})
    agent.send(signal.SIGTERM)
    with flowing() as seen:  # not for a moment is it used while agent and prober come back
        agent.start()
        agent.wait("the prober", lambda: agent.leg(LEGS[0]).replies > 3)
    assert set.union(*seen.ways(PREFERRED).values(), *seen.ways(SHARED).values()) == {1}
    before = agent.prober()
    with flowing() as seen:
        os.kill(before, signal.SIGKILL)
        agent.wait("another prober", lambda: agent.has_other_prober(before))
        agent.wait("its probes", lambda: agent.leg(LEGS[0]).replies > 3)
    assert set.union(*seen.ways(PREFERRED).values(), *seen.ways(SHARED).values()) == {1}
    say(LEGS[0], "up")
    with no_answers(agent, 0):
        agent.wait("enough misses", lambda: agent.leg(LEGS[0]).misses >= 2 * FAST.fall)
        assert_is_used(agent, {PREFERRED: {0}, SHARED: {0, 1}})
        say(LEGS[0], "auto")
        assert_is_used(agent, {PREFERRED: {1}, SHARED: {1}})
    assert_is_used(agent, {PREFERRED: {0}, SHARED: {0, 1}})
