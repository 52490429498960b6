"""Prefixes that must not overlap: of peers, of a VPC and a data centre, of two VPCs on one VBR (D10, D18).

VPCs that are not connected may overlap as they like (R88).
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Joined, Lookup
from dataplane.config.rules.ranges import Ranges, nested, overlapping_pairs
from dataplane.config.vpc import Vpc


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every overlap that routes could not tell apart."""
    for joined in lookup.joined:
        first, second = joined.initiator.vpc, joined.acceptor.vpc
        if first is not None and second is not None and first != second:
            yield from _peers(lookup, joined, first, second)
    yield from _peers_across_regions(lookup)
    yield from _data_centres(lookup)
    yield from _on_one_vbr(lookup)


def _peers(lookup: Lookup, joined: Joined, first: str, second: str) -> Iterator[Problem]:
    """R11, R102, D18: the two ends of a connection."""
    vpcs = lookup.network.vpcs
    if not vpcs[first].cidr.overlaps(vpcs[second].cidr):
        return
    cidrs = f"{first} ({vpcs[first].cidr}) and {second} ({vpcs[second].cidr})"
    if lookup.network.profile == "tencent":
        yield lookup.error(joined.path, f"the CIDRs of {cidrs} overlap", "R102", "give them different CIDRs")
        return
    pairs = list(_overlapping_vswitches(vpcs, first, second))
    for mine, other in pairs:
        message = f"vswitch {mine} of {first} overlaps vswitch {other} of {second}"
        yield lookup.error(joined.path, message, "R80", "give vswitches of connected VPCs different prefixes")
    if not pairs:
        remedy = "keep their vswitches apart, as they are now"
        yield lookup.warning(joined.path, f"the CIDRs of {cidrs} overlap", "R11", remedy)


def _overlapping_vswitches(vpcs: Mapping[str, Vpc], first: str, second: str) -> Iterator[tuple[str, str]]:
    """Pairs of vSwitches of two VPCs that overlap, the first VPC's first, with their CIDRs for a message."""
    named = [((vpc, name), item.cidr) for vpc in (first, second) for name, item in vpcs[vpc].vswitches.items()]
    for (vpc, name), around in nested(named):
        # One of the other VPC is enough: vSwitches of one VPC that overlap each other are an error of their own.
        other = next((outer for outer_vpc, outer in around if outer_vpc != vpc), None)
        if other is not None:
            mine, theirs = (name, other) if vpc == first else (other, name)
            yield (
                f"{mine} ({vpcs[first].vswitches[mine].cidr})",
                f"{theirs} ({vpcs[second].vswitches[theirs].cidr})",
            )


def _peers_across_regions(lookup: Lookup) -> Iterator[Problem]:
    """R102: the peers of one VPC that are in other regions."""
    vpcs = lookup.network.vpcs
    peers: dict[str, dict[str, Joined]] = {}
    for joined in lookup.joined:
        for end, other in joined.sides():
            if end.vpc is not None and other.vpc is not None and lookup.is_across_regions(joined):
                peers.setdefault(end.vpc, {}).setdefault(other.vpc, joined)
    for vpc_id, others in peers.items():
        for first, second in overlapping_pairs((name, vpcs[name].cidr) for name in others):
            cidrs = f"{first} ({vpcs[first].cidr}) and {second} ({vpcs[second].cidr})"
            message = f"the CIDRs of {cidrs}, peers of {vpc_id} in other regions, overlap"
            say = lookup.error if lookup.network.profile == "tencent" else lookup.warning
            yield say(others[second].path, message, "R102", "give the peers of a VPC different CIDRs")


def _data_centres(lookup: Lookup) -> Iterator[Problem]:
    """R36, R80, D18: a VPC and the data centre behind its VBRs."""
    seen: set[tuple[str, str]] = set()
    for joined in lookup.joined:
        data_centre = lookup.data_centre_of(joined.initiator.vbr or "")
        vpc_id = joined.acceptor.vpc
        if data_centre is None or vpc_id is None or (vpc_id, data_centre) in seen:
            continue
        seen.add((vpc_id, data_centre))
        yield from _with_data_centre(lookup, joined.path, vpc_id, data_centre)


def _with_data_centre(lookup: Lookup, path: Path, vpc_id: str, data_centre: str) -> Iterator[Problem]:
    vpc = lookup.network.vpcs[vpc_id]
    cidrs = [cidr for cidr in lookup.network.data_centres[data_centre].cidrs if cidr.overlaps(vpc.cidr)]
    if vpc.cidr in cidrs:
        message = f"VPC {vpc_id} and data centre {data_centre} have the same CIDR {vpc.cidr}"
        yield lookup.error(path, message, "R36", "give them different CIDRs")
        return
    inside = Ranges(cidrs)
    touching = {name: item.cidr for name, item in vpc.vswitches.items() if inside.touches(item.cidr)}
    for name, vswitch in touching.items():
        cidr = next(cidr for cidr in cidrs if cidr.overlaps(vswitch))
        message = f"vswitch {name} ({vswitch}) of {vpc_id} overlaps {cidr} of data centre {data_centre}"
        yield lookup.error(path, message, "R80", "give the vswitch another prefix")
    if not touching:
        for cidr in cidrs:
            message = f"{vpc.cidr} of {vpc_id} overlaps {cidr} of data centre {data_centre}"
            yield lookup.warning(path, message, "D18", "keep the vswitches apart from it, as they are now")


def _on_one_vbr(lookup: Lookup) -> Iterator[Problem]:
    """D18: VPCs with overlapping CIDRs on one VBR, unless its routes tell them apart."""
    routes: dict[str, list[tuple[Joined, IPv4Network]]] = {}
    for joined in lookup.joined:
        if joined.initiator.vbr is not None:
            into = lookup.prefixes_into(joined.initiator.router_interface)
            routes.setdefault(joined.initiator.vbr, []).extend((joined, prefix) for prefix in into)
    for vbr_id, routed in routes.items():
        yield from _routes_of_one_vbr(lookup, vbr_id, routed)


def _routes_of_one_vbr(lookup: Lookup, vbr_id: str, routed: list[tuple[Joined, IPv4Network]]) -> Iterator[Problem]:
    said: set[tuple[str | None, str | None]] = set()
    for (joined, prefix), around in nested(((joined, prefix), prefix) for joined, prefix in routed):
        for other, _ in around:
            first, second = sorted((other, joined), key=lambda item: item.id)
            names = first.acceptor.vpc, second.acceptor.vpc
            if names[0] == names[1] or names in said or not _do_overlap(lookup, *names):
                continue
            said.add(names)
            message = f"{names[0]} and {names[1]} overlap, and so do the routes of {vbr_id} to them ({prefix})"
            remedy = f"make the routes of {vbr_id} to them disjoint"
            yield lookup.error(second.path, message, "D18", remedy)


def _do_overlap(lookup: Lookup, first: str | None, second: str | None) -> bool:
    vpcs = lookup.network.vpcs
    return vpcs[first or ""].cidr.overlaps(vpcs[second or ""].cidr)
