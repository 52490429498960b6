"""Next hops: where a route sends its packets, one frozen class per type (R29, R49, R65).

In the file a next hop is a map with one key that names its type, or the bare word physical_connection.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from dataplane.config.base import Model, model
from dataplane.config.kinds import Choice, ResourceId, Whole
from dataplane.config.problem import shown
from dataplane.config.values import ID, refuse

PHYSICAL_CONNECTION = "physical_connection"
KINDS: Final = ("instance", "router_interface", "load_balance", "active_standby")
LATER: Final = frozenset(
    {"vpn_gateway", "secondary_eni", "havip", "nat_gateway", "cen", "load_balancer", "vpc", "eip", "bgp"}
)
"""Types of the sources that are not there yet (D24)."""
DEFAULT_WEIGHT = 100


@model
class InstanceHop(Model):
    """An instance of the same VPC that forwards (R66)."""

    instance: ResourceId


@model
class RouterInterfaceHop(Model):
    """The VPC's or VBR's end of a peering connection: general routing (R49)."""

    router_interface: ResourceId


@model
class Member(Model):
    """A router interface in a load-balancing group."""

    router_interface: ResourceId
    weight: Annotated[int, Whole("a weight", 1, 255, "R51")] = DEFAULT_WEIGHT

    @classmethod
    def adapt(cls, value: Any) -> Any:
        return {"router_interface": value} if isinstance(value, str) else value


@model
class LoadBalanceHop(Model):
    """Two to four router interfaces that share the flows evenly (R51)."""

    members: tuple[Member, ...]

    @classmethod
    def adapt(cls, value: Any) -> Any:
        return {"members": value["load_balance"]} if isinstance(value, dict) and "load_balance" in value else value


@model
class ActiveStandbyHop(Model):
    """Exactly two router interfaces; the standby takes over when the active one fails (R50)."""

    active: ResourceId
    standby: ResourceId

    @classmethod
    def adapt(cls, value: Any) -> Any:
        return value["active_standby"] if isinstance(value, dict) and "active_standby" in value else value


@model
class PhysicalConnectionHop(Model):
    """The line of a VBR (R28)."""

    @classmethod
    def adapt(cls, value: Any) -> Any:
        return {} if value == PHYSICAL_CONNECTION else value


_CLASSES: Final[Mapping[str, type[Model]]] = {
    "instance": InstanceHop,
    "router_interface": RouterInterfaceHop,
    "load_balance": LoadBalanceHop,
    "active_standby": ActiveStandbyHop,
    PHYSICAL_CONNECTION: PhysicalConnectionHop,
}


def _kind_of(value: Any) -> str | None:
    """The type of a next hop that has passed ``_check_shape``, or that is a value of ours already."""
    if isinstance(value, dict):
        return str(next(iter(value)))
    if value == PHYSICAL_CONNECTION:
        return PHYSICAL_CONNECTION
    return next((kind for kind, cls in _CLASSES.items() if isinstance(value, cls)), None)


def _check_shape(value: Any) -> Any:
    """Refuse what is not a next hop in words of the language, before pydantic tries each type."""
    if isinstance(value, Model) or value == PHYSICAL_CONNECTION:
        return value
    known = "write one of {" + ": ...}, {".join(KINDS) + ": ...}, or physical_connection on a VBR"
    if not isinstance(value, dict):
        if isinstance(value, str) and value in LATER:
            raise _comes_later(value)
        raise refuse(f"`{shown(value)}` is not a next hop", "R65", known)
    for key in value:
        if key in LATER:
            raise _comes_later(key)
        if key == PHYSICAL_CONNECTION:
            raise refuse("physical_connection takes no value", "R29", "write next_hop: physical_connection")
        if key not in KINDS:
            raise refuse(f"`{shown(key)}` is not a type of next hop", "R65", known)
    if len(value) != 1:
        raise refuse(f"a next hop has one type, here are {len(value)}", "R65", known)
    return value


def _comes_later(kind: str) -> Exception:
    if kind == "vpc":
        return refuse(
            "the next hop of a VBR towards a VPC is its router interface", "R29", "write {router_interface: ...}"
        )
    return refuse(f"a next hop of type {kind} comes later", "D24", f"use one of {', '.join(KINDS)}")


class _Choice(Choice):
    """The next hop as it is written, for editors: the models hold it unwrapped."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        member = _map({"router_interface": _id("The router interface."), "weight": _WEIGHT}, "router_interface")
        members = {
            "description": "Two to four router interfaces to VBRs that share the flows evenly (R51).",
            "type": "array",
            "minItems": 2,
            "maxItems": 4,
            "items": {"anyOf": [_id("A router interface to a VBR."), member]},
        }
        roles = {"active": _id("Who carries the traffic."), "standby": _id("Who takes over.")}
        pair = _map(roles, *roles) | {"description": "Two router interfaces to VBRs, one of them waiting (R50)."}
        return {
            "oneOf": [
                _map({"instance": _id("An instance of this VPC that forwards (R66).")}, "instance"),
                _map({"router_interface": _id("This router's end of a connection (R49).")}, "router_interface"),
                _map({"load_balance": members}, "load_balance"),
                _map({"active_standby": pair}, "active_standby"),
                {"const": PHYSICAL_CONNECTION, "description": "The line of a VBR (R28)."},
            ]
        }


_WEIGHT: Final = {
    "description": "Its share, 1 to 255; the same for all (R51).",
    "type": "integer",
    "minimum": 1,
    "maximum": 255,
    "default": DEFAULT_WEIGHT,
}


def _id(description: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{ID.pattern}$", "description": description}


def _map(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


NextHop = Annotated[
    InstanceHop | RouterInterfaceHop | LoadBalanceHop | ActiveStandbyHop | PhysicalConnectionHop,
    _Choice(_CLASSES, _kind_of, _check_shape),
]


UNWRAPPED: Final[dict[str | int, type[Model]]] = {"load_balance": Member, "active_standby": ActiveStandbyHop}
"""What stands under the types whose models do not repeat the type's key."""


def router_interfaces_of(next_hop: NextHop) -> tuple[str, ...]:
    """The router interfaces that a next hop names, in the order of preference or of the file."""
    if isinstance(next_hop, RouterInterfaceHop):
        return (next_hop.router_interface,)
    if isinstance(next_hop, LoadBalanceHop):
        return tuple(member.router_interface for member in next_hop.members)
    if isinstance(next_hop, ActiveStandbyHop):
        return (next_hop.active, next_hop.standby)
    return ()
