"""The walk of a packet over kernel objects, namespace by namespace, until it arrives or something stops it.

Pure and without policy: it knows rules, routes, next hops, links, neighbours and sysctls, and neither VPCs nor files.
Where a live kernel can be asked, its answer decides where the packet goes, and the objects only explain it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from dataplane.model.kernel import VlanLink, VxlanLink
from dataplane.model.path import Answer, Packet
from dataplane.observe.why.code import Code
from dataplane.observe.why.lookup import Decision, decide, source_check
from dataplane.observe.why.scene import LOOPBACK, LinkView, Place, Scene
from dataplane.observe.why.trace import Ending, Step, Trace
from dataplane.observe.why.tunnel import cross

Ask = Callable[[str, str | None, Packet], Answer | None]
"""Namespace, ingress and packet -> the kernel's answer; None where it cannot be asked."""

_REFUSALS = {
    "EHOSTUNREACH": Code.NO_ROUTE,
    "ENETUNREACH": Code.NO_ROUTE,
    "EACCES": Code.PROHIBITED,
    "EXDEV": Code.SPOOFED,
    "EINVAL": Code.BLACKHOLE,
}


def walk(
    scene: Scene,
    packet: Packet,
    namespace: str,
    ingress: str | None = None,
    ask: Ask | None = None,
    prefer: Mapping[str, str] | None = None,
) -> Trace:
    """Follow a packet.

    Args:
        namespace: where it begins.
        ingress: the interface that it comes in by there; None where it is sent there.
        ask: the live kernel, where there is one.
        prefer: namespace -> the interface that a group's flow is known to leave by.
    """
    return _Walk(scene, packet, ask, prefer or {}).run(namespace, ingress)


@dataclass(frozen=True, slots=True)
class _Hop:
    """A step, and where it leads: to a place, or to an end."""

    step: Step
    onward: Place | None = None
    ending: Ending | None = None


class _Walk:
    """One walk in the making."""

    def __init__(self, scene: Scene, packet: Packet, ask: Ask | None, prefer: Mapping[str, str]) -> None:
        self._scene, self._packet, self._ask, self._prefer = scene, packet, ask, prefer

    def run(self, namespace: str, ingress: str | None) -> Trace:
        steps: list[Step] = []
        seen: set[tuple[str, str | None]] = set()
        ttl = self._packet.ttl
        place: tuple[str, str | None] = (namespace, ingress)
        closed = self._closed_entry(namespace, ingress)
        if closed is not None:
            return Trace((Step(namespace, ingress, ttl),), closed)
        while True:
            if place in seen:
                text = f"it comes in by {place[1]} for the second time"
                return Trace(tuple(steps), Ending(Code.LOOP, place[0], None, text))
            seen.add(place)
            hop = self._hop(*place, ttl)
            steps.append(hop.step)
            if hop.ending is not None or hop.onward is None:
                return Trace(tuple(steps), hop.ending or Ending(Code.NO_LINK, place[0]))
            # A sender does not count itself; everyone who forwards does (D17).
            ttl -= 1 if place[1] is not None else 0
            place = hop.onward

    def _closed_entry(self, namespace: str, ingress: str | None) -> Ending | None:
        """Why nothing comes in where the walk begins. Further on, the end that a packet leaves by was looked at."""
        if ingress is None:
            return None
        link = self._scene.link((namespace, ingress))
        if link is None:
            return Ending(Code.NO_LINK, namespace, None, f"{ingress} in {namespace} is missing")
        return Ending(link.code, namespace, link.object, link.trouble) if link.trouble else None

    def _hop(self, namespace: str, ingress: str | None, ttl: int) -> _Hop:
        scene, packet = self._scene, self._packet
        step = Step(namespace, ingress, ttl)
        if not scene.has_namespace(namespace):
            return _Hop(step, ending=Ending(Code.NOT_BUILT, namespace, None, f"namespace {namespace} is missing"))
        if scene.has_address(namespace, packet.destination):
            # Of a router only: what is sent to an instance's own address stays there.
            code = Code.LOCAL if scene.is_router(namespace) else Code.DELIVERED
            return _Hop(step, ending=Ending(code, namespace))
        if ingress is not None and not self._may_forward(namespace, ingress):
            return _Hop(step, ending=self._not_forwarding(namespace, ingress))
        decision = decide(scene, namespace, ingress, packet, self._prefer)
        if decision.ending is None and ingress is not None and decision.egress is not None:
            ending = source_check(scene, (namespace, ingress), decision.egress, packet)
            decision = _ended(decision, ending) if ending is not None else decision
        answer = self._ask(namespace, ingress, packet) if self._ask is not None else None
        decision, is_unexplained = _reconcile(decision, answer, namespace)
        step = Step(
            namespace,
            ingress,
            ttl,
            decision.rule,
            decision.route,
            decision.group,
            decision.egress,
            decision.via,
            answer,
            is_unexplained,
        )
        if decision.ending is not None:
            return _Hop(step, ending=decision.ending)
        return self._leave(step)

    def _may_forward(self, namespace: str, ingress: str) -> bool:
        # The interface's own switch counts for a router's ports; ip_forward sets them all.
        values = [
            self._scene.sysctl(namespace, name)
            for name in (f"net/ipv4/conf/{ingress}/forwarding", "net/ipv4/ip_forward")
        ]
        return next((value for value in values if value is not None), "1") != "0"

    def _not_forwarding(self, namespace: str, ingress: str) -> Ending:
        name = "net/ipv4/ip_forward"
        if self._scene.sysctl(namespace, f"net/ipv4/conf/{ingress}/forwarding") == "0":
            name = f"net/ipv4/conf/{ingress}/forwarding"
        text = f"{name.replace('/', '.')} is 0 in {namespace}"
        return Ending(Code.NOT_FORWARDING, namespace, self._scene.objects.get(("sysctl", namespace, name)), text)

    def _leave(self, step: Step) -> _Hop:
        """The packet has an interface to leave by: does it get out, and where to?"""
        namespace, egress = step.namespace, step.egress
        if step.ingress is not None and step.ttl <= 1:
            return _Hop(step, ending=Ending(Code.TTL, namespace, None, "the TTL ends here"))
        if egress is None or egress == LOOPBACK:
            return _Hop(step, ending=Ending(Code.NO_LINK, namespace, step.route, "the route has no interface"))
        link = self._scene.link((namespace, egress))
        if link is None:
            return _Hop(step, ending=Ending(Code.NO_LINK, namespace, None, f"{egress} in {namespace} is missing"))
        if link.trouble:
            return _Hop(step, ending=Ending(link.code, namespace, link.object, link.trouble))
        if self._packet.size_bytes > link.mtu_bytes:
            text = f"{egress} takes {link.mtu_bytes} bytes, the packet has {self._packet.size_bytes}"
            code = Code.TUNNEL_MTU if isinstance(link.object, VxlanLink) else Code.MTU
            return _Hop(step, ending=Ending(code, namespace, link.object, text))
        if isinstance(link.object, VxlanLink):
            passage = cross(self._scene, step, link.object, self._packet)
            return _Hop(replace(step, crossing=passage.crossing), passage.onward, passage.ending)
        trouble = self._neighbour_trouble(step, link)
        if trouble:
            return _Hop(step, ending=Ending(Code.NO_NEIGHBOUR, namespace, link.object, trouble))
        if isinstance(link.object, VlanLink):
            return _Hop(step, ending=Ending(Code.DELIVERED, namespace, link.object))
        return _Hop(step, onward=link.far)

    def _neighbour_trouble(self, step: Step, link: LinkView) -> str:
        """Why the next hop's MAC is not to be had; empty where it is."""
        place: Place = (step.namespace, step.egress or "")
        target = step.via or self._packet.destination
        mac = self._scene.neighbour_mac(place, target)
        if mac is not None and link.far is not None and mac != link.far_mac:
            return f"{target} has the MAC {mac} on {place[1]}, and the other end has {link.far_mac}"
        if mac is not None or (link.far is not None and self._answers(link.far, target)):
            return ""
        if link.far is None and not self._scene.is_unresolved(place, target):
            return ""  # a line: whoever is there is asked by ARP when the time comes
        return f"nobody on {place[1]} answers for {target}"

    def _answers(self, place: Place, target: IPv4Address) -> bool:
        """Whether ARP at the far end would answer for an address: it has it, or stands in for others (proxy ARP)."""
        namespace, ifname = place
        if self._scene.sysctl(namespace, f"net/ipv4/conf/{ifname}/proxy_arp") == "1":
            return True
        return self._scene.has_address(namespace, target)


def _ended(decision: Decision, ending: Ending) -> Decision:
    return Decision(decision.rule, decision.route, decision.leg, decision.group, ending=ending)


def _reconcile(decision: Decision, answer: Answer | None, namespace: str) -> tuple[Decision, bool]:
    """The kernel's answer in place of ours where they differ, and whether they do."""
    if answer is None:
        return decision, False
    if answer.refusal:
        if decision.ending is not None:
            return decision, False
        code = _REFUSALS.get(answer.refusal, Code.NO_ROUTE)
        return Decision(ending=Ending(code, namespace, None, f"the kernel says {answer.refusal}")), True
    if answer.is_local:
        return Decision(ending=Ending(Code.LOCAL, namespace, None, "the kernel takes it itself")), True
    if decision.ending is None and (answer.ifname, answer.via) == (decision.egress, decision.via):
        return decision, False
    return Decision(egress=answer.ifname, via=answer.via), True
