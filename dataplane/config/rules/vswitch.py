"""vSwitches: their prefixes, zones and route tables (R59, R78, R79)."""

from collections.abc import Iterator

from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup
from dataplane.config.rules.ranges import overlapping_pairs
from dataplane.config.vpc import Vpc
from dataplane.config.vswitch import SYSTEM_TABLE, VSwitch, room_in

MIN_PREFIX_LENGTH = 16
MAX_PREFIX_LENGTH = 29


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about vSwitches within their VPC."""
    home: dict[str, str] = {}
    for vpc_id, vpc in lookup.network.vpcs.items():
        for vswitch_id, vswitch in vpc.vswitches.items():
            path: Path = ("vpcs", vpc_id, "vswitches", vswitch_id)
            first = home.setdefault(vswitch_id, vpc_id)
            if first != vpc_id:
                message = f"VPC {first} has a vswitch {vswitch_id} too"
                yield lookup.error(path, message, "D13", "give each vswitch of the configuration its own id")
            yield from _cidr(lookup, path, vpc, vswitch)
            yield from _route_table(lookup, path, vpc_id, vpc, vswitch)
            yield from _zone(lookup, path, vpc, vswitch)
        yield from _overlaps(lookup, vpc_id, vpc)
        yield from _room(lookup, vpc_id, vpc)


def _cidr(lookup: Lookup, path: Path, vpc: Vpc, vswitch: VSwitch) -> Iterator[Problem]:
    cidr = vswitch.cidr
    if not MIN_PREFIX_LENGTH <= cidr.prefixlen <= MAX_PREFIX_LENGTH:
        remedy = f"use a mask from /{MIN_PREFIX_LENGTH} to /{MAX_PREFIX_LENGTH}"
        yield lookup.error((*path, "cidr"), f"a vswitch cannot be a /{cidr.prefixlen}", "R78", remedy)
    elif not cidr.subnet_of(vpc.cidr):
        message = f"{cidr} is not inside the VPC's CIDR {vpc.cidr}"
        yield lookup.error((*path, "cidr"), message, "R78", f"use a part of {vpc.cidr}")
    elif cidr == vpc.cidr and len(vpc.vswitches) > 1:
        message = f"{cidr} is the whole VPC, and the VPC has other vswitches"
        yield lookup.error((*path, "cidr"), message, "R78", "make it smaller, or the only one")


def _route_table(lookup: Lookup, path: Path, vpc_id: str, vpc: Vpc, vswitch: VSwitch) -> Iterator[Problem]:
    table = vswitch.route_table
    if table == SYSTEM_TABLE or table in vpc.route_tables:
        return
    if not lookup.is_broken("vpcs", vpc_id, "route_tables", table):
        known = {SYSTEM_TABLE, *vpc.route_tables}
        yield lookup.dangling((*path, "route_table"), "route table", table, known, "R59", f"in VPC {vpc_id}")


def _zone(lookup: Lookup, path: Path, vpc: Vpc, vswitch: VSwitch) -> Iterator[Problem]:
    region = lookup.network.regions.get(vpc.region)
    zones = region.zones if region is not None else {}
    if zones and vswitch.zone not in zones and not lookup.is_broken("regions", vpc.region, "zones", vswitch.zone):
        yield lookup.dangling((*path, "zone"), "zone", vswitch.zone, zones, "R83", f"in region {vpc.region}")


def _overlaps(lookup: Lookup, vpc_id: str, vpc: Vpc) -> Iterator[Problem]:
    # A vSwitch that is as large as the VPC or outside it is an error already, said in better words.
    inside = {name: item.cidr for name, item in vpc.vswitches.items() if item.cidr.subnet_of(vpc.cidr)}
    named = ((name, cidr) for name, cidr in inside.items() if cidr != vpc.cidr)
    for first, second in overlapping_pairs(named):
        message = f"{vpc.vswitches[second].cidr} overlaps vswitch {first} ({vpc.vswitches[first].cidr})"
        path: Path = ("vpcs", vpc_id, "vswitches", second, "cidr")
        yield lookup.error(path, message, "R78", "give each vswitch of a VPC addresses of its own")


def _room(lookup: Lookup, vpc_id: str, vpc: Vpc) -> Iterator[Problem]:
    """R79: more instances than addresses; the probe sources of health checks take some of them too (R40)."""
    instances = dict.fromkeys(vpc.vswitches, 0)
    for instance in vpc.instances.values():
        if instance.vswitch in instances:
            instances[instance.vswitch] += 1
    for name, vswitch in vpc.vswitches.items():
        probes = sum(1 for source in lookup.probe_sources.get(vpc_id, {}) if source in vswitch.cidr)
        room = max(room_in(vswitch.cidr) - probes, 0)
        if instances[name] > room:
            noun = "instance" if instances[name] == 1 else "instances"
            message = f"{instances[name]} {noun}, and room for {room} in {vswitch.cidr}"
            yield lookup.error(("vpcs", vpc_id, "vswitches", name), message, "R79", "use a shorter mask")
