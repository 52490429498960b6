"""What may not change while a resource lives: CIDRs (R75) and the address of a running instance (R85).

Also what is remembered for that, and since when connections are there (R167).
"""

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network

from dataplane.compile.peering import why_not_forwarding
from dataplane.compile.router import router_of
from dataplane.config import Loaded, Problem
from dataplane.model.desired import Desired
from dataplane.model.memory import CONNECTED_AT, CREATED_AT, Memory


def forbidden_changes(loaded: Loaded, desired: Desired, memory: Memory) -> list[Problem]:
    """One problem for each change that the rules forbid, against what is remembered (D22)."""
    return [*_changed_cidrs(loaded, memory), *_changed_addresses(loaded, desired, memory)]


def _changed_cidrs(loaded: Loaded, memory: Memory) -> Iterator[Problem]:
    for vpc_id, vpc in loaded.network.vpcs.items():
        cidrs: list[tuple[str, str, IPv4Network, tuple[str, ...]]] = [
            ("vpc", vpc_id, vpc.cidr, ("vpcs", vpc_id, "cidr"))
        ]
        cidrs += [
            ("vswitch", name, vswitch.cidr, ("vpcs", vpc_id, "vswitches", name, "cidr"))
            for name, vswitch in vpc.vswitches.items()
        ]
        for kind, name, cidr, path in cidrs:
            before = memory.get(kind, name, "cidr")
            if before is not None and before != str(cidr):
                yield Problem(
                    severity="error",
                    origin=loaded.origin(*path),
                    path=".".join(path),
                    message=f"{kind} {name} was created with {before}, and a CIDR cannot change to {cidr}",
                    rule="R75",
                    remedy=f"give it a new id, or take {name} out of the file, apply, and write it anew",
                )


def _changed_addresses(loaded: Loaded, desired: Desired, memory: Memory) -> Iterator[Problem]:
    remembered = memory.addresses()
    for vpc_id, vpc in loaded.network.vpcs.items():
        for name, instance in vpc.instances.items():
            before, after = remembered.get(name), desired.addresses[name]
            if before is not None and before != after and instance.state == "running":
                yield Problem(
                    severity="error",
                    origin=loaded.origin("vpcs", vpc_id, "instances", name),
                    path=f"vpcs.{vpc_id}.instances.{name}",
                    message=f"running instance {name} has the address {before}, and the file now gives it {after}",
                    rule="R85",
                    remedy=f"apply it with `state: stopped` and the new address first; or write `ip: {before}`",
                )


def remember(
    loaded: Loaded, desired: Desired, failed_units: Collection[str] = (), before: Memory | None = None, now: str = ""
) -> Memory:
    """The facts to keep once a configuration is applied.

    Args:
        failed_units: units that were rolled back: nothing new is remembered of them.
        before: what was remembered.
        now: UTC, ISO 8601; empty: dates are not remembered.
    """
    facts: dict[tuple[str, str, str], str] = {}
    for vpc_id, vpc in loaded.network.vpcs.items():
        if vpc_id in failed_units:
            continue
        facts["vpc", vpc_id, "cidr"] = str(vpc.cidr)
        for name, vswitch in vpc.vswitches.items():
            facts["vswitch", name, "cidr"] = str(vswitch.cidr)
        for name in vpc.instances:
            facts["instance", name, "ip"] = str(desired.addresses[name])
    if now:
        facts |= _dates(loaded, failed_units, before or Memory(), now)
    return Memory(facts)


def _dates(loaded: Loaded, failed_units: Collection[str], before: Memory, now: str) -> dict[tuple[str, str, str], str]:
    """Since when connections are there, and forward (R167)."""
    kind, facts = "peering_connection", {}
    for name, connection in loaded.network.peering_connections.items():
        has_failed = any(router_of(end).unit in failed_units for _, end in connection.ends())
        for what, holds in ((CREATED_AT, True), (CONNECTED_AT, not why_not_forwarding(connection))):
            since = before.get(kind, name, what)
            if holds and (since is not None or not has_failed):
                facts[kind, name, what] = since or now
    return facts
