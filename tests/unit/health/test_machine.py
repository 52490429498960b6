"""The rise/fall machine against D1-D3: case by case, and against a model that works from the whole history."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataplane.health.machine import Machine
from dataplane.health.state import NS_PER_MS, NS_PER_S, Cause, Settings, State, Transition, Verdict, grace_of
from tests.fakes.leg_model import Happening, Rules, flips, verdicts

SETTINGS = Settings(2 * NS_PER_S, fall=8, rise=3)
_WHATS = ("reply", "miss", "late", "lost", "back", "up", "down", "free")


def machine(**more: object) -> Machine:
    return Machine(replace(SETTINGS, **more), 0)  # type: ignore[arg-type]


def play(there: Machine, what: str, now: int) -> Transition | None:
    """Let something happen to a machine."""
    if what == "reply":
        return there.reply(now)
    if what == "miss":
        return there.expire(now, 5 * NS_PER_MS, now)
    if what == "late":
        return there.expire(now - grace_of(5 * NS_PER_MS) - 1, 5 * NS_PER_MS, now)
    if what in ("lost", "back"):
        return there.carrier(what == "back", now)
    return there.force(None if what == "free" else Verdict(what), now)


def states(there: Machine, whats: str) -> list[str]:
    """The states after a row of replies (+) and misses (-), a second apart."""
    seen = []
    for second, what in enumerate(whats, 1):
        play(there, "reply" if what == "+" else "miss", second * NS_PER_S)
        seen.append(str(there.state))
    return seen


@st.composite
def histories(draw: st.DrawFn) -> list[Happening]:
    """Mostly probes, with streaks long enough to flip; moments that never stand still."""
    now, history = 0, []
    for _ in range(draw(st.integers(1, 30))):
        what = draw(st.sampled_from(("reply", "miss") * 4 + _WHATS))
        for _ in range(draw(st.integers(1, 5)) if what in ("reply", "miss") else 1):
            now += draw(st.integers(1, 12 * NS_PER_S))
            history.append(Happening(what, now))
    return history


@given(
    histories(),
    st.builds(
        Rules, st.integers(1, 4), st.integers(1, 4), st.sampled_from((0, NS_PER_S, 30 * NS_PER_S)), st.booleans()
    ),
)
@settings(max_examples=300, deadline=None)
@example([Happening(what, n + 1) for n, what in enumerate(["miss", "reply"] * 6)], Rules(1, 1, 0, True))
def test_it_agrees_with_a_model_that_reads_the_whole_history(history: list[Happening], rules: Rules) -> None:
    there = Machine(
        Settings(NS_PER_S, 0, rules.fall, rules.rise, rules.hold_down, rules.damping), 0, verdict=Verdict.UP
    )
    seen = []
    for item in history:
        before = there.verdict
        told = play(there, item.what, item.at)
        seen.append(str(there.verdict))
        assert (told is not None) or there.verdict is before, "a verdict changed in silence"
        assert told is None or (told.verdict, told.at_ns) == (there.verdict, item.at)
    assert seen == verdicts(history, rules)
    assert there.flips == len(flips(history, rules))


def test_the_model_can_tell_a_machine_that_falls_too_early() -> None:
    history = [Happening("miss", n) for n in range(1, 8)]
    assert verdicts(history, Rules(8, 3, 0, True)) == ["up"] * 7
    assert verdicts([*history, Happening("miss", 8)], Rules(8, 3, 0, True))[-1] == "down"


def test_before_its_first_verdict_it_is_unknown_and_counts_as_up() -> None:
    there = machine()
    assert (there.state, there.verdict) == (State.UNKNOWN, Verdict.UP)
    assert states(there, "+-+-++") == ["unknown"] * 6
    assert states(there, "+") == ["up"]


def test_eight_misses_in_a_row_and_no_fewer() -> None:
    there = Machine(SETTINGS, 0, Verdict.UP)
    down = ["falling"] * 7 + ["up"] + ["falling"] * 7 + ["down"]
    back = ["rising", "rising", "down", "rising", "rising", "up"]
    assert states(there, "-" * 7 + "+" + "-" * 8 + "++-+++") == down + back


def test_a_flip_says_why_when_and_after_how_many() -> None:
    there = Machine(replace(SETTINGS, fall=2), 0, Verdict.UP)
    assert there.miss(5) is None
    assert there.miss(9) == Transition(State.UP, State.DOWN, Verdict.DOWN, Cause.LOST, 9, 2)
    assert there.since_ns == 9


def test_rising_and_falling_are_nobodys_news() -> None:
    there = Machine(SETTINGS, 0, Verdict.UP)
    assert [there.miss(now) for now in range(7)] == [None] * 7
    assert there.reply(8) is None


def test_a_miss_that_was_judged_too_late_does_not_count() -> None:
    there = Machine(replace(SETTINGS, fall=1), 0, Verdict.UP)
    timeout = 100 * NS_PER_MS
    assert there.expire(0, timeout, grace_of(timeout) + 1) is None
    assert (there.voided, there.state) == (1, State.UP)
    assert there.expire(0, timeout, grace_of(timeout)) is not None


def test_hold_down_counts_from_the_fall() -> None:
    there = Machine(replace(SETTINGS, fall=1, rise=1, hold_down_ns=10), 0, Verdict.UP)
    there.miss(100)
    assert there.reply(109) is None
    assert there.state is State.RISING
    assert there.reply(110) is not None


def test_the_fourth_flip_within_a_minute_damps() -> None:
    there = Machine(replace(SETTINGS, fall=1, rise=1), 0, Verdict.UP)
    second = NS_PER_S
    assert there.miss(1 * second) and there.reply(2 * second) and there.miss(3 * second)
    damped = there.reply(4 * second)
    assert damped == Transition(State.DOWN, State.DOWN, Verdict.DOWN, Cause.DAMPED, 4 * second, 0)
    assert (there.flips, there.damped_until_ns) == (3, 64 * second)
    assert there.since_ns == 3 * second
    assert there.reply(64 * second - 1) is None
    risen = there.reply(64 * second)
    assert risen is not None
    assert risen.after is State.UP


def test_the_fourth_flip_damps_from_its_own_moment_when_it_goes_down() -> None:
    there = Machine(replace(SETTINGS, fall=1, rise=1), 0, Verdict.DOWN, since_ns=0)
    second = NS_PER_S
    assert there.reply(1 * second) and there.miss(2 * second) and there.reply(3 * second) and there.miss(4 * second)
    assert (there.flips, there.damped_until_ns) == (4, 64 * second)


def test_flips_of_more_than_a_minute_ago_do_not_damp() -> None:
    there = Machine(replace(SETTINGS, fall=1, rise=1), 0, Verdict.UP)
    second = NS_PER_S
    assert there.miss(1 * second) and there.reply(2 * second) and there.miss(3 * second)
    risen = there.reply(62 * second)
    assert risen is not None
    assert risen.after is State.UP


def test_damping_can_be_off() -> None:
    there = Machine(replace(SETTINGS, fall=1, rise=1, is_damped=False), 0, Verdict.UP)
    for now in range(0, 20, 2):
        assert there.miss(now)
        assert there.reply(now + 1)


def test_hands_do_not_count_as_flips() -> None:
    there = Machine(replace(SETTINGS, fall=1, rise=1), 0, Verdict.UP)
    for now in range(10):
        assert there.force(Verdict.DOWN, now)
        assert there.force(None, now)
    assert there.flips == 0
    assert there.miss(20)
    assert there.reply(21), "damped by drills"


def test_a_hand_lies_over_the_probes() -> None:
    there = Machine(replace(SETTINGS, fall=1), 0, Verdict.UP)
    told = there.force(Verdict.UP, 1)
    assert told == Transition(State.UP, State.DISABLED, Verdict.UP, Cause.HAND, 1, 0)
    assert there.miss(2) is None
    assert (there.state, there.verdict) == (State.DISABLED, Verdict.UP)
    assert there.force(None, 3) == Transition(State.DISABLED, State.DOWN, Verdict.DOWN, Cause.HAND, 3, 1)
    assert there.force(None, 4) is None


@pytest.mark.parametrize("before", [None, Verdict.UP])
def test_a_lost_carrier_flips_at_once(before: Verdict | None) -> None:
    there = Machine(SETTINGS, 0, before)
    told = there.carrier(False, 7)
    assert told is not None
    assert (told.after, told.cause) == (State.DOWN, Cause.CARRIER)
    assert there.carrier(False, 8) is None
    assert [there.reply(now) for now in range(9, 15)] == [None] * 6
    assert there.carrier(True, 20) is None
    assert [there.reply(21), there.reply(22), there.reply(23)][:2] == [None, None]
    assert there.state is State.UP


def test_it_begins_where_an_earlier_prober_left_it() -> None:
    there = Machine(replace(SETTINGS, rise=1, hold_down_ns=50), 100, Verdict.DOWN, since_ns=60)
    assert (there.state, there.since_ns) == (State.DOWN, 60)
    assert there.reply(109) is None
    assert there.reply(110) is not None


@pytest.mark.parametrize(
    ("interval_ms", "timeout_ms", "round_trip_ms", "expected_ms"),
    [
        (2_000, 0, 1, 2_000),
        (1_000, 0, 1, 1_000),
        (100, 0, 1, 5),
        (100, 0, 10, 40),
        (100, 0, 50, 100),
        (100, 0, 0, 100),
        (1, 0, 1, 1),
        (100, 15, 60, 15),
        (2_000, 5_000, 1, 2_000),
    ],
)
def test_the_timeout_of_d1(interval_ms: int, timeout_ms: int, round_trip_ms: int, expected_ms: int) -> None:
    there = Settings(interval_ms * NS_PER_MS, timeout_ms * NS_PER_MS)
    assert there.timeout_for(round_trip_ms * NS_PER_MS) == expected_ms * NS_PER_MS


def flipped(there: Machine, now: int, times: int) -> int:
    """Down and up again some times, a second a probe; when that was over."""
    for _ in range(times):
        for what in ["miss"] * there.settings.fall + ["reply"] * there.settings.rise:
            now += NS_PER_MS
            play(there, what, now)
    return now


def test_d1_flips_of_a_drill_damp_nothing_and_neither_does_the_way_back() -> None:
    there = machine(fall=2, rise=1)
    now = flipped(there, 0, 1)
    assert (there.state, there.flips) == (State.UP, 2)
    for _ in range(5):
        there.drill(is_on=True)
        for _ in range(2):
            now += NS_PER_MS
            there.miss(now)
        assert there.state is State.DOWN
        there.drill(is_on=False)
        now += NS_PER_MS
        there.reply(now)
        assert (there.state, there.damped_until_ns) == (State.UP, 0)
    flipped(there, now, 1)
    assert there.damped_until_ns > now, "the third and fourth of its own, and those count as ever"


def test_d1_a_drill_that_flipped_nothing_leaves_nothing_behind() -> None:
    there = machine(fall=2, rise=1)
    there.drill(is_on=True)
    there.drill(is_on=False)
    now = flipped(there, 0, 2)
    assert there.damped_until_ns > now
