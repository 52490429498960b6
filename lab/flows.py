"""Run flows on hosts, simulated or real, and judge them.

It decides what is sent together and what is tried again; packets are ``lab/traffic``'s, verdicts are ``lab/judge``'s.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from types import MappingProxyType

from dataplane.errors import HostError
from lab.account import Account, opened_account
from lab.host import Host, opened_all
from lab.inventory import Inventory
from lab.judge import judge, needs_another_try
from lab.model import Direction, Evidence, Expectation, Flow, FlowResult, Node, Proof, Protocol, node_namespace
from lab.sight import filled, is_out_of_sight
from lab.traffic.exchange import Exchange, Patience
from lab.traffic.probe import IcmpProbe

_TOGETHER = 64
"""Probes at once: few enough for a sniffer's buffer."""

_ANSWERED_TOGETHER = 16
"""Those of them that must be answered: few enough for one thread to see and answer them all within the patience, over
three hosts and in an emulated machine. A batch is over with its last answer, so that small ones cost nothing."""

_TRIES = 10
_RATE_LIMIT_S = 2.1
"""Linux limits the ICMP errors of one router to one sender: a budget that fills by one a second up to six, of which
"time exceeded" takes one and "unreachable" two (``icmp_ratelimit``, ``error_cost``). So it is full again by then."""

Progress = Callable[[FlowResult], None]
Hops = tuple[IPv4Address | None, ...]


def run(
    flows: Sequence[Flow],
    inventory: Inventory,
    hosts: Sequence[Host],
    *,
    nodes: Mapping[str, int] = MappingProxyType({}),
    patience: Patience = Patience(),  # noqa: B008 (frozen)
    on_result: Progress | None = None,
) -> Proof:
    """Prove every flow with real packets.

    Args:
        hosts: where the network is: simulated ones, or ``Here`` alone.
        nodes: id -> open network namespace of the nodes around them; they stay the caller's.
        on_result: called with each result as it comes, not in the order of ``flows``.

    Returns:
        The results, in the order of ``flows``, and what the forwarder did meanwhile.

    Raises:
        HostError: a node of a flow is not there, lacks its address, or its port is taken.
    """
    raise_open_files_limit()
    results: dict[int, FlowResult] = {}
    with opened_all(hosts) as inside, opened_account(hosts, inside) as account:
        namespaces = {**inside, **{node_namespace(id): descriptor for id, descriptor in nodes.items()}}
        _check_nodes(flows, namespaces)
        exchange = Exchange(namespaces, patience)
        try:
            for batch in _batches(flows):
                for number, evidence in _run_batch(exchange, flows, batch, account).items():
                    results[number] = judge(flows[number], evidence, inventory)
                    if on_result is not None:
                        on_result(results[number])
        finally:
            exchange.close()
        return Proof(tuple(results[number] for number in range(len(flows))), account.used())


def raise_open_files_limit() -> None:
    """Two open files per namespace pass the usual 1024 in a network of a few hundred instances."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check_nodes(flows: Sequence[Flow], namespaces: Mapping[str, int]) -> None:
    nodes: dict[str, Node] = {}
    for flow in flows:
        nodes |= {node.id: node for node in (flow.source, flow.destination) if node is not None}
    missing = [node for node in nodes.values() if node.namespace not in namespaces]
    if missing:
        names = ", ".join(f"{node.id} ({node.namespace})" for node in missing)
        raise HostError(f"there is no namespace for {names}: is the network applied?")


def _batches(flows: Sequence[Flow]) -> list[list[int]]:
    """Numbers of flows that are sent together.

    Those that await an ICMP error come before those that merely provoke some, which use up what Linux allows.
    """
    answered: list[int] = []
    order: tuple[list[int], ...] = ([], [], [])
    for number, flow in enumerate(flows):
        if flow.protocol is Protocol.TRACE:
            order[0].append(number)
        elif flow.expectation is Expectation.REACH:
            answered.append(number)
        else:
            order[1 if flow.answer else 2].append(number)
    sized = [(answered, _ANSWERED_TOGETHER), *((numbers, _TOGETHER) for numbers in order)]
    return [numbers[first : first + size] for numbers, size in sized for first in range(0, len(numbers), size)]


def _run_batch(
    exchange: Exchange, flows: Sequence[Flow], batch: Sequence[int], account: Account
) -> dict[int, Evidence]:
    evidence: dict[int, Evidence] = {}
    due = list(batch)
    for _ in range(_TRIES):
        before = [evidence[number].hops if number in evidence else () for number in due]
        for number, new in zip(due, _send(exchange, [flows[number] for number in due], before), strict=True):
            evidence[number] = new
        waiting = [number for number in batch if needs_another_try(flows[number], evidence[number])]
        if not waiting:
            break
        time.sleep(_RATE_LIMIT_S)
        due = _one_per_sender(flows, waiting)
    for number in batch if account.hidden else ():
        out_of_sight = is_out_of_sight(evidence[number], account.hidden, account.far)
        if out_of_sight and flows[number].protocol is not Protocol.TRACE:
            evidence[number] = _alone(exchange, flows[number], account, evidence[number])
    return evidence


def _alone(exchange: Exchange, flow: Flow, account: Account, first: Evidence) -> Evidence:
    """A fresh probe of a flow, with nothing else on the way, so that the counters that rise are its own.

    Args:
        first: of the probe before it: the ICMP error that it has brought counts, as routers send few of them.
    """
    before = account.settled()
    (evidence,) = _send(exchange, [flow], [()])
    if needs_another_try(flow, evidence):
        evidence = replace(evidence, sightings=(*evidence.sightings, *first.seen(Direction.ERROR)))
    return filled(evidence, account.passed_since(before), account.far)


def _one_per_sender(flows: Sequence[Flow], waiting: Sequence[int]) -> list[int]:
    """The first of each sender: two at once would take the error away from each other."""
    first: dict[str, int] = {}
    for number in waiting:
        first.setdefault(flows[number].source.id, number)
    return list(first.values())


def _send(exchange: Exchange, flows: Sequence[Flow], before: Sequence[Hops]) -> list[Evidence]:
    if flows[0].protocol is Protocol.TRACE:
        return [_trace(exchange, flow, hops) for flow, hops in zip(flows, before, strict=True)]
    return exchange.send(flows, must_answer=[flow.expectation is Expectation.REACH for flow in flows])


def _trace(exchange: Exchange, flow: Flow, before: Hops) -> Evidence:
    """Ask every hop that has not answered yet."""
    hops = list(before or [None] * (len(flow.hops) + 1))
    probes = {ttl: IcmpProbe(exchange.loop, flow, ttl) for ttl, hop in enumerate(hops, start=1) if hop is None}
    evidence = Evidence()
    for ttl, evidence in zip(probes, exchange.trace(list(probes.values())), strict=True):
        hops[ttl - 1] = _who_answered(flow, evidence)
    return replace(evidence, hops=tuple(hops))


def _who_answered(flow: Flow, evidence: Evidence) -> IPv4Address | None:
    home = flow.source.namespace
    if evidence.is_answered:
        reply = next((seen for seen in evidence.seen(Direction.BACK) if seen.namespace == home), None)
        return reply.mark.source if reply is not None else flow.address
    error = evidence.error_at(home)
    return error.source if error is not None else None
