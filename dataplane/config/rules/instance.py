"""Instances: their vSwitch, address, MAC and what they are attached to (R40, R79, R82)."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import TypeVar

from dataplane.config.instance import Instance
from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup
from dataplane.config.vpc import Vpc
from dataplane.config.vswitch import gateway_of, is_reserved

_Value = TypeVar("_Value", IPv4Address, str)


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about instances."""
    home: dict[str, str] = {}
    attached: dict[tuple[str | int, str], str] = {}
    for vpc_id, vpc in lookup.network.vpcs.items():
        macs: dict[str, str] = {}
        addresses: dict[IPv4Address, str] = {}
        for instance_id, instance in vpc.instances.items():
            path: Path = ("vpcs", vpc_id, "instances", instance_id)
            first = home.setdefault(instance_id, vpc_id)
            if first != vpc_id:
                message = f"VPC {first} has an instance {instance_id} too"
                yield lookup.error(path, message, "D13", "give each instance of the configuration its own id")
            yield from _vswitch(lookup, path, vpc_id, vpc, instance)
            yield from _address(lookup, path, vpc_id, vpc, instance)
            yield from _once(lookup, (*path, "ip"), addresses, instance.ip, instance_id, "address", "R79")
            yield from _once(lookup, (*path, "mac"), macs, instance.mac, instance_id, "MAC address", "R84")
            yield from _attach(lookup, path, attached, instance, instance_id)


def _vswitch(lookup: Lookup, path: Path, vpc_id: str, vpc: Vpc, instance: Instance) -> Iterator[Problem]:
    name = instance.vswitch
    if name in vpc.vswitches or lookup.is_broken("vpcs", vpc_id, "vswitches", name):
        return
    others = [other for other, item in lookup.network.vpcs.items() if name in item.vswitches]
    if others:
        message = f"vswitch {name} belongs to VPC {others[0]}, the instance to {vpc_id}"
        yield lookup.error((*path, "vswitch"), message, "R82", f"use a vswitch of {vpc_id}")
    else:
        yield lookup.dangling((*path, "vswitch"), "vswitch", name, vpc.vswitches, "R82", f"in VPC {vpc_id}")


def _address(lookup: Lookup, path: Path, vpc_id: str, vpc: Vpc, instance: Instance) -> Iterator[Problem]:
    vswitch = vpc.vswitches.get(instance.vswitch)
    ip, path_of_ip = instance.ip, (*path, "ip")
    if ip is None:
        if lookup.is_multi_host and not lookup.is_broken(*path_of_ip):
            message = "the address is missing, and hosts would have to agree on one"
            yield lookup.error(path, message, None, "write ip: in a network of several hosts")
        return
    if vswitch is not None:
        cidr = vswitch.cidr
        if ip not in cidr:
            message = f"{ip} is not inside vswitch {instance.vswitch} ({cidr})"
            yield lookup.error(path_of_ip, message, "R79", f"use an address of {cidr}")
        elif is_reserved(cidr, ip):
            role = "the gateway" if ip == gateway_of(cidr) else "a reserved address"
            message = f"{ip} is {role} of vswitch {instance.vswitch} ({cidr})"
            remedy = "the first address and the last three are not for instances"
            if cidr.num_addresses > 4:
                remedy = f"use {cidr[1]} to {cidr[-4]}"
            yield lookup.error(path_of_ip, message, "R79", remedy)
    probe = lookup.probe_sources.get(vpc_id, {}).get(ip)
    if probe is not None:
        message = f"{ip} is the source of the health check of {probe}"
        yield lookup.error(path_of_ip, message, "R40", "use another address for one of them")


def _once(
    lookup: Lookup, path: Path, seen: dict[_Value, str], value: _Value | None, name: str, noun: str, rule: str
) -> Iterator[Problem]:
    if value is None:
        return
    first = seen.setdefault(value, name)
    if first != name:
        yield lookup.error(path, f"instance {first} has the {noun} {value} too", rule, "give each its own")


def _attach(
    lookup: Lookup, path: Path, seen: dict[tuple[str | int, str], str], instance: Instance, name: str
) -> Iterator[Problem]:
    attach = instance.attach
    if attach is None:
        return
    target = (attach.namespace if attach.namespace is not None else attach.pid or 0, attach.interface)
    first = seen.setdefault(target, name)
    if first != name:
        message = f"instance {first} is attached to the same place: {target[1]} in {target[0]}"
        yield lookup.error((*path, "attach"), message, None, "write another interface:, or another namespace")
