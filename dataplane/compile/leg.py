"""From a next hop of the file to legs and groups: what traffic may take now, and why not the rest.

Routes point at an id that never changes: the leg's for a single router interface, the group's otherwise. A suspended
leg is a blackhole object under its id, attracting its prefix (kernel.md, section 2).

A group is made of *places*: next hops of its own, one for each order of preference that its legs can have, so that a
flow keeps its place for ever. A place leads to the first leg of its order that is up, as a bucket of the forwarder
does (``ebpf/lib/group.h``); a leg that goes or comes is another leg in its places, and neither the group nor a route
changes. Members taken out of a resilient group and put back do not do: the kernel gives the one that returns other
buckets than it had, and flows of the survivors move (R50, R51). A group with nobody left holds one blackhole.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations

from dataplane.compile.context import Compilation
from dataplane.compile.peering import why_not_forwarding
from dataplane.config.network import Network
from dataplane.config.next_hop import ActiveStandbyHop, InstanceHop, LoadBalanceHop, NextHop, RouterInterfaceHop
from dataplane.model import names
from dataplane.model.forwarding import LegState
from dataplane.model.kernel import Nexthop, NexthopGroup
from dataplane.model.leg import LegVerdicts


@dataclass(frozen=True, slots=True)
class Leg:
    """A member of a next hop.

    Args:
        id: its next-hop id in the router's namespace.
        reason: why it forwards nothing; empty where it does.
        state: what a group may do with it. General routing has no other leg, and never asks.
    """

    router_interface: str
    id: int
    reason: str
    state: LegState = LegState.UP


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


def leg_states(network: Network, verdicts: LegVerdicts) -> dict[str, LegState]:
    """Router interface -> its state, of those that are down: DROPPED where its health check says ``drop`` (D2)."""
    found = {}
    for leg in verdicts.down():
        interface = network.router_interfaces.get(leg)
        if interface is not None:
            check = network.peering_connections[interface.connection].health_check
            drops = check is not None and check.on_all_down == "drop"
            found[leg] = LegState.DROPPED if drops else LegState.DOWN
    return found


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
    return tuple(_leg(c, member) for member in members)


def _leg(c: Compilation, router_interface: str) -> Leg:
    connection = c.network.router_interfaces[router_interface].connection
    reason = why_not_forwarding(c.network.peering_connections[connection])
    state = LegState.GONE if reason else c.leg_states.get(router_interface, LegState.UP)
    return Leg(router_interface, c.leg(router_interface), f"{connection}: {reason}" if reason else "", state)


def used_leg(order: Iterable[Leg]) -> Leg | None:
    """The leg that a flow with an order of preference takes: the first that is up, else the first that is down (D2)."""
    legs = tuple(order)
    wanted = (LegState.UP, LegState.DOWN)
    return next((leg for state in wanted for leg in legs if leg.state is state), None)


def group_number(c: Compilation, vpc_id: str, next_hop: NextHop | None) -> int | None:
    """The next-hop id of the group of a load-balancing or active/standby next hop; None for a single leg."""
    name = _group_name(vpc_id, next_hop)
    return names.group_number(c.numbering.number("group", name.text)) if name is not None else None


def _group_name(vpc_id: str, next_hop: NextHop | None) -> GroupName | None:
    if isinstance(next_hop, LoadBalanceHop):
        return GroupName(vpc_id, "load_balance", tuple(member.router_interface for member in next_hop.members))
    if isinstance(next_hop, ActiveStandbyHop):
        return GroupName(vpc_id, "active_standby", (next_hop.active, next_hop.standby))
    return None


def group_of(c: Compilation, vpc_id: str, next_hop: NextHop | None) -> tuple[Nexthop | NexthopGroup, ...]:
    """The places and the group of a load-balancing or active/standby next hop (R50, R51); none for a single leg."""
    name = _group_name(vpc_id, next_hop)
    if name is None:
        return ()
    namespace = names.vpc_namespace(vpc_id)
    group = c.numbering.number("group", name.text)
    places = []
    for place, order in enumerate(_orders(name.mode, legs_of(c, next_hop))):
        leg = used_leg(order)
        number = names.place_number(group, place)
        if leg is None:
            # Whoever is left is left to every order: the kernel takes a blackhole as the only member of a group.
            places.append(Nexthop(namespace, number))
            break
        places.append(Nexthop(namespace, number, c.leg_ifname(leg.router_interface), names.TRANSIT_NEIGHBOUR))
    members = tuple((place.id, 1) for place in places)
    return (*places, NexthopGroup(namespace, names.group_number(group), members))


def _orders(mode: str, legs: tuple[Leg, ...]) -> Iterator[tuple[Leg, ...]]:
    """The places of a group: every order of legs that share, so that whoever goes is replaced by all others alike."""
    return iter((legs,)) if mode == "active_standby" else permutations(legs)


def groups_of(network: Network, vpc_ids: Iterable[str]) -> Iterator[GroupName]:
    """The groups that routes of some VPCs point at, each once."""
    found: dict[GroupName, None] = {}
    for vpc_id in vpc_ids:
        for table in network.vpcs[vpc_id].route_tables.values():
            names_here = (_group_name(vpc_id, route.next_hop) for route in table.routes)
            found |= dict.fromkeys(name for name in names_here if name is not None)
    return iter(found)


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
    if isinstance(next_hop, RouterInterfaceHop):
        return legs[0].reason  # R49: no other leg, so that health changes nothing
    if not legs or used_leg(legs) is not None:
        return ""
    return "; ".join(dict.fromkeys(leg.reason or dropped_words(c, leg.router_interface) for leg in legs))


def dropped_words(c: Compilation, router_interface: str) -> str:
    """Why a leg that is down is not even a last resort."""
    verdict = c.verdicts.of(router_interface)
    return f"{router_interface} is {verdict.words if verdict is not None else 'down'}, and on_all_down is drop (D2)"
