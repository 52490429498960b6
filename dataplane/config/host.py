"""A host of a network that spans several: where its VXLAN underlay is."""

from typing import Annotated

from dataplane.config.base import Described, key, model
from dataplane.config.kinds import HostAddress, InterfaceName, Whole

DEFAULT_MTU_BYTES = 1500
MIN_MTU_BYTES = 626
"""What VXLAN adds to the smallest packet that every host must take, 576 bytes (RFC 791)."""
MAX_MTU_BYTES = 65_535


@model
class Host(Described):
    """A Linux host that runs the agent."""

    address: HostAddress = key(description="Its address on the underlay.")
    device: InterfaceName = key(description="The card that the underlay is on.")
    mtu: Annotated[int, Whole("an MTU in bytes", MIN_MTU_BYTES, MAX_MTU_BYTES)] = key(
        default=DEFAULT_MTU_BYTES, description="The MTU of the underlay in bytes; VXLAN needs 50 of it."
    )
