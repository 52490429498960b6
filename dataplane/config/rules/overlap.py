"""Prefixes that must not overlap: of peers, of a VPC and a data centre, of two VPCs on one VBR (D10, D18).

VPCs that are not connected may overlap as they like (R88).
"""

from collections.abc import Iterator
from ipaddress import IPv4Network

from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Joined, Lookup
from dataplane.config.rules.ranges import Ranges, overlapping_pairs
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


def _common_vswitch(vpc: Vpc, prefixes: Ranges) -> str | None:
    """The first vSwitch that touches some prefixes, with its CIDR for a message."""
    touching = (f"{name} ({item.cidr})" for name, item in vpc.vswitches.items() if prefixes.touches(item.cidr))
    return next(touching, None)


def _peers(lookup: Lookup, joined: Joined, first: str, second: str) -> Iterator[Problem]:
    """R11, R102, D18: the two ends of a connection."""
    vpcs = lookup.network.vpcs
    if not vpcs[first].cidr.overlaps(vpcs[second].cidr):
        return
    cidrs = f"{first} ({vpcs[first].cidr}) and {second} ({vpcs[second].cidr})"
    if lookup.network.profile == "tencent":
        yield lookup.error(joined.path, f"the CIDRs of {cidrs} overlap", "R102", "give them different CIDRs")
        return
    mine = _common_vswitch(vpcs[first], Ranges(item.cidr for item in vpcs[second].vswitches.values()))
    if mine is None:
        remedy = "keep their vswitches apart, as they are now"
        yield lookup.warning(joined.path, f"the CIDRs of {cidrs} overlap", "R11", remedy)
        return
    other = _common_vswitch(vpcs[second], Ranges(item.cidr for item in vpcs[first].vswitches.values()))
    message = f"vswitch {mine} of {first} overlaps vswitch {other} of {second}"
    yield lookup.error(joined.path, message, "R80", "give vswitches of connected VPCs different prefixes")


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
        for cidr in lookup.network.data_centres[data_centre].cidrs:
            yield from _with_data_centre(lookup, joined.path, vpc_id, data_centre, cidr)


def _with_data_centre(
    lookup: Lookup, path: Path, vpc_id: str, data_centre: str, cidr: IPv4Network
) -> Iterator[Problem]:
    vpc = lookup.network.vpcs[vpc_id]
    vswitch = _common_vswitch(vpc, Ranges([cidr]))
    if vpc.cidr == cidr:
        message = f"VPC {vpc_id} and data centre {data_centre} have the same CIDR {cidr}"
        yield lookup.error(path, message, "R36", "give them different CIDRs")
    elif vswitch is not None:
        message = f"vswitch {vswitch} of {vpc_id} overlaps {cidr} of data centre {data_centre}"
        yield lookup.error(path, message, "R80", "give the vswitch another prefix")
    elif vpc.cidr.overlaps(cidr):
        message = f"{vpc.cidr} of {vpc_id} overlaps {cidr} of data centre {data_centre}"
        yield lookup.warning(path, message, "D18", "keep the vswitches apart from it, as they are now")


def _on_one_vbr(lookup: Lookup) -> Iterator[Problem]:
    """D18: VPCs with overlapping CIDRs on one VBR, unless its routes tell them apart."""
    by_vbr: dict[str, dict[str, Joined]] = {}
    for joined in lookup.joined:
        if joined.initiator.vbr is not None and joined.acceptor.vpc is not None:
            by_vbr.setdefault(joined.initiator.vbr, {}).setdefault(joined.acceptor.vpc, joined)
    for vbr_id, others in by_vbr.items():
        for first, second in overlapping_pairs((name, lookup.network.vpcs[name].cidr) for name in others):
            into_first = Ranges(lookup.prefixes_into(others[first].initiator.router_interface))
            into_second = lookup.prefixes_into(others[second].initiator.router_interface)
            common = next((str(prefix) for prefix in into_second if into_first.touches(prefix)), None)
            if common is not None:
                message = f"{first} and {second} overlap, and so do the routes of {vbr_id} to them ({common})"
                remedy = f"make the routes of {vbr_id} to them disjoint"
                yield lookup.error(others[second].path, message, "D18", remedy)
