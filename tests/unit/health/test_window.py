"""Losses and round trips in bounded memory, against the plain list of everything."""

from hypothesis import given
from hypothesis import strategies as st

from dataplane.health.window import LOSS_PROBES, ROUND_TRIPS, Window


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**10)), max_size=400))
def test_it_is_what_a_list_of_everything_says(probes: list[int | None]) -> None:
    window = Window()
    for probe in probes:
        window.lost() if probe is None else window.answered(probe)
    recent = probes[-LOSS_PROBES:]
    assert window.loss() == (recent.count(None), len(recent))
    known = sorted([probe for probe in probes if probe][-ROUND_TRIPS:])
    for share in (1, 50, 90, 99, 100):
        (found,) = window.percentiles((share,))
        if known:
            assert sum(value <= found for value in known) * 100 >= share * len(known)
            assert sum(value < found for value in known) * 100 < share * len(known)
        else:
            assert found == 0


def test_a_loss_is_forgotten_after_just_so_many_probes() -> None:
    window = Window()
    window.lost()
    for _ in range(LOSS_PROBES - 1):
        window.answered(1)
    assert window.loss() == (1, LOSS_PROBES)
    window.answered(1)
    assert window.loss() == (0, LOSS_PROBES)


def test_the_smoothed_round_trip_follows() -> None:
    window = Window()
    assert window.smoothed_ns == 0
    window.answered(1_000)
    assert window.smoothed_ns == 1_000
    for _ in range(100):
        window.took(9_000)
    assert 8_900 <= window.smoothed_ns <= 9_000
    assert window.loss() == (0, 1), "a late reply counted as one in time"
