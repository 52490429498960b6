"""Where the kernel does something else than the configuration says, how, and which object is to blame.

Pure: two walks of one packet, and the two scenes that they were made over.
"""

from collections.abc import Container
from dataclasses import dataclass, replace
from itertools import zip_longest

from dataplane.model.describe import describe, describe_change
from dataplane.model.kernel import (
    Address,
    FdbEntry,
    KernelObject,
    KernelRoute,
    Neighbour,
    Nexthop,
    NexthopGroup,
    Rule,
    Sysctl,
    UnderlayFilter,
    Veth,
    VlanLink,
    VxlanLink,
)
from dataplane.model.path import Packet
from dataplane.observe.why.atlas import Atlas
from dataplane.observe.why.code import Code
from dataplane.observe.why.elsewhere import host_of, identity, namespace_of
from dataplane.observe.why.lookup import decide
from dataplane.observe.why.scene import Place, Scene
from dataplane.observe.why.trace import Step, Trace
from dataplane.observe.why.verdict import Verdict

_APPLY = "`sudo dataplane apply` mends it"
_UNDERLAY = "see to the underlay's device, or name another one as `device` under `hosts`; then `sudo dataplane apply`"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The first place where both walks part.

    Args:
        where: the router or instance.
        configuration: what the configuration says there.
        kernel: what the kernel does there.
    """

    where: str
    configuration: str
    kernel: str

    def document(self) -> dict[str, str]:
        """Its parts, for documents."""
        return {"where": self.where, "configuration": self.configuration, "kernel": self.kernel}

    def __str__(self) -> str:
        return f"at {self.where} the configuration says {self.configuration}, the kernel says {self.kernel}"


@dataclass(frozen=True, slots=True)
class _Parting:
    """Both steps at the place where the walks part; one of them may be missing."""

    index: int
    wanted: Step | None
    seen: Step | None


class Comparison:
    """Two walks of one packet.

    Args:
        atlas: the words.
        desired: the scene that the configuration asks for.
        observed: the scene as it is.
        strangers: objects in it that are not ours.
    """

    def __init__(self, atlas: Atlas, desired: Scene, observed: Scene, strangers: frozenset[KernelObject]) -> None:
        self._atlas, self._desired, self._observed, self._strangers = atlas, desired, observed, strangers

    def disagreement(self, configured: Trace, live: Trace) -> Disagreement | None:
        """Where and how they part; None where both go the same way to the same end."""
        parting = _parting(configured, live)
        if parting is None:
            return None
        step = parting.wanted or parting.seen
        where = self._atlas.place(step.namespace) if step is not None else ""
        return Disagreement(
            where,
            self._says(configured, parting.index, parting.wanted),
            self._says(live, parting.index, parting.seen),
        )

    def _says(self, trace: Trace, index: int, step: Step | None) -> str:
        if step is None:
            return "it does not come here"
        if index == len(trace.steps) - 1 and not (trace.ending.code.is_delivered and step.egress is not None):
            refusal = step.kernel.refusal if step.kernel is not None else ""
            return f"{trace.ending.code}{f' ({refusal})' if refusal else ''}"
        crossing = step.crossing
        unguarded = ", past a filter that is missing or changed" if crossing and not crossing.is_guarded else ""
        changed = ", which is not as we make it" if crossing and not crossing.is_static else ""
        return f"{self._atlas.way_out(step)}{changed}{unguarded}"

    def blame(self, configured: Trace, live: Trace, packet: Packet) -> Verdict | None:
        """The object that makes them part, as a verdict; None where none is found.

        Args:
            packet: the one that both followed.
        """
        parting = _parting(configured, live)
        if parting is None or parting.wanted is None:
            return None
        return (
            self._missing_link(parting.wanted)
            or self._missing_tunnel(parting.wanted)
            or (self._source_check(parting.wanted, packet) if live.ending.code is Code.SPOOFED else None)
            or self._foreign(parting.seen)
            or self._changed(parting.wanted, live.ending.code)
            or self._changed_end(configured, parting)
        )

    def _source_check(self, wanted: Step, packet: Packet) -> Verdict | None:
        """The kernel drops an honest source: what the look-up of an answer to it meets, and should not."""
        if wanted.egress is None:
            return None
        place = (wanted.namespace, wanted.egress)
        seen = decide(self._observed, *place, packet.answer(), {})
        asked = decide(self._desired, *place, packet.answer(), {})
        found = self._foreign(Step(*place, 0, seen.rule, seen.route)) or self._changed(
            Step(*place, 0, asked.rule, asked.route, asked.group)
        )
        if found is None:
            return None
        return replace(found, text=f"the source check of {packet.source} looks an answer to it up: {found.text}")

    def _verdict(
        self, code: Code, namespace: str, text: str, item: KernelObject | None, remedy: str = _APPLY
    ) -> Verdict:
        wish = self._atlas.wanted(item) if item is not None else None
        verdict = Verdict(code, self._atlas.place(namespace), text, remedy)
        return verdict if wish is None else Verdict(code, verdict.where, text, remedy, wish.origin)

    def _missing_link(self, wanted: Step) -> Verdict | None:
        """The link that the packet should leave or come in by is gone or down."""
        for ifname in (wanted.egress, wanted.ingress):
            wish = self._desired.link((wanted.namespace, ifname)) if ifname is not None else None
            if wish is None or ifname is None:
                continue
            seen = self._observed.link((wanted.namespace, ifname))
            trouble = seen.trouble if seen is not None else f"{ifname} in {wanted.namespace} is missing"
            if trouble and not isinstance(wish.object, VxlanLink):
                text = f"{self._atlas.port(wanted.namespace, ifname)}: {trouble}"
                return self._verdict(Code.NO_LINK, wanted.namespace, text, wish.object)
        return None

    def _missing_tunnel(self, wanted: Step) -> Verdict | None:
        """An end of the tunnel that the packet should take, or the underlay's device there, is gone or down."""
        for link in self._ends(wanted):
            place = (link.namespace, link.ifname)
            seen = self._observed.link(place)
            device = self._observed.device_trouble(host_of(link.namespace), link.device)
            if device:
                text = f"{device}, and {self._atlas.port(*place)} needs it"
                return self._verdict(Code.NO_UNDERLAY, link.namespace, text, link, _UNDERLAY)
            trouble = seen.trouble if seen is not None else f"{link.ifname} in {link.namespace} is missing"
            if trouble:
                text = f"{self._atlas.port(*place)}: {trouble}"
                return self._verdict(Code.NO_TUNNEL, link.namespace, text, link)
        return None

    def _ends(self, wanted: Step) -> list[VxlanLink]:
        """Both ends of the tunnel that a step goes by; none where it goes by none."""
        view = self._desired.link((wanted.namespace, wanted.egress)) if wanted.egress is not None else None
        near = view.object if view is not None else None
        far = wanted.crossing.far if wanted.crossing is not None else None
        return [link for link in (near, far) if isinstance(link, VxlanLink)]

    def _foreign(self, seen: Step | None) -> Verdict | None:
        """A rule or a route that is not ours decides, seen or unseen by us."""
        if seen is None:
            return None
        for item in (seen.rule, seen.route):
            if item is not None and item in self._strangers:
                text = f"{describe(item)} is not ours, and decides"
                return self._verdict(Code.FOREIGN, seen.namespace, text, None, "remove it")
        stale = next((i for i in (seen.route, seen.rule) if i is not None and i.key not in self._desired.objects), None)
        if stale is not None and self._observed.is_router(seen.namespace):
            text = f"{describe(stale)} is not what the configuration asks for, and decides"
            return self._verdict(Code.FOREIGN, seen.namespace, text, None, f"remove it; {_APPLY}")
        if seen.is_unexplained and seen.kernel is not None:
            answer = seen.kernel
            way = answer.refusal or f"{answer.ifname} by {answer.destination} in table {answer.table}"
            text = f"the kernel answers {way}, for which nothing of ours is the cause"
            return self._verdict(Code.FOREIGN, seen.namespace, text, None, "look at `ip rule` and `ip route` there")
        return None

    def _changed(self, wanted: Step, end: Code | None = None) -> Verdict | None:
        """What the wanted step goes by is missing or differs in the kernel, where the packet comes to this end."""
        for item in self._goes_by(wanted):
            there = self._observed.objects.get(identity(item))
            if there == item:
                continue
            if there is None and isinstance(item, Sysctl):
                continue
            text = f"{describe(item)} is missing" if there is None else f"{describe_change(there, item)} differs"
            code = _code_for(item, there, self._atlas.tunnels)
            if isinstance(item, UnderlayFilter) and end is Code.NOT_ADMITTED:
                code = end
            return self._verdict(code, namespace_of(item), text, item)
        return None

    def _goes_by(self, step: Step) -> list[KernelObject]:
        """The desired objects that a step goes by, in the order in which one takes the others along."""
        found: list[KernelObject] = [link for link in self._ends(step) if self._was_made_anew(link)]
        found += [item for item in self._desired.objects.values() if _is_address_of(item, step)]
        if step.group is not None:
            found += [step.group]
            found += [i for i in self._desired.objects.values() if _is_member(i, step.group)]
        if step.route is not None and step.route.nexthop is not None and step.group is None:
            leg = self._desired.nexthop(step.namespace, step.route.nexthop)
            found += [leg] if leg is not None else []
        found += [item for item in (step.rule, step.route) if item is not None and item.key in self._desired.objects]
        found += self._ends(step)
        guard = self._desired.underlay_filter(host_of(step.crossing.to)) if step.crossing is not None else None
        found += [guard] if guard is not None else []
        if step.egress is not None:
            found += [i for i in self._desired.objects.values() if _is_entry_of(i, step)]
            found += [i for i in self._desired.objects.values() if _is_neighbour_of(i, step)]
        return found + self._sysctls(step)

    def _was_made_anew(self, link: VxlanLink) -> bool:
        """Whether another link is in a tunnel's place: its routes, neighbours and entries went with the one before."""
        there = self._observed.objects.get(identity(link))
        return isinstance(there, VxlanLink) and replace(there, mtu=link.mtu, mac=link.mac, up=link.up) != link

    def _sysctls(self, step: Step) -> list[KernelObject]:
        ingress = step.ingress or "all"
        names_ = ["net/ipv4/ip_forward"]
        names_ += [
            f"net/ipv4/conf/{scope}/{name}" for scope in ("all", ingress) for name in ("forwarding", "rp_filter")
        ]
        found = (self._desired.objects.get(("sysctl", step.namespace, name)) for name in names_)
        return [item for item in found if item is not None]

    def _changed_end(self, configured: Trace, parting: _Parting) -> Verdict | None:
        """The packet should arrive here and does not: the address of the instance or service is gone."""
        wanted = parting.wanted
        if wanted is None or parting.index != len(configured.steps) - 1 or not configured.ending.code.is_delivered:
            return None
        for item in self._desired.objects.values():
            if (
                isinstance(item, Address)
                and item.namespace == wanted.namespace
                and item.key not in self._observed.objects
            ):
                return self._verdict(Code.NO_ADDRESS, wanted.namespace, f"{describe(item)} is missing", item)
        return None


def _parting(configured: Trace, live: Trace) -> _Parting | None:
    for index, (a, b) in enumerate(zip_longest(configured.steps, live.steps)):
        is_end = index == len(configured.steps) - 1 or index == len(live.steps) - 1
        if a is None or b is None or _way(a) != _way(b):
            return _Parting(index, a, b)
        if is_end and (configured.ending.code != live.ending.code or len(configured.steps) != len(live.steps)):
            return _Parting(index, a, b)
    return None


def _way(step: Step) -> tuple[object, ...]:
    crossing = step.crossing
    seen = (crossing.to, crossing.vni, crossing.is_guarded, crossing.is_static) if crossing is not None else None
    return step.namespace, step.ingress, step.egress, step.via, seen


def _is_address_of(item: KernelObject, step: Step) -> bool:
    return isinstance(item, Address) and (item.namespace, item.ifname) == (step.namespace, step.egress)


def _is_member(item: KernelObject, group: NexthopGroup) -> bool:
    members = {member for member, _ in group.members}
    return isinstance(item, Nexthop) and item.namespace == group.namespace and item.id in members


def _is_neighbour_of(item: KernelObject, step: Step) -> bool:
    return item.key[0] == "neighbour" and item.key[1:3] == (step.namespace, step.egress)


def _is_entry_of(item: KernelObject, step: Step) -> bool:
    return isinstance(item, FdbEntry) and (item.namespace, item.ifname) == (step.namespace, step.egress)


def _code_for(item: KernelObject, there: KernelObject | None, tunnels: Container[Place]) -> Code:
    match item:
        case Address():
            return Code.NO_ADDRESS
        case Rule():
            return Code.NO_RULE
        case Nexthop() | NexthopGroup() | KernelRoute():
            return Code.NO_ROUTE if there is None else Code.DRIFT
        case Sysctl():
            return Code.SPOOFED if item.name.endswith("rp_filter") else Code.NOT_FORWARDING
        case Veth() | VlanLink():
            return Code.NO_LINK
        case VxlanLink():
            return _code_for_tunnel(item, there)
        case FdbEntry():
            return Code.NO_VTEP
        case Neighbour() if (item.namespace, item.ifname) in tunnels:
            return Code.NO_VTEP if there is None else Code.WRONG_MAC
        case UnderlayFilter():
            return Code.UNGUARDED
        case _:
            return Code.NO_NEIGHBOUR


def _code_for_tunnel(item: VxlanLink, there: KernelObject | None) -> Code:
    if not isinstance(there, VxlanLink):
        return Code.NO_TUNNEL
    if there.vni != item.vni:
        return Code.WRONG_VNI
    if there.mac != item.mac:
        return Code.WRONG_MAC
    # Another MTU alone may still let a packet through; then it is only not what was asked for.
    return Code.TUNNEL_MTU if there.mtu < item.mtu else Code.DRIFT
