"""A data centre: what the other side of the lines must look like. It is checked, never built."""

from typing import Annotated

from dataplane.config.base import Described, Model, key, model
from dataplane.config.kinds import Destination, EmptyList, Prefix, ResourceId


@model
class DataCentreRoute(Model):
    """A static route that the data centre's router needs (R31, R44)."""

    destination: Destination = key(description="A VPC's CIDR, or the source of a health check (R44).")
    via: tuple[ResourceId, ...] = key(description="The VBRs that it goes through.")


@model
class DataCentre(Described):
    """The network at the far end of physical connections."""

    cidrs: Annotated[tuple[Prefix, ...], EmptyList] = key(default=(), description="Its own prefixes (R36).")
    routes: Annotated[tuple[DataCentreRoute, ...], EmptyList] = key(
        default=(), description="The routes that its router needs, printed by `dataplane cpe`."
    )
