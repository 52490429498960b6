"""Addresses that an instance or node is the way to: put on its ``lo``, so that something answers behind it."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from dataplane.errors import HostError
from lab.host import Host, opened_all
from lab.inventory import Inventory
from lab.model import node_namespace
from lab.syscalls import in_network

_LO = 1
"""The ifindex of ``lo`` is 1 in every namespace."""

_HOST_SCOPE_PREFIX = 32


def put_behind(
    behind: Mapping[str, Sequence[IPv4Address]], inventory: Inventory, hosts: Sequence[Host], nodes: Mapping[str, int]
) -> None:
    """Give instances and nodes their further addresses. Doing it twice changes nothing.

    Args:
        behind: id -> addresses.
        nodes: id -> open network namespace of the nodes around the hosts.

    Raises:
        HostError: an instance has no namespace on its host.
    """
    if not behind:
        return
    with opened_all(hosts) as inside:
        namespaces = {**inside, **{node_namespace(id): descriptor for id, descriptor in nodes.items()}}
        for id, addresses in behind.items():
            name = inventory.nodes[id].namespace
            if name not in namespaces:
                raise HostError(f"instance {id} has no namespace ({name}) on its host")
            _put(namespaces[name], addresses)


def _put(descriptor: int, addresses: Sequence[IPv4Address]) -> None:
    from pyroute2 import IPRoute

    with in_network(descriptor), IPRoute() as netlink:
        netlink.link("set", index=_LO, state="up")
        for address in addresses:
            netlink.addr("replace", index=_LO, address=str(address), prefixlen=_HOST_SCOPE_PREFIX)
