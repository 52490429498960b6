"""The explanation of one question: both directions, from the configuration and from the live kernel.

Pure: the live kernel comes in as a scene and a function to ask. It owns the order of things, and no knowledge of
kernel objects (``walk.py``) nor of what a verdict means (``verdict.py``, ``compare.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from dataplane.model.kernel import KernelObject, Nexthop, VlanLink
from dataplane.model.path import Packet, Protocol
from dataplane.observe.why.atlas import Atlas, Instance
from dataplane.observe.why.code import Code
from dataplane.observe.why.compare import Comparison, Disagreement
from dataplane.observe.why.elsewhere import host_of
from dataplane.observe.why.hops import Hop, hops_of
from dataplane.observe.why.legs import legs_down
from dataplane.observe.why.parties import Party, Start, find_party, nearest_instance, start_of
from dataplane.observe.why.scene import Scene
from dataplane.observe.why.trace import Trace
from dataplane.observe.why.verdict import Judge, Verdict
from dataplane.observe.why.walk import Ask, walk


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked.

    Args:
        source: an instance's id, or an address.
        spoofed: the address that the source sends from, where it is not its own.
        size_bytes, ttl: as of ``Packet``.
    """

    source: str
    destination: str
    protocol: Protocol = "icmp"
    sport: int = 0
    dport: int = 0
    size_bytes: int = 0
    ttl: int = 64
    spoofed: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """The network as it is.

    Args:
        ask: the kernel's own look-up.
        strangers: objects in the scene that are not ours.
    """

    scene: Scene
    ask: Ask
    strangers: frozenset[KernelObject] = frozenset()


@dataclass(frozen=True, slots=True)
class Direction:
    """One way of the question.

    Args:
        packet: the packet of this direction; None where it could not be made.
        start: where it begins.
        configured: the walk by the configuration, and the verdict on it.
        live: the same by the kernel; None offline.
        disagreement: where both part.
        blame: the object that makes them part.
        configured_hops, live_hops: the steps of both walks in words.
    """

    packet: Packet | None
    start: Start | None
    configured: Trace | None
    configured_verdict: Verdict
    live: Trace | None = None
    live_verdict: Verdict | None = None
    disagreement: Disagreement | None = None
    blame: Verdict | None = None
    notes: tuple[str, ...] = ()
    configured_hops: tuple[Hop, ...] = ()
    live_hops: tuple[Hop, ...] = ()

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The way that is taken: the kernel's where it was asked."""
        return self.live_hops if self.live is not None else self.configured_hops

    @property
    def verdict(self) -> Verdict:
        """What happens: by the kernel where it was asked."""
        return self.live_verdict or self.configured_verdict

    @property
    def finding(self) -> Verdict:
        """What a person must hear: the verdict, or what is wrong although the packet arrives."""
        return self.blame if self.verdict.code.is_delivered and self.blame is not None else self.verdict

    @property
    def is_good(self) -> bool:
        """Delivered, and by the way that the configuration has."""
        is_delivered = self.verdict.code.is_delivered and self.configured_verdict.code.is_delivered
        return is_delivered and self.disagreement is None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer.

    Args:
        source, destination: the parties' names; as asked where nobody was found.
        forward, back: both ways; ``back`` is None where there is nobody to answer.
    """

    source: str
    destination: str
    forward: Direction
    back: Direction | None
    is_live: bool

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The hosts on the way that are not this one: they are shown as configured."""
        traces = [trace for way in (self.forward, self.back) if way is not None for trace in (way.live, way.configured)]
        passed = [host_of(step.namespace) for trace in traces if trace is not None for step in trace.steps]
        return tuple(sorted({host for host in passed if host}))

    @property
    def is_good(self) -> bool:
        """Whether the packet and its answer arrive, by the configuration and by the kernel alike."""
        return self.forward.is_good and self.back is not None and self.back.is_good


@dataclass
class Explainer:
    """Answers questions about one network.

    Args:
        atlas: its configuration.
        live: the kernel; None offline.
    """

    atlas: Atlas
    live: Live | None = None
    _judge: Judge = field(init=False)
    _scene: Scene = field(init=False)

    def __post_init__(self) -> None:
        self._judge = Judge(self.atlas)
        self._scene = self.atlas.scene()

    def explain(self, question: Question) -> Explanation:
        """The explanation of one question."""
        source = find_party(self.atlas, question.source)
        destination = find_party(self.atlas, question.destination)
        if source is None or destination is None:
            return self._unknown(question, source)
        packet = Packet(
            question.spoofed or source.address,
            destination.address,
            question.protocol,
            question.sport,
            question.dport,
            question.size_bytes,
            question.ttl,
        )
        forward = self._direction(source, packet, "", destination.instance)
        if forward.packet is None:
            return Explanation(source.name, destination.name, forward, None, self.live is not None)
        answering = self._answering(forward, source, destination)
        expected = source.instance if question.spoofed is None else None
        back = self._back(answering, packet, forward, expected) if answering is not None else None
        return Explanation(source.name, destination.name, forward, back, self.live is not None)

    def _unknown(self, question: Question, source: Party | None) -> Explanation:
        text = "no instance has this id, and it is no IPv4 address"
        code, word = Code.UNKNOWN_SOURCE, question.source
        if source is not None:
            code, word = Code.UNKNOWN_DESTINATION, question.destination
        verdict = Verdict(code, word, f"{word}: {text}", "`dataplane status --kind instance` lists the instances")
        nothing = Direction(None, None, None, verdict)
        return Explanation(question.source, question.destination, nothing, None, self.live is not None)

    def _answering(self, forward: Direction, source: Party, destination: Party) -> Party | None:
        """Who sends the answer: who got the packet, else who should have."""
        trace = forward.live or forward.configured
        is_delivered = trace is not None and forward.verdict.code.is_delivered
        if trace is not None and is_delivered and not isinstance(trace.ending.subject, VlanLink):
            resource = self.atlas.resource_at(trace.ending.namespace)
            instance = self.atlas.instances.get(resource.id) if resource.kind == "instance" else None
            return Party(destination.name, destination.address, instance, None, trace.ending.namespace)
        if destination.instance is None and destination.centre is None and destination.namespace is None:
            instance = nearest_instance(self.atlas, destination.address, source.instance)
            if instance is None and not forward.verdict.code.is_delivered:
                return None
            return replace(destination, instance=instance)
        return destination

    def _back(self, party: Party, packet: Packet, forward: Direction, expected: Instance | None) -> Direction:
        trace = forward.live or forward.configured
        came_by = ""
        if trace is not None and isinstance(trace.ending.subject, VlanLink):
            came_by = self.atlas.resource_at(trace.ending.namespace).id
        back = self._direction(party, packet.answer(), came_by, expected)
        if not forward.verdict.code.is_delivered and not forward.configured_verdict.code.is_delivered:
            return back
        return replace(
            back,
            configured_verdict=_returning(back.configured_verdict),
            live_verdict=_returning(back.live_verdict) if back.live_verdict is not None else None,
            blame=_returning(back.blame) if back.blame is not None else None,
        )

    def _direction(self, sender: Party, packet: Packet, came_by: str, expected: Instance | None) -> Direction:
        """One way.

        Args:
            came_by: the VBR that the packet which is answered went out by.
            expected: the instance that is meant, where one is.
        """
        start = start_of(self.atlas, sender, packet.destination, came_by)
        if isinstance(start, Verdict):
            return Direction(packet, None, None, start)
        if sender.instance is not None and not sender.instance.is_running:
            return Direction(packet, start, None, self._judge.stopped(sender.instance.id))
        live = self._walk_live(packet, start)
        prefer = _preferences(live)
        configured = walk(self._scene, packet, start.namespace, start.ingress, prefer=prefer)
        verdict = self._verdict(configured, packet, expected)
        others = self._other_members(configured, packet, start, prefer)
        notes = (*((start.note,) if start.note else ()), *legs_down(self.atlas, configured), *others)
        hops = hops_of(self.atlas, configured)
        if live is None or self.live is None:
            return Direction(packet, start, configured, verdict, notes=notes, configured_hops=hops)
        comparison = Comparison(self.atlas, self._scene, self.live.scene, self.live.strangers)
        disagreement = comparison.disagreement(configured, live)
        blame = comparison.blame(configured, live, packet) if disagreement is not None else None
        live_verdict = self._verdict(live, packet, expected)
        if not live_verdict.code.is_delivered and blame is not None:
            live_verdict = blame
        return Direction(
            packet,
            start,
            configured,
            verdict,
            live,
            live_verdict,
            disagreement,
            blame,
            notes,
            hops,
            hops_of(self.atlas, live),
        )

    def _verdict(self, trace: Trace, packet: Packet, expected: Instance | None) -> Verdict:
        """The verdict on a walk; it must end at the instance that is meant, not at its like (R88)."""
        verdict = self._judge.verdict(trace, packet)
        if expected is None or not verdict.code.is_delivered or trace.ending.namespace == expected.namespace:
            return verdict
        text = f"{packet.destination} of {expected.id} is here too, or the way to it leads here"
        remedy = f"no packet of this sender can mean {expected.id}: give one of them another address"
        return Verdict(Code.OTHER_INSTANCE, verdict.where, text, remedy, expected.origin)

    def _walk_live(self, packet: Packet, start: Start) -> Trace | None:
        if self.live is None:
            return None
        return walk(self.live.scene, packet, start.namespace, start.ingress, self.live.ask)

    def _other_members(self, trace: Trace, packet: Packet, start: Start, prefer: Mapping[str, str]) -> tuple[str, ...]:
        """What becomes of flows that a group sends another way: one sentence for each way that does not deliver."""
        scene = self.live.scene if self.live is not None else self._scene
        notes = []
        for step in trace.steps:
            seen = {None, step.egress}  # several places of a group lead to one leg
            for number, _ in step.group.members if step.group is not None else ():
                leg = scene.nexthop(step.namespace, number)
                if not isinstance(leg, Nexthop) or leg.ifname in seen:
                    continue
                seen.add(leg.ifname)
                other = walk(
                    scene, packet, start.namespace, start.ingress, prefer={**prefer, step.namespace: leg.ifname or ""}
                )
                verdict = self._judge.verdict(other, packet)
                port = self.atlas.port(step.namespace, leg.ifname or "")
                end = "is delivered too" if verdict.code.is_delivered else f"ends as {verdict.code} at {verdict.where}"
                notes.append(f"a flow that {self.atlas.place(step.namespace)} sends by {port} {end}")
        return tuple(notes)


def _preferences(live: Trace | None) -> dict[str, str]:
    """Which members of groups the kernel chose for this flow."""
    if live is None:
        return {}
    return {step.namespace: step.egress for step in live.steps if step.egress is not None}


def _returning(verdict: Verdict) -> Verdict:
    """R72: the packet arrives, and its answer finds no route."""
    return replace(verdict, code=Code.NO_RETURN_ROUTE) if verdict.code is Code.NO_ROUTE else verdict
