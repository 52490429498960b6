"""From a next hop of the file to legs and groups: what traffic may take now, and why not the rest.

Routes point at an id that never changes: the leg's for a single router interface, the group's otherwise.
A suspended leg is a blackhole object under its id, attracting its prefix; a suspended member is taken out
of its group, and a group without members left holds one blackhole (kernel.md, sections 2 and 3).
"""

from dataclasses import dataclass

from dataplane.compile.context import Compilation
from dataplane.compile.peering import why_not_forwarding
from dataplane.config.next_hop import ActiveStandbyHop, InstanceHop, LoadBalanceHop, NextHop, RouterInterfaceHop
from dataplane.model import names
from dataplane.model.kernel import NexthopGroup


@dataclass(frozen=True, slots=True)
class Leg:
    """A member of a next hop.

    Args:
        id: its next-hop id in the router's namespace.
        reason: why it forwards nothing; empty where it does.
    """

    router_interface: str
    id: int
    reason: str


@dataclass(frozen=True, slots=True)
class GroupName:
    """What a group is, and how the id book calls it: the kernel's object only has the members that are live now.

    Args:
        mode: ``load_balance`` or ``active_standby``.
        router_interfaces: all members, in order of preference.
    """

    vpc: str
    mode: str
    router_interfaces: tuple[str, ...]

    @property
    def text(self) -> str:
        """The name in the book; no id has a slash or a plus (D13)."""
        return f"{self.vpc}/{self.mode}/{'+'.join(self.router_interfaces)}"

    @classmethod
    def of(cls, text: str) -> "GroupName":
        """The group behind a name in the book."""
        vpc, mode, members = text.split("/")
        return cls(vpc, mode, tuple(members.split("+")))


def legs_of(c: Compilation, next_hop: NextHop | None) -> tuple[Leg, ...]:
    """The legs of a next hop in order of preference; none for an instance or a system route."""
    if isinstance(next_hop, RouterInterfaceHop):
        members = [next_hop.router_interface]
    elif isinstance(next_hop, LoadBalanceHop):
        members = [member.router_interface for member in next_hop.members]
    elif isinstance(next_hop, ActiveStandbyHop):
        members = [next_hop.active, next_hop.standby]
    else:
        members = []
    return tuple(Leg(member, c.leg(member), _reason(c, member)) for member in members)


def _reason(c: Compilation, router_interface: str) -> str:
    connection = c.network.router_interfaces[router_interface].connection
    reason = why_not_forwarding(c.network.peering_connections[connection])
    return f"{connection}: {reason}" if reason else ""


def group_of(c: Compilation, vpc_id: str, next_hop: NextHop | None) -> NexthopGroup | None:
    """The group object of a load-balancing or active/standby next hop (R50, R51); None for a single leg."""
    if not isinstance(next_hop, LoadBalanceHop | ActiveStandbyHop):
        return None
    legs = legs_of(c, next_hop)
    live = [leg for leg in legs if not leg.reason] or [legs[0]]
    if isinstance(next_hop, ActiveStandbyHop):
        mode, live = "active_standby", live[:1]
    else:
        mode = "load_balance"
    name = GroupName(vpc_id, mode, tuple(leg.router_interface for leg in legs))
    members = tuple(sorted((leg.id, 1) for leg in live))
    number = names.group_number(c.numbering.number("group", name.text))
    return NexthopGroup(names.vpc_namespace(vpc_id), number, members)


def next_hop_words(next_hop: NextHop | None) -> str:
    """A route's type and next hop, as ``status`` shows them (R70)."""
    if next_hop is None:
        return "System"
    if isinstance(next_hop, InstanceHop):
        return f"Custom to instance {next_hop.instance}"
    if isinstance(next_hop, RouterInterfaceHop):
        return f"Custom to {next_hop.router_interface}"
    if isinstance(next_hop, LoadBalanceHop):
        return f"Custom, load balancing over {', '.join(member.router_interface for member in next_hop.members)}"
    if isinstance(next_hop, ActiveStandbyHop):
        return f"Custom to {next_hop.active}, standby {next_hop.standby}"
    return "Custom to the physical connection"


def why_blackhole(c: Compilation, next_hop: NextHop | None) -> str:
    """Why a next hop forwards nothing at all (D7: Blackhole); empty where it does."""
    legs = legs_of(c, next_hop)
    if not legs or any(not leg.reason for leg in legs):
        return ""
    return "; ".join(dict.fromkeys(leg.reason for leg in legs))
