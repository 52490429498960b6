"""Which address each instance has: the one in the file, the one remembered, or the lowest free one.

An address that was given out once stays (D22): adding an instance above another moves nobody.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from dataplane.config import InvalidConfig, Loaded, Problem
from dataplane.config.vpc import Vpc
from dataplane.config.vswitch import is_reserved


def assign_addresses(loaded: Loaded, remembered: Mapping[str, IPv4Address]) -> dict[str, IPv4Address]:
    """The address of every instance of a network.

    Args:
        loaded: the checked configuration.
        remembered: instance id -> the address that it was given before.

    Raises:
        InvalidConfig: a vSwitch has no address left (R79).
    """
    addresses: dict[str, IPv4Address] = {}
    for vpc_id, vpc in loaded.network.vpcs.items():
        addresses |= _assign_in_vpc(loaded, vpc_id, vpc, remembered, probe_sources(loaded, vpc_id))
    return addresses


def probe_sources(loaded: Loaded, vpc_id: str) -> frozenset[IPv4Address]:
    """Addresses of a VPC that health checks send from: never given out (R40, D21)."""
    return frozenset(
        source
        for connection in loaded.network.peering_connections.values()
        if connection.health_check is not None
        if any(end.vpc == vpc_id for _, end in connection.ends())
        for source in connection.health_check.source
    )


def _assign_in_vpc(
    loaded: Loaded,
    vpc_id: str,
    vpc: Vpc,
    remembered: Mapping[str, IPv4Address],
    reserved: frozenset[IPv4Address],
) -> dict[str, IPv4Address]:
    given = {name: item.ip for name, item in vpc.instances.items() if item.ip is not None}
    taken = set(given.values()) | reserved
    waiting = []
    for name, instance in vpc.instances.items():
        if name in given:
            continue
        before, cidr = remembered.get(name), vpc.vswitches[instance.vswitch].cidr
        if before is not None and before in cidr and before not in taken and not is_reserved(cidr, before):
            given[name] = before
            taken.add(before)
        else:
            waiting.append(name)
    free = {name: _free_addresses(vswitch.cidr, taken) for name, vswitch in vpc.vswitches.items()}
    for name in waiting:
        vswitch = vpc.instances[name].vswitch
        address = next(free[vswitch], None)
        if address is None:
            raise InvalidConfig((_exhausted(loaded, vpc_id, vswitch, name),))
        given[name] = address
        taken.add(address)
    return given


def _free_addresses(cidr: IPv4Network, taken: set[IPv4Address]) -> Iterator[IPv4Address]:
    for number in range(int(cidr[1]), int(cidr[-3])):
        address = IPv4Address(number)
        if address not in taken:
            yield address


def _exhausted(loaded: Loaded, vpc_id: str, vswitch: str, instance: str) -> Problem:
    cidr = loaded.network.vpcs[vpc_id].vswitches[vswitch].cidr
    return Problem(
        severity="error",
        origin=loaded.origin("vpcs", vpc_id, "instances", instance),
        path=f"vpcs.{vpc_id}.instances.{instance}",
        message=f"vswitch {vswitch} ({cidr}) has no free address left for it",
        rule="R79",
        remedy=f"{cidr.num_addresses - 4} of its {cidr.num_addresses} addresses can be used: use another vswitch too",
    )
