"""A peering connection: two router interfaces, an initiator and an acceptor (R1-R15)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from dataplane.config.base import Described, Model, key, model
from dataplane.config.health_check import HealthCheck
from dataplane.config.kinds import Bandwidth, Choice, ResourceId, Text, Vni, Whole, Word
from dataplane.config.problem import shown
from dataplane.config.values import parse_account_reference, refuse

Role = Literal["initiator", "acceptor"]
ROLES: tuple[Role, Role] = ("initiator", "acceptor")
STATE_ALIASES = {"Active": "active", "Activated": "active", "Inactive": "suspended", "Disconnected": "suspended"}
"""The states as ``dataplane status`` and the consoles spell them, copied into a file say (R5, D7)."""


@model
class Peer(Model):
    """What one end says of the other (R3, R7)."""

    account: Annotated[str, Text(parse_account_reference)] = key(description="The other end's account: its id or uid.")
    router_interface: ResourceId = key(description="The other end's router interface.")


@model
class PeeringEnd(Model):
    """A router interface and the router that it belongs to."""

    router_interface: ResourceId = key(description="Its id, unique over the whole configuration.")
    vpc: ResourceId | None = key(default=None, description="The VPC whose VRouter it belongs to.")
    vbr: ResourceId | None = key(default=None, description="The VBR it belongs to; initiators only (R9).")
    state: Annotated[Literal["active", "suspended"], Word("active", "suspended", aliases=STATE_ALIASES)] = key(
        default="active", description="suspended at either end: nothing is forwarded (R15)."
    )
    peer: Peer | None = key(default=None, description="Who must be at the other end, for two accounts (R3).")

    def checked(self) -> Self:
        if (self.vpc is None) == (self.vbr is None):
            raise refuse("an end belongs to one router, a vpc or a vbr", "R1", "write one of vpc: and vbr:")
        return self


@model
class FlowCap(Model):
    """The limit of a single flow, as a part of the connection's bandwidth (R117, D4)."""

    divisor: Annotated[int, Whole("a divisor", 1, 64, "D4")] = key(
        default=12, description="A flow gets the bandwidth divided by this (R117)."
    )
    direction: Annotated[Literal["to_vbr", "both"], Word("to_vbr", "both")] = key(
        default="to_vbr", description="to_vbr: only what leaves a VPC is limited (R119)."
    )


def _check_flow_cap(value: Any) -> Any:
    if value == "off" or isinstance(value, (dict, FlowCap)):
        return value
    raise refuse(f"`{shown(value)}` is not a flow cap", "D4", "write off, or {divisor: 12, direction: to_vbr}")


OptionalFlowCap = Annotated[
    Literal["off"] | FlowCap,
    Choice({"off": Literal["off"], "map": FlowCap}, lambda value: "off" if value == "off" else "map", _check_flow_cap),
]


@model
class PeeringConnection(Described):
    """Two ends, the rate between them, and how it is watched."""

    initiator: PeeringEnd | None = key(default=None, description="The end that asks (R2); a VBR is always here (R9).")
    acceptor: PeeringEnd | None = key(default=None, description="The end that waits (R2).")
    bandwidth: Bandwidth | None = key(
        default=None, description="In each direction, as the initiator bought it (D5); required across regions."
    )
    flow_cap: OptionalFlowCap | None = key(default=None, description="The limit of a single flow, or off (D4).")
    health_check: HealthCheck | None = key(default=None, description="How its leg is probed (R39).")
    vni: Vni | None = key(default=None, description="The VXLAN network id between hosts; left out: from its id.")

    def ends(self) -> tuple[tuple[Role, PeeringEnd], ...]:
        """The ends that the file has, the initiator first."""
        both = zip(ROLES, (self.initiator, self.acceptor), strict=True)
        return tuple((role, end) for role, end in both if end is not None)

    def joined(self, role: Role) -> tuple[PeeringEnd, PeeringEnd | None]:
        """The end of a role, which the file has, and the other one."""
        near, far = (self.initiator, self.acceptor) if role == "initiator" else (self.acceptor, self.initiator)
        if near is None:
            raise KeyError(role)
        return near, far


@dataclass(frozen=True, slots=True)
class RouterInterface:
    """One end of a peering connection, seen from the routes that use it.

    Args:
        id: its id.
        connection: the id of its peering connection.
        vpc: the VPC that it belongs to, or None.
        vbr: the VBR that it belongs to, or None.
        peer: the router interface at the other end; None while that end is missing.
    """

    id: str
    connection: str
    role: Role
    vpc: str | None
    vbr: str | None
    state: Literal["active", "suspended"]
    peer: str | None
