"""A route table of a VPC, and the routes that users write into it or into a VBR."""

from typing import Annotated

from dataplane.config.base import Described, Model, key, model
from dataplane.config.kinds import Destination, EmptyList
from dataplane.config.next_hop import NextHop


@model
class Route(Model):
    """A custom route entry (R60)."""

    destination: Destination = key(description="The prefix that it matches; a bare address means /32 (R64).")
    next_hop: NextHop = key(description="Where packets to the destination go (R65).")


@model
class RouteTable(Described):
    """The custom routes of a table; its system routes are never written (R61).

    The table ``system`` exists in every VPC whether the file names it or not (R57).
    """

    routes: Annotated[tuple[Route, ...], EmptyList] = key(default=(), description="Its custom routes.")
