"""What was computed of large tables the last time. Pure, and no state: it says only what would be computed again."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataplane.datapath.fib.again import Made


@dataclass(slots=True)
class Kept:
    """By table, what is at hand; whoever has nothing at hand gets the same result later."""

    made: "dict[int, Made]" = field(default_factory=dict)
