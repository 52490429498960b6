"""Sources of metrics with something of everything, so that no metric is missing from a scrape."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from dataplane.model.forwarding import Reason
from dataplane.model.limit import Limit
from dataplane.model.simulation import Count
from dataplane.model.traffic import Throttled
from dataplane.observe.averages import INTERVAL_S, History, Reading
from dataplane.observe.health import GroupHealth, Health, HealthState, LegHealth, ProberHealth
from dataplane.observe.metrics_sources import (
    AgentFigures,
    ConnectionTraffic,
    MapFill,
    TableFigures,
    TrafficFigures,
)


def reading(packets: int) -> Reading:
    """So many packets of 100 bytes sent, and twice as many received."""
    return Reading(Count(packets, 100 * packets), Count(2 * packets, 200 * packets))


def _history() -> History:
    return History().after(reading(0), 0, 0.0).after(reading(3_000), INTERVAL_S * 10**9, 300.0)


_LIMIT = Limit(8_000_000, 96_000_000, 64)
_THROTTLED = Throttled(Count(30, 45_000), Count(20, 30_000), 5, 2)
_LEG = LegHealth(
    "ri-a1",
    "pcx-1",
    HealthState.UP,
    True,
    "2026-01-01T00:00:00+00:00",
    sent=100,
    replies=97,
    misses=3,
    late=1,
    voided=2,
    flips=4,
    loss_ratio=0.03,
    round_trip_s=((0.5, 0.0002), (0.99, 0.004)),
)


@dataclass
class FakeSources:
    """Figures that a test sets; each has a part that is not there by default.

    Args:
        broken: names of the methods that raise.
    """

    traffic_figures: TrafficFigures = field(
        default_factory=lambda: TrafficFigures(
            {
                "instance/ecs-1": {Reason.FORWARDED: Count(5, 500), Reason.SPOOFED_SOURCE: Count(2, 200)},
                "transit/ri-a1": {Reason.FORWARDED: Count(7, 700)},
            },
            (ConnectionTraffic("pcx-1", "ri-a1", reading(4_000), _history(), _LIMIT, _THROTTLED),),
            {"of a VLAN that nobody has": 3},
            {"from a host that is none of ours": 4},
        )
    )
    health_figures: Health = field(
        default_factory=lambda: Health(
            (_LEG,), (GroupHealth("vpc-a/ri-a1:1+ri-a2:1", 2, 1),), ProberHealth(True, 0.001, 0.5, 100, 3, 1)
        )
    )
    table_figures: TableFigures = field(
        default_factory=lambda: TableFigures(
            {"vpc-a/system": 12}, {"dp_fib": MapFill(50, 200), "dp_flow": MapFill(0, 0)}, {("vpc", "Available"): 2}
        )
    )
    agent_figures: AgentFigures = field(
        default_factory=lambda: AgentFigures(
            "1.2.3",
            {"unchanged": 9, "changed": 1},
            1.5,
            1_700_000_000.0,
            1_700_000_000.0,
            repairs={"route": 2},
            failures={"vlan link": 1},
            reloads={"applied": 1},
        )
    )
    broken: frozenset[str] = frozenset()

    def traffic(self) -> TrafficFigures:
        return self._unless_broken("traffic", self.traffic_figures)

    def health(self) -> Health:
        return self._unless_broken("health", self.health_figures)

    def tables(self) -> TableFigures:
        return self._unless_broken("tables", self.table_figures)

    def agent(self) -> AgentFigures:
        return self._unless_broken("agent", self.agent_figures)

    def processes(self) -> Mapping[str, int]:
        return self._unless_broken("processes", {"agent": os.getpid()})

    def _unless_broken(self, name, value):
        if name in self.broken:
            raise OSError(f"{name} cannot be read")
        return value
