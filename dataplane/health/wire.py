"""What agent and prober say to each other: small frozen messages, one JSON array per datagram.

Owns the protocol and its version. Pure; descriptors travel beside a datagram, in the order that the message names them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from dataplane.health.state import Cause, Settings, State, Transition, Verdict

VERSION = 1
MAX_DATAGRAM_BYTES = 64 << 10
LEGS_PER_DATAGRAM = 8
"""Few enough that taking them in does not make the prober late."""
_STALE_INTERVALS = 3
REPORTS_NS = 10_000_000_000
"""Reports of a leg may be this far apart: a second, or with very many legs a few."""


class WireError(Exception):
    """A datagram that the other side cannot have meant."""


@dataclass(frozen=True, slots=True)
class LegSpec:
    """A leg to be probed.

    Args:
        name: the id of its router interface.
        number: its id in the forwarder's map of legs.
        namespace: where the source address lives.
        source, destination: the addresses of the echo (R40, R41).
        is_last_resort: used even when all legs of a group are down (``on_all_down: use_all``, D2).
        arrivals: interfaces that a reply may come in by; none means any.
        links: namespace and ifindex of the links that it needs; a lost carrier of any flips it at once.
    """

    name: str
    number: int
    namespace: str
    source: str
    destination: str
    settings: Settings
    is_last_resort: bool = True
    arrivals: tuple[int, ...] = ()
    links: tuple[tuple[str, int], ...] = ()

    @property
    def target(self) -> tuple[str, str, str]:
        """What its socket is made for."""
        return self.namespace, self.source, self.destination


@dataclass(frozen=True, slots=True)
class LegOrder:
    """Probe this leg from now on; one that is known keeps its state.

    Args:
        has_socket: a socket for it comes along.
        verdict, since_ns: where an earlier prober left it; used for a leg that is new.
    """

    spec: LegSpec
    has_socket: bool
    verdict: Verdict | None = None
    since_ns: int = 0


@dataclass(frozen=True, slots=True)
class SetLegs:
    """Legs that are new or changed; their sockets come along."""

    orders: tuple[LegOrder, ...]


@dataclass(frozen=True, slots=True)
class DropLegs:
    """Legs that are no more."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """Listen for links in these namespaces; a socket for each comes along."""

    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unwatch:
    """No leg needs links in these namespaces any more."""

    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UseMap:
    """Write verdicts into this map of legs, which comes along; room for 0 legs: there is none."""

    capacity: int


@dataclass(frozen=True, slots=True)
class Force:
    """Fix a leg's verdict by hand; None gives it back to the probes."""

    leg: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Drill:
    """A leg is being cut on purpose, or is mended again: such flips damp nothing (D1)."""

    leg: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """Report every leg now."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The prober works.

    Args:
        words: what it got and what it did not: priority, memory, privileges; for people.
    """

    pid: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that the prober could not do, and goes on without; for people."""

    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A leg changed; the forwarder's map has it already.

    Args:
        coalesced: changes that came before this one while nobody listened, and are not told.
    """

    leg: str
    transition: Transition
    coalesced: int = 0


@dataclass(frozen=True, slots=True)
class Beat:
    """The loop lives.

    Args:
        at_ns: when, monotonic.
        probes: sent since the start.
        late_ns: the latest wake-up since the last beat.
        late_wakes: how many came more than a millisecond late since the start.
        wakes: all wake-ups since the start.
        legs: how many it probes.
        has_map: whether it writes into a map of the forwarder.
    """

    at_ns: int
    probes: int
    late_ns: int
    late_wakes: int
    wakes: int
    legs: int
    has_map: bool


@dataclass(frozen=True, slots=True)
class LegReport:
    """What is known of one leg. Counters run since the leg began, moments are monotonic nanoseconds.

    Args:
        state: as the machine has it; what to show is ``shown_state``.
        at_ns: when this was true.
        since_ns: since when it stands so (rising and falling do not count).
        judged_ns: when a probe was last answered or missed.
        misses: not answered in time; voided ones (we looked too late, D3) and unsent ones do not count.
        late: answered after the timeout.
        strays: answered, but by another interface: the way back is another leg (R44).
        rejected: no answer to a probe of ours, or one that came twice.
        recent_lost, recent_probes: loss over the last probes.
        round_trip_ns: of the last replies: median, 90 %, 99 %, longest.
        flips: changes of verdict by probes and carrier.
        damped_until_ns: held down until then; 0 never was (D1).
        error: the last error of its socket (errno); 0: none.
    """

    name: str
    state: State
    verdict: Verdict
    at_ns: int
    since_ns: int
    judged_ns: int
    interval_ns: int
    timeout_ns: int
    sent: int
    replies: int
    misses: int
    voided: int
    unsent: int
    late: int
    strays: int
    rejected: int
    lost_in_row: int
    recent_lost: int
    recent_probes: int
    round_trip_ns: tuple[int, int, int, int]
    flips: int
    damped_until_ns: int
    has_carrier: bool
    error: int

    def is_stale(self, now_ns: int) -> bool:
        """Whether nobody has judged it for three intervals, or nobody said so for longer than reports take (D3)."""
        patience = _STALE_INTERVALS * self.interval_ns
        return self.at_ns - self.judged_ns > patience + self.timeout_ns or now_ns - self.at_ns > max(
            patience, REPORTS_NS
        )

    def shown_state(self, now_ns: int) -> State:
        """What to show people: ``unknown`` where the verdict is frozen (D3), although it still holds."""
        if self.state is State.DISABLED or not self.is_stale(now_ns):
            return self.state
        return State.UNKNOWN


@dataclass(frozen=True, slots=True)
class Report:
    """Some legs; all are reported in turn, each second as many as make no probe late."""

    legs: tuple[LegReport, ...]


Order = SetLegs | DropLegs | Watch | Unwatch | UseMap | Force | Drill | Ask
Event = Hello | Trouble | Change | Beat | Report
Message = Order | Event

_Row = Sequence[Any]


def _values(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    names = [item.name for item in fields(kind)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda message: tuple(getattr(message, name) for name in names)


def _settings(row: _Row) -> Settings:
    return Settings(*row)


def _spec(row: _Row) -> LegSpec:
    name, number, namespace, source, destination, settings, is_last_resort, arrivals, links = row
    pairs = tuple((where, ifindex) for where, ifindex in links)
    return LegSpec(
        name, number, namespace, source, destination, _settings(settings), is_last_resort, tuple(arrivals), pairs
    )


def _order(row: _Row) -> LegOrder:
    spec, has_socket, verdict, since_ns = row
    return LegOrder(_spec(spec), has_socket, _verdict(verdict), since_ns)


def _verdict(word: str | None) -> Verdict | None:
    return None if word is None else Verdict(word)


def _transition(row: _Row) -> Transition:
    before, after, verdict, cause, at_ns, lost_in_row = row
    return Transition(State(before), State(after), Verdict(verdict), Cause(cause), at_ns, lost_in_row)


def _report(row: _Row) -> LegReport:
    name, state, verdict, *numbers = row
    numbers[16] = tuple(numbers[16])
    return LegReport(name, State(state), Verdict(verdict), *numbers)


# One letter each on the wire; a decoder from the fields of a message.
_KINDS: dict[type[Any], tuple[str, Callable[..., Any]]] = {
    SetLegs: ("legs", lambda rows: SetLegs(tuple(map(_order, rows)))),
    DropLegs: ("drop", lambda names: DropLegs(tuple(names))),
    Watch: ("watch", lambda names: Watch(tuple(names))),
    Unwatch: ("unwatch", lambda names: Unwatch(tuple(names))),
    UseMap: ("map", UseMap),
    Force: ("force", lambda leg, verdict: Force(leg, _verdict(verdict))),
    Drill: ("drill", Drill),
    Ask: ("ask", Ask),
    Hello: ("hello", lambda pid, words: Hello(pid, tuple(words))),
    Trouble: ("trouble", Trouble),
    Change: ("change", lambda leg, row, coalesced: Change(leg, _transition(row), coalesced)),
    Beat: ("beat", Beat),
    Report: ("report", lambda rows: Report(tuple(map(_report, rows)))),
}
_DECODERS = dict(_KINDS.values())
_NESTED = (LegSpec, LegOrder, Settings, Transition, LegReport)
_VALUES = {kind: _values(kind) for kind in (*_KINDS, *_NESTED)}


def _plain(value: object) -> object:
    """What JSON cannot carry by itself: one of our values, as the list of its fields."""
    return _VALUES[type(value)](value)


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain, check_circular=False)


def encode(message: Message) -> bytes:
    """A message as one datagram."""
    word, _ = _KINDS[type(message)]
    return _ENCODER.encode([VERSION, word, *_VALUES[type(message)](message)]).encode()


def decode(datagram: bytes) -> Message:
    """The message in a datagram.

    Raises:
        WireError: it is of another version, or none of ours.
    """
    try:
        version, word, *row = json.loads(datagram)
        if version != VERSION:
            raise WireError(f"agent and prober speak versions {VERSION} and {version}; restart the agent")
        message: Message = _DECODERS[word](*row)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise WireError(f"no message of the prober: {datagram[:200]!r}") from error
    return message
