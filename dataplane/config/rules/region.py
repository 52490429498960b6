"""Regions, zones, access points and hosts: references to them, and what a region can do (R24, R71).

A network without ``regions:`` may call its regions what it likes; one with them names all, and likewise
the zones of a region.
"""

from collections.abc import Iterator

from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup
from dataplane.config.vswitch import SYSTEM_TABLE


def check(lookup: Lookup) -> Iterator[Problem]:
    """References to regions, access points and hosts, and custom route tables where there are none."""
    network = lookup.network
    for path, region in _region_references(lookup):
        if network.regions and region not in network.regions and not lookup.is_broken("regions", region):
            yield lookup.dangling(path, "region", region, network.regions, "R12")
    for path, host in _host_references(lookup):
        if host not in network.hosts and not lookup.is_broken("hosts", host):
            yield lookup.dangling(path, "host", host, network.hosts)
    for line_id, line in network.physical_connections.items():
        name = line.access_point
        if network.access_points and name not in network.access_points and not lookup.is_broken("access_points", name):
            path = ("physical_connections", line_id, "access_point")
            yield lookup.dangling(path, "access point", name, network.access_points, "R26")
    yield from _without_custom_tables(lookup)


def _region_references(lookup: Lookup) -> Iterator[tuple[Path, str]]:
    network = lookup.network
    for vpc_id, vpc in network.vpcs.items():
        yield ("vpcs", vpc_id, "region"), vpc.region
    for name, access_point in network.access_points.items():
        yield ("access_points", name, "region"), access_point.region
    for name, service in network.services.items():
        yield ("services", name, "region"), service.region


def _host_references(lookup: Lookup) -> Iterator[tuple[Path, str]]:
    for name, region in lookup.network.regions.items():
        for zone_id, zone in region.zones.items():
            if zone.host is not None:
                yield ("regions", name, "zones", zone_id, "host"), zone.host
    for name, access_point in lookup.network.access_points.items():
        if access_point.host is not None:
            yield ("access_points", name, "host"), access_point.host


def _without_custom_tables(lookup: Lookup) -> Iterator[Problem]:
    for vpc_id, vpc in lookup.network.vpcs.items():
        region = lookup.network.regions.get(vpc.region)
        if region is None or region.custom_route_tables:
            continue
        for table in vpc.route_tables:
            if table != SYSTEM_TABLE:
                path: Path = ("vpcs", vpc_id, "route_tables", table)
                message = f"region {vpc.region} has no route tables beside the system table"
                yield lookup.error(path, message, "R71", "put its routes into the table system")
