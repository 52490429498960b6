"""What is said of legs: up or down, by whom, since when. Explicit input of the compiler (D3).

A leg is called by its router interface. Its health check and a person may both have a verdict on it; the person's wins.
A leg that nobody has a verdict on counts as up (D1). Pure values: whoever makes a verdict brings the time along.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Literal

Cause = Literal["hand", "health"]
CAUSES: tuple[Cause, ...] = ("hand", "health")
"""Who has a verdict on a leg; the first of them that has one wins."""

LegWord = Literal["up", "down"]

_BY = {"hand": "by hand", "health": "by its health check"}


@dataclass(frozen=True, slots=True)
class LegVerdict:
    """One verdict.

    Args:
        at: since when, in UTC, ISO 8601.
    """

    state: LegWord
    cause: Cause
    at: str

    @property
    def words(self) -> str:
        """``down by hand since 2026-01-01T00:00:00+00:00``."""
        return f"{self.state} {_BY[self.cause]} since {self.at}"


@dataclass(frozen=True, slots=True)
class LegVerdicts:
    """All verdicts of a host.

    Args:
        known: (router interface, cause) -> verdict.
    """

    known: Mapping[tuple[str, Cause], LegVerdict] = field(default_factory=dict)

    def of(self, leg: str) -> LegVerdict | None:
        """The verdict that holds for a leg; None: nobody has one, and it counts as up."""
        return next((self.known[leg, cause] for cause in CAUSES if (leg, cause) in self.known), None)

    def is_down(self, leg: str) -> bool:
        """Whether a leg counts as down."""
        found = self.of(leg)
        return found is not None and found.state == "down"

    def down(self) -> tuple[str, ...]:
        """The legs that count as down, by name."""
        return tuple(sorted(leg for leg in {leg for leg, _ in self.known} if self.is_down(leg)))

    def saying(self, leg: str, verdict: LegVerdict) -> "LegVerdicts":
        """With one verdict more, in the place of the one of the same cause; the same state keeps its time."""
        before = self.known.get((leg, verdict.cause))
        if before is not None and before.state == verdict.state:
            return self
        return LegVerdicts({**self.known, (leg, verdict.cause): verdict})

    def without(self, leg: str, cause: Cause) -> "LegVerdicts":
        """Without what somebody said of a leg."""
        return LegVerdicts({key: verdict for key, verdict in self.known.items() if key != (leg, cause)})

    def keep(self, legs: Container[str]) -> "LegVerdicts":
        """Only those on some legs: what the file no longer names is forgotten."""
        return LegVerdicts({key: verdict for key, verdict in self.known.items() if key[0] in legs})


NO_VERDICTS = LegVerdicts()
"""Every leg counts as up."""
