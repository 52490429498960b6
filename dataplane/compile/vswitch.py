"""A vSwitch: its gateway on the VRouter's ``lo`` (kernel.md, section 1). There is no bridge (R84)."""

from ipaddress import IPv4Interface, IPv4Network

from dataplane.compile.addresses import probe_sources
from dataplane.compile.context import Compilation
from dataplane.config.vswitch import gateway_of, room_in
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import Address
from dataplane.model.resource import Resource


def compile_vswitches(c: Compilation) -> None:
    """R79: the third-last address is the gateway."""
    for vpc_id, _ in c.vpcs():
        namespace = names.vpc_namespace(vpc_id)
        for vswitch_id, vswitch in c.vswitches(vpc_id):
            resource = Resource("vswitch", vswitch_id)
            origin = c.loaded.origin("vpcs", vpc_id, "vswitches", vswitch_id)
            gateway = gateway_of(vswitch.cidr)
            c.add(Address(namespace, "lo", IPv4Interface(f"{gateway}/32")), resource, origin, vpc_id)
            where = f"gateway {gateway} on lo in {namespace}"
            detail = f"{vswitch.cidr}, {_available(c, vpc_id, vswitch.cidr)} addresses available"
            c.declare(Declared(resource, origin, "Available", "", where, vpc_id, detail))


def _available(c: Compilation, vpc_id: str, cidr: IPv4Network) -> int:
    """R87: what is left for instances; the sources of health checks are taken too (R40)."""
    instances = {c.addresses[name] for name in c.network.vpcs[vpc_id].instances}
    taken = instances | probe_sources(c.loaded, vpc_id)
    return room_in(cidr) - sum(address in cidr for address in taken)
