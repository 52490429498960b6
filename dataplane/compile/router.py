"""The two kinds of routers, for what is the same at both: a VPC's VRouter and a VBR."""

from dataclasses import dataclass

from dataplane.config.peering import PeeringEnd
from dataplane.model import names


@dataclass(frozen=True, slots=True)
class Router:
    """A router of this host.

    Args:
        kind: ``vpc`` or ``vbr``.
    """

    kind: str
    id: str

    @property
    def namespace(self) -> str:
        """Where it lives."""
        return names.vpc_namespace(self.id) if self.kind == "vpc" else names.vbr_namespace(self.id)

    @property
    def unit(self) -> str:
        """The unit that it is (P2)."""
        return names.unit_of(self.kind, self.id)


def router_of(end: PeeringEnd) -> Router:
    """The router that an end of a connection is at: exactly one of both kinds (R1, R9)."""
    return Router("vpc", end.vpc) if end.vpc is not None else Router("vbr", end.vbr or "")
