"""How many of a thing there may be (D6)."""

from typing import Annotated

from dataplane.config.base import Model, key, model
from dataplane.config.kinds import Bandwidth, Whole

MAX_QUOTA = 1_000_000
Quota = Annotated[int, Whole("a quota", 1, MAX_QUOTA, "D6")]


@model
class Quotas(Model):
    """The limits, each with its default."""

    peerings_per_vpc: Quota = key(
        default=5, description="Connections of a VPC (R13); 10 in the profile tencent (R105)."
    )
    peerings_per_vbr: Quota = key(default=5, description="Connections of a VBR (R13).")
    peerings_per_account: Quota = key(default=10, description="Connections with an end in an account (R13).")
    vpcs_per_physical_connection: Quota = key(default=5, description="VPCs that a line serves (R14).")
    route_tables_per_vpc: Quota = key(default=10, description="Route tables of a VPC, the system table included (R58).")
    custom_routes_per_table: Quota = key(default=40, description="Custom routes of a route table (R60).")
    cross_region_bandwidth: Bandwidth = key(
        default=1_000_000_000, description="The most that a connection between regions may have (R106, D5)."
    )


TENCENT_PEERINGS_PER_VPC = 10
"""The default of ``peerings_per_vpc`` in the profile tencent (R105)."""
