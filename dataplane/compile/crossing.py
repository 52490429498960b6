"""A peering connection whose routers are not on the same hosts: which host sends to which. Pure, and equal everywhere.

A host that has both routers joins them by a veth pair. A host that has one of them only sends to one host of the
other: to one that is in the same position, if there is any, in turns. So a host never has tunnels of one connection
in both of its routers, and one VNI is enough for all of it (the kernel allows each VNI once per host).
"""

from dataclasses import dataclass

from dataplane.config.peering import PeeringEnd
from dataplane.config.placement import Placement


@dataclass(frozen=True, slots=True)
class WaysIn:
    """How packets come in by a router interface on one host.

    Args:
        from_here: from the far router on the same host.
        senders: other hosts that send to this one.
        sends: this host itself sends to another one.
    """

    from_here: bool
    senders: tuple[str, ...]
    sends: bool

    @property
    def needs_tunnel(self) -> bool:
        """Whether the router interface has a VXLAN link on this host."""
        return self.sends or bool(self.senders)


def target_of(placement: Placement, near: PeeringEnd, far: PeeringEnd, host: str) -> str | None:
    """The host that a host's part of the near router sends to.

    Returns:
        None where the host has the far router too, or not even the near one.
    """
    near_hosts, far_hosts = placement.hosts_of_end(near), placement.hosts_of_end(far)
    if host in far_hosts or host not in near_hosts:
        return None
    candidates = [other for other in far_hosts if other not in near_hosts] or list(far_hosts)
    turn = [other for other in near_hosts if other not in far_hosts].index(host)
    return candidates[turn % len(candidates)]


def ways_in(placement: Placement, near: PeeringEnd, far: PeeringEnd, host: str) -> WaysIn:
    """How packets come in by the near router's interface on a host that has the near router."""
    senders = tuple(other for other in placement.hosts_of_end(far) if target_of(placement, far, near, other) == host)
    return WaysIn(
        from_here=host in placement.hosts_of_end(far),
        senders=senders,
        sends=target_of(placement, near, far, host) is not None,
    )
