"""What is to be probed: one health check of this host as values (R39-R43). Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True)
class Probe:
    """A leg of this host with a health check.

    Args:
        leg: its router interface, on the VPC's side.
        connection: the peering connection that it is an end of.
        number: its id (the book's), which is its place in the forwarder's map of legs.
        namespace: of the VPC, where the source address is.
        interval_ms: between two echoes; ``timeout_ms`` 0 lets the round trip decide (D1).
        is_last_resort: it is used even when all legs of a group are down (D2).
        arrivals: ifindexes that a reply may come in by.
        links: namespace and ifindex of each link between here and the line: one that loses its carrier flips it (D1).
        device: the host's own one that the line is on, by name, since its ifindex is the kernel's; it counts as a link.
            Empty where the line comes in at another host.
    """

    leg: str
    connection: str
    number: int
    namespace: str
    source: IPv4Address
    destination: IPv4Address
    interval_ms: int
    timeout_ms: int
    fall: int
    rise: int
    hold_down_ms: int
    is_damped: bool
    is_last_resort: bool
    arrivals: tuple[int, ...]
    links: tuple[tuple[str, int], ...]
    device: str = ""
