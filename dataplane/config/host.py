"""A host of a network that spans several: where its VXLAN underlay is."""

from pydantic import Field

from dataplane.config.base import Described
from dataplane.config.kinds import HostAddress, InterfaceName


class Host(Described):
    """A Linux host that runs the agent."""

    address: HostAddress = Field(description="Its address on the underlay.")
    device: InterfaceName = Field(description="The card that the underlay is on.")
