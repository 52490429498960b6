"""A VPC: a tenant's private network with its VRouter, vSwitches, instances and route tables."""

from collections.abc import Mapping
from typing import Annotated

from dataplane.config.base import Described, key, model
from dataplane.config.instance import Instance
from dataplane.config.kinds import EmptyMap, Flag, Prefix, ResourceId, Vni, Whole
from dataplane.config.route_table import RouteTable
from dataplane.config.vswitch import VSwitch

MIN_MTU_BYTES = 576
MAX_MTU_BYTES = 65_535


@model
class Vpc(Described):
    """A private network."""

    account: ResourceId = key(description="The account that owns it.")
    region: ResourceId = key(description="The region it is in.")
    cidr: Prefix = key(description="10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or a part of one (R73).")
    mtu: Annotated[int, Whole("an MTU in bytes", MIN_MTU_BYTES, MAX_MTU_BYTES)] | None = key(
        default=None, description="The MTU of its instances in bytes; left out: 1500, less what VXLAN needs."
    )
    vni: Vni | None = key(
        default=None, description="The VXLAN network id between hosts; left out: computed from its id."
    )
    default: Flag = key(default=False, description="Whether it is the region's default VPC (R81).")
    vswitches: Annotated[Mapping[ResourceId, VSwitch], EmptyMap] = key(
        default_factory=dict, description="Its vSwitches by id."
    )
    instances: Annotated[Mapping[ResourceId, Instance], EmptyMap] = key(
        default_factory=dict, description="Its instances by id."
    )
    route_tables: Annotated[Mapping[ResourceId, Annotated[RouteTable, EmptyMap]], EmptyMap] = key(
        default_factory=dict, description="Its route tables by id; system is there without being written (R57)."
    )
