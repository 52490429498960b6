"""A cloud service behind 100.64.0.0/10 (R133)."""

from dataplane.config.base import Described, key, model
from dataplane.config.kinds import HostAddress, ResourceId


@model
class Service(Described):
    """An address that every VPC of the region reaches without a route of its own."""

    ip: HostAddress = key(description="Its address within 100.64.0.0/10.")
    region: ResourceId = key(description="The region whose VPCs reach it.")
