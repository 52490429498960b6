"""The codes of `why`: every end that a packet can come to, each with what it means.

One enum for the walk, the verdict, the command line and the documents; a code is never given a second meaning.
"""

from enum import StrEnum


class Code(StrEnum):
    """What becomes of a packet."""

    DELIVERED = "DELIVERED"
    LOCAL = "LOCAL"
    OTHER_INSTANCE = "OTHER_INSTANCE"
    NO_ROUTE = "NO_ROUTE"
    NO_RETURN_ROUTE = "NO_RETURN_ROUTE"
    BLACKHOLE = "BLACKHOLE"
    SUSPENDED = "SUSPENDED"
    ONE_ENDED = "ONE_ENDED"
    NOT_TRANSITIVE = "NOT_TRANSITIVE"
    SPLIT_HORIZON = "SPLIT_HORIZON"
    PROHIBITED = "PROHIBITED"
    SPOOFED = "SPOOFED"
    STOPPED = "STOPPED"
    NO_LINK = "NO_LINK"
    NO_ADDRESS = "NO_ADDRESS"
    NO_NEIGHBOUR = "NO_NEIGHBOUR"
    NO_RULE = "NO_RULE"
    NOT_FORWARDING = "NOT_FORWARDING"
    FOREIGN = "FOREIGN"
    DRIFT = "DRIFT"
    NO_TUNNEL = "NO_TUNNEL"
    NO_UNDERLAY = "NO_UNDERLAY"
    NO_VTEP = "NO_VTEP"
    WRONG_MAC = "WRONG_MAC"
    WRONG_VNI = "WRONG_VNI"
    NOT_ADMITTED = "NOT_ADMITTED"
    UNGUARDED = "UNGUARDED"
    TUNNEL_MTU = "TUNNEL_MTU"
    MTU = "MTU"
    TTL = "TTL"
    LOOP = "LOOP"
    NOT_BUILT = "NOT_BUILT"
    UNKNOWN_SOURCE = "UNKNOWN_SOURCE"
    UNKNOWN_DESTINATION = "UNKNOWN_DESTINATION"

    @property
    def is_delivered(self) -> bool:
        """Whether the packet reached somebody who answers it."""
        return self in (Code.DELIVERED, Code.LOCAL)

    @property
    def meaning(self) -> str:
        """What the code stands for, in a sentence without a full stop."""
        return MEANINGS[self]


MEANINGS: dict[Code, str] = {
    Code.DELIVERED: "it arrives at the instance, the service, or the line to the data centre",
    Code.LOCAL: "a router has the address itself, and answers",
    Code.OTHER_INSTANCE: "another one with the same address is nearer, and gets it (R88)",
    Code.NO_ROUTE: "no route of the table leads there; the sender is told (unreachable)",
    Code.NO_RETURN_ROUTE: "the packet arrives and its answer has no route (R72)",
    Code.BLACKHOLE: "the route's next hop is gone; dropped in silence (D7)",
    Code.SUSPENDED: "the peering connection is suspended at one of its ends (R15)",
    Code.ONE_ENDED: "the peering connection waits for its other end (R3)",
    Code.NOT_TRANSITIVE: "what came in by a router interface may not leave by another one (R101, D16)",
    Code.SPLIT_HORIZON: "what came in by the line may not go back to a line (D16)",
    Code.PROHIBITED: "a route forbids it; the sender is told",
    Code.SPOOFED: "the source is not the sender's own address, or the source check takes it for such",
    Code.STOPPED: "the instance is stopped (R85)",
    Code.NO_LINK: "an interface is missing, is down or has no carrier",
    Code.NO_ADDRESS: "an interface lacks the address that it shall have",
    Code.NO_NEIGHBOUR: "the next hop's MAC is not known, or is not its own",
    Code.NO_RULE: "the rule that chooses the route table is missing",
    Code.NOT_FORWARDING: "a namespace on the way does not forward",
    Code.FOREIGN: "a rule or a route that is not ours decides",
    Code.DRIFT: "the kernel has another route than the configuration asks for",
    Code.NO_TUNNEL: "the tunnel to another host is missing or is down",
    Code.NO_UNDERLAY: "the device that carries the tunnels is missing, is down or has no carrier",
    Code.NO_VTEP: "nothing says which host the tunnel shall bring it to, or what says so is wrong",
    Code.WRONG_MAC: "it is sent to another MAC than the tunnel's other end has",
    Code.WRONG_VNI: "the tunnel's VNI is not the one of its other end",
    Code.NOT_ADMITTED: "a host's filter takes no packet of this source from that host (P7)",
    Code.UNGUARDED: "a host's filter is missing or changed: whoever reaches the host may forge packets (P7)",
    Code.TUNNEL_MTU: "the packet is larger than the tunnel takes and may not be fragmented",
    Code.MTU: "the packet is larger than the next link takes and may not be fragmented",
    Code.TTL: "its time to live ends on the way (D17)",
    Code.LOOP: "it comes back to where it has been",
    Code.NOT_BUILT: "what leads there is not built on this host",
    Code.UNKNOWN_SOURCE: "nothing that we know has this id or address",
    Code.UNKNOWN_DESTINATION: "nothing that we know has this id or address",
}
