"""Five-minute averages and the peak of the day (R112), against sums that are done by hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.model.simulation import Count
from dataplane.observe.averages import INTERVAL_S, KEPT_INTERVALS, Averages, History, Interval, Reading

SECOND = 10**9
DAY = 86_400


def reading(sent: int, received: int = 0) -> Reading:
    """Packets of 1,000 bits."""
    return Reading(Count(sent, 125 * sent), Count(received, 125 * received))


def fed(readings: list[tuple[float, Reading]], history: History | None = None, wall: float = 0.0) -> History:
    """A history after readings at moments in seconds."""
    history = history or History()
    for at, one in readings:
        history = history.after(one, int(at * SECOND), wall + at)
    return history


def test_r112_the_average_of_five_minutes_is_all_that_was_counted_by_their_length() -> None:
    history = fed([(0, reading(500)), (100, reading(3_500, 60)), (299, reading(5_000, 90)), (300, reading(6_500, 600))])
    assert history.average is not None
    assert history.average.packets_per_second() == (20.0, 2.0)
    assert history.average.bits_per_second() == (20_000.0, 2_000.0)


def test_there_is_none_before_the_first_interval_is_over() -> None:
    assert fed([(0, reading(0)), (299.9, reading(100))]).average is None


def test_an_interval_is_as_long_as_nobody_looked() -> None:
    history = fed([(0, reading(0)), (3_000, reading(6_000))])
    assert history.average == Interval(3_000.0, reading(6_000))
    assert history.average.packets_per_second() == (2.0, 0.0)


def test_counters_that_begin_anew_are_counted_from_nothing() -> None:
    """The forwarder's maps were made anew: what went in between is missing, and nothing is negative."""
    history = fed([(0, reading(1_000, 1_000)), (200, reading(1_300, 1_300)), (300, reading(30, 1_400))])
    assert history.average == Interval(300.0, reading(330, 300 + 1_400))


def test_r112_the_peak_is_the_days_highest_average_of_the_busier_direction() -> None:
    history = fed([(0, reading(0)), (300, reading(300, 900)), (600, reading(1_800, 1_000))])
    assert history.peak_bits == 5_000.0
    later = fed([(900, reading(1_800, 1_000))], history)
    assert (later.peak_bits, later.peak_before) == (5_000.0, 0.0)
    tomorrow = fed([(1_200, reading(2_100, 1_000))], later, wall=DAY)
    assert (tomorrow.peak_bits, tomorrow.peak_before) == (1_000.0, 5_000.0)


def test_a_wall_clock_that_is_set_changes_no_rate() -> None:
    """Reliability, test 30."""
    steps = [(0.0, 0), (300.0, 300), (600.0, 900)]
    still, wild = History(), History()
    for number, (at, packets) in enumerate(steps):
        still = still.after(reading(packets), int(at * SECOND), at)
        wild = wild.after(reading(packets), int(at * SECOND), at + (-1) ** number * 365 * DAY)
    assert still.intervals == wild.intervals and len(still.intervals) == 2


def test_a_monotonic_clock_of_another_boot_begins_anew() -> None:
    history = fed([(1_000, reading(10)), (1_100, reading(20)), (5, reading(30)), (305, reading(330))])
    assert history.intervals == (Interval(300.0, reading(300)),)


def test_only_so_many_intervals_are_kept() -> None:
    history = fed([(300 * number, reading(number)) for number in range(100)])
    assert len(history.intervals) == KEPT_INTERVALS


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 1_000)), min_size=1, max_size=60))
def test_nothing_is_lost_between_intervals(steps: list[tuple[int, int]]) -> None:
    at, packets, fed_in, closed = 0, 0, 0, 0
    history = History().after(reading(0), 0, 0.0)
    for seconds, more in steps:
        at, packets, fed_in = at + seconds, packets + more, fed_in + more
        before = history
        history = history.after(reading(packets), at * SECOND, at)
        if history.intervals != before.intervals:
            assert history.intervals[-1].seconds >= INTERVAL_S
            closed += history.intervals[-1].counted.sent.packets
    assert closed + history.counted.sent.packets == fed_in


def two() -> Averages:
    averages = Averages()
    for at in (0, 300, 400):
        averages = averages.after({"ri-a": reading(at), "ri-b": reading(2 * at)}, at * SECOND, at)
    return averages


def test_they_are_kept_over_a_restart() -> None:
    averages = two()
    again = Averages.load(averages.dump("boot"), "boot")
    assert again == averages
    readings = {"ri-a": reading(900), "ri-b": reading(1_200)}
    assert again.after(readings, 600 * SECOND, 600) == averages.after(readings, 600 * SECOND, 600)
    assert again.after(readings, 600 * SECOND, 600).histories["ri-a"].average == Interval(300.0, reading(600))


def test_after_a_reboot_the_peak_and_the_averages_stay_and_the_interval_begins_anew() -> None:
    again = Averages.load(two().dump("one"), "other")
    assert again.histories["ri-b"].average == two().histories["ri-b"].average
    # Later by the monotonic clock than before the reboot, which says nothing: the host may be up for longer now.
    fresh = again.after({"ri-b": reading(5)}, 9_000 * SECOND, 1_000).after({"ri-b": reading(35)}, 9_300 * SECOND, 1_300)
    assert len(fresh.histories["ri-b"].intervals) == len(two().histories["ri-b"].intervals) + 1
    assert fresh.histories["ri-b"].average == Interval(300.0, reading(30))
    assert fresh.histories["ri-b"].peak_bits == two().histories["ri-b"].peak_bits


def test_a_connection_that_is_gone_is_forgotten() -> None:
    assert set(two().after({"ri-b": reading(0)}, 500 * SECOND, 500).histories) == {"ri-b"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"version": 9}', '{"version": 1, "boot": "b", "histories": {"a": [1]}}', "[" * 100_000],
)
def test_what_cannot_be_read_is_nothing(text: str) -> None:
    assert Averages.load(text, "b") == Averages()


def test_every_wrong_value_in_the_text_is_noticed() -> None:
    """Each number of the text in turn becomes something else: a load never fails later on."""
    plain = json.loads(two().dump("boot"))
    for place in range(7):
        broken = json.loads(json.dumps(plain))
        broken["histories"]["ri-a"][place] = "x"
        assert Averages.load(json.dumps(broken), "boot") == Averages(), place
