"""A packet on its way, and what a kernel says of one: the words that `why` and the kernel driver share.

Pure values. Kernel objects are in ``kernel.py``; here is only what has no desired form.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, Self

Protocol = Literal["icmp", "tcp", "udp"]

DEFAULT_TTL = 64
"""What Linux sends with."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as its sender makes it.

    Args:
        sport: source port; 0 where the protocol has none or it does not matter.
        size_bytes: of the whole IP packet, which may not be fragmented; 0 for one that is small enough everywhere.
        ttl: when it leaves its sender.
    """

    source: IPv4Address
    destination: IPv4Address
    protocol: Protocol = "icmp"
    sport: int = 0
    dport: int = 0
    size_bytes: int = 0
    ttl: int = DEFAULT_TTL

    def answer(self) -> Self:
        """The packet that comes back: addresses and ports change places."""
        return replace(
            self, source=self.destination, destination=self.source, sport=self.dport, dport=self.sport, ttl=DEFAULT_TTL
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the kernel does with a packet, by its own look-up.

    Args:
        refusal: the errno's name where it drops the packet (``EHOSTUNREACH``); empty where it does not.
        is_local: it takes the packet itself.
        ifname: the interface that the packet leaves by.
        via: the next hop's address; None where the destination is on the link.
        table: the number of the table that decided.
        destination: the prefix that decided.
        source: the address that the kernel would send from.
    """

    refusal: str = ""
    is_local: bool = False
    ifname: str | None = None
    via: IPv4Address | None = None
    table: int | None = None
    destination: IPv4Network | None = None
    source: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class LinkState:
    """An interface as it is now.

    Args:
        is_up: nobody has switched it off.
        has_carrier: the other end, or the card below it, is up too.
        mtu_bytes: the largest IP packet.
    """

    namespace: str
    ifname: str
    is_up: bool
    has_carrier: bool
    mtu_bytes: int


@dataclass(frozen=True, slots=True)
class NeighbourState:
    """What ARP knows of an address: failed or waiting for an answer is not ``is_resolved``."""

    namespace: str
    ifname: str
    address: IPv4Address
    is_resolved: bool
