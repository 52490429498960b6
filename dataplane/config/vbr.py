"""A virtual border router: one VLAN of a physical connection, with a route table of its own (R26-R29)."""

from typing import Annotated

from dataplane.config.base import Described, key, model
from dataplane.config.kinds import EmptyList, Flag, HostAddress, InterfaceAddress, ResourceId, Whole
from dataplane.config.route_table import Route


@model
class Vbr(Described):
    """The router between VPCs and a data centre."""

    account: ResourceId = key(description="The account that owns it.")
    physical_connection: ResourceId = key(description="The line it is on.")
    vlan: Annotated[int, Whole("a VLAN id", 1, 4094, "R26")] = key(description="Its VLAN on the line, 1 to 4094 (R26).")
    local_ip: InterfaceAddress = key(description="Our address on the line with its mask, a /30 as a rule (R27).")
    peer_ip: HostAddress = key(description="The data centre's address on the line (R27).")
    transit: Flag = key(default=False, description="Whether its VPCs reach each other through it (D16).")
    routes: Annotated[tuple[Route, ...], EmptyList] = key(
        default=(),
        description="Its routes: physical_connection towards the data centre, router interfaces to VPCs (R28).",
    )
