"""The steps of a walk in the words of the configuration, ready to be shown.

Pure. A data centre that a packet comes from is a hop of its own: its declared routes chose the line (R44).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.model.describe import describe
from dataplane.model.kernel import RouteType
from dataplane.model.path import Answer
from dataplane.model.resource import Origin
from dataplane.observe.why.atlas import Atlas
from dataplane.observe.why.elsewhere import host_of, name_of
from dataplane.observe.why.trace import Step, Trace


@dataclass(frozen=True, slots=True)
class Hop:
    """One router or instance on the way.

    Args:
        where: as a person calls it.
        host: the id of its host; empty where the configuration names no hosts.
        ingress: the port that the packet came in by; empty where it is sent here.
        table: the route table, with the kernel's number.
        route: the destination that decided, with its type where it ends the packet.
        egress: the port that it leaves by, and the next hop's address where that says more.
        rule, table_number, kernel_route, ingress_ifname, egress_ifname: as the kernel has them; none of another host,
            which gives numbers and names of its own.
        kernel_answer: what the live kernel said; empty where it was not asked.
        origin: the line that asks for the route.
    """

    where: str
    host: str
    namespace: str
    ttl: int
    ingress: str
    ingress_ifname: str | None
    rule: str
    table: str
    table_number: int | None
    route: str
    kernel_route: str
    egress: str
    egress_ifname: str | None
    via: IPv4Address | None
    kernel_answer: str
    origin: Origin


def hops_of(atlas: Atlas, trace: Trace | None) -> tuple[Hop, ...]:
    """The hops of a walk; the namespace that it arrives in is the last one."""
    steps = trace.steps if trace is not None else ()
    return tuple(_hop(atlas, step, before) for step, before in zip(steps, (None, *steps), strict=False))


def _hop(atlas: Atlas, step: Step, before: Step | None) -> Hop:
    rule, route = step.rule, step.route
    is_here = not host_of(step.namespace)
    return Hop(
        where=atlas.place(step.namespace),
        host=atlas.host_at(step.namespace),
        namespace=name_of(step.namespace),
        ttl=step.ttl,
        ingress=atlas.way_in(step, before),
        ingress_ifname=step.ingress if is_here else None,
        rule=describe(rule) if rule is not None and is_here else "",
        table=atlas.table(rule) if rule is not None else _kernels_table(step.kernel),
        table_number=rule.table if rule is not None and is_here else None,
        route=_route(step),
        kernel_route=describe(route) if route is not None and is_here else "",
        egress=atlas.way_out(step),
        egress_ifname=step.egress if is_here else None,
        via=step.via,
        kernel_answer=_answer(step.kernel),
        origin=atlas.origin(step),
    )


def _route(step: Step) -> str:
    if step.route is None:
        answer = step.kernel
        return str(answer.destination) if answer is not None and answer.destination is not None else ""
    prefix = "default" if step.route.destination.prefixlen == 0 else str(step.route.destination)
    kind = "" if step.route.type is RouteType.UNICAST else f"{step.route.type.value} "
    return f"{kind}{prefix}"


def _kernels_table(answer: Answer | None) -> str:
    return f"({answer.table})" if answer is not None and answer.table is not None else ""


def _answer(answer: Answer | None) -> str:
    if answer is None:
        return ""
    if answer.refusal:
        return answer.refusal
    if answer.is_local:
        return "local"
    via = f" via {answer.via}" if answer.via is not None else ""
    return f"{answer.ifname}{via} by {answer.destination} in table {answer.table}"
