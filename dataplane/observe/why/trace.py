"""What a walk leaves behind: its steps, and how it ended. Values only."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.model.kernel import KernelObject, KernelRoute, NexthopGroup, Rule, VxlanLink
from dataplane.model.path import Answer
from dataplane.observe.why.code import Code


@dataclass(frozen=True, slots=True)
class Crossing:
    """The way from one host to another.

    Args:
        to: the namespace of the host that the packet goes to, as walks call it.
        vni: the VXLAN network id.
        far: the link that has it there; None where there is none.
        is_guarded: that host's filter is there, as we write it.
        is_static: both links are as we make them.
    """

    to: str
    vni: int
    far: VxlanLink | None
    is_guarded: bool
    is_static: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One namespace that the packet is in.

    Args:
        ingress: the interface that it came in by; None where it is sent there.
        ttl: when it came in.
        rule: the rule that chose the table.
        route: the route that decided; None where the packet ends here or nothing matched.
        group: the next-hop group that the route points at.
        egress: the interface that it leaves by; None where it does not leave.
        via: the next hop's address there; None where the destination is on the link.
        kernel: what the live kernel said; None where it was not asked.
        is_unexplained: the kernel does something else than the objects that we know of would.
        crossing: how it goes to another host, where it leaves by a tunnel.
    """

    namespace: str
    ingress: str | None
    ttl: int
    rule: Rule | None = None
    route: KernelRoute | None = None
    group: NexthopGroup | None = None
    egress: str | None = None
    via: IPv4Address | None = None
    kernel: Answer | None = None
    is_unexplained: bool = False
    crossing: Crossing | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a walk stops and why.

    Args:
        subject: the object that decided, if one did.
        text: what a person must know besides the code; may be empty.
    """

    code: Code
    namespace: str
    subject: KernelObject | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """A walk from its first namespace to its end."""

    steps: tuple[Step, ...]
    ending: Ending

    @property
    def last(self) -> Step | None:
        """The step that it ended at; None where it could not begin."""
        return self.steps[-1] if self.steps else None
