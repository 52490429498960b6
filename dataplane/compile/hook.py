"""At which hook the forwarder sits under each port, where XDP is asked for. Pure; never what a program does there.

A line is tc's: only tc can have the kernel find a MAC, and a tag is put on by an egress, which XDP has none of. So the
router of a line is tc's on the whole way to and from it: XDP leaves a packet at the door of that router, and what
comes in by the line stays at tc as far as the instance, since what tc hands to a port passes by that port's XDP.
"""

from collections.abc import Mapping

from dataplane.model.forwarding import Forwarding, PortKind
from dataplane.model.simulation import Hook

_NEVER_XDP = (PortKind.LINE, PortKind.TUNNEL)
"""A VXLAN link takes no XDP program in native mode, and the stand-in of a line has its tag in the metadata."""


def port_hooks(state: Forwarding, hook: Hook) -> Mapping[int, Hook]:
    """Port id -> where the program sits, if a network is to be at a hook."""
    doors = line_doors(state)
    kept = doors | {state.ports[door].far for door in doors}
    return {
        port.id: "tc" if hook == "tc" or port.kind in _NEVER_XDP or port.id in kept else "xdp"
        for port in state.ports.values()
    }


def line_doors(state: Forwarding) -> frozenset[int]:
    """The ports by which routers with a line are joined to others: XDP sends what goes to the line there, to be gone on
    with at tc.
    """
    bordering = {port.namespace for port in state.ports.values() if port.kind is PortKind.LINE}
    return frozenset(port.id for port in state.ports.values() if port.namespace in bordering and port.far)
