"""What carries a network from host to host: VXLAN links, their forwarding entries, and what the underlay lets in.

A link is point to point or, for a VPC, one to several; there is no flooding and no learning, so that a MAC is reached
only where an entry says so (RFC 7348; kernel.md, sections 4 and 5).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.model import names
from dataplane.model.key import Key

UNDERLAY_FILTER_KEY: Key = ("underlay_filter",)


@dataclass(frozen=True, slots=True)
class VxlanLink:
    """A VXLAN link in a router's namespace, born there; its UDP socket is in the host's namespace.

    Args:
        mark: names the link (``dataplane vpc_tunnel/vpc-1``); it is the identity.
        namespace: of the router.
        ifname: there.
        ifindex: there.
        mac: of the link.
        vni: the VXLAN network id, 1 to 16,777,215; once per host.
        local: the underlay address that packets are sent from.
        device: the underlay device of the host that they are sent by.
        mtu: of what is inside, in bytes.
        is_static: everything else is as we make it: port 4789, no learning, no flooding, its socket in the host's
            namespace. What is not has been changed by hand, and is made anew.
    """

    mark: str
    namespace: str
    ifname: str
    ifindex: int
    mac: str
    vni: int
    local: IPv4Address
    device: str
    mtu: int
    is_static: bool = True
    up: bool = True

    @property
    def key(self) -> Key:
        return ("vxlan", self.mark)

    def needs(self) -> tuple[Key, ...]:
        # Fail closed: nothing is let in before what may come is known.
        return (("namespace", self.namespace), UNDERLAY_FILTER_KEY)


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """A static forwarding entry of a VXLAN link: the host that a MAC is behind.

    Args:
        vtep: the underlay address of that host; 0.0.0.0 where an observed entry leads elsewhere than one of ours can.
    """

    namespace: str
    ifname: str
    mac: str
    vtep: IPv4Address

    @property
    def key(self) -> Key:
        return ("fdb", self.namespace, self.ifname, self.mac)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace), ("link", self.namespace, self.ifname))


@dataclass(frozen=True, slots=True, order=True)
class Admission:
    """One thing that the underlay lets in: inner packets of some sources, in one VNI, from one host.

    Args:
        vtep: the sender's underlay address.
        first: the lowest inner source address.
        last: the highest one.
    """

    vtep: IPv4Address
    vni: int
    first: IPv4Address
    last: IPv4Address


@dataclass(frozen=True, slots=True)
class UnderlayFilter:
    """What this host takes of the VXLAN packets that reach it; all others are dropped and counted (P7).

    VXLAN has no authentication: whoever reaches UDP port 4789 could put a packet into any VPC. One object, since it
    changes as a whole or not at all.

    Args:
        device: the underlay device, the only one that they may come in by.
        admissions: disjoint; everything else is dropped.
        is_whole: the rules around them are as we write them; observed as False after a change by hand.
    """

    device: str
    admissions: frozenset[Admission]
    is_whole: bool = True
    namespace: str = names.HOST

    @property
    def key(self) -> Key:
        return UNDERLAY_FILTER_KEY

    def needs(self) -> tuple[Key, ...]:
        return ()
