"""What is wrong with a configuration, as values that print themselves.

This module owns the one form in which a person is told; it never decides what is wrong.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dataplane.errors import ConfigError
from dataplane.model.resource import Origin

Severity = Literal["error", "warning"]
MAX_SHOWN = 64
Path = tuple[str | int, ...]
"""The way from the root of the configuration to one of its values: keys and list positions."""


def path_text(path: Sequence[str | int]) -> str:
    """``vpcs.vpc-a.route_tables.system.routes[0].next_hop`` for the path of these keys and positions."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{shown(step)}"
    return text.removeprefix(".")


def shown(value: object) -> str:
    """Text of the file in a message: never longer than a line, and nothing that a terminal obeys."""
    text = repr(value) if isinstance(value, str) and not value.isprintable() else str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or that is probably not meant.

    Args:
        severity: an ``error`` refuses the configuration, a ``warning`` does not.
        origin: the place in the file.
        path: where in the configuration, as ``path_text`` writes it; empty for a whole file.
        message: what is wrong, without a full stop.
        rule: the number of the rule or decision (``R78``), where there is one.
        remedy: what would be right; may be empty.
    """

    severity: Severity
    origin: Origin
    path: str
    message: str
    rule: str | None = None
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.origin} {self.path}" if self.path else str(self.origin)
        marked = "warning: " if self.severity == "warning" else ""
        rule = f" ({self.rule})" if self.rule else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}: {marked}{self.message}{rule}{remedy}"


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """In the order in which a person goes through the files, each problem once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda item: (item.origin, item.path, item.message)))


class InvalidConfig(ConfigError):
    """The configuration has errors; nothing of it may be applied.

    Args:
        problems: every error and every warning that was found.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sort_problems(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
