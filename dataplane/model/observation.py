"""What a driver saw: our objects by key, and the foreign ones that stand where ours would."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataplane.model.kernel import KernelObject, Key


@dataclass(frozen=True, slots=True)
class Foreign:
    """An object that is not ours, in the place of one of ours or deciding beside it; it is never changed.

    Args:
        key: the key that one of our objects would have in its place.
        text: one sentence that names it, and the namespace it lives in.
    """

    key: Key
    text: str


@dataclass(frozen=True, slots=True)
class Observation:
    """The live state of this host as far as it concerns us.

    Args:
        objects: what is ours, by key.
        foreign: what is not ours and occupies a key or a place that we use.
        absent: references of namespaces that others are to bring and that are not there (``attach:``).
    """

    objects: Mapping[Key, KernelObject] = field(default_factory=dict)
    foreign: tuple[Foreign, ...] = ()
    absent: frozenset[str] = frozenset()
