"""What a host can do, as far as it decides how things are built: an input of the compiler like any other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Facts about the kernel of this host.

    Args:
        has_8021q: it makes VLAN sub-interfaces; else a veth and tc programs stand in.
    """

    has_8021q: bool = True
