"""Route tables and the destinations in them (R58-R63, R134)."""

from collections.abc import Iterator
from ipaddress import IPv4Network

from dataplane.config.problem import Path, Problem
from dataplane.config.route_table import Route
from dataplane.config.rules.lookup import Lookup
from dataplane.config.vswitch import SYSTEM_TABLE

CLOUD_SERVICES = IPv4Network("100.64.0.0/10")


def check(lookup: Lookup) -> Iterator[Problem]:
    """How many tables and routes there are, and what they match."""
    for vpc_id, vpc in lookup.network.vpcs.items():
        yield from _table_quota(lookup, vpc_id, len({SYSTEM_TABLE, *vpc.route_tables}))
        for table_id, table in vpc.route_tables.items():
            path: Path = ("vpcs", vpc_id, "route_tables", table_id)
            yield from _route_quota(lookup, path, len(table.routes))
            yield from _destinations(lookup, path, table.routes)
            yield from _unused(lookup, vpc_id, table_id)
    for vbr_id, vbr in lookup.network.vbrs.items():
        yield from _destinations(lookup, ("vbrs", vbr_id), vbr.routes, is_vbr=True)


def _table_quota(lookup: Lookup, vpc_id: str, count: int) -> Iterator[Problem]:
    quota = lookup.network.quotas.route_tables_per_vpc
    if count > quota:
        message = f"{count} route tables with the system table, and the quota is {quota}"
        remedy = "remove some, or raise quotas: {route_tables_per_vpc: ...}"
        yield lookup.error(("vpcs", vpc_id, "route_tables"), message, "R58", remedy)


def _route_quota(lookup: Lookup, path: Path, count: int) -> Iterator[Problem]:
    quota = lookup.network.quotas.custom_routes_per_table
    if count > quota:
        message = f"{count} custom routes, and the quota is {quota}"
        remedy = "remove some, or raise quotas: {custom_routes_per_table: ...}"
        yield lookup.error((*path, "routes"), message, "R60", remedy)


def _destinations(lookup: Lookup, path: Path, routes: tuple[Route, ...], *, is_vbr: bool = False) -> Iterator[Problem]:
    seen: dict[IPv4Network, int] = {}
    for index, route in enumerate(routes):
        here: Path = (*path, "routes", index, "destination")
        first = seen.setdefault(route.destination, index)
        if first != index:
            origin = lookup.origin(*path, "routes", first)
            message = f"{route.destination} is routed twice in this table, first at {origin}"
            yield lookup.error(here, message, "R63", "keep one of them")
        if route.destination == CLOUD_SERVICES:
            yield _cloud_services(lookup, here, is_vbr)


def _cloud_services(lookup: Lookup, path: Path, is_vbr: bool) -> Problem:
    if is_vbr:
        message, remedy = f"{CLOUD_SERVICES} is reserved in a VPC", "write 100.64.0.0/11 and 100.96.0.0/11 on a VBR"
        return lookup.error(path, message, "R134", remedy)
    message = f"{CLOUD_SERVICES} is a system route of every table"
    return lookup.error(path, message, "R61", "remove the route, or route a part of it")


def _unused(lookup: Lookup, vpc_id: str, table_id: str) -> Iterator[Problem]:
    vswitches = lookup.network.vpcs[vpc_id].vswitches.values()
    if table_id == SYSTEM_TABLE or any(vswitch.route_table == table_id for vswitch in vswitches):
        return
    if not lookup.has_broken_under("vpcs", vpc_id, "vswitches"):
        message = "no vswitch uses this route table, so its routes do nothing"
        remedy = f"write route_table: {table_id} on a vswitch"
        yield lookup.warning(("vpcs", vpc_id, "route_tables", table_id), message, "R59", remedy)
