"""From evidence to verdict: what does not hold about a flow, in sentences. Pure.

Both kinds of flow are judged by where packets were seen: a flow that arrives but also shows up in a namespace
that it has no business in has failed, and so has a flow that must not arrive and was never sent.
"""

from collections.abc import Sequence

from dataplane.model import names
from lab.inventory import Inventory
from lab.model import (
    UNDERLAY,
    Direction,
    Evidence,
    Expectation,
    Flow,
    FlowResult,
    Node,
    Protocol,
    Sighting,
    Way,
    node_namespace,
)
from lab.sight import gaps


def judge(flow: Flow, evidence: Evidence, inventory: Inventory) -> FlowResult:
    """The result of a flow."""
    if flow.protocol is Protocol.TRACE:
        faults = _trace_faults(flow, evidence)
    elif flow.expectation is Expectation.REACH:
        faults = _reach_faults(flow, evidence, inventory)
    else:
        faults = _not_reach_faults(flow, evidence, inventory)
    return FlowResult(
        flow=flow,
        faults=tuple(faults),
        path=_namespaces(evidence.seen(Direction.FORWARD)),
        round_trip_ms=evidence.round_trip_ms,
        answer=evidence.error_at(flow.source.namespace),
        counted=frozenset(seen.namespace for seen in evidence.seen(Direction.FORWARD) if seen.is_counted),
    )


def _reach_faults(flow: Flow, evidence: Evidence, inventory: Inventory) -> list[str]:
    assert flow.destination is not None
    home, there = flow.source.namespace, flow.destination.namespace
    forward, back = evidence.seen(Direction.FORWARD), evidence.seen(Direction.BACK)
    faults = []
    if not forward:
        asked = evidence.seen(Direction.ASK)
        faults.append(f"forward: nobody answered {home}'s ARP request" if asked else _not_sent(flow, evidence))
    elif not any(seen.namespace == there for seen in forward):
        faults.append(f"forward: did not arrive; {_last_seen(forward, evidence, home, inventory)}")
    elif _is_unheard(flow, evidence, back):
        faults.append(
            f"forward: came to {inventory.describe(there)} by {forward[-1].ifname}, but not to its socket: "
            "it was filtered there (rp_filter, a firewall), or the node has not that address"
        )
    elif not evidence.is_answered:
        where = _last_seen(back, evidence, there, inventory) if back else f"{flow.destination.id} sent no answer"
        faults.append(f"back: no answer; {where}")
    if evidence.arrived_from is not None and evidence.arrived_from != flow.source.address:
        faults.append(f"forward: arrived from {evidence.arrived_from}, not from {flow.source.address}")
    if forward and not faults:
        faults += _via_faults("forward", flow.via, forward, inventory)
        faults += _via_faults("back", flow.back_via, back, inventory)
    return faults + _unseen_faults(evidence, inventory) + _leaks(flow, evidence, inventory)


def _is_unheard(flow: Flow, evidence: Evidence, back: Sequence[Sighting]) -> bool:
    """Whether a packet that came to the namespace did not come to whom it was for."""
    return evidence.arrived_from is None and flow.protocol in (Protocol.UDP, Protocol.TCP) and not back


def _not_reach_faults(flow: Flow, evidence: Evidence, inventory: Inventory) -> list[str]:
    forward = evidence.seen(Direction.FORWARD)
    if not forward and not evidence.seen(Direction.ASK):  # a question that nobody answers is a try as well
        return [_not_sent(flow, evidence)]
    faults = []
    there = flow.destination.namespace if flow.destination is not None else None
    if any(seen.namespace == there for seen in forward):
        faults.append(f"reached {inventory.describe(there or '')}, which it must not")
    faults += _unseen_faults(evidence, inventory) + _leaks(flow, evidence, inventory)
    faults += _via_faults("forward", flow.via, forward or evidence.seen(Direction.ASK), inventory)
    if evidence.lost:
        where = ", ".join(inventory.describe(namespace) for namespace in evidence.lost)
        faults.append(f"the sniffer lost packets in {where}, so nothing is proven: try again on a quieter machine")
    return faults + _answer_faults(flow, evidence)


def _answer_faults(flow: Flow, evidence: Evidence) -> list[str]:
    mark = evidence.error_at(flow.source.namespace)
    got = mark.error if mark is not None else "none"
    if flow.answer and got != flow.answer:
        by = f" from {mark.source}" if mark is not None else ""
        return [f"the sender's answer was {got}{by}, not {flow.answer}"]
    return []


def needs_another_try(flow: Flow, evidence: Evidence) -> bool:
    """Whether the only thing missing is an ICMP error, which Linux sends at most once a second after six."""
    if flow.protocol is Protocol.TRACE:
        return None in evidence.hops
    awaits = flow.answer not in ("", "none")
    return awaits and evidence.error_at(flow.source.namespace) is None


def _trace_faults(flow: Flow, evidence: Evidence) -> list[str]:
    wanted = [*flow.hops, flow.address]
    faults = []
    for number, (want, got) in enumerate(zip(wanted, evidence.hops, strict=True), start=1):
        if got != want:
            what = "the destination" if number == len(wanted) else f"hop {number}"
            faults.append(f"{what} is {got or 'silent'} at TTL {number}, not {want}")
    return faults


def _not_sent(flow: Flow, evidence: Evidence) -> str:
    why = f" ({evidence.send_error})" if evidence.send_error else ""
    return f"nothing left {flow.source.id}{why}, which proves nothing"


def _last_seen(sightings: Sequence[Sighting], evidence: Evidence, start: str, inventory: Inventory) -> str:
    last = sightings[-1]
    way = "leaving by" if last.is_outgoing else "coming in by"
    text = f"last seen in {inventory.describe(last.namespace)}, {way} {last.ifname}"
    error = evidence.error_at(start)
    return f"{text}; {error.source} answered {error.error}" if error is not None else f"{text}; no ICMP error"


def _via_faults(name: str, via: Way, sightings: Sequence[Sighting], inventory: Inventory) -> list[str]:
    path = list(_namespaces(sightings))
    position = 0
    for step in via:
        namespaces = [namespace for id in step for namespace in inventory.namespaces(id)]
        passed_at = [path.index(namespace, position) for namespace in namespaces if namespace in path[position:]]
        if not passed_at:
            missed = " nor ".join(inventory.describe(namespace) for namespace in namespaces)
            passed = ", ".join(namespace or "the host" for namespace in path) or "nothing"
            return [f"{name}: did not pass {missed}; it passed {passed}"]
        position = min(passed_at) + 1
    return []


def _leaks(flow: Flow, evidence: Evidence, inventory: Inventory) -> list[str]:
    """Sightings, of whatever direction, where this flow has no business."""
    allowed = {flow.source.namespace, *_router(flow.source, inventory)}
    allowed |= {namespace for id in flow.passes for namespace in inventory.namespaces(id)}
    if flow.destination is not None:
        allowed.add(flow.destination.namespace)  # a packet that must not reach it is a fault of its own
        if flow.expectation is Expectation.REACH:
            allowed |= _router(flow.destination, inventory)
    hosts = inventory.hosts_of(allowed)
    leaked: dict[str, str] = {}
    for seen in evidence.sightings:
        is_between = _is_on_line(seen, flow, inventory) or _is_on_underlay(seen, hosts, inventory)
        if seen.namespace not in allowed and not is_between:
            leaked.setdefault(seen.namespace, seen.ifname)
    counted = {namespace: ifname for namespace, ifname in evidence.strays if namespace not in allowed}
    return [
        f"seen in {inventory.describe(namespace)} on {ifname}, where it has no business"
        for namespace, ifname in leaked.items()
    ] + [
        f"counted by the forwarder in {inventory.describe(namespace)} on {ifname}, where it has no business"
        for namespace, ifname in counted.items()
        if namespace not in leaked
    ]


def _unseen_faults(evidence: Evidence, inventory: Inventory) -> list[str]:
    """Routers that a packet passed, by its TTL, and neither sniffers nor counters know which."""
    texts = []
    for gap in gaps(evidence):
        before, after = inventory.describe(gap.before.namespace), inventory.describe(gap.after.namespace)
        what = "one router" if gap.routers == 1 else f"{gap.routers} routers"
        texts.append(f"{gap.before.mark.direction}: passed {what} unseen between {before} and {after}, by its TTL")
    return list(dict.fromkeys(texts))


def _router(node: Node, inventory: Inventory) -> set[str]:
    """The namespace of the part of its VPC that a node is behind, where it is in one."""
    router = inventory.router_of(node)
    return set() if router is None else {router}


def _is_on_line(seen: Sighting, flow: Flow, inventory: Inventory) -> bool:
    """Whether it was seen on the line of a VBR that the flow passes: on the device, or where a VLAN stands in."""
    lines = [line for vbr, line in inventory.lines.items() if vbr in flow.passes]
    devices = {device for namespace, device in lines if namespace == seen.namespace}
    return seen.ifname in devices or (bool(devices) and names.is_port_ifname(seen.ifname))


def _is_on_underlay(seen: Sighting, hosts: frozenset[str], inventory: Inventory) -> bool:
    """Whether it was seen between hosts, which only a flow that leaves its host may be.

    Args:
        hosts: those that the flow may be on.
    """
    if len(hosts) < 2:
        return False
    if seen.namespace == node_namespace(UNDERLAY):
        return seen.ifname in hosts  # a port of the switch is named after its host
    return bool(hosts & inventory.hosts_of([seen.namespace])) and seen.ifname == inventory.underlay.get(seen.namespace)


def _namespaces(sightings: Sequence[Sighting]) -> tuple[str, ...]:
    """Where packets were, in order, without repeating a stay."""
    path: list[str] = []
    for seen in sightings:
        if not path or path[-1] != seen.namespace:
            path.append(seen.namespace)
    return tuple(path)
