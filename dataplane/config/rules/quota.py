"""How many connections a VPC, a VBR, an account and a line may have (R13, R14, R105, D6)."""

from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

from dataplane.config.peering import PeeringEnd
from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup

_Thing = TypeVar("_Thing", bound=Hashable)


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every quota of connections, with the count in the message."""
    quotas = lookup.network.quotas
    rule = "R105" if lookup.network.profile == "tencent" else "R13"
    ends = [end for connection in lookup.network.peering_connections.values() for _, end in connection.ends()]
    for vpc_id, count in _counts(end.vpc for end in ends if end.vpc in lookup.network.vpcs).items():
        path: Path = ("vpcs", str(vpc_id))
        yield from _over(lookup, path, count, quotas.peerings_per_vpc, "peerings_per_vpc", rule)
    for vbr_id, count in _counts(end.vbr for end in ends if end.vbr in lookup.network.vbrs).items():
        path = ("vbrs", str(vbr_id))
        yield from _over(lookup, path, count, quotas.peerings_per_vbr, "peerings_per_vbr", "R13")
    for account, count in _counts(_accounts(lookup)).items():
        path = ("accounts", account)
        yield from _over(lookup, path, count, quotas.peerings_per_account, "peerings_per_account", "R13")
    yield from _lines(lookup)


def _over(lookup: Lookup, path: Path, count: int, quota: int, key: str, rule: str) -> Iterator[Problem]:
    if count > quota:
        noun = {"vpcs": "VPC", "vbrs": "VBR", "accounts": "account"}[str(path[0])]
        message = f"{noun} {path[1]} has {count} peering connections, and the quota is {quota}"
        yield lookup.error(path, message, rule, f"remove some, or raise quotas: {{{key}: ...}}")


def _counts(things: Iterable[_Thing]) -> dict[_Thing, int]:
    counted: dict[_Thing, int] = {}
    for thing in things:
        counted[thing] = counted.get(thing, 0) + 1
    return counted


def _accounts(lookup: Lookup) -> Iterator[str]:
    """The accounts of each connection: one that owns both ends counts once."""
    for connection in lookup.network.peering_connections.values():
        owners = {lookup.account_of(end) for _, end in connection.ends()}
        yield from sorted(owner for owner in owners if owner is not None)


def _lines(lookup: Lookup) -> Iterator[Problem]:
    """R14: the VPCs that one physical connection serves."""
    served: dict[str, set[str]] = {}
    for joined in lookup.joined:
        line, vpc = _line_of(lookup, joined.initiator), joined.acceptor.vpc
        if line is not None and vpc is not None:
            served.setdefault(line, set()).add(vpc)
    quota = lookup.network.quotas.vpcs_per_physical_connection
    for line, vpcs in served.items():
        if len(vpcs) > quota:
            message = f"physical connection {line} serves {len(vpcs)} VPCs, and the quota is {quota}"
            remedy = "use another one, or raise quotas: {vpcs_per_physical_connection: ...}"
            yield lookup.error(("physical_connections", line), message, "R14", remedy)


def _line_of(lookup: Lookup, end: PeeringEnd) -> str | None:
    vbr = lookup.network.vbrs.get(end.vbr or "")
    known = vbr is not None and vbr.physical_connection in lookup.network.physical_connections
    return vbr.physical_connection if vbr is not None and known else None
