"""Legs taken down and up by hand, with real packets: which flows move, that they come back, that nothing is lost.

Every flow carries its number, and every line is listened to; so it is known of each flow which leg it took.
"""

import mmap
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dataplane.agent.report import LegReport
from dataplane.agent.store import Store
from dataplane.compile.leg_order import LegWish
from dataplane.datapath import flatten, legs
from dataplane.datapath import forwarding_maps as maps
from dataplane.errors import ConflictError, HostError, UnknownError
from dataplane.kernel import netns
from dataplane.kernel.driver import KernelDriver
from dataplane.model import names
from dataplane.model.forwarding import LegState
from dataplane.model.kernel import ForwarderState, Nexthop
from lab.topology import TOPOLOGIES
from tests.fakes.circuits import Circuits
from tests.netns.lines import cable
from tests.netns.load import load
from tests.netns.network import AppliedNetwork, hooked
from tests.netns.objects import set_sysctl
from tests.netns.ways import (
    FLOWS,
    RTM_NEWNEXTHOP,
    RTM_NEWROUTE,
    TARGET,
    RouteListener,
    built,
    listening,
    neighbour,
    neighbours,
    numbers,
    ways,
)

RATE = 15_000
TWO = Circuits(2)
HOOKS = ["off", "tc", "xdp"]


@pytest.fixture(params=HOOKS)
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def order(network: AppliedNetwork, leg: str, wish: LegWish, *, is_forced: bool = False) -> LegReport:
    found = network.session().order_leg(leg, wish, is_forced=is_forced)
    assert found.report.is_done, [outcome.error for outcome in found.report.failures]
    return found


@pytest.mark.parametrize("count", [2, 4])
def test_r51_only_the_flows_of_the_leg_move_and_come_back_as_exactly(
    network: AppliedNetwork, hook: str, count: int
) -> None:
    """Each leg once, on either path; a group that members are taken out of and put back into fails this."""
    circuits = Circuits(count)
    with built(network, circuits, hook):
        before = ways(count)
        assert len(before) == FLOWS and set(before.values()) == set(range(count))
        for leg, back in zip(range(count), ("up", "auto") * 2, strict=False):
            order(network, f"ri-a{leg}", "down")
            after = ways(count)
            assert {flow for flow in before if before[flow] != after[flow]} == {
                flow for flow in before if before[flow] == leg
            }
            moved = Counter(after[flow] for flow in before if before[flow] == leg)
            assert leg not in moved
            assert len(moved) == min(count - 1, len(moved)) > (count > 2)
            order(network, f"ri-a{leg}", "up" if back == "up" else "auto")
            assert ways(count) == before


def test_r51_two_legs_go_and_come_back_in_another_order(network: AppliedNetwork) -> None:
    """Where a flow is depends on what is down now, and not on the way there."""
    with built(network, Circuits(3), "off"):
        before = ways(3)
        order(network, "ri-a0", "down")
        one = ways(3)
        order(network, "ri-a1", "down")
        assert set(ways(3).values()) == {2}
        order(network, "ri-a0", "auto")
        order(network, "ri-a0", "down")
        order(network, "ri-a1", "auto")
        assert ways(3) == one
        order(network, "ri-a0", "auto")
        assert ways(3) == before


def test_r50_d2_active_and_standby(network: AppliedNetwork, hook: str) -> None:
    with built(network, Circuits(2, "active_standby"), hook):
        assert set(ways(2).values()) == {0}
        order(network, "ri-a0", "down")
        assert set(ways(2).values()) == {1}
        with pytest.raises(ConflictError, match=r"ri-a1 is the last healthy leg .*--force"):
            order(network, "ri-a1", "down")
        assert set(ways(2).values()) == {1}
        order(network, "ri-a1", "down", is_forced=True)
        assert set(ways(2).values()) == {0}, "with all down, the active as if it were up"
        assert any("are down: ri-a0 is used" in note for note in network.session().status().notes)
        order(network, "ri-a1", "auto")
        assert set(ways(2).values()) == {1}
        order(network, "ri-a0", "auto")
        assert set(ways(2).values()) == {0}


def test_r49_r50_r51_the_two_circuits_of_the_lab(network: AppliedNetwork, hook: str) -> None:
    """One leg in three kinds of routes: its flows leave both groups, and general routing goes on using it."""
    text = hooked((TOPOLOGIES / "standby-circuits" / "network.yaml").read_text(), hook)
    servers, offices, far_end = "172.16.0.1", "172.17.0.1", "10.10.10.2"
    with cable("eth1", "idc-0", "up0"), cable("eth2", "idc-1", "up0"):
        network.must_apply(text)
        for vbr, address in (("vbr-1", "10.10.10.2"), ("vbr-2", "10.10.11.2")):
            neighbour(vbr, address)
        before = {target: ways(2, "ecs-1", target) for target in (servers, offices, far_end)}
        assert [set(before[target].values()) for target in before] == [{0}, {0, 1}, {0}]
        order(network, "ri-a1", "down")
        after = {target: ways(2, "ecs-1", target) for target in before}
        assert [set(after[target].values()) for target in after] == [{1}, {1}, {0}]
        assert after[far_end] == before[far_end]
        order(network, "ri-a1", "auto")
        assert {target: ways(2, "ecs-1", target) for target in before} == before
        order(network, "ri-a2", "down")
        after = {target: ways(2, "ecs-1", target) for target in before}
        assert [set(after[target].values()) for target in after] == [{0}, {0}, {0}]
        order(network, "ri-a2", "auto")
        assert {target: ways(2, "ecs-1", target) for target in before} == before
        assert network.session().destroy().is_done


@pytest.mark.parametrize("mode", ["load_balance", "active_standby"])
def test_d2_on_all_down_drop_leaves_nobody(network: AppliedNetwork, hook: str, mode: str) -> None:
    with built(network, Circuits(2, mode, dropping=frozenset({0, 1})), hook):
        before = ways(2)
        assert len(before) == FLOWS
        order(network, "ri-a0", "down")
        assert set(ways(2).values()) == {1}
        order(network, "ri-a1", "down", is_forced=True)
        assert ways(2) == {}
        routes = [one for one in network.session().status().resources if one.state == "Blackhole"]
        assert [one.resource.id for one in routes] == ["vpc-a/system/172.16.0.0/16"]
        order(network, "ri-a1", "auto")
        assert set(ways(2).values()) == {1}
        order(network, "ri-a0", "auto")
        assert ways(2) == before


def test_a_flip_is_one_store_and_one_next_hop(network: AppliedNetwork, hook: str) -> None:
    """The fast path first when a leg goes, and last when it comes back (make before break); no route, no group."""
    with built(network, TWO, hook):
        expected = {"off": [Nexthop]}.get(hook, [ForwarderState, Nexthop])
        down = order(network, "ri-a1", "down")
        assert [type(action.object) for action in down.report.planned.actions] == expected
        assert order(network, "ri-a1", "down").report.planned.actions == (), "a second time nothing is to do"
        up = order(network, "ri-a1", "auto")
        assert [type(action.object) for action in up.report.planned.actions] == expected[::-1]
        places = [one.object for one in up.report.planned.actions if isinstance(one.object, Nexthop)]
        assert all(names.parse_group_number(place.id) is not None for place in places)


def test_68_a_flip_is_no_news_of_the_routes_behind_it(network: AppliedNetwork) -> None:
    """By default the kernel tells of every route behind a next hop that changes: 10,000 of them overrun a listener."""
    driver = KernelDriver()
    with built(network, TWO, "off"):
        flips = [order(network, "ri-a1", wish).report.planned.actions for wish in ("down", "auto")]
        for is_told in (False, True):
            if is_told:  # the default of the kernel, and the red one
                set_sysctl("dp-vpc-vpc-a", "net/ipv4/nexthop_compat_mode", "1")
            with netns.entered("dp-vpc-vpc-a"):
                listener = RouteListener()
            with listener:
                for actions in flips:
                    assert [outcome.error for outcome in driver.perform(actions)] == [None]
                kinds = listener.kinds()
            assert (RTM_NEWNEXTHOP in kinds, RTM_NEWROUTE in kinds) == (True, is_told)


@pytest.mark.parametrize("hook", ["off", "tc"])
def test_71_nothing_is_lost_when_legs_go_and_come_back(network: AppliedNetwork, hook: str) -> None:
    """Every number arrives once: on the leg that stays while the other one flips, and over both while its own does."""
    with built(network, TWO, hook), listening(2) as opened:
        with load("dp-i-ecs", "", TARGET, RATE) as first:
            time.sleep(0.1)
            arrived = [len(numbers(there)) for there in opened]
            own = arrived.index(max(arrived))
            assert arrived[1 - own] == 0 < arrived[own], "one flow takes one leg"
        time.sleep(0.2)
        for there in opened:
            numbers(there)
        assert first.sent > 0
        with load("dp-i-ecs", "", TARGET, RATE) as found:
            time.sleep(0.1)
            seen = [len(numbers(there)) for there in opened]
            stays = seen.index(max(seen))
            heard = list(range(sum(seen)))
            for _ in range(2):
                order(network, f"ri-a{1 - stays}", "down")
                order(network, f"ri-a{1 - stays}", "auto")
            assert numbers(opened[1 - stays]) == [], "a leg that has no flow gets none"
            heard += numbers(opened[stays])
            order(network, f"ri-a{stays}", "down")
            time.sleep(0.1)
            moved = numbers(opened[1 - stays])
            order(network, f"ri-a{stays}", "auto")
            time.sleep(0.1)
        time.sleep(0.2)
        assert moved
        rest = [number for there in opened for number in numbers(there)]
        assert found.rate > RATE / 4, "the load was one"
        assert sorted(heard + moved + rest) == list(range(found.sent))


def test_d3_what_was_forced_is_remembered_until_it_is_taken_back(network: AppliedNetwork, hook: str) -> None:
    with built(network, TWO, hook):
        text = hooked(TWO.text, hook)
        before = ways(2)
        since = order(network, "ri-a0", "down").verdict
        assert since is not None and since.words.startswith("down by hand since 20")
        report = network.apply(text)
        assert report.is_done and report.planned.actions == ()
        assert set(ways(2).values()) == {1}
        status = network.session().status()
        assert status.is_healthy
        assert any(f"leg ri-a0 is {since.words}" in note for note in status.notes)
        reasons = {str(one.resource): one.reason for one in status.resources}
        assert reasons["peering_connection pcx-0"] == f"leg ri-a0 is {since.words}"
        # A file without the leg: it is forgotten, and comes back as it was before.
        assert network.apply(hooked(TWO.text.replace("ri-a0", "ri-b0"), hook)).is_done
        assert network.apply(text).is_done
        neighbours(2)
        assert len(ways(2)) == FLOWS and set(ways(2).values()) == {0, 1}
        assert Counter(ways(2).values()) == Counter(before.values())


def test_the_errors_name_what_there_is(network: AppliedNetwork) -> None:
    with pytest.raises(HostError, match="nothing is applied on this host"):
        network.session().order_leg("ri-a0", "down")
    with built(network, TWO, "off"):
        for leg, words in [
            ("ri-x", "there is no router interface ri-x: the legs of this host's groups are ri-a0, ri-a1"),
            ("ri-v0", "ri-v0 belongs to vbr vbr-0, whose routes have one leg each"),
        ]:
            with pytest.raises(UnknownError, match=words):
                network.session().order_leg(leg, "down")


@contextmanager
def mapped() -> Iterator[mmap.mmap]:
    fd = legs.legs_map_fd()
    assert fd is not None
    try:
        with mmap.mmap(fd, legs.legs_map_bytes(fd)) as bytes_of_legs:
            yield bytes_of_legs
    finally:
        os.close(fd)


def test_a_verdict_is_stored_by_mmap_and_an_apply_brings_back_what_is_remembered(
    network: AppliedNetwork,
) -> None:
    """Each leg at a multiple of 8 bytes, one byte of it; the program sees it at once (issue 6: the prober's flip).

    At tc: XDP cannot send to a line, so that the kernel chooses the leg there.
    """
    with built(network, TWO, "tc"):
        before = ways(2)
        book = Store(network.folder / "state").load().book.numbers
        ours = {n: book["leg", f"ri-a{n}"] for n in range(2)}
        with mapped() as stored:
            for leg, number in ours.items():
                stored[legs.leg_offset(number)] = LegState.DOWN
                assert set(ways(2).values()) == {1 - leg}
                stored[legs.leg_offset(number)] = LegState.UP
                assert ways(2) == before
            stored[legs.leg_offset(ours[0])] = LegState.DROPPED
            stored[legs.leg_offset(ours[1])] = LegState.DROPPED
            assert ways(2) == {}
            report = network.apply(hooked(TWO.text, "tc"))
            assert report.is_done and [type(one.object) for one in report.planned.actions] == [ForwarderState]
            assert {stored[legs.leg_offset(number)] for number in ours.values()} == {LegState.UP}
        assert ways(2) == before


def test_6_an_upgrade_from_maps_that_nobody_could_map_keeps_legs_and_counters(
    network: AppliedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps of other flags are other maps: new ones are filled with the verdicts that are remembered."""
    flat = flatten.flat
    old = 'BPF_F_TABLE("array", __u32, __u8, dp_leg, DP_LEGS, BPF_F_MMAPABLE);'
    assert old in flat("datapath.c")
    with built(network, TWO, "tc"):
        with monkeypatch.context() as before:
            before.setattr(flatten, "flat", lambda name: flat(name).replace(old, "BPF_ARRAY(dp_leg, __u8, DP_LEGS);"))
            before.setattr(maps, "BPF_F_MMAPABLE", 0)
            network.must_apply(hooked(TWO.text, "tc"))
            order(network, "ri-a0", "down")
            assert set(ways(2).values()) == {1}
            with pytest.raises(OSError, match="Invalid argument"), mapped():
                pass
            counted = network.session().status().traffic
        assert network.apply(hooked(TWO.text, "tc")).is_done
        assert set(ways(2).values()) == {1}
        with mapped() as stored:
            leg = Store(network.folder / "state").load().book.numbers["leg", "ri-a0"]
            assert stored[legs.leg_offset(leg)] == LegState.DOWN
        now = network.session().status().traffic
        assert counted is not None and now is not None
        assert now.legs["ri-a1"].packets >= counted.legs["ri-a1"].packets > 0


def test_without_a_forwarder_there_is_no_map_of_legs(network: AppliedNetwork) -> None:
    with built(network, TWO, "off"):
        assert legs.legs_map_fd() is None
    with built(network, TWO, "tc"), mapped() as stored:
        assert len(stored) % legs.STRIDE_BYTES == 0 < len(stored)
