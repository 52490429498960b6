"""A vSwitch: a VPC's prefix in one zone, and which of its addresses belong to the network (R78, R79)."""

from ipaddress import IPv4Address, IPv4Network

from dataplane.config.base import Described, key, model
from dataplane.config.kinds import Prefix, ResourceId

SYSTEM_TABLE = "system"
"""The id of the route table that every VPC is born with (R57)."""

RESERVED_ADDRESSES = 4
"""The first address and the last three (R79)."""


def gateway_of(cidr: IPv4Network) -> IPv4Address:
    """The gateway of a vSwitch with this prefix: its third-last address (R79)."""
    return cidr[-3]


def is_reserved(cidr: IPv4Network, address: IPv4Address) -> bool:
    """Whether no instance of a vSwitch with this prefix may have the address (R79)."""
    return address == cidr[0] or address >= cidr[-3]


def room_in(cidr: IPv4Network) -> int:
    """How many addresses of a prefix instances can have: all but the reserved ones (R74)."""
    return max(cidr.num_addresses - RESERVED_ADDRESSES, 0)


@model
class VSwitch(Described):
    """A prefix whose instances share a zone and a route table."""

    zone: ResourceId = key(description="The zone of the VPC's region that it is in.")
    cidr: Prefix = key(description="A part of the VPC's CIDR, /16 to /29 (R78).")
    route_table: ResourceId = key(
        default=SYSTEM_TABLE, description="The one route table that its instances use (R59); left out: system."
    )
