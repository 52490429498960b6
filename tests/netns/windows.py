"""Rates measured on a machine that does other things too: a window in which a sender had no turn is measured again.

A limit that is not held is not held in any window, so that a second look never hides one.
"""

from collections.abc import Callable
from typing import TypeVar

WINDOWS = 4
_Figure = TypeVar("_Figure")


def measured(measure: Callable[[], _Figure], check: Callable[[_Figure], None], most: int = WINDOWS) -> _Figure:
    """The first figure that a check lets pass.

    Args:
        most: windows, at most.

    Raises:
        AssertionError: that of the last window.
    """
    for left in reversed(range(most)):
        figure = measure()
        try:
            check(figure)
        except AssertionError as error:
            print(f"a window of no use: {error}")
            if not left:
                raise
        else:
            return figure
    raise AssertionError("there is no window")


def share_within(least: float, most: float, measure: Callable[[], float]) -> None:
    """See a figure within bounds, the bounds included."""

    def check(share: float) -> None:
        assert least <= share <= most, f"{share:.3f} is not within {least} to {most}"

    measured(measure, check)
