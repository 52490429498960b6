"""VPCs: their CIDRs and the default VPC (R73, R76, R81)."""

from collections.abc import Iterator
from ipaddress import IPv4Network

from dataplane.config.problem import Problem
from dataplane.config.rules.lookup import Lookup

PRIVATE_BLOCKS = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
MAX_PREFIX_LENGTH = 29
"""The smallest vSwitch (R78) must fit."""
HYBRID_PREFIX_LENGTH = 16


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about a VPC by itself."""
    for vpc_id, vpc in lookup.network.vpcs.items():
        yield from _cidr(lookup, vpc_id, vpc.cidr)
    yield from _hybrid(lookup)
    yield from _defaults(lookup)


def _cidr(lookup: Lookup, vpc_id: str, cidr: IPv4Network) -> Iterator[Problem]:
    path = ("vpcs", vpc_id, "cidr")
    if not any(cidr.subnet_of(block) for block in PRIVATE_BLOCKS):
        blocks = ", ".join(str(block) for block in PRIVATE_BLOCKS)
        yield lookup.error(path, f"{cidr} is not private", "R73", f"use {blocks} or a part of one")
    elif cidr.prefixlen > MAX_PREFIX_LENGTH:
        yield lookup.error(
            path, f"{cidr} has no room for a vSwitch", "R73", f"use /{MAX_PREFIX_LENGTH} or a shorter mask"
        )


def _hybrid(lookup: Lookup) -> Iterator[Problem]:
    """R76: a VPC that meets a data centre leaves room in the private blocks."""
    hybrid = {joined.acceptor.vpc for joined in lookup.joined if joined.initiator.vbr is not None}
    for vpc_id, vpc in lookup.network.vpcs.items():
        if vpc_id in hybrid and vpc.cidr.prefixlen < HYBRID_PREFIX_LENGTH:
            message = f"{vpc.cidr} is larger than /{HYBRID_PREFIX_LENGTH}, and the VPC is connected to a data centre"
            yield lookup.warning(
                ("vpcs", vpc_id, "cidr"), message, "R76", "use a smaller part, so that they cannot overlap"
            )


def _defaults(lookup: Lookup) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for vpc_id, vpc in lookup.network.vpcs.items():
        if not vpc.default:
            continue
        first = seen.setdefault((vpc.account, vpc.region), vpc_id)
        if first != vpc_id:
            message = f"{first} is the default VPC of account {vpc.account} in region {vpc.region} already"
            yield lookup.error(("vpcs", vpc_id, "default"), message, "R81", "leave default: true to one of them")
        if vpc.cidr.prefixlen != 16:
            message = f"a default VPC has a /16, not {vpc.cidr}"
            yield lookup.error(("vpcs", vpc_id, "cidr"), message, "R81", "write 172.31.0.0/16, say")
