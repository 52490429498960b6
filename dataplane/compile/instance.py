"""An instance: a namespace (or one that it is attached from), a veth to its VRouter, and its only way out.

A stopped instance keeps its namespace and its link, both ends down; routes to it are left out, so that
its address is unreachable (R85).
"""

from ipaddress import IPv4Interface, IPv4Network

from dataplane.compile import sysctl
from dataplane.compile.context import Compilation
from dataplane.compile.rib import guarded_instances
from dataplane.config.instance import Instance
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import Address, KernelObject, KernelRoute, Namespace, Neighbour, Veth, VethEnd
from dataplane.model.resource import Resource

MAIN_TABLE = 254
DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")


def compile_instances(c: Compilation) -> None:
    """Every instance of every VPC."""
    speakers = _speakers(c)
    for vpc_id, _ in c.vpcs():
        guarded = guarded_instances(c, vpc_id)
        for instance_id, instance in c.instances(vpc_id):
            resource = Resource("instance", instance_id)
            origin = c.loaded.origin("vpcs", vpc_id, "instances", instance_id)
            check_source = not instance.forwarding and instance_id not in guarded
            for item in _objects(c, vpc_id, instance_id, instance, check_source=check_source):
                c.add(item, resource, origin, vpc_id)
            is_running = instance.state == "running"
            if instance_id in speakers:
                c.add(_default_route(c, vpc_id, instance_id, instance), resource, origin, vpc_id)
            c.declare(
                Declared(
                    resource,
                    origin,
                    "Available" if is_running else "Stopped",
                    reason="" if is_running else "state: stopped in the file (R85)",
                    kernel_object=_where(c, vpc_id, instance_id, instance),
                    unit=vpc_id,
                )
            )


def _speakers(c: Compilation) -> frozenset[str]:
    """The instances that give their namespace its default route: of several in one namespace, the first that runs."""
    first: dict[str, str] = {}
    for vpc_id, _ in c.vpcs():
        for instance_id, instance in c.instances(vpc_id):
            if instance.state == "running":
                first.setdefault(c.instance_namespace(vpc_id, instance_id), instance_id)
    return frozenset(first.values())


def _default_route(c: Compilation, vpc_id: str, instance_id: str, instance: Instance) -> KernelRoute:
    namespace, gateway = c.instance_namespace(vpc_id, instance_id), c.gateway(vpc_id, instance.vswitch)
    return KernelRoute(namespace, MAIN_TABLE, DEFAULT_ROUTE, ifname=_ifname(instance), via=gateway)


def _where(c: Compilation, vpc_id: str, instance_id: str, instance: Instance) -> str:
    namespace = c.instance_namespace(vpc_id, instance_id)
    return f"{c.addresses[instance_id]} on {_ifname(instance)} in {namespace}, port {c.instance_ifname(instance_id)}"


def _ifname(instance: Instance) -> str:
    return names.INSTANCE_IFNAME if instance.attach is None else instance.attach.interface


def instance_mac(instance_id: str, instance: Instance) -> str:
    """The MAC in the file, or the one that every host computes alike."""
    return instance.mac or names.mac_address("instance", instance_id)


def _objects(
    c: Compilation, vpc_id: str, instance_id: str, instance: Instance, *, check_source: bool
) -> list[KernelObject]:
    namespace = c.instance_namespace(vpc_id, instance_id)
    items: list[KernelObject] = []
    if instance.attach is None:
        items.append(Namespace(namespace, names.mark("instance", instance_id)))
        items += sysctl.instance_sysctls(namespace, forwarding=instance.forwarding)
    router, port = names.vpc_namespace(vpc_id), c.instance_ifname(instance_id)
    items.append(_veth(c, vpc_id, instance_id, instance, namespace))
    items += sysctl.port_sysctls(router, port, check_source=check_source)
    cidr = c.network.vpcs[vpc_id].vswitches[instance.vswitch].cidr
    address = c.addresses[instance_id]
    items.append(Address(namespace, _ifname(instance), IPv4Interface(f"{address}/{cidr.prefixlen}")))
    if instance.state == "running":
        gateway = c.gateway(vpc_id, instance.vswitch)
        items += [
            # Permanent both ways: such entries do not count in the kernel's one neighbour table.
            Neighbour(router, port, address, instance_mac(instance_id, instance)),
            Neighbour(namespace, _ifname(instance), gateway, names.mac_address("port", instance_id)),
        ]
    return items


def _veth(c: Compilation, vpc_id: str, instance_id: str, instance: Instance, namespace: str) -> Veth:
    is_running = instance.state == "running"
    far_port = c.numbering.number("port", f"instance/{instance_id}/inside")
    return Veth(
        mark=names.mark("instance", instance_id),
        a=VethEnd(
            names.vpc_namespace(vpc_id),
            c.instance_ifname(instance_id),
            names.port_ifindex(c.instance_port(instance_id)),
            names.mac_address("port", instance_id),
            is_running,
        ),
        b=VethEnd(
            namespace,
            _ifname(instance),
            names.port_ifindex(far_port),
            instance_mac(instance_id, instance),
            is_running,
        ),
        mtu=c.mtu(vpc_id),
    )
