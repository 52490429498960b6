"""Cloud services behind 100.64.0.0/10 (R133): in each VPC a namespace that has the addresses of its region's services.

One per VPC, since the same address stands for another endpoint in each of them, and VPCs share nothing.
"""

from collections.abc import Mapping
from ipaddress import IPv4Interface

from dataplane.compile import sysctl
from dataplane.compile.context import Compilation
from dataplane.compile.instance import DEFAULT_ROUTE, MAIN_TABLE
from dataplane.config.service import Service
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import Address, KernelObject, KernelRoute, Namespace, Neighbour, Veth, VethEnd
from dataplane.model.resource import Resource


def services_of(c: Compilation, vpc_id: str) -> Mapping[str, Service]:
    """The services that a VPC reaches: those of its region."""
    region = c.network.vpcs[vpc_id].region
    return {name: service for name, service in c.network.services.items() if service.region == region}


def compile_services(c: Compilation) -> None:
    """The services of every VPC that has any."""
    for vpc_id, _ in c.vpcs():
        services = services_of(c, vpc_id)
        if services:
            _compile_vpc(c, vpc_id, services)
    for name, service in c.network.services.items():
        vpcs = [vpc_id for vpc_id, vpc in c.vpcs() if vpc.region == service.region]
        where = ", ".join(names.service_namespace(vpc_id) for vpc_id in vpcs)
        c.declare(
            Declared(
                Resource("service", name),
                c.loaded.origin("services", name),
                "Available",
                reason="" if vpcs else f"no VPC here is in region {service.region}",
                kernel_object=f"{service.ip} on lo in {where}" if vpcs else "",
            )
        )


def _compile_vpc(c: Compilation, vpc_id: str, services: Mapping[str, Service]) -> None:
    first = next(iter(services))
    owner, origin = Resource("service", first), c.loaded.origin("services", first)
    for item in _link(c, vpc_id):
        c.add(item, owner, origin, vpc_id)
    for name, service in services.items():
        address = Address(names.service_namespace(vpc_id), "lo", IPv4Interface(f"{service.ip}/32"))
        c.add(address, Resource("service", name), c.loaded.origin("services", name), vpc_id)


def _link(c: Compilation, vpc_id: str) -> list[KernelObject]:
    """The namespace and its only way out, in the manner of a transit link (D12)."""
    namespace, router = names.service_namespace(vpc_id), names.vpc_namespace(vpc_id)
    port, ifname = c.service_ifname(vpc_id), names.INSTANCE_IFNAME
    ends = [
        VethEnd(
            where,
            name,
            names.port_ifindex(c.numbering.number("port", f"service/{vpc_id}{side}")),
            names.mac_address("service", f"{vpc_id}{side}"),
        )
        for where, name, side in ((router, port, ""), (namespace, ifname, "/inside"))
    ]
    return [
        Namespace(namespace, names.mark("service", vpc_id)),
        *sysctl.instance_sysctls(namespace, forwarding=False),
        Veth(names.mark("service", vpc_id), ends[0], ends[1], c.mtu(vpc_id)),
        *sysctl.transit_sysctls(router, port),
        Neighbour(router, port, names.TRANSIT_NEIGHBOUR, ends[1].mac),
        Neighbour(namespace, ifname, names.TRANSIT_NEIGHBOUR, ends[0].mac),
        KernelRoute(namespace, MAIN_TABLE, DEFAULT_ROUTE, ifname=ifname, via=names.TRANSIT_NEIGHBOUR),
    ]
