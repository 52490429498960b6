"""Statistics: quartiles, ratios by rounds, and when a machine is too noisy."""

import pytest

from lab.bench.statistics import Quartiles, is_quiet, paired_ratios, per_added


def test_quartiles() -> None:
    """Of an odd number the middle one; of one sample that sample."""
    assert Quartiles.of([5, 1, 3, 2, 4]) == Quartiles(2, 3, 4)
    assert Quartiles.of([7]) == Quartiles(7, 7, 7)
    with pytest.raises(ValueError, match="no samples"):
        Quartiles.of([])


def test_ratios_are_those_of_the_same_round() -> None:
    """A slow round slows both, and its ratio says nothing of that."""
    assert paired_ratios([2, 20], [1, 10]) == [2, 2]
    with pytest.raises(ValueError, match="zip"):
        paired_ratios([1, 2], [1])


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([1.0], True),
        ([0.9, 1.1], True),
        ([0.5, 1.0, 2.0], True),  # the median counts: one bad pair is what rounds are for
        ([1.2, 1.15, 1.0], False),
        ([0.8, 0.85, 1.0], False),
        ([], False),
    ],
)
def test_noise(ratios: list[float], expected: bool) -> None:
    """The same thing measured twice has to come out the same, within a tenth."""
    assert is_quiet(ratios) is expected


def test_cost_of_each_thing_more() -> None:
    """Between two sizes; the cost of starting is not in it."""
    assert per_added((100, 0.5), (300, 0.9)) == pytest.approx(0.002)
    with pytest.raises(ValueError, match="not more"):
        per_added((300, 1), (300, 2))
