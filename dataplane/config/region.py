"""A region, its zones, and the access points where physical connections come in."""

from collections.abc import Mapping
from typing import Annotated

from dataplane.config.base import Described, key, model
from dataplane.config.kinds import EmptyMap, Flag, ResourceId


@model
class Zone(Described):
    """A part of a region that runs on one host."""

    host: ResourceId | None = key(default=None, description="The host it runs on; left out: the host that asks.")


@model
class Region(Described):
    """An attribute of VPCs; it does not change forwarding (R24)."""

    zones: Annotated[Mapping[ResourceId, Annotated[Zone, EmptyMap]], EmptyMap] = key(
        default_factory=dict, description="Its zones by id; left out, any zone may be named."
    )
    custom_route_tables: Flag = key(
        default=True, description="Whether VPCs of the region may have route tables beside the system table (R71)."
    )


@model
class AccessPoint(Described):
    """Where a physical connection meets the network."""

    region: ResourceId = key(description="The region it belongs to.")
    host: ResourceId | None = key(default=None, description="The host whose devices are the lines.")
