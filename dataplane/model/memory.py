"""What is remembered of resources between runs, because the file alone cannot tell that it changed (D22)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

CREATED_AT, CONNECTED_AT = "created_at", "connected_at"
"""Of a peering connection (R167): when it was first applied, and since when both its ends are active; UTC, ISO 8601."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Facts about resources as they were last applied.

    Args:
        facts: (kind, id, attribute) -> value as text, such as ("vpc", "vpc-a", "cidr") -> "10.0.0.0/16".
    """

    facts: Mapping[tuple[str, str, str], str] = field(default_factory=dict)

    def get(self, kind: str, name: str, attribute: str) -> str | None:
        """A fact, or None where nothing is remembered."""
        return self.facts.get((kind, name, attribute))

    def addresses(self) -> dict[str, IPv4Address]:
        """Instance id -> the address that it was given."""
        return {
            name: IPv4Address(value)
            for (kind, name, attribute), value in self.facts.items()
            if kind == "instance" and attribute == "ip"
        }
