"""What the metrics are made of: plain values that the agent gives at each scrape, and nothing else.

Counters are read when they are asked for; labels come from the configuration alone (ids, kinds, reasons), never from
traffic, so that their number is bounded by the file (reliability, test 74).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dataplane.model.forwarding import Reason
from dataplane.model.limit import Limit
from dataplane.model.simulation import Count
from dataplane.model.traffic import NO_LIMIT, NOT_THROTTLED, Throttled
from dataplane.observe.averages import History, Reading
from dataplane.observe.health import Health


@dataclass(frozen=True, slots=True)
class ConnectionTraffic:
    """One end of a peering connection that is on this host.

    Args:
        counted: since the forwarder's maps were made.
        history: its averages; None where nobody keeps them.
        limit: of what it sends.
        throttled: what its limits have done since the maps were made.
    """

    connection: str
    router_interface: str
    counted: Reading
    history: History | None = None
    limit: Limit = NO_LIMIT
    throttled: Throttled = NOT_THROTTLED


@dataclass(frozen=True, slots=True)
class TrafficFigures:
    """What the forwarder and the kernel's filters have counted.

    Args:
        ports: what a port leads to (``instance/ecs-1``) -> frames that came in there, by reason.
        line_drops: frames dropped on lines, by reason in words; likewise ``underlay_drops``.
    """

    ports: Mapping[str, Mapping[Reason, Count]] = field(default_factory=dict)
    connections: tuple[ConnectionTraffic, ...] = ()
    line_drops: Mapping[str, int] = field(default_factory=dict)
    underlay_drops: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MapFill:
    """How full a table of the forwarder is (promise P8)."""

    entries: int
    limit: int


@dataclass(frozen=True, slots=True)
class TableFigures:
    """Sizes of what is on this host.

    Args:
        routes: by table (``vpc-a/system``).
        maps: by the name of the BPF map.
        resources: (kind, state) -> how many.
    """

    routes: Mapping[str, int] = field(default_factory=dict)
    maps: Mapping[str, MapFill] = field(default_factory=dict)
    resources: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """What the agent has done since it started.

    Args:
        version: of the package.
        rounds: by outcome: ``unchanged``, ``changed``, ``failed``.
        round_seconds: of all rounds together.
        last_round_s: seconds since 1970, when the last one ended; 0: none yet. Likewise ``last_good_round_s``, of one
            that left nothing to do.
        differences: what the last round left undone.
        repairs: differences that nobody had asked for and that were mended, by kind of object.
        failures: actions that failed, by kind of object.
        foreign: objects that are not ours and in the way.
        waiting: objects that wait for their next try.
        overflows: of the queue of netlink events; each is followed by a full comparison.
        journal_lost: events that the journal could not keep.
        is_config_valid: whether the files, when last read, had no error; the agent goes on with the ones before.
        reloads: readings of the files, by outcome: ``applied``, ``refused``.
        waits_for_confirmation: whether an apply goes back by itself soon.
    """

    version: str = ""
    rounds: Mapping[str, int] = field(default_factory=dict)
    round_seconds: float = 0.0
    last_round_s: float = 0.0
    last_good_round_s: float = 0.0
    differences: int = 0
    repairs: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    foreign: int = 0
    waiting: int = 0
    overflows: int = 0
    journal_lost: int = 0
    is_config_valid: bool = True
    reloads: Mapping[str, int] = field(default_factory=dict)
    waits_for_confirmation: bool = False


class Sources(Protocol):
    """Who knows. Each method is called once a scrape, from the metrics' own thread."""

    def traffic(self) -> TrafficFigures:
        """Counters, read now."""
        ...

    def health(self) -> Health:
        """Legs, groups and the prober."""
        ...

    def tables(self) -> TableFigures:
        """Sizes of tables and maps."""
        ...

    def agent(self) -> AgentFigures:
        """Rounds and what came of them."""
        ...

    def processes(self) -> Mapping[str, int]:
        """Process ids by name: ``agent``, ``prober``."""
        ...
