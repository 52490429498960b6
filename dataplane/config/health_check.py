"""A health check: ICMP echoes along one leg of a connection between a VBR and a VPC (R39-R44, D1-D3)."""

from typing import Annotated, Literal

from dataplane.config.base import Model, key, model
from dataplane.config.kinds import DurationMs, HostAddress, OneOrMany, Whole, Word

MIN_INTERVAL_MS = 1
MAX_INTERVAL_MS = 60_000
CAREFUL_INTERVAL_MS = 10


@model
class HealthCheck(Model):
    """When a leg counts as down, and when as up again."""

    source: Annotated[tuple[HostAddress, ...], OneOrMany] = key(
        description="An idle address of the VPC (R40); on several hosts a list, one for each host that probes (D21)."
    )
    destination: HostAddress = key(description="The data centre's address on the line (R41).")
    interval_ms: DurationMs = key(default=2_000, validation_alias="interval", description="Between two echoes (R39).")
    timeout_ms: DurationMs | None = key(
        default=None, validation_alias="timeout", description="How long a reply may take, the interval at most (D1)."
    )
    fall: Annotated[int, Whole("a count of misses", 1, 100, "D1")] = key(
        default=8, description="Misses in a row until the leg is down (R39)."
    )
    rise: Annotated[int, Whole("a count of replies", 1, 100, "D1")] = key(
        default=3, description="Replies in a row until it is up again (D1)."
    )
    hold_down_ms: DurationMs = key(
        default=0, validation_alias="hold_down", description="How long it stays down at least (D1)."
    )
    on_all_down: Annotated[Literal["use_all", "drop"], Word("use_all", "drop")] = key(
        default="use_all", description="What a group does when all its legs are down (D2)."
    )
    damping: Annotated[Literal["on", "off"], Word("on", "off")] = key(
        default="on", description="Whether a leg that flips more than 3 times in 60 s is held down (D1)."
    )
