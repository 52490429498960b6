"""One side effect, as a value that can be printed before it happens."""

from dataclasses import dataclass
from enum import StrEnum

from dataplane.model.kernel import KernelObject
from dataplane.model.resource import NOWHERE, Origin, Resource


class Verb(StrEnum):
    """What an action does to its object."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Action:
    """One change of one kernel object.

    Args:
        object: the object as it shall be (create, change) or as it was seen (delete).
        before: the object as it was seen, for a change.
        owner: the resource that asks for it, where known.
        origin: the line that asks for it, where known.
        units: ids of the units (VPCs, VBRs) that it belongs to, for rollback.
    """

    verb: Verb
    object: KernelObject
    before: KernelObject | None = None
    owner: Resource | None = None
    origin: Origin = NOWHERE
    units: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action: done where ``error`` is None. The error is one printable sentence.

    Args:
        is_conflict: the cause lies outside, and is named in the error: a foreign object is in the way, or a namespace
            that others are to bring is not there.
        is_held_back: it was not tried, because something that it needs failed before it.
    """

    action: Action
    error: str | None = None
    is_conflict: bool = False
    is_held_back: bool = False
