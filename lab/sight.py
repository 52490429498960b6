"""Where a packet was between two sightings: by its TTL how many routers, by the forwarder's counters which. Pure.

At XDP a frame passes routers before any sniffer's tap; one is seen again where it comes out. Its TTL says how many
routers lie between, and of a probe that is sent alone the counters of their ports say which. What neither shows is a
fault (``lab/judge.py``), never left out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lab.model import Direction, Evidence, Place, Sighting

_JUDGED = (Direction.FORWARD, Direction.BACK)
"""An ICMP error need not be followed: what counts is that its sender got it, and that nobody saw it elsewhere."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of a packet's way that nobody saw.

    Args:
        routers: how many lie there.
    """

    before: Sighting
    after: Sighting
    routers: int


def gaps(evidence: Evidence) -> list[Gap]:
    """The parts of ways, forward and back, that nobody saw."""
    found = []
    for sightings in _packets(evidence):
        for before, after in pairwise(sightings):
            # A router takes one off after its tap has seen the packet come in.
            routers = before.mark.ttl - after.mark.ttl - (not before.is_outgoing)
            if routers > 0:
                found.append(Gap(before, after, routers))
    return found


def is_out_of_sight(evidence: Evidence, hidden: Collection[Place], far: Mapping[Place, Place]) -> bool:
    """Whether a part of a way is unseen, or a packet was last seen on its way into what sniffers cannot see.

    Args:
        hidden: the ports where a packet may come in before a sniffer sees it.
        far: interface -> the other end of its veth.
    """
    ends = [sightings[-1] for sightings in _packets(evidence)]
    into_hidden = (end.is_outgoing and far.get((end.namespace, end.ifname)) in hidden for end in ends)
    return bool(gaps(evidence)) or any(into_hidden)


def filled(evidence: Evidence, counted: Collection[Place], far: Mapping[Place, Place]) -> Evidence:
    """Evidence of one probe with what the forwarder's counters say about it.

    Args:
        counted: the ports whose counters the probe has raised.
        far: interface -> the other end of its veth.
    """
    found: list[Sighting] = []
    for gap in gaps(evidence):
        found += _sightings(gap.before, _way(gap, counted, far))
    for sightings in _packets(evidence):
        if sightings[-1].is_outgoing:
            found += _sightings(sightings[-1], _trail(sightings[-1], counted, far))
    known = {seen.namespace for seen in (*evidence.sightings, *found)}
    strays = tuple(place for place in sorted(counted) if place[0] not in known)
    everything = sorted((*evidence.sightings, *found), key=lambda sighting: sighting.order)
    return replace(evidence, sightings=tuple(everything), strays=strays)


def _packets(evidence: Evidence) -> list[list[Sighting]]:
    """The sightings of each packet, in order: a connection has several of them each way."""
    packets: dict[tuple[Direction, bytes], list[Sighting]] = {}
    for seen in evidence.sightings:
        if seen.mark.direction in _JUDGED and seen.mark.ttl:
            packets.setdefault((seen.mark.direction, seen.mark.packet), []).append(seen)
    return list(packets.values())


def _sightings(before: Sighting, way: Sequence[Place]) -> list[Sighting]:
    """Sightings on a way that the counters say, each with the TTL that the packet had there."""
    ttl = before.mark.ttl
    return [
        Sighting(before.time_ns, namespace, ifname, False, replace(before.mark, ttl=ttl - passed), is_counted=True)
        for passed, (namespace, ifname) in enumerate(way)
    ]


def _way(gap: Gap, counted: Collection[Place], far: Mapping[Place, Place]) -> list[Place]:
    """The counted ports that a packet came in by in a gap; none where no chain of that length leads through it."""
    first = far.get((gap.before.namespace, gap.before.ifname))
    out = far.get((gap.after.namespace, gap.after.ifname))
    if first not in counted or first is None or out is None:
        return []
    ways = [[first]]
    for _ in range(gap.routers - 1):
        ways = [[*way, place] for way in ways for place in _next(way[-1], counted, far) if place not in way]
    return next((way for way in ways if way[-1][0] == out[0]), [])


def _trail(before: Sighting, counted: Collection[Place], far: Mapping[Place, Place]) -> list[Place]:
    """The counted ports behind a namespace that a packet left for good, as far as there is one way only."""
    place = far.get((before.namespace, before.ifname))
    trail: list[Place] = []
    while place is not None and place in counted and place not in trail:
        trail.append(place)
        behind = _next(place, counted, far)
        place = behind[0] if len(behind) == 1 else None
    return trail


def _next(place: Place, counted: Collection[Place], far: Mapping[Place, Place]) -> list[Place]:
    """The counted ports that lead on from the namespace of a port."""
    return [other for other in sorted(counted) if other in far and far[other][0] == place[0] and other != place]
