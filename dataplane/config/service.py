"""A cloud service behind 100.64.0.0/10 (R133)."""

from pydantic import Field

from dataplane.config.base import Described
from dataplane.config.kinds import HostAddress, ResourceId


class Service(Described):
    """An address that every VPC of the region reaches without a route of its own."""

    ip: HostAddress = Field(description="Its address within 100.64.0.0/10.")
    region: ResourceId = Field(description="The region whose VPCs reach it.")
