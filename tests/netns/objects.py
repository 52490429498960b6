"""Desired objects written by hand after kernel.md, and the small steps that tests take with them.

Nothing here comes from the compiler: what the driver is given is independent of what the product would ask for.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from dataplane.kernel import netns
from dataplane.kernel.driver import KernelDriver
from dataplane.model import names
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Key,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    RouteType,
    Rule,
    Sysctl,
    UnderlayFilter,
    Veth,
    VethEnd,
    VlanLink,
    VxlanLink,
)
from dataplane.model.observation import Observation
from dataplane.plan.action import Action, Outcome, Verb

ANY = IPv4Network("0.0.0.0/0")
SYSTEM = names.table_number(1)
FROM_RI = names.table_number(2)
ROUTER_A, ROUTER_B = names.vpc_namespace("a"), names.vpc_namespace("b")


@dataclass
class World:
    """The driver under test, and what it made."""

    driver: KernelDriver
    _foreign_names: list[str] = field(default_factory=list)

    def create(self, items: Iterable[KernelObject]) -> list[Outcome]:
        """Create objects in the order given; every one must succeed."""
        outcomes = self.driver.perform([Action(Verb.CREATE, item) for item in items])
        assert [outcome.error for outcome in outcomes if outcome.error] == []
        return outcomes

    def do(self, verb: Verb, item: KernelObject, before: KernelObject | None = None) -> Outcome:
        """One action."""
        (outcome,) = self.driver.perform([Action(verb, item, before)])
        return outcome

    def seen(self, desired: Iterable[KernelObject] = ()) -> dict[Key, KernelObject]:
        """Our objects as they are observed."""
        return dict(self.driver.observe(desired).objects)

    def observe(self, desired: Iterable[KernelObject] = ()) -> Observation:
        return self.driver.observe(desired)

    def foreign_namespace(self, name: str) -> None:
        """A namespace as somebody else would make it."""
        netns.prepare_directory()
        run("ip", "netns", "add", name)
        self._foreign_names.append(name)

    def clean_up(self) -> None:
        """Remove everything, by name."""
        links = [item for item in self.seen().values() if isinstance(item, Veth | VlanLink | VxlanLink)]
        links += [item for item in self.seen().values() if isinstance(item, UnderlayFilter)]
        self.driver.perform([Action(Verb.DELETE, item) for item in links])
        for name in self._foreign_names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
        for name in netns.list_our_names():
            netns.delete(name)


def open_files() -> dict[str, str]:
    """The open descriptors of this process, by number, and what they are of. The one that lists is not among them."""
    shown = {}
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 (numbers, not paths)
        with contextlib.suppress(FileNotFoundError):
            shown[number] = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
    return shown


def run(*command: str) -> str:
    """Run a tool and return what it says."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def inside(namespace: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool inside a namespace."""
    with netns.entered(namespace):
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)


def set_sysctl(namespace: str, name: str, value: str) -> None:
    """Write a sysctl, named by its path below /proc/sys; the tool of that name is not on every Debian."""
    with netns.entered(namespace):
        Path("/proc/sys", name).write_text(value)


@contextlib.contextmanager
def process_in_namespace() -> Iterator[int]:
    """A process that lives in a nameless namespace of its own, as a container does."""
    process = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 60"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        yield process.pid
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def router(name: str) -> list[KernelObject]:
    """A VPC's namespace with the rules and the closed tables of kernel.md, section 2."""
    return [
        Namespace(name, names.mark("vpc", name.removeprefix("dp-vpc-"))),
        Sysctl(name, "net/ipv4/ip_forward", "1"),
        Sysctl(name, "net/ipv4/conf/all/rp_filter", "0"),
        Sysctl(name, "net/ipv4/conf/default/rp_filter", "0"),
        Sysctl(name, "net/ipv4/conf/default/proxy_arp", "0"),
        Sysctl(name, "net/ipv4/fib_multipath_hash_policy", "1"),
        Sysctl(name, "net/ipv6/conf/all/disable_ipv6", "1"),
        KernelRoute(name, SYSTEM, ANY, RouteType.UNREACHABLE, metric=names.MAX_METRIC),
        Rule(name, 200, SYSTEM),
    ]


def default_rules(name: str) -> list[Rule]:
    """The two rules of a fresh router that must go."""
    return [Rule(name, 32766, 254), Rule(name, 32767, 253)]


def instance(
    router_name: str, port: int, number: int, subnet: str = "192.168.1", namespace: str = ""
) -> list[KernelObject]:
    """An instance on a port, as in kernel.md, section 1.

    Args:
        port: the port id of the router's end; the instance's end has the next one.
        number: the last octet of its address.
        namespace: where it lives; empty for a namespace of its own.
    """
    where = namespace or names.instance_namespace(f"ecs-{port}")
    mark = names.mark("instance", f"ecs-{port}")
    near = VethEnd(router_name, names.port_ifname("i", port), names.port_ifindex(port), names.mac_address("port", mark))
    far = VethEnd(where, "eth0", names.port_ifindex(port + 1), names.mac_address("instance", mark))
    gateway = IPv4Address(f"{subnet}.253")
    address = IPv4Address(f"{subnet}.{number}")
    settings = {f"net/ipv4/conf/{near.ifname}/proxy_arp": "1", f"net/ipv4/neigh/{near.ifname}/proxy_delay": "0"}
    made: list[KernelObject] = (
        [] if namespace else [Namespace(where, mark), Sysctl(where, "net/ipv6/conf/all/disable_ipv6", "1")]
    )
    return [
        *made,
        Veth(mark, near, far, 1500),
        *(Sysctl(router_name, key, value, ifname=near.ifname) for key, value in settings.items()),
        Address(where, "eth0", IPv4Interface(f"{address}/24")),
        Neighbour(where, "eth0", gateway, near.mac),
        KernelRoute(where, 254, ANY, ifname="eth0", via=gateway),
        Neighbour(router_name, near.ifname, address, far.mac),
        KernelRoute(router_name, SYSTEM, IPv4Network(f"{address}/32"), ifname=near.ifname, source=gateway),
    ]


def gateway(router_name: str, subnet: str = "192.168.1") -> list[KernelObject]:
    """A vSwitch's gateway, and its unassigned addresses."""
    return [
        Address(router_name, "lo", IPv4Interface(f"{subnet}.253/32")),
        KernelRoute(router_name, SYSTEM, IPv4Network(f"{subnet}.0/24"), RouteType.UNREACHABLE),
    ]


def transit(leg: int, port: int, here: str = ROUTER_A, other: str = ROUTER_B) -> list[KernelObject]:
    """A transit link, and a leg over it at each end."""
    mark = names.mark("peering_connection", f"pcx-{leg}")
    near = VethEnd(here, names.port_ifname("r", port), names.port_ifindex(port), names.mac_address("ri", f"{leg}a"))
    far = VethEnd(
        other, names.port_ifname("r", port + 1), names.port_ifindex(port + 1), names.mac_address("ri", f"{leg}b")
    )
    made: list[KernelObject] = [Veth(mark, near, far, 1500)]
    for end, opposite in ((near, far), (far, near)):
        made += [
            Sysctl(end.namespace, f"net/ipv4/conf/{end.ifname}/rp_filter", "0", ifname=end.ifname),
            Neighbour(end.namespace, end.ifname, names.TRANSIT_NEIGHBOUR, opposite.mac),
            Nexthop(end.namespace, leg, end.ifname, names.TRANSIT_NEIGHBOUR),
        ]
    return made


def peering() -> list[KernelObject]:
    """Two routers, an instance each, two transit links, and a resilient group over them (kernel.md, section 3)."""
    group = names.group_number(1)
    made = router(ROUTER_A) + router(ROUTER_B) + gateway(ROUTER_A) + gateway(ROUTER_B, "192.168.2")
    made += instance(ROUTER_A, 1, 10) + instance(ROUTER_B, 11, 10, "192.168.2")
    made += transit(1, 21) + transit(2, 31)
    for name, there in ((ROUTER_A, "192.168.2.0/24"), (ROUTER_B, "192.168.1.0/24")):
        made += [
            NexthopGroup(name, group, ((1, 1), (2, 1))),
            KernelRoute(name, SYSTEM, IPv4Network(there), nexthop=group),
        ]
    return made


def by_key(items: Iterable[KernelObject]) -> dict[Key, KernelObject]:
    """Objects by key."""
    return {item.key: item for item in items}
