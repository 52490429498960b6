"""A physical connection: the leased line that a VBR speaks VLAN on."""

from pydantic import Field

from dataplane.config.base import Described
from dataplane.config.kinds import Bandwidth, InterfaceName, ResourceId


class PhysicalConnection(Described):
    """A leased line."""

    account: ResourceId = Field(description="The account that pays for it.")
    access_point: ResourceId = Field(description="Where it comes in.")
    device: InterfaceName = Field(description="The card of the host that it ends at.")
    data_centre: ResourceId | None = Field(default=None, description="The data centre at its far end.")
    bandwidth: Bandwidth | None = Field(default=None, description="Its rate; the base of flow caps (D19).")
