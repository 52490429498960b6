"""What a user wrote down: a reference to a resource, and the line that asked for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A resource of the configuration, such as ``vpc vpc-a`` or ``route vpc-a/system/10.0.0.0/8``.

    Args:
        kind: the resource's noun in the glossary (``vpc``, ``instance``, ``peering_connection``).
        id: its id; for things without one (routes) the path that names it.
    """

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """The place in a file that asks for something. Lines and columns count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Origin("-", 0, 0)
