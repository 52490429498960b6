"""The groups of measurements. A new one is a module with ``TITLE``, ``ROUNDS`` and ``measure``, and a line here."""

from collections.abc import Mapping
from typing import Protocol

from lab.bench import bringup, failover, flip, forwarding
from lab.bench.model import Context, Result


class Group(Protocol):
    """What a group's module offers."""

    TITLE: str
    ROUNDS: int
    """Unless the user says how many."""

    def measure(self, context: Context) -> Result:
        """Run everything.

        Raises:
            TooNoisy: the same thing measured twice differs too much.
            BenchError: something that was to be measured failed.
        """


GROUPS: Mapping[str, Group] = {"bringup": bringup, "forwarding": forwarding, "flip": flip, "failover": failover}
