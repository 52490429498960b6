"""A vSwitch: its gateway on the VRouter's ``lo`` (kernel.md, section 1). There is no bridge (R84)."""

from ipaddress import IPv4Interface

from dataplane.compile.context import Compilation
from dataplane.config.vswitch import gateway_of
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import Address
from dataplane.model.resource import Resource


def compile_vswitches(c: Compilation) -> None:
    """R79: the third-last address is the gateway."""
    for vpc_id, vpc in c.network.vpcs.items():
        namespace = names.vpc_namespace(vpc_id)
        for vswitch_id, vswitch in vpc.vswitches.items():
            resource = Resource("vswitch", vswitch_id)
            origin = c.loaded.origin("vpcs", vpc_id, "vswitches", vswitch_id)
            gateway = gateway_of(vswitch.cidr)
            c.add(Address(namespace, "lo", IPv4Interface(f"{gateway}/32")), resource, origin, vpc_id)
            where = f"gateway {gateway} on lo in {namespace}"
            c.declare(Declared(resource, origin, "Available", kernel_object=where, unit=vpc_id))
