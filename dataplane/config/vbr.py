"""A virtual border router: one VLAN of a physical connection, with a route table of its own (R26-R29)."""

from typing import Annotated

from pydantic import Field

from dataplane.config.base import Described
from dataplane.config.kinds import EmptyList, Flag, HostAddress, InterfaceAddress, ResourceId, Whole
from dataplane.config.route_table import Route


class Vbr(Described):
    """The router between VPCs and a data centre."""

    account: ResourceId = Field(description="The account that owns it.")
    physical_connection: ResourceId = Field(description="The line it is on.")
    vlan: Annotated[int, Whole("a VLAN id", 1, 4094, "R26")] = Field(
        description="Its VLAN on the line, 1 to 4094 (R26)."
    )
    local_ip: InterfaceAddress = Field(description="Our address on the line with its mask, a /30 as a rule (R27).")
    peer_ip: HostAddress = Field(description="The data centre's address on the line (R27).")
    transit: Flag = Field(default=False, description="Whether its VPCs reach each other through it (D16).")
    routes: Annotated[tuple[Route, ...], EmptyList] = Field(
        default=(),
        description="Its routes: physical_connection towards the data centre, router interfaces to VPCs (R28).",
    )
