"""The prober on real packets: failover and failback by silence and by carrier, one-way cuts, losses that must not flip.

Nothing here is timed tightly: verdicts and counts are compared, and an outage with the leg's own settings plus what the
prober itself says about how late it was (D1, D3; tests 61-67, 69 and 70 of the list in reliability.md).
"""

import time
from dataclasses import replace
from itertools import pairwise

import pytest

from dataplane.health.legs_map import DOWN, DOWN_FOR_GOOD, UP
from dataplane.health.state import NS_PER_MS, NS_PER_S, Cause, State, Verdict
from tests.netns.objects import run
from tests.netns.probing import FAST, ROUTER, Circuit, Probing, circuits, ifindex, leg, probing, requests_heard

_MARGIN_NS = 5 * NS_PER_MS
"""What P4 grants beyond a leg's own settings."""


def silently(there: Probing, circuit: Circuit, cut: str) -> None:
    """Cut a leg that is up, and require that it goes down in the time that its settings say (test 61)."""
    name, settings = f"ri-{circuit.number}", FAST
    there.wait_for([name], Verdict.UP)
    there.more(name, "replies", 3)
    began = time.monotonic_ns()
    getattr(circuit, cut)()
    cut_ns = time.monotonic_ns()
    there.wait_for([name], Verdict.DOWN)
    (change,) = [c for c in there.changes if c.transition.after is State.DOWN]
    assert (change.transition.cause, change.transition.lost_in_row) == (Cause.LOST, settings.fall)
    assert there.value(circuit.number) == DOWN
    there.pump(1.1)  # a beat that covers the time of the cut
    report = there.fresh(name)
    outage_ns = change.transition.at_ns - began
    most = settings.interval_ns * settings.fall + settings.timeout_ns + _MARGIN_NS + (cut_ns - began)
    # Each wake-up may have been late, and each voided miss costs an interval.
    assert outage_ns <= most + (settings.fall + 2) * _most_late(there) + report.voided * settings.interval_ns
    assert outage_ns >= (settings.fall - 1) * settings.interval_ns


def _most_late(there: Probing) -> int:
    """The latest wake-up in any beat so far."""
    return there.late_ns


@pytest.mark.parametrize("cut", ["cut_forth", "cut_back"])
def test_61_and_70_a_silent_cut_in_either_direction_is_seen_and_mended(cut: str) -> None:
    with circuits(2) as (first, second), probing([leg(first), leg(second)]) as there:
        silently(there, first, cut)
        assert there.value(second.number) == UP
        first.mend()
        there.wait_for(["ri-1"], Verdict.UP)
        assert there.value(first.number) == UP
        assert [c.transition.cause for c in there.changes if c.leg == "ri-1"][-1] is Cause.ANSWERED
        assert [c.transition.after for c in there.changes if c.leg == "ri-2"] == [State.UP]
        report = there.fresh("ri-1")
        assert report.flips == 2
        assert report.misses >= FAST.fall


def test_62_seven_losses_and_then_one_reply_never_flip() -> None:
    settings = replace(FAST, fall=8)
    with circuits() as (only,):
        only.drop_requests("numgen inc mod 8 != 0")
        with probing([leg(only, settings)]) as there:
            report = there.more("ri-1", "replies", 50)
            assert report.misses >= 7 * 40, "the losses were not made"
            assert report.flips == 0
            assert there.value(1) == UP
            assert there.changes == []
            only.drop_nothing()
            only.drop_requests("numgen inc mod 9 != 0")  # one loss more, and it is down: the eight were counted
            there.wait_for(["ri-1"], Verdict.DOWN)


def test_66_a_target_that_answers_one_of_three_goes_down_once_or_never_and_does_not_come_back() -> None:
    settings = replace(FAST, fall=2)
    with circuits() as (only,):
        only.drop_requests("numgen inc mod 3 != 0")
        with probing([leg(only, settings)]) as there:
            there.wait_for(["ri-1"], Verdict.DOWN)
            report = there.more("ri-1", "replies", 30)
            assert report.flips == 1
            assert len(there.changes) == 1
            assert 50 <= 100 * report.recent_lost // report.recent_probes <= 80


def test_67_all_legs_down_stay_down_without_flapping_and_say_whether_they_are_a_last_resort() -> None:
    with circuits(2) as (first, second), probing([leg(first), leg(second, is_last_resort=False)]) as there:
        there.wait_for(["ri-1", "ri-2"], Verdict.UP)
        first.cut_forth()
        second.cut_back()
        there.wait_for(["ri-1", "ri-2"], Verdict.DOWN)
        assert (there.value(1), there.value(2)) == (DOWN, DOWN_FOR_GOOD)
        before = len(there.changes)
        there.more("ri-1", "misses", 50)
        assert len(there.changes) == before


def test_a_lost_carrier_flips_at_once_and_its_return_has_to_prove_itself() -> None:
    slow = replace(FAST, interval_ns=2 * NS_PER_S, timeout_ns=2 * NS_PER_S, fall=8)
    with circuits(2) as (first, second):
        links = ((ROUTER, ifindex(ROUTER, first.link)),)
        specs = [leg(first, slow, links=links), leg(second, FAST)]
        with probing(specs) as there:
            there.wait_for(["ri-2"], Verdict.UP)
            run("ip", "-n", first.border, "link", "set", "north", "down")  # its far end: the link itself stays up
            there.wait("the flip", lambda: there.value(1) == DOWN)
            there.pump(0.1)
            change = next(c for c in there.changes if c.leg == "ri-1")
            assert change.transition.cause is Cause.CARRIER
            assert there.fresh("ri-1").has_carrier is False
            run("ip", "-n", first.border, "link", "set", "north", "up")
            there.wait("the carrier", lambda: there.fresh("ri-1").has_carrier)
            assert there.value(1) == DOWN


def test_a_link_that_is_deleted_flips_and_one_that_never_was_is_down_from_the_start() -> None:
    with circuits(2) as (first, second):
        specs = [
            leg(first, links=((ROUTER, ifindex(ROUTER, first.link)),)),
            leg(second, links=((ROUTER, 987_654),)),
        ]
        with probing(specs) as there:
            there.wait("a link that is not there", lambda: there.value(2) == DOWN)
            there.wait_for(["ri-1"], Verdict.UP)
            run("ip", "-n", ROUTER, "link", "delete", first.link)
            there.wait("a deleted link", lambda: there.value(1) == DOWN)
            there.wait_for(["ri-1"], Verdict.DOWN)
            assert [c.transition.cause for c in there.changes if c.leg == "ri-1"][-1] is Cause.CARRIER


def test_replies_by_another_interface_are_strays_and_bring_nothing_up() -> None:
    """The way back is another leg: the data centre lacks its /32 (R44)."""
    with circuits(2) as (first, second):
        line = f"line{second.number}"
        run(
            "ip",
            "-n",
            "probe-idc",
            "route",
            "replace",
            f"{first.source}/32",
            "via",
            "169.254.0.1",
            "dev",
            line,
            "onlink",
        )
        back = ("via", "169.254.0.1", "dev", "north", "onlink")
        run("ip", "-n", second.border, "route", "replace", f"{first.source}/32", *back)
        with probing([leg(first)]) as there:
            there.wait_for(["ri-1"], Verdict.DOWN)
            report = there.more("ri-1", "strays", 10)
            assert report.replies == 0


def test_69_probes_of_many_legs_are_spread() -> None:
    """A hundred legs at a second: far fewer than fifty in any 10 ms, although they all began at once."""
    settings = replace(FAST, interval_ns=NS_PER_S, timeout_ns=NS_PER_S)
    with circuits() as (only,):
        specs = []
        for number in range(100):
            source = f"192.168.20.{number + 1}"
            run("ip", "-n", ROUTER, "addr", "add", f"{source}/32", "dev", "lo")
            run("ip", "-n", ROUTER, "rule", "add", "iif", "lo", "from", source, "lookup", "101")
            spec = leg(only, settings)
            specs.append(replace(spec, name=f"ri-{number}", number=number % 60, source=source, arrivals=()))
        with requests_heard(only.border, "north") as moments, probing(specs) as there:
            there.wait("probes", lambda: len(moments()) >= 300)
            seen = sorted(moments())
        most = max(sum(1 for later in seen if 0 <= later - first < 10 * NS_PER_MS) for first in seen)
        assert most <= 20, f"{most} probes within 10 ms"
        assert max(b - a for a, b in pairwise(seen)) < NS_PER_S // 2
