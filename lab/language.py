"""The language of ``lab.yaml``: what a topology consists of and what must hold in it. Shapes only.

::

    version: 1
    title: Two peerings of one VPC
    description: What it shows.
    hosts:
      host-1: {network: network.yaml}       # a simulated host, and what its agent applies
      host-2: {}                            # the same, if the network spans several
    underlay: {mtu: 9000}                   # what joins them, where it is to differ from what the network says
    behind:
      gateway-1: [203.0.113.7]              # addresses that an instance is the way to, put on its lo
    must_reach:
      - {from: a-1, to: [b-1, b-2], protocol: [tcp, udp], port: 80, both_ways: true}
      - {from: a-1, to: b-1, protocol: icmp, via: [firewall], hops: [192.168.1.253, 172.16.0.253]}
    must_not_reach:
      - {from: b-1, to: [c-1, 100.64.0.9], via: [vpc-a], answer: prohibited}
    rates:
      - {from: a-1, to: b-1, at_least: 10Mbps, both_ways: true}
    drills:
      - {leg: ri-1, for: 3s, from: a-1, to: server, max_outage: 2s}

``nodes:`` (data-centre routers and the like) and ``wires:`` stand beside ``hosts:``; their shapes are in ``around.py``.
A step of ``via`` may be a list: one of these. ``HOST/VPC`` is the part of a VPC that is on one host.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dataplane.accept.language import DrillSpec
from dataplane.config.document import Model
from dataplane.config.kinds import Bandwidth, EmptyMap, Flag, HostAddress, Kind, ResourceId, Whole, Word
from dataplane.config.values import parse_address, parse_id, parse_version, refuse
from lab.around import NodeSpec, UnderlaySpec, WireSpec
from lab.model import Protocol
from lab.traffic.packet import ANSWERS

NETWORK_FILE = "network.yaml"

DEFAULT_PORT = 7
"""The port of the echo service, which is what listens."""

PROTOCOLS = (Protocol.ICMP, Protocol.UDP, Protocol.TCP)


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _parse_title(value: Any) -> str:
    if not isinstance(value, str) or not 2 <= len(value) <= 80 or "\n" in value:
        raise refuse("the title is not a line of 2 to 80 characters", None, "say in a few words what it shows")
    return value


def _parse_text(value: Any) -> str:
    if not isinstance(value, str):
        raise refuse("this is not a text", None, "put it in quotes")
    return value.strip()


def _parse_file(value: Any) -> str:
    if not isinstance(value, str) or not value or value.startswith("/") or ".." in value.split("/"):
        raise refuse("this is not a file inside the topology's folder", None, "write network.yaml, say")
    return value


def _parse_target(value: Any) -> str | IPv4Address:
    is_address = isinstance(value, str) and value.replace(".", "").isdigit() and "." in value
    return parse_address(value) if is_address else _parse_place(value)


def _parse_place(value: Any) -> str:
    """An id, with the host in front for a part of a VPC."""
    host, slash, id = value.partition("/") if isinstance(value, str) else ("", "", value)
    return f"{parse_id(host)}/{parse_id(id)}" if slash else parse_id(value)


def _parse_protocol(value: Any) -> Protocol:
    if value not in [str(protocol) for protocol in PROTOCOLS]:
        raise refuse(f"`{value}` is not a protocol that the lab speaks", None, "write tcp, udp or icmp")
    return Protocol(value)


Target = str | IPv4Address


def _steps(value: Any) -> Any:
    """A way, each of whose steps is one id or several to choose from."""
    return [_one_or_many(step) for step in _one_or_many(value)]


Ids = Annotated[tuple[ResourceId, ...], BeforeValidator(_one_or_many)]
PlaceId = Annotated[str, Kind(_parse_place)]
Steps = Annotated[tuple[Annotated[tuple[PlaceId, ...], Field(min_length=1)], ...], BeforeValidator(_steps)]
Targets = Annotated[tuple[Annotated[Target, Kind(_parse_target)], ...], BeforeValidator(_one_or_many)]
Protocols = Annotated[tuple[Annotated[Protocol, Kind(_parse_protocol)], ...], BeforeValidator(_one_or_many)]
Addresses = Annotated[tuple[HostAddress, ...], BeforeValidator(_one_or_many)]


class HostSpec(Model):
    """A simulated host, on which the agent's command runs."""

    network: Annotated[str, Kind(_parse_file)] = Field(
        default=NETWORK_FILE, description="What it applies, beside lab.yaml: the same on all hosts."
    )


class FlowSpec(Model):
    """Flows from each of some instances to each of some others.

    ``via`` and ``back_via`` name instances, VPCs, VBRs and nodes that the packet must pass, in order, besides the
    parts of VPCs that the two ends are in; wherever else it is seen, the flow has failed.
    """

    from_: Ids = Field(alias="from", min_length=1)
    to: Targets = Field(min_length=1)
    address: HostAddress | None = None
    protocol: Protocols = Field(default=PROTOCOLS, min_length=1)
    port: Annotated[int, Whole("a port", 1, 65_535)] = DEFAULT_PORT
    via: Steps = ()
    back_via: Steps | None = None
    both_ways: Flag = False

    @model_validator(mode="after")
    def _both_ways_has_two_ends(self) -> Self:
        has_address = self.address is not None or any(isinstance(target, IPv4Address) for target in self.to)
        if self.both_ways and has_address:
            raise refuse("both_ways needs an instance at both ends", None, "remove both_ways, or write the ids in `to`")
        return self


class ReachSpec(FlowSpec):
    """What must get through, there and back."""

    hops: Addresses = ()

    @model_validator(mode="after")
    def _ends_are_instances(self) -> Self:
        if any(isinstance(target, IPv4Address) for target in self.to):
            raise refuse("must_reach needs an instance in `to`", None, "write its id, and the address under `address`")
        if self.both_ways and self.hops:
            raise refuse("hops hold for one direction only", None, "remove both_ways, or hops")
        return self


class NotReachSpec(FlowSpec):
    """What must not get through: it may be seen in the sender, its VPC's router and what ``via`` names."""

    answer: Annotated[str, Word(*sorted(ANSWERS))] = Field(default="")


class RateSpec(Model):
    """A rate that a TCP stream must reach from each of some instances to another end, for a second.

    A check that traffic flows at all, not of how fast the machine is: for that there is ``acceptance.yaml``.
    """

    from_: Ids = Field(alias="from", min_length=1)
    to: ResourceId
    at_least: Bandwidth
    both_ways: Flag = False


class LabFile(Model):
    """A whole ``lab.yaml``."""

    version: Annotated[int, Kind(parse_version)]
    title: Annotated[str, Kind(_parse_title)]
    description: Annotated[str, Kind(_parse_text)] = ""
    hosts: Annotated[Mapping[ResourceId, Annotated[HostSpec, EmptyMap]], Field(min_length=1)]
    underlay: UnderlaySpec | None = None
    behind: Mapping[ResourceId, Addresses] = Field(default_factory=dict)
    nodes: Mapping[ResourceId, NodeSpec] = Field(default_factory=dict)
    wires: tuple[WireSpec, ...] = ()
    must_reach: tuple[ReachSpec, ...] = ()
    must_not_reach: tuple[NotReachSpec, ...] = ()
    rates: tuple[RateSpec, ...] = ()
    drills: tuple[DrillSpec, ...] = ()

    @model_validator(mode="after")
    def _has_one_network(self) -> Self:
        networks = sorted({spec.network for spec in self.hosts.values()})
        if len(networks) > 1:
            found = " and ".join(networks)
            raise refuse(f"hosts with {found}", None, "write one network for all: each host applies its own part of it")
        return self

    @property
    def network(self) -> str:
        """The file or folder that every host applies."""
        return next(iter(self.hosts.values())).network
