"""VLAN interfaces of nodes, made by the product's own driver: 802.1Q where the kernel has it, else its stand-in.

The driver makes a link in a namespace under /run/netns, on a device of the namespace that it runs in. So it runs in a
child with a /run of its own, in which the nodes have names.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from dataplane.errors import HostError
from dataplane.model import names
from dataplane.model.kernel import VlanLink, VlanMode
from lab.child import in_child
from lab.host import NAMESPACES
from lab.surroundings import Vlan
from lab.syscalls import CLONE_NEWNET, CLONE_NEWNS, MS_BIND, MS_PRIVATE, MS_REC, in_network, mount, setns, unshare

_FIRST_PORT = 500_000
"""Ports of stand-ins: far from those that the agent gives out, though they never share a namespace with them."""
_RUN = Path("/run")


def has_8021q() -> bool:
    """Whether the kernel makes VLAN sub-interfaces itself."""
    from dataplane.kernel.driver import KernelDriver

    return KernelDriver().facts().has_8021q


def make_vlans(topology: str, wanted: Sequence[tuple[str, Vlan]], nodes: Mapping[str, int]) -> None:
    """Make VLAN interfaces of nodes, those that are missing.

    All those on the interfaces of one node are made together: stand-ins of one parent share a program and its table.

    Args:
        wanted: the node that each is for, and the interface.
        nodes: id -> open network namespace.

    Raises:
        HostError: the kernel refused.
    """
    mode = VlanMode.KERNEL if has_8021q() else VlanMode.TC
    for place in dict.fromkeys(vlan.parent.place for _, vlan in wanted):
        here = [(node, vlan) for node, vlan in wanted if vlan.parent.place == place]
        if all(_is_there(vlan.ifname, nodes[node]) for node, vlan in here):
            continue
        for node, vlan in here:
            _delete(vlan.ifname, nodes[node])
        links = [_link(topology, node, vlan, mode) for node, vlan in here]
        in_child(partial(_make, links, nodes, nodes[place]))


def _make(links: Sequence[VlanLink], nodes: Mapping[str, int], home: int) -> tuple[None, list[int]]:
    """In a child."""
    _enter_view(nodes, home)
    _perform(links)
    return None, []


def _is_there(ifname: str, descriptor: int) -> bool:
    from pyroute2 import IPRoute

    with in_network(descriptor), IPRoute() as netlink:
        return bool(netlink.link_lookup(ifname=ifname))


def _delete(ifname: str, descriptor: int) -> None:
    from pyroute2 import IPRoute

    with in_network(descriptor), IPRoute() as netlink:
        for index in netlink.link_lookup(ifname=ifname):
            netlink.link("del", index=index)


def _link(topology: str, node: str, vlan: Vlan, mode: VlanMode) -> VlanLink:
    near, far = _FIRST_PORT + 2 * vlan.number, _FIRST_PORT + 2 * vlan.number + 1
    is_stand_in = mode is VlanMode.TC
    return VlanLink(
        mark=names.mark("lab_line", f"{topology}.{node}.{vlan.ifname}"),
        namespace=node,
        ifname=vlan.ifname,
        ifindex=names.port_ifindex(near),
        parent=vlan.parent.ifname,
        vlan=vlan.vlan,
        mode=mode,
        far_ifname=names.port_ifname("w", far) if is_stand_in else None,
        far_ifindex=names.port_ifindex(far) if is_stand_in else None,
    )


def _enter_view(nodes: Mapping[str, int], home: int) -> None:
    """In a child: a /run of its own with the nodes' names, in the network of the node that has the parent."""
    unshare(CLONE_NEWNS)
    mount("", Path("/"), flags=MS_REC | MS_PRIVATE)
    mount("dataplane-lab", _RUN, "tmpfs")
    NAMESPACES.mkdir(parents=True)
    for id, descriptor in nodes.items():
        (NAMESPACES / id).touch()
        mount(f"/proc/self/fd/{descriptor}", NAMESPACES / id, flags=MS_BIND)
    setns(home, CLONE_NEWNET)


def _perform(links: Sequence[VlanLink]) -> None:
    from dataplane.kernel.driver import KernelDriver
    from dataplane.plan.action import Action, Verb

    for link, outcome in zip(links, KernelDriver().perform([Action(Verb.CREATE, link) for link in links]), strict=True):
        if outcome.error is not None:
            raise HostError(f"node {link.namespace} gets no VLAN {link.vlan} on {link.parent}: {outcome.error}")
