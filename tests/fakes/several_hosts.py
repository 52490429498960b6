"""A network spread over several hosts, as values: every host's own desired objects, and a walk from host to host.

The walk knows VXLAN from RFC 7348 and the kernel's documents only: a route's neighbour gives a MAC, the forwarding
entry of the MAC gives the host, the VNI the link there, and that host's filter must admit the sender's inner address.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from ipaddress import IPv4Address
from typing import Any

from dataplane.compile.compiler import compile_network
from dataplane.config import InvalidConfig, Loaded
from dataplane.config.placement import Placement
from dataplane.model.desired import Desired
from dataplane.model.ids import IdBook
from dataplane.model.kernel import FdbEntry, KernelObject, Key, Namespace, Neighbour, UnderlayFilter, Veth, VxlanLink
from tests.fakes.networks import network
from tests.fakes.random_networks import Choices, plain_network, text_of
from tests.fakes.walk import Fate, Walk

Plain = dict[str, Any]


def spread(plain: Plain, addresses: Mapping[str, IPv4Address], chance: random.Random, hosts: int) -> Plain:
    """The same network with each vSwitch and each line on a random host, and every address written down."""
    names = [f"host-{number}" for number in range(1, hosts + 1)]
    found = plain | {
        "hosts": {
            name: {"address": f"172.20.0.{10 + number}", "device": "eth0"} for number, name in enumerate(names, 1)
        },
        "regions": {"r1": {"zones": {f"z{number}": {"host": name} for number, name in enumerate(names, 1)}}},
        "access_points": {f"at-{name}": {"region": "r1", "host": name} for name in names},
    }
    for vpc in found["vpcs"].values():
        if (vpc.get("mtu") or 0) > 1450:
            del vpc["mtu"]
        for vswitch in vpc["vswitches"].values():
            vswitch["zone"] = f"z{chance.randint(1, hosts)}"
        for name, instance in vpc["instances"].items():
            instance["ip"] = str(addresses[name])
    for line in found["physical_connections"].values():
        line["access_point"] = f"at-{chance.choice(names)}"
    return found


def drawn(seed: int) -> tuple[Loaded, Desired, Loaded]:
    """A random network on one host, what is desired there, and the same network on three; the first that is valid."""
    chance = random.Random(seed)
    while True:
        plain = plain_network(Choices().again(chance, 1.0), {})
        try:
            one = network(text_of(plain))
            desired = compile_network(one, IdBook(), {})
            return one, desired, network(text_of(spread(plain, desired.addresses, chance, hosts=3)))
        except InvalidConfig:
            continue


class SeveralHosts(Walk):
    """Walks over all hosts of a network; namespaces are called ``host/namespace``."""

    def __init__(self, loaded: Loaded) -> None:
        self.desired: dict[str, Desired] = {
            host: compile_network(loaded, IdBook(), {}, here=host) for host in loaded.network.hosts
        }
        self._placement = Placement(loaded.network)
        self._hosts = {item.address: name for name, item in loaded.network.hosts.items()}
        self._links: dict[tuple[str, str], VxlanLink] = {}
        self._by_vni: dict[tuple[str, int], tuple[VxlanLink, str]] = {}
        self._filters: dict[str, UnderlayFilter] = {}
        super().__init__(self._all())

    def send_from(self, vpc: str, instance: str, destination: str, source: str = "") -> Fate:
        """Send a packet from an instance, wherever it is; the fate tells of routers without their hosts."""
        namespace = f"{self._placement.host_of_instance(vpc, instance)}/dp-i-{instance}"
        return without_hosts(self.send(namespace, destination, source=source))

    def _all(self) -> Iterator[KernelObject]:
        for host, desired in self.desired.items():
            for wish in desired.wanted.values():
                if isinstance(wish.object, UnderlayFilter):
                    self._filters[host] = wish.object
                    continue
                for need in wish.object.needs():
                    assert self._is_provided(host, need), f"{wish.object} needs {need}, which {host} does not have"
                item = _on(host, wish.object)
                if isinstance(item, VxlanLink):
                    self._links[item.namespace, item.ifname] = item
                    assert (host, item.vni) not in self._by_vni, f"the kernel allows VNI {item.vni} once on {host}"
                    self._by_vni[host, item.vni] = (item, host)
                yield item

    def _is_provided(self, host: str, need: Key) -> bool:
        """Whether a namespace that something is in is wanted on the host, or is one that others bring."""
        is_ours = need[0] == "namespace" and str(need[1]).startswith("dp-")
        return not is_ours or need in self.desired[host].wanted

    def _beyond(self, namespace: str, oif: str, via: IPv4Address | None, sender: IPv4Address) -> tuple[str, str] | None:
        link = self._links.get((namespace, oif))
        if link is None:
            return super()._beyond(namespace, oif, via, sender)
        mac = next(i.mac for i in self._of(Neighbour) if (i.namespace, i.ifname, i.address) == (namespace, oif, via))
        vtep = next(i.vtep for i in self._of(FdbEntry) if (i.namespace, i.ifname, i.mac) == (namespace, oif, mac))
        far, host = self._by_vni[self._hosts[vtep], link.vni]
        assert far.mac == mac, f"{far} does not take frames for {mac}"
        assert far.mtu == link.mtu
        admitted = any(
            (item.vtep, item.vni) == (link.local, link.vni) and item.first <= sender <= item.last
            for item in self._filters[host].admissions
        )
        return (far.namespace, far.ifname) if admitted else ("filtered", host)

    def _of(self, kind: type) -> list[Any]:
        return [item for item in self._objects if isinstance(item, kind)]


def without_hosts(fate: Fate) -> Fate:
    """The same for somebody who does not see hosts: parts of one router on two hosts are one."""
    routers = [router.rpartition("/")[2] for router in fate.routers]
    merged = tuple(router for number, router in enumerate(routers) if number == 0 or routers[number - 1] != router)
    return Fate(fate.verdict, fate.where.rpartition("/")[2], merged)


def _on(host: str, item: KernelObject) -> KernelObject:
    """An object with its host before its namespace."""
    if isinstance(item, Namespace):
        return replace(item, name=f"{host}/{item.name}")
    if isinstance(item, Veth):
        assert item.a is not None and item.b is not None
        ends = [replace(end, namespace=f"{host}/{end.namespace}") for end in item.ends]
        return replace(item, a=ends[0], b=ends[1])
    assert "namespace" in {field.name for field in fields(item)}
    return replace(item, namespace=f"{host}/{item.namespace}")  # type: ignore[call-arg]
