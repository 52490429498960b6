"""What happened on this host, as a value: one line of the journal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """A transition of a resource.

    Args:
        id: grows by one from event to event; what ``since`` counts by.
        at: UTC, ISO 8601 with milliseconds.
        monotonic_ns: the same moment by the clock that nobody sets: what lies between two events of one boot.
        kind: the resource's noun in the glossary (``leg``, ``vpc``, ``agent``).
        resource: its id.
        what: ``state``, ``repaired``, ``applied``, ``forced`` and the like.
        before: what it was; empty where it was nothing.
        after: what it is now; likewise.
        cause: why, in words.
    """

    id: int
    at: str
    monotonic_ns: int
    kind: str
    resource: str
    what: str
    before: str = ""
    after: str = ""
    cause: str = ""
