"""The language of what stands around the agents' hosts: nodes, wires, the underlay. Shapes only.

::

    nodes:
      idc-router:
        cpe_of: [vbr-1, vbr-2]                   # configured by what `dataplane cpe` prints for these VBRs
        interfaces: {lan: {address: 172.16.0.1/16}}
      idc-host:
        interfaces: {eth0: {address: 172.16.1.10/16}}
        routes: [{destination: 0.0.0.0/0, via: 172.16.0.1}]
    wires:
      - {ends: [host-1/eth1, idc-router/eth1]}
      - {ends: [host-1/eth2, idc-router/eth2], mtu: 1400}
      - {ends: [idc-router/lan, idc-host/eth0], loss: 0.5%, delay: 20ms, rate: 10Mbps}
      - {ends: [stranger/eth0, underlay/stranger]}     # a port of the switch that joins the hosts
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dataplane.config.document import Model
from dataplane.config.kinds import (
    Bandwidth,
    Destination,
    DurationMs,
    Flag,
    HostAddress,
    InterfaceAddress,
    Kind,
    ResourceId,
    Whole,
)
from dataplane.config.values import parse_id, parse_interface_name, refuse

MIN_MTU, MAX_MTU = 576, 9216
DEFAULT_MTU = 1500


@dataclass(frozen=True, slots=True)
class End:
    """An interface of a node or of a host: what a wire ends at, and what a VLAN is on."""

    place: str
    ifname: str

    def __str__(self) -> str:
        return f"{self.place}/{self.ifname}"


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _parse_end(value: Any) -> End:
    place, slash, ifname = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash:
        raise refuse(
            "this is not an interface of a node or host", None, "write node/interface, such as idc-router/eth1"
        )
    return End(parse_id(place), parse_interface_name(ifname))


def _parse_loss(value: Any) -> int:
    """So many of ``lab.impair.PARTS``."""
    match = re.fullmatch(r"([0-9]{1,2})(?:\.([0-9]{1,2}))?%", value) if isinstance(value, str) else None
    if match is None or not any(map(int, (match.group(1), match.group(2) or "0"))):
        raise refuse("this is not a loss of packets", None, "write more than 0% and less than 100%: 0.5%")
    return int(match.group(1)) * 100 + int((match.group(2) or "0").ljust(2, "0"))


class InterfaceSpec(Model):
    """An interface of a node: the end of a wire, or a VLAN on another interface."""

    address: Annotated[tuple[InterfaceAddress, ...], BeforeValidator(_one_or_many)] = Field(
        default=(), description="Its addresses with their masks."
    )
    vlan: Annotated[int, Whole("a VLAN id", 1, 4094, "R26")] | None = Field(
        default=None, description="It speaks this VLAN on the interface that `parent` names."
    )
    parent: Annotated[End, Kind(_parse_end)] | None = Field(
        default=None, description="The interface below a VLAN: the node's own, or another node's."
    )

    @model_validator(mode="after")
    def _vlan_has_parent(self) -> Self:
        if (self.vlan is None) != (self.parent is None):
            raise refuse("a VLAN interface has both vlan: and parent:", None, "write both, or neither")
        return self


class NodeRouteSpec(Model):
    """A static route of a node."""

    destination: Destination
    via: HostAddress


class NodeSpec(Model):
    """A router or host outside the agents' hosts: a data centre's, as a rule."""

    interfaces: Mapping[Annotated[str, Kind(parse_interface_name)], InterfaceSpec] = Field(default_factory=dict)
    routes: tuple[NodeRouteSpec, ...] = ()
    cpe_of: Annotated[tuple[ResourceId, ...], BeforeValidator(_one_or_many)] = Field(
        default=(), description="The VBRs whose lines end here: configured by what `dataplane cpe` prints for them."
    )
    trunk: ResourceId | None = Field(
        default=None, description="The node that the lines of cpe_of come through, where it is not this one."
    )
    forwarding: Flag = Field(default=False, description="Whether it forwards for others; with cpe_of it does.")

    @property
    def forwards(self) -> bool:
        """Whether it is a router."""
        return self.forwarding or bool(self.cpe_of)

    @property
    def addresses(self) -> tuple[tuple[str, IPv4Interface], ...]:
        """All addresses that the file gives it, each with its interface; the first one is its own in flows."""
        return tuple((name, address) for name, spec in self.interfaces.items() for address in spec.address)


class UnderlaySpec(Model):
    """What joins the hosts of a network that spans several: a switch of the lab's own."""

    mtu: Annotated[int, Whole("an MTU", MIN_MTU, MAX_MTU)] | None = Field(
        default=None, description="Of all its cables to hosts, in bytes; left out: the largest of the network's hosts."
    )


class WireSpec(Model):
    """A cable between two interfaces, which it brings into being."""

    ends: tuple[Annotated[End, Kind(_parse_end)], ...]
    mtu: Annotated[int, Whole("an MTU", MIN_MTU, MAX_MTU)] = Field(
        default=DEFAULT_MTU, description="Of both its ends, in bytes."
    )
    loss: Annotated[int, Kind(_parse_loss)] = Field(default=0, description="Of packets in each direction: 0.5%.")
    delay_ms: DurationMs = Field(default=0, validation_alias="delay", description="In each direction: 20ms.")
    rate: Bandwidth | None = Field(default=None, description="In each direction: 10Mbps.")

    @model_validator(mode="after")
    def _has_two_ends(self) -> Self:
        if len(self.ends) != 2 or self.ends[0] == self.ends[1]:
            raise refuse("a wire has two different ends", None, "write ends: [host-1/eth1, idc-router/eth1]")
        return self
