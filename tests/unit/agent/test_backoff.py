"""When an object is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from dataplane.agent.backoff import FREE_REPAIRS, MOST_S, QUIET_S, Backoff

KEY = ("route", "dp-vpc-a", 100)


def test_failures_wait_twice_as_long_each_time() -> None:
    backoff, now = Backoff(), 100.0
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        backoff.failed(KEY, now)
        assert backoff.waiting(now) == {KEY: now + wait}
        assert backoff.is_waiting(KEY, now + wait - 0.01)
        now += wait
        assert not backoff.is_waiting(KEY, now)


def test_the_first_repairs_are_at_once_and_a_fight_is_not() -> None:
    backoff, now, writes = Backoff(), 0.0, 0
    for _ in range(6_000):  # ten minutes, in which somebody undoes it ten times a second
        if not backoff.is_waiting(KEY, now):
            backoff.repaired(KEY, now)
            writes += 1
            assert writes > FREE_REPAIRS or not backoff.is_waiting(KEY, now)
        now += 0.1
    assert FREE_REPAIRS < writes < 20


def test_what_was_quiet_begins_anew() -> None:
    backoff = Backoff()
    for second in range(FREE_REPAIRS + 3):
        backoff.repaired(KEY, float(second))
    assert backoff.is_waiting(KEY, FREE_REPAIRS + 4.0)
    backoff.repaired(KEY, QUIET_S + 60)
    assert not backoff.is_waiting(KEY, QUIET_S + 60)


def test_a_new_word_tries_everything_at_once() -> None:
    backoff = Backoff()
    for number in range(3):
        backoff.failed(number, 0.0)
    backoff.forget(1)
    assert backoff.waiting(0.5).keys() == {0, 2}
    backoff.forget_all()
    assert backoff.waiting(0.5) == {}


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 300)), max_size=60))
def test_it_never_waits_longer_than_a_minute(steps: list[tuple[bool, float]]) -> None:
    backoff, now = Backoff(), 0.0
    for is_failure, later in steps:
        now += later
        (backoff.failed if is_failure else backoff.repaired)(KEY, now)
        assert all(until <= now + MOST_S for until in backoff.waiting(now).values())
        assert not backoff.is_waiting(KEY, now + MOST_S)


def test_when_the_obstacle_has_gone_those_that_fail_are_tried_at_once_and_others_wait_on() -> None:
    backoff, fought = Backoff(), ("route", "dp-vpc-b", 200)
    for second in range(6):
        backoff.failed(KEY, float(second))
        backoff.repaired(fought, float(second))
    assert backoff.failing() == {KEY}
    backoff.forgive()
    assert not backoff.is_waiting(KEY, 5.0)
    assert backoff.is_waiting(fought, 5.0)
    backoff.failed(KEY, 5.0)
    assert backoff.waiting(5.0 + 8.0)[KEY] == 5.0 + 60.0, "in vain: as long as before, and longer"
    backoff.repaired(KEY, 6.0)
    assert backoff.failing() == frozenset()


def test_what_is_quiet_takes_no_memory() -> None:
    """An agent runs for months, and hands may write a new route every minute."""
    backoff: Backoff[int] = Backoff()
    for number in range(1_000):
        backoff.repaired(number, float(number))
        backoff.has_come_due(float(number))
    assert len(backoff._troubles) <= QUIET_S + 1
