"""The underlay of a lab: a switch in a namespace of its own, and the addresses of the hosts that it joins.

Everything here may be done twice. It is a Linux bridge that has learned each host's MAC by the time of its first
packet (the hosts ask each other by ARP), and never forgets it, so that no host sees a packet for another one.
"""

from collections.abc import Mapping

from dataplane.errors import HostError
from lab.host import set_up
from lab.model import UNDERLAY
from lab.surroundings import Underlay
from lab.syscalls import in_network

_BRIDGE = "switch"
_NEVER = 100 * 86_400 * 365
"""An ageing time in the kernel's hundredths of a second."""


def make_switch(underlay: Underlay, places: Mapping[str, int]) -> None:
    """Join the ports of the underlay's namespace.

    Args:
        places: the open network namespaces of nodes and hosts.

    Raises:
        HostError: the kernel refused.
    """
    from pyroute2 import IPRoute, NetlinkError

    with in_network(places[UNDERLAY]), IPRoute() as netlink:
        try:
            if not netlink.link_lookup(ifname=_BRIDGE):
                netlink.link("add", ifname=_BRIDGE, kind="bridge", br_ageing_time=_NEVER)
            (bridge,) = netlink.link_lookup(ifname=_BRIDGE)
            for port in underlay.ports:
                (index,) = netlink.link_lookup(ifname=port)
                netlink.link("set", index=index, master=bridge)
        except (NetlinkError, ValueError) as failure:
            raise HostError(f"no switch between the hosts: {failure}; it needs a kernel with bridges") from failure
        set_up(_BRIDGE)


def address_uplinks(underlay: Underlay, places: Mapping[str, int]) -> None:
    """Give each host its address on the underlay.

    Raises:
        HostError: the kernel refused.
    """
    from pyroute2 import IPRoute, NetlinkError

    for end, address in underlay.uplinks:
        with in_network(places[end.place]), IPRoute() as netlink:
            try:
                (index,) = netlink.link_lookup(ifname=end.ifname)
                netlink.addr("replace", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
            except (NetlinkError, ValueError) as failure:
                raise HostError(f"{end} cannot have the address {address}: {failure}") from failure
