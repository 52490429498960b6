"""The verdict on a walk in the words of the configuration: a code, a sentence, and which key on which line to change.

Pure. It judges walks over what the configuration asks for; where a live kernel differs is ``compare.py``'s business.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from dataplane.config.vswitch import VSwitch
from dataplane.model import names
from dataplane.model.kernel import KernelRoute, Nexthop
from dataplane.model.path import Packet
from dataplane.model.resource import NOWHERE, Origin, Resource
from dataplane.observe.why.atlas import VPC_TUNNEL, Atlas, Instance
from dataplane.observe.why.code import Code
from dataplane.observe.why.trace import Ending, Step, Trace

_APPLY = "`sudo dataplane apply` brings back what the files ask for"
_REMEDIES = {
    Code.TTL: "send with a larger TTL: each router on the way takes one (D17)",
    Code.LOOP: "one of the routes on the way must lead elsewhere",
    Code.PROHIBITED: "look at `ip rule` and `ip route` there: no line of the files asks for it",
    Code.NO_NEIGHBOUR: "see that the far end is there, with its address and its VLAN",
    Code.SPOOFED: "send from an address of its own",
}
"""What to do about the ends that no key of the files decides alone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a packet.

    Args:
        where: the router, instance, or data centre where it ended.
        text: why, in a sentence without a full stop.
        remedy: what to change; empty where nothing is wrong.
        origin: the line to look at.
    """

    code: Code
    where: str
    text: str = ""
    remedy: str = ""
    origin: Origin = NOWHERE


class Judge:
    """Turns the end of a walk into a verdict.

    Args:
        atlas: the words.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas

    def verdict(self, trace: Trace, packet: Packet) -> Verdict:
        """The verdict on a walk of a packet."""
        ending = trace.ending
        special = {
            Code.NO_ROUTE: self._no_route,
            Code.BLACKHOLE: self._blackhole,
            Code.PROHIBITED: self._prohibited,
            Code.DELIVERED: self._delivered,
            Code.LOCAL: self._delivered,
            Code.NOT_FORWARDING: self._not_forwarding,
            Code.SPOOFED: self._spoofed,
            Code.NO_LINK: self._no_link,
            Code.MTU: self._mtu,
            Code.NO_TUNNEL: self._no_link,
            Code.NOT_ADMITTED: self._not_admitted,
            Code.TUNNEL_MTU: self._tunnel_mtu,
        }.get(ending.code)
        found = special(trace, packet, ending) if special is not None else self._plain(trace, ending)
        origin = found.origin if found.origin != NOWHERE else self._origin(trace, ending)
        remedy = found.remedy or ("" if found.code.is_delivered else _REMEDIES.get(found.code, _APPLY))
        text = self._atlas.in_words(ending.namespace, found.text)
        return replace(found, text=text, origin=origin, remedy=remedy)

    def _origin(self, trace: Trace, ending: Ending) -> Origin:
        wish = self._atlas.wanted(ending.subject) if ending.subject is not None else None
        if wish is not None:
            return wish.origin
        return self._atlas.origin(trace.last) if trace.last is not None else NOWHERE

    def _plain(self, trace: Trace, ending: Ending) -> Verdict:
        return Verdict(ending.code, self._atlas.place(ending.namespace), ending.text)

    def _delivered(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        where = self._atlas.place(ending.namespace)
        last = trace.last
        if ending.subject is None or last is None:
            return Verdict(ending.code, where, f"{packet.destination} is here")
        port = self._atlas.port(ending.namespace, last.egress or "")
        return Verdict(ending.code, where, f"leaves by {port} to {last.via or packet.destination}")

    def _no_route(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        atlas, router = self._atlas, self._atlas.resource_at(ending.namespace)
        route = ending.subject if isinstance(ending.subject, KernelRoute) else None
        where = atlas.place(ending.namespace)
        if route is None or router.kind not in ("vpc", "vbr"):
            return Verdict(Code.NO_ROUTE, where, ending.text or f"no route to {packet.destination}")
        stopped = [
            h for h in atlas.instances_with(packet.destination) if h.router == ending.namespace and not h.is_running
        ]
        if stopped:
            return self.stopped(stopped[0].id)
        step = trace.last
        if step is not None and atlas.tunnels.get((ending.namespace, step.ingress or "")) == VPC_TUNNEL:
            return self._nobody_there(router, ending.namespace, packet)
        wish = atlas.wanted(route)
        if route.metric == names.MAX_METRIC or wish is None or wish.owner.kind != "route":
            table = atlas.table(trace.last.rule) if trace.last is not None else ""
            text = f"table {table} has no route to {packet.destination}"
            return Verdict(Code.NO_ROUTE, where, text, self._missing_route(router, wish_table(wish), packet))
        if atlas.next_hop_of(route) is not None:
            text = f"{route.destination} leads back to the instance that the packet comes from"
            return Verdict(Code.LOOP, where, text, "let another instance or another table be the way there")
        if any(route.destination == item.cidr for item in self._vswitches(router)):
            text = f"{route.destination} is a vSwitch here, and no instance has {packet.destination}"
            return Verdict(Code.UNKNOWN_DESTINATION, where, text, "give an instance this `ip`, or ask for another one")
        text = f"no cloud service of the region has {packet.destination} (R133)"
        return Verdict(Code.UNKNOWN_DESTINATION, where, text, "add it under `services`, with this VPC's region")

    def _nobody_there(self, router: Resource, namespace: str, packet: Packet) -> Verdict:
        """Another host's part of the VPC sent it here, where the vSwitch is, and there is nobody (D16)."""
        vswitches = self._atlas.network.vpcs[router.id].vswitches
        found = next((name for name, item in vswitches.items() if packet.destination in item.cidr), None)
        text = f"no instance of {router.id} that is on {self._atlas.host_at(namespace)} has {packet.destination}"
        path = ("vpcs", router.id, *(("vswitches", found) if found is not None else ()))
        remedy = "give an instance this `ip`, or ask for another one"
        where = self._atlas.place(namespace)
        return Verdict(Code.UNKNOWN_DESTINATION, where, text, remedy, self._atlas.loaded.origin(*path))

    def _vswitches(self, router: Resource) -> list[VSwitch]:
        return list(self._atlas.network.vpcs[router.id].vswitches.values()) if router.kind == "vpc" else []

    def _missing_route(self, router: Resource, table: str, packet: Packet) -> str:
        """Which entry is missing where (R30, R67, R72)."""
        atlas = self._atlas
        target, prefix = self._owner_of(packet.destination)
        if target is None:
            return f"nothing in the file has {packet.destination}: add it, or a route to where it is"
        key = f"vbrs.{router.id}.routes" if router.kind == "vbr" else f"vpcs.{router.id}.route_tables.{table}.routes"
        if router == target:
            return f"the address belongs to {target} itself: `sudo dataplane apply` brings its routes back"
        ways = atlas.interfaces_of(router, target)
        if not ways and target.kind == "data_centre":
            return f"add a route to {prefix} to {key}: through a connection with a VBR of {target.id} (R30)"
        if not ways:
            return f"no connection joins {router.id} and {target.id}: add one under `peering_connections`, and routes"
        return f"add {{destination: {prefix}, next_hop: {{router_interface: {ways[0]}}}}} to {key}"

    def _owner_of(self, address: IPv4Address) -> tuple[Resource | None, object]:
        """The VPC or data centre that an address belongs to, with the prefix that a route to it would have."""
        network = self._atlas.network
        instance = next(iter(self._atlas.instances_with(address)), None)
        if instance is not None:
            return Resource("vpc", instance.vpc), network.vpcs[instance.vpc].cidr
        for name, centre in network.data_centres.items():
            for cidr in centre.cidrs:
                if address in cidr:
                    return Resource("data_centre", name), cidr
        for name, vpc in network.vpcs.items():
            if address in vpc.cidr:
                return Resource("vpc", name), vpc.cidr
        return None, None

    def stopped(self, name: str) -> Verdict:
        """The verdict on an instance that is not running."""
        instance = self._atlas.instances[name]
        text = f"instance {name} is stopped: it keeps its address and is not reachable (R85)"
        where = self._atlas.place(instance.namespace)
        return Verdict(Code.STOPPED, where, text, f"take `state: stopped` from instance {name}", instance.origin)

    def _blackhole(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        where = self._atlas.place(ending.namespace)
        if isinstance(ending.subject, Nexthop) and names.parse_group_number(ending.subject.id) is not None:
            return self._nobody_left(trace, ending.subject, where)
        if isinstance(ending.subject, Nexthop):
            return self._dead_leg(ending.subject, where)
        route = ending.subject if isinstance(ending.subject, KernelRoute) else None
        if route is not None and route.metric == names.MAX_METRIC:
            return self._spoofed(trace, packet, ending)
        wish = self._atlas.wanted(route) if route is not None else None
        reason = self._atlas.reasons.get(wish.owner, "") if wish is not None else ""
        text = f"{route.destination} has a dead next hop: {reason}" if route is not None and reason else ending.text
        return Verdict(Code.BLACKHOLE, where, text or "the route is a blackhole", "start it, or name another next hop")

    def _nobody_left(self, trace: Trace, place: Nexthop, where: str) -> Verdict:
        """A group without a leg that may be used: none forwards, or all are down and to be dropped (D2)."""
        route = trace.last.route if trace.last is not None else None
        legs = self._atlas.peers_used_by(route) if route is not None else ()
        connections = [self._atlas.network.router_interfaces[leg].connection for leg in legs]
        dead = (self._dead_connection(Resource("peering_connection", one), where) for one in connections)
        found = next((verdict for verdict in dead if verdict is not None), None)
        if found is not None:
            return found
        wish = self._atlas.wanted(place)
        reason = self._atlas.reasons.get(wish.owner, "") if wish is not None else ""
        remedy = (
            f"mend a line; `dataplane datapath leg {legs[0]} auto` takes back what was said by hand" if legs else ""
        )
        return Verdict(Code.BLACKHOLE, where, f"no leg is left: {reason}" if reason else "no leg is left", remedy)

    def _dead_leg(self, leg: Nexthop, where: str) -> Verdict:
        wish = self._atlas.wanted(leg)
        if wish is None or wish.owner.id not in self._atlas.network.peering_connections:
            return Verdict(Code.BLACKHOLE, where, f"next hop {leg.id} is a blackhole")
        found = self._dead_connection(wish.owner, where)
        reason = self._atlas.reasons.get(wish.owner, "")
        return found or Verdict(Code.NOT_BUILT, where, f"connection {wish.owner.id}: {reason}", "", wish.origin)

    def _dead_connection(self, resource: Resource, where: str) -> Verdict | None:
        """Why a connection forwards nothing; None where it does."""
        connection_id, connection = resource.id, self._atlas.network.peering_connections[resource.id]
        text = f"connection {connection_id}: {self._atlas.reasons.get(resource, '')}"
        path = ("peering_connections", connection_id)
        if connection.initiator is None or connection.acceptor is None:
            missing = "initiator" if connection.initiator is None else "acceptor"
            return Verdict(Code.ONE_ENDED, where, text, f"write its `{missing}` (R3)", self._atlas.loaded.origin(*path))
        for role, end in connection.ends():
            if end.state == "suspended":
                origin = self._atlas.loaded.origin(*path, role, "state")
                return Verdict(Code.SUSPENDED, where, text, f"write `state: active` at its {role}", origin)
        return None

    def _prohibited(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        where, step = self._atlas.place(ending.namespace), trace.last
        route = ending.subject if isinstance(ending.subject, KernelRoute) else None
        if route is None or step is None or self._atlas.wanted(route) is None:
            return self._plain(trace, ending)
        port = self._atlas.port(ending.namespace, step.ingress or "")
        if (ending.namespace, step.ingress) not in self._atlas.interfaces:
            text = f"it came in by {port}, and {route.destination} leads to a line again (D16)"
            return Verdict(Code.SPLIT_HORIZON, where, text, "let the data centre carry its own traffic itself")
        ways = ", ".join(self._atlas.peers_used_by(route))
        text = f"it came in by {port}, and {route.destination} leads to {ways or 'another one'} (R101, D16)"
        remedy = "connect the two VPCs with a peering connection of their own"
        router = self._atlas.resource_at(ending.namespace)
        if router.kind == "vbr":
            remedy = f"write `transit: true` at vbr {router.id}, if its VPCs shall meet there; or {remedy}"
        return Verdict(Code.NOT_TRANSITIVE, where, text, remedy)

    def _not_forwarding(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        resource = self._atlas.resource_at(ending.namespace)
        instance = self._atlas.instances.get(resource.id) if resource.kind == "instance" else None
        if instance is None:
            return self._plain(trace, ending)
        return self._cannot_pass(instance, packet)

    def _cannot_pass(self, instance: Instance, packet: Packet) -> Verdict:
        where = self._atlas.place(instance.namespace)
        text = f"instance {instance.id} is the next hop for {packet.destination} and does not forward (R66)"
        return Verdict(
            Code.NOT_FORWARDING, where, text, f"write `forwarding: true` at instance {instance.id}", instance.origin
        )

    def _behind(self, namespace: str, step: Step | None) -> Instance | None:
        """The instance that a packet leaves a router for by a route of its own, and that does not forward."""
        if step is None or step.route is None or step.route.via is None or step.route.ifname is None:
            return None
        place = (namespace, step.route.ifname)
        found = (instance for instance in self._atlas.instances.values() if (instance.router, instance.port) == place)
        return next((instance for instance in found if not instance.forwards), None)

    def _spoofed(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        where, step = self._atlas.place(ending.namespace), trace.last
        place = (ending.namespace, (step.ingress if step is not None else None) or "")
        port = self._atlas.port(*place)
        instance = next(
            (instance for instance in self._atlas.instances.values() if (instance.router, instance.port) == place), None
        )
        beyond = self._behind(ending.namespace, step)
        if instance is not None and beyond is not None and instance.address == packet.source:
            # Its port is guarded, and the source check takes the answer for spoofed: a consequence, not the cause.
            return self._cannot_pass(beyond, packet)
        text = f"{port} may not send as {packet.source}"
        remedy = "send from its own address; `forwarding: true` is for an instance that forwards for others"
        if instance is None:
            return Verdict(Code.SPOOFED, where, ending.text or text)
        text += f": its address is {instance.address}" if instance.address != packet.source else f": {ending.text}"
        return Verdict(Code.SPOOFED, where, text, remedy, instance.origin)

    def _no_link(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        return replace(self._plain(trace, ending), remedy="set it up again, or let `sudo dataplane apply` mend it")

    def _not_admitted(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        sender = self._atlas.host_at(trace.last.namespace) if trace.last is not None else ""
        text = f"{ending.text}: nobody on {sender} may send them (P7)"
        remedy = f"send from an address that {sender} has; `forwarding: true` is for who forwards for others"
        return replace(self._plain(trace, ending), text=text, remedy=remedy)

    def _tunnel_mtu(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        remedy = "send smaller packets, or raise `mtu` of the underlay under `hosts`, where its network can take it"
        return replace(self._plain(trace, ending), remedy=remedy)

    def _mtu(self, trace: Trace, packet: Packet, ending: Ending) -> Verdict:
        remedy = "send smaller packets, or raise `mtu` of the VPCs at both ends of the link"
        router = self._atlas.resource_at(ending.namespace)
        instance = self._atlas.instances.get(router.id) if router.kind == "instance" else None
        vpc = instance.vpc if instance is not None else router.id if router.kind == "vpc" else None
        if vpc is not None and self._atlas.placement.spans_hosts(vpc):
            remedy = f"send smaller packets: {vpc} spans hosts, and its tunnels need {names.VXLAN_OVERHEAD_BYTES} bytes"
        return replace(self._plain(trace, ending), remedy=remedy)


def wish_table(wish: object) -> str:
    """The route table's id out of the resource that asks for a closing route."""
    owner = getattr(wish, "owner", None)
    return owner.id.rpartition("/")[2] if owner is not None and owner.kind == "route_table" else "system"
