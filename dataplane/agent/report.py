"""What a round tells its caller: plans, outcomes and states as values. Printing them is the command line's work."""

from dataclasses import dataclass

from dataplane.compile.leg_order import LegGroup
from dataplane.model.leg import LegVerdict
from dataplane.model.observation import Foreign
from dataplane.model.traffic import NamedTraffic
from dataplane.observe.connections import ConnectionState
from dataplane.observe.status import ResourceState
from dataplane.plan.action import Action, Outcome


@dataclass(frozen=True, slots=True)
class Planned:
    """What an apply would do.

    Args:
        actions: in the order in which they would be performed.
        notes: what else is to be said first: removals, what is not built by this version, repaired state.
        foreign: objects that are not ours and stand in the way.
    """

    actions: tuple[Action, ...]
    notes: tuple[str, ...] = ()
    foreign: tuple[Foreign, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What an apply did.

    Args:
        outcomes: of every action, in order; held-back ones included.
        rolled_back: ids of the units that failed and were taken back.
        remaining: one line per difference that a verify found afterwards.
        seconds: how long it took.
    """

    planned: Planned
    outcomes: tuple[Outcome, ...] = ()
    rolled_back: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The outcomes with an error."""
        return tuple(outcome for outcome in self.outcomes if outcome.error is not None)

    @property
    def is_done(self) -> bool:
        """Whether the host is as the file says."""
        return not self.failures and not self.rolled_back and not self.remaining


@dataclass(frozen=True, slots=True)
class LegReport:
    """What a wish about a leg did.

    Args:
        verdict: what holds for it now; None: nobody speaks of it, and it counts as up (D1).
        groups: those of this host that it is in.
        report: of the apply that carried it out.
    """

    leg: str
    verdict: LegVerdict | None
    groups: tuple[LegGroup, ...]
    report: Report


@dataclass(frozen=True, slots=True)
class Status:
    """The last applied file against the live kernel.

    Args:
        applied_at: UTC, ISO 8601; empty where nothing is applied.
        sha256: of the files, equal on all hosts that applied the same ones.
        notes: such as what is not built by this version.
        host: the id of this host in a network of several; empty in others.
        leftovers: resources of ours that are here although nothing is applied: an apply was interrupted, or the
            state was lost.
        traffic: what the forwarder has counted; None where there is none.
        connections: peering connections with both their ends (R167).
    """

    resources: tuple[ResourceState, ...]
    sha256: str
    applied_at: str
    sources: tuple[str, ...]
    foreign: tuple[Foreign, ...] = ()
    notes: tuple[str, ...] = ()
    unhealthy: tuple[ResourceState, ...] = ()
    leftovers: tuple[str, ...] = ()
    host: str = ""
    traffic: NamedTraffic | None = None
    connections: tuple[ConnectionState, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether what the file asks for is there, all of it and nothing else, and nothing foreign is in its way."""
        return not self.unhealthy and not self.foreign and not self.leftovers
