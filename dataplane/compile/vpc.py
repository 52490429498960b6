"""A VPC: its VRouter's namespace and what holds for all of it."""

from dataplane.compile import sysctl
from dataplane.compile.context import Compilation
from dataplane.model import names
from dataplane.model.desired import Declared
from dataplane.model.kernel import Namespace
from dataplane.model.resource import Resource


def compile_vpcs(c: Compilation) -> None:
    """A namespace per VPC; R57: the VRouter comes and goes with it."""
    for vpc_id, vpc in c.vpcs():
        resource, origin = Resource("vpc", vpc_id), c.loaded.origin("vpcs", vpc_id)
        namespace = names.vpc_namespace(vpc_id)
        c.add(Namespace(namespace, names.mark("vpc", vpc_id)), resource, origin, vpc_id)
        for item in sysctl.router_sysctls(namespace):
            c.add(item, resource, origin, vpc_id)
        others = [host for host in c.placement.hosts_of_vpc(vpc_id) if host != c.here]
        detail = f"{vpc.cidr}, also on {', '.join(others)}" if others else str(vpc.cidr)
        c.declare(Declared(resource, origin, "Available", "", f"netns {namespace}", vpc_id, detail))


def compile_host(c: Compilation) -> None:
    """What all namespaces of the kernel share."""
    if c.network.vpcs:
        for item in sysctl.host_sysctls():
            c.add(item, Resource("host", "this host"), c.loaded.origin("vpcs"))
