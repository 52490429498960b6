"""The forwarder as kernel objects: what its maps hold, and the programs under the routers' ports."""

from dataclasses import dataclass, field

from dataplane.model import names
from dataplane.model.forwarding import Forwarding
from dataplane.model.key import Key
from dataplane.model.simulation import Hook

FORWARDER_STATE_KEY: Key = ("forwarder_state",)
"""There is one on a host."""


@dataclass(frozen=True, slots=True)
class ForwarderState:
    """The forwarder's programs, loaded, and its maps with what the network says in them; one for a host.

    Args:
        forwarding: what the maps hold, in numbers of ours; which slot of a map it is in is the loader's choice.
        differs: of an observed one, what is not so, in words; empty where an apply has nothing to do.
        is_loss: of an observed one, whether nothing differs but legs that go: then it comes before all else.
        namespace: the one that the command runs in.
    """

    forwarding: Forwarding = field(hash=False)
    differs: tuple[str, ...] = ()
    is_loss: bool = False
    namespace: str = names.HOST

    @property
    def key(self) -> Key:
        return FORWARDER_STATE_KEY

    def needs(self) -> tuple[Key, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class PortProgram:
    """The forwarder under a port of a router.

    Args:
        hook: where it sits: at the device's driver (XDP) or behind it (tc ingress).
        is_current: of an observed one, whether it is the program that is loaded, and all that it needs is there.
        is_target: it is at tc, and XDP of other ports sends to its device all the same.
    """

    namespace: str
    ifname: str
    hook: Hook
    is_current: bool = True
    is_target: bool = False

    @property
    def key(self) -> Key:
        return ("program", self.namespace, self.ifname)

    @property
    def needs_device(self) -> bool:
        """Whether XDP has to know its device."""
        return self.hook == "xdp" or self.is_target

    def needs(self) -> tuple[Key, ...]:
        # Without its state a program would drop everything that comes in.
        return (("namespace", self.namespace), ("link", self.namespace, self.ifname), FORWARDER_STATE_KEY)


@dataclass(frozen=True, slots=True)
class FarEnd:
    """An interface that XDP sends to, prepared for it (design, section 9).

    It takes packets in batches (GRO on), or each one is lost; and whoever sends from it computes checksums itself (tx
    checksumming off), or they are wrong when a packet has become a frame.

    Args:
        is_ready: of an observed one, whether both are so. The second alone makes it ours; GRO is anybody's to turn on.
    """

    namespace: str
    ifname: str
    is_ready: bool = True

    @property
    def key(self) -> Key:
        return ("far_end", self.namespace, self.ifname)

    def needs(self) -> tuple[Key, ...]:
        return (("namespace", self.namespace), ("link", self.namespace, self.ifname))
