"""A physical connection: the leased line that a VBR speaks VLAN on."""

from typing import Annotated

from dataplane.config.base import Described, Model, key, model
from dataplane.config.kinds import Bandwidth, CpuMask, InterfaceName, ResourceId, Whole

MAX_QUEUES = 1024


@model
class Queues(Model):
    """What a card of several queues is set to (R132); a key that is left out leaves the card as it is."""

    combined: Annotated[int, Whole("a number of queues", 1, MAX_QUEUES, "R132")] | None = key(
        default=None,
        description="As of `ethtool -L`: queues for both directions, or as many of each where it has no such ones.",
    )
    rps_cpus: CpuMask | None = key(
        default=None,
        description="The processors that packets of each receive queue are spread over, as a hexadecimal mask.",
    )


@model
class PhysicalConnection(Described):
    """A leased line."""

    account: ResourceId = key(description="The account that pays for it.")
    access_point: ResourceId = key(description="Where it comes in.")
    device: InterfaceName = key(description="The card of the host that it ends at.")
    data_centre: ResourceId | None = key(default=None, description="The data centre at its far end.")
    bandwidth: Bandwidth | None = key(default=None, description="Its rate; the base of flow caps (D19).")
    queues: Queues | None = key(default=None, description="The queues of the card (R132).")
