"""The whole configuration as one frozen value, named as the file names it."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from dataplane.config.account import Account
from dataplane.config.base import Model, key, model, remembering_model
from dataplane.config.data_centre import DataCentre
from dataplane.config.host import Host
from dataplane.config.kinds import EmptyMap, Kind, ResourceId, Whole, Word
from dataplane.config.peering import PeeringConnection, RouterInterface
from dataplane.config.physical_connection import PhysicalConnection
from dataplane.config.quotas import TENCENT_PEERINGS_PER_VPC, Quotas
from dataplane.config.region import AccessPoint, Region
from dataplane.config.service import Service
from dataplane.config.values import parse_version
from dataplane.config.vbr import Vbr
from dataplane.config.vpc import Vpc
from dataplane.model.limit import FLOW_TABLE

Profile = Literal["alibaba", "tencent"]
Hook = Literal["auto", "tc", "xdp", "off"]
Fib = Literal["multibit", "lpm"]


@model
class Datapath(Model):
    """The settings of the forwarder."""

    hook: Annotated[Hook, Word("auto", "tc", "xdp", "off")] = key(
        default="auto",
        description="Where the forwarder sits: tc, xdp or off; auto is tc, or off on a host that cannot have it.",
    )
    flow_table: Annotated[int, Whole("a number of flows", 1_024, 4_194_304, "D4")] = key(
        default=FLOW_TABLE,
        description="Flows at once that have a limit of their own in the forwarder (D4), 32 bytes each.",
    )
    fib: Annotated[Fib, Word("multibit", "lpm")] = key(
        default="multibit",
        description="What the forwarder looks routes up in: a multibit trie, or the kernel's LPM trie.",
    )


@remembering_model
class Network(Model):
    """Everything that the files describe."""

    version: Annotated[Literal[1], Kind(parse_version, const=1)] = key(description="The version of this language: 1.")
    profile: Annotated[Profile, Word("alibaba", "tencent")] = key(
        default="alibaba", description="Whose rules hold where the clouds differ (R101-R111)."
    )
    datapath: Annotated[Datapath, EmptyMap] = key(default_factory=Datapath, description="How packets are forwarded.")
    quotas: Annotated[Quotas, EmptyMap] = key(default_factory=Quotas, description="How many of a thing there may be.")
    accounts: Annotated[Mapping[ResourceId, Annotated[Account, EmptyMap]], EmptyMap] = key(
        default_factory=dict, description="Who owns resources."
    )
    hosts: Annotated[Mapping[ResourceId, Host], EmptyMap] = key(
        default_factory=dict, description="The hosts of a network that spans several."
    )
    regions: Annotated[Mapping[ResourceId, Annotated[Region, EmptyMap]], EmptyMap] = key(
        default_factory=dict, description="Where things run."
    )
    access_points: Annotated[Mapping[ResourceId, AccessPoint], EmptyMap] = key(
        default_factory=dict, description="Where physical connections come in."
    )
    vpcs: Annotated[Mapping[ResourceId, Vpc], EmptyMap] = key(default_factory=dict, description="Private networks.")
    services: Annotated[Mapping[ResourceId, Service], EmptyMap] = key(
        default_factory=dict, description="Cloud services behind 100.64.0.0/10 (R133)."
    )
    data_centres: Annotated[Mapping[ResourceId, DataCentre], EmptyMap] = key(
        default_factory=dict, description="What the other side of the lines must look like."
    )
    physical_connections: Annotated[Mapping[ResourceId, PhysicalConnection], EmptyMap] = key(
        default_factory=dict, description="Leased lines."
    )
    vbrs: Annotated[Mapping[ResourceId, Vbr], EmptyMap] = key(
        default_factory=dict, description="Virtual border routers."
    )
    peering_connections: Annotated[Mapping[ResourceId, PeeringConnection], EmptyMap] = key(
        default_factory=dict, description="Connections between two VPCs, or a VBR and a VPC."
    )

    @classmethod
    def adapt(cls, value: Any) -> Any:
        # R105: the profile changes a default, so it must be known before the quotas are read.
        if (
            isinstance(value, dict)
            and value.get("profile") == "tencent"
            and isinstance(value.get("quotas") or {}, dict)
        ):
            return value | {"quotas": {"peerings_per_vpc": TENCENT_PEERINGS_PER_VPC} | (value.get("quotas") or {})}
        return value

    @cached_property
    def router_interfaces(self) -> Mapping[str, RouterInterface]:
        """Both ends of every connection by the id of the router interface."""
        found: dict[str, RouterInterface] = {}
        for connection_id, connection in self.peering_connections.items():
            for role, end in connection.ends():
                other = connection.acceptor if role == "initiator" else connection.initiator
                peer = other.router_interface if other is not None else None
                found[end.router_interface] = RouterInterface(
                    end.router_interface, connection_id, role, end.vpc, end.vbr, end.state, peer
                )
        return found
