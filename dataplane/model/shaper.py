"""What holds a connection to its limits: a shaper at the port of a leg, and what puts packets into its leaves.

A *limit* is in bits of IP packets a second; 0 is none. ``flow`` is one 5-tuple's (R117, D4), ``bandwidth`` all of them
together in the direction in which this leg sends (R21, D5). The forwarder polices for itself and hands a shaper only
what is over its limit; what the kernel forwards goes through it as a whole.
"""

from dataclasses import dataclass

from dataplane.model.key import Key

HANDLE = 0xDB << 16
"""The queueing discipline's handle, ``db:``: our protocol number (``names.ROUTE_PROTOCOL``), by which it is ours."""

ROOT_CLASS = HANDLE | 1
"""The class that all leaves borrow from."""

FIRST_LEAF = HANDLE | 0x100
"""The class of leaf 0. A packet goes to a leaf by having its class as its priority (``skb->priority``)."""

FORWARDER_LEAVES = 64
"""Beside the forwarder, which gives flows leaves of their own."""

KERNEL_LEAVES = 1024
"""Where the kernel alone forwards and a hash chooses, so that flows seldom share one."""


@dataclass(frozen=True, slots=True)
class Shaper:
    """An HTB tree at the egress of a leg's port: a root with the bandwidth, leaves with the rate of a flow.

    Args:
        namespace: of the router.
        ifname: the port; the leg is the next hop by this interface.
        bandwidth: of all flows together, in bits of IP packets a second; 0 is unlimited.
        flow: of one flow, likewise.
        leaves: how many there are, 1 to 2,048.
        is_whole: the tree is as we make it; observed as False after a change by hand.
    """

    namespace: str
    ifname: str
    bandwidth: int
    flow: int
    leaves: int
    is_whole: bool = True

    @property
    def key(self) -> Key:
        return ("shaper", self.namespace, self.ifname)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace), ("link", self.namespace, self.ifname))


@dataclass(frozen=True, slots=True)
class Classifier:
    """The nftables chain of a router that gives what the kernel forwards by a shaped port its leaf, by a hash.

    By the 5-tuple; of fragments and of protocols without ports by the 3-tuple (D4). One object, since it changes as a
    whole or not at all. It hangs on no link: a port that is gone sends nothing.

    Args:
        namespace: of the router.
        ifnames: the shaped ports.
        leaves: of each.
        is_whole: chain and rules are as we write them; observed as False after a change by hand.
    """

    namespace: str
    ifnames: frozenset[str]
    leaves: int
    is_whole: bool = True

    @property
    def key(self) -> Key:
        return ("classifier", self.namespace)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace),)
