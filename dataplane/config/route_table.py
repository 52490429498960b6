"""A route table of a VPC, and the routes that users write into it or into a VBR."""

from typing import Annotated

from pydantic import Field

from dataplane.config.base import Described, Model
from dataplane.config.kinds import Destination, EmptyList
from dataplane.config.next_hop import NextHop


class Route(Model):
    """A custom route entry (R60)."""

    destination: Destination = Field(description="The prefix that it matches; a bare address means /32 (R64).")
    next_hop: NextHop


class RouteTable(Described):
    """The custom routes of a table; its system routes are never written (R61).

    The table ``system`` exists in every VPC whether the file names it or not (R57).
    """

    routes: Annotated[tuple[Route, ...], EmptyList] = Field(default=(), description="Its custom routes.")
