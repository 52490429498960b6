"""What a host can do, as far as it decides how things are built: an input of the compiler like any other."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Facts about the kernel of this host.

    Args:
        has_8021q: it makes VLAN sub-interfaces; else a veth and tc programs stand in.
        devices: the MAC and the MTU (bytes) of each Ethernet device, which a VLAN link on it has too.
        forwarder_lacks: why the forwarder cannot run here, as a sentence that says what to do; empty where it can.
        limits_lack: why connections cannot be held to their limits here, likewise.
    """

    has_8021q: bool = True
    devices: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    forwarder_lacks: str = ""
    limits_lack: str = ""
