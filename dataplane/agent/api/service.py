"""What the local API can be asked, and who answers: requests, replies, and the ``Service`` behind them.

Owns the types of both sides. Must never know of sockets (``server``) nor of spelling (``wire``).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from dataplane.agent.report import LegReport, Planned, Report, Status
from dataplane.config import Source
from dataplane.model.event import Event
from dataplane.observe.health import Health
from dataplane.observe.top import Top

API_VERSION = 1
"""Of requests and replies: raised when a field changes its meaning or goes away."""

MAX_EVENTS = 1_000
"""In one reply; there is more where it is full."""

Force = Literal["up", "down", "auto"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel says (``SO_PEERCRED``).

    Args:
        may_read: root, or a member of the group.
        is_there: whether it still waits for an answer.
    """

    pid: int
    uid: int
    gid: int
    may_read: bool
    command: str = ""
    is_there: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)

    @property
    def may_change(self) -> bool:
        """Whether it is root."""
        return self.uid == 0

    def __str__(self) -> str:
        said = f" ({self.command})" if self.command else ""
        return f"uid {self.uid} gid {self.gid} process {self.pid}{said}"


@dataclass(frozen=True, slots=True)
class Hello:
    """Who answers.

    Args:
        api: its ``API_VERSION``.
        dataplane: the version of the package.
        since: UTC, ISO 8601, when its process began; empty where that is not known.
    """

    api: int
    dataplane: str
    pid: int
    since: str = ""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Compare files with this host.

    Args:
        sources: the texts of the files; the agent opens none that a caller names.
        here: which of their hosts this one is; empty where they name none.
    """

    sources: tuple[Source, ...]
    here: str = ""


@dataclass(frozen=True, slots=True)
class ApplyRequest:
    """Make this host as files say, and keep it so.

    Args:
        sources: as in ``PlanRequest``; likewise ``here``.
        confirm_s: go back by itself after so many seconds unless ``confirm`` comes; None: stay.
    """

    sources: tuple[Source, ...]
    here: str = ""
    confirm_s: int | None = None


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What an apply did.

    Args:
        confirm_until: UTC, ISO 8601, when it goes back by itself; empty where it stays.
    """

    report: Report
    confirm_until: str = ""


@dataclass(frozen=True, slots=True)
class LegRequest:
    """Take a leg out of use by hand, put it back, or leave it to its probes.

    Args:
        leg: its router interface.
        is_forced: even if it is the last healthy one of a group.
    """

    leg: str
    force: Force
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class DrillRequest:
    """Take a leg down on purpose for a while, and measure.

    Args:
        leg: its router interface.
        seconds: for how long.
    """

    leg: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TopRequest:
    """Measure what flows.

    Args:
        seconds: for how long; the answer comes then.
        flows: the heaviest so many of them.
        connection: only of this one; empty: of all.
    """

    seconds: float
    flows: int
    connection: str = ""


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What a drill found.

    Args:
        outage_s: the longest time without a reply along the way of traffic, in seconds; None: not measured.
        took_over: the legs that carried the traffic meanwhile.
        notes: what else is to be said.
    """

    leg: str
    seconds: float
    outage_s: float | None
    took_over: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence for whoever asked."""

    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in their order.

    Args:
        newest: the id of the newest event there is; 0 where there is none.
    """

    events: tuple[Event, ...]
    newest: int = 0


class Service(Protocol):
    """The agent behind the API.

    Every method is called from a thread of its own, several at once: whoever implements it sees to the order of
    changes, and puts reloads that come together into one (test 41). Errors are those of ``dataplane/errors.py``: the
    caller gets them with class, message and exit code.
    """

    @property
    def version(self) -> str:
        """Of the package."""
        ...

    def status(self) -> Status:
        """The applied configuration against the live kernel."""
        ...

    def plan(self, asked: PlanRequest) -> Planned:
        """What an apply would do.

        Raises:
            InvalidConfig: the files have errors.
        """
        ...

    def apply(self, asked: ApplyRequest, peer: Peer) -> ApplyResult:
        """Make the host as the files say.

        Raises:
            InvalidConfig: the files have errors; nothing was changed.
            ConflictError: another change is under way, or one waits for its confirmation.
        """
        ...

    def confirm(self, peer: Peer) -> Said:
        """Keep what was applied with ``confirm_s``.

        Raises:
            ConflictError: nothing waits for it.
        """
        ...

    def destroy(self, peer: Peer) -> Report:
        """Take away everything of ours."""
        ...

    def health(self) -> Health:
        """Every leg as its probes see it."""
        ...

    def top(self, asked: TopRequest, peer: Peer) -> Top:
        """What flows in the seconds that come.

        Raises:
            ConflictError: too many others look already.
            HostError: nothing is applied, or no forwarder counts.
            UnknownError: there is no such connection.
        """
        ...

    def events(self, since: int, most: int) -> EventPage:
        """The first events with an id above one, at most so many of them."""
        ...

    def wait_for_events(self, since: int, seconds: float) -> None:
        """Return when there is an event with an id above one, or after some seconds."""
        ...

    def force_leg(self, asked: LegRequest, peer: Peer) -> LegReport:
        """Take a leg out of use, or put it back.

        Raises:
            UnknownError: there is no such leg.
            ConflictError: it is the last healthy one, and not forced.
        """
        ...

    def drill(self, asked: DrillRequest, peer: Peer) -> DrillReport:
        """Take a leg down for a while, and say what that cost; it is over when whoever asked has gone.

        Raises:
            UnknownError: there is no such leg.
            ConflictError: no other leg is healthy.
        """
        ...

    def reload(self, peer: Peer) -> Said:
        """Read the agent's own files again."""
        ...
