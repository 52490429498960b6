"""Peering connections: their ends, what the ends say of each other, and the rate between regions (R1-R15, R106)."""

from collections.abc import Iterator

from dataplane.config.peering import ROLES, PeeringConnection, PeeringEnd, Role
from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Joined, Lookup
from dataplane.config.values import bandwidth_text


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about a connection by itself."""
    seen: dict[str, str] = {}
    for name, connection in lookup.network.peering_connections.items():
        path: Path = ("peering_connections", name)
        for role, end in connection.ends():
            yield from _end(lookup, (*path, role), role, end)
            first = seen.setdefault(end.router_interface, f"{name}.{role}")
            if first != f"{name}.{role}":
                message = f"router interface {end.router_interface} is the {first} already"
                yield lookup.error((*path, role, "router_interface"), message, "R1", "give each end its own id")
        if not any(lookup.is_broken(*path, role) for role in ROLES):
            yield from _missing_end(lookup, path, connection)
    for joined in lookup.joined:
        yield from _peers(lookup, joined)
        yield from _between_regions(lookup, joined)
        if joined.initiator.vpc is not None and joined.initiator.vpc == joined.acceptor.vpc:
            message = f"both ends belong to VPC {joined.initiator.vpc}"
            yield lookup.error(joined.path, message, "R1", "connect two different VPCs")
    yield from _parallel(lookup)


def _end(lookup: Lookup, path: Path, role: Role, end: PeeringEnd) -> Iterator[Problem]:
    network = lookup.network
    if end.vpc is not None and end.vpc not in network.vpcs and not lookup.is_broken("vpcs", end.vpc):
        yield lookup.dangling((*path, "vpc"), "VPC", end.vpc, network.vpcs, "R12")
    if end.vbr is None:
        return
    if role == "acceptor":
        message = f"the VBR {end.vbr} is the acceptor"
        yield lookup.error((*path, "vbr"), message, "R9", "make the VBR the initiator and the VPC the acceptor")
    elif end.vbr not in network.vbrs and not lookup.is_broken("vbrs", end.vbr):
        yield lookup.dangling((*path, "vbr"), "VBR", end.vbr, network.vbrs, "R12")


def _missing_end(lookup: Lookup, path: Path, connection: PeeringConnection) -> Iterator[Problem]:
    roles = [role for role, _ in connection.ends()]
    if not roles:
        yield lookup.error(path, "a connection without ends", "R1", "write initiator: and acceptor:")
    elif len(roles) == 1:
        yield from _lone_end(lookup, path, *connection.ends()[0])


def _lone_end(lookup: Lookup, path: Path, role: Role, end: PeeringEnd) -> Iterator[Problem]:
    """R3, R8: an end without the other one waits for another account; who owns both creates both."""
    missing = "acceptor" if role == "initiator" else "initiator"
    account = lookup.account_of(end)
    if account is not None and end.peer is not None and _is_account(lookup, end.peer.account, account):
        message = f"the {missing} is missing, and account {account} owns both ends"
        remedy = f"write {missing}: too; an end alone is for two accounts"
        yield lookup.error((*path, role), message, "R8", remedy)
        return
    message = f"the {missing} is not configured, so nothing is forwarded"
    yield lookup.warning(path, message, "R3", f"write {missing}:, here or in the other account's file")


def _is_account(lookup: Lookup, reference: str, account: str) -> bool:
    """Whether an id or a uid means an account."""
    item = lookup.network.accounts.get(account)
    return reference == account or (item is not None and reference == item.uid)


def _peers(lookup: Lookup, joined: Joined) -> Iterator[Problem]:
    """R3, R7: what each end says of the other is so, and neither of two accounts is silent where the other speaks."""
    for role, (end, other) in zip(ROLES, joined.sides(), strict=True):
        peer = end.peer
        if peer is None:
            yield from _silent(lookup, (*joined.path, role), end, other)
            continue
        path: Path = (*joined.path, role, "peer")
        if peer.router_interface != other.router_interface:
            message = f"the other end is {other.router_interface}, not {peer.router_interface}"
            remedy = f"write {other.router_interface}, or mend the other end"
            yield lookup.error((*path, "router_interface"), message, "R3", remedy)
        account = lookup.account_of(other)
        if account is not None and not _is_account(lookup, peer.account, account):
            message = f"the other end belongs to account {account}, not {peer.account}"
            yield lookup.error((*path, "account"), message, "R3", f"write {account}, or mend the other end")


def _silent(lookup: Lookup, path: Path, end: PeeringEnd, other: PeeringEnd) -> Iterator[Problem]:
    """R3: of two accounts that say who they connect to, both say it; where neither does, the file is one person's."""
    account = lookup.account_of(other)
    if other.peer is None or account == lookup.account_of(end):
        return
    message = f"this end does not say who its peer is, and {other.router_interface} of account {account} does"
    remedy = f"add peer: {{account: {account}, router_interface: {other.router_interface}}}"
    yield lookup.warning(path, message, "R3", remedy)


def _between_regions(lookup: Lookup, joined: Joined) -> Iterator[Problem]:
    if not lookup.is_across_regions(joined) or lookup.is_broken(*joined.path, "bandwidth"):
        return
    regions = lookup.region_of(joined.initiator), lookup.region_of(joined.acceptor)
    bandwidth = joined.connection.bandwidth
    quota = lookup.network.quotas.cross_region_bandwidth
    if bandwidth is None:
        message = f"the connection of {regions[0]} and {regions[1]} has no bandwidth"
        yield lookup.error(joined.path, message, "R106", "write bandwidth: 100Mbps, say: it is required across regions")
    elif bandwidth > quota:
        message = f"{bandwidth_text(bandwidth)} between regions, and the quota is {bandwidth_text(quota)}"
        remedy = "lower it, or raise quotas: {cross_region_bandwidth: ...}"
        yield lookup.error((*joined.path, "bandwidth"), message, "R106", remedy)


def _parallel(lookup: Lookup) -> Iterator[Problem]:
    """R110: one connection carries many prefixes."""
    seen: dict[frozenset[str | None], str] = {}
    for joined in lookup.joined:
        if joined.initiator.vpc is None or joined.initiator.vpc == joined.acceptor.vpc:
            continue
        first = seen.setdefault(frozenset({joined.initiator.vpc, joined.acceptor.vpc}), joined.id)
        if first != joined.id:
            message = f"{first} connects the same two VPCs"
            yield lookup.warning(
                joined.path, message, "R110", "one connection carries many prefixes: add routes instead"
            )
