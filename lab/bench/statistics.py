"""Statistics of rounds: medians, quartiles, ratios of what was measured in the same round. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

END_TO_END = (0.9, 1.1)
"""Between these, the same thing measured twice counts as the same (performance.md, "How to measure")."""

IN_KERNEL = (0.95, 1.05)
"""The same, where no process of anybody takes part."""


@dataclass(frozen=True, slots=True)
class Quartiles:
    """The middle half of some samples."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Quartiles":
        """Of one sample, all three are that sample.

        Raises:
            ValueError: there is no sample.
        """
        if not samples:
            raise ValueError("no samples")
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0])
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(low, median, high)

    def document(self) -> dict[str, float]:
        """For a JSON document."""
        return {"p25": round(self.low, 4), "median": round(self.median, 4), "p75": round(self.high, 4)}


def paired_ratios(peer: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times longer the peer took, round by round.

    Raises:
        ValueError: the rounds do not pair.
    """
    return [theirs / own for theirs, own in zip(peer, ours, strict=True)]


def is_quiet(ratios: Sequence[float], bounds: tuple[float, float] = END_TO_END) -> bool:
    """Whether the same thing measured twice came out the same: the median of the ratios is within the bounds."""
    low, high = bounds
    return bool(ratios) and low <= statistics.median(ratios) <= high


def per_added(small: tuple[int, float], large: tuple[int, float]) -> float:
    """What each thing more costs between two sizes.

    Args:
        small: how many things, and seconds for all of them.
        large: the same for a larger number.
    """
    (few, seconds), (many, more_seconds) = small, large
    if many <= few:
        raise ValueError(f"{many} is not more than {few}")
    return (more_seconds - seconds) / (many - few)
