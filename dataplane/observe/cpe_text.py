"""The needs of a data centre's router written down for iproute2, FRR and Cisco IOS, each line with its rule. Pure.

What the router needs is computed in ``cpe.py``; here are the words of each kind of router, and nothing else.
"""

from collections.abc import Callable, Iterator, Mapping

from dataplane.observe.cpe import Cpe, CpeRoute, Line

MAX_IFNAME_LENGTH = 15
"""Of Linux (IFNAMSIZ without the closing zero)."""
FIRST_METRIC = 100
"""Of the preferred line where one stands by for another; each further line has one more."""

DEFAULT_INTERFACES: Mapping[str, str] = {
    "iproute2": "eth{number}",
    "frr": "eth{number}",
    "cisco": "GigabitEthernet0/{number}",
}
"""How the interfaces that the lines end at are called where nobody says it."""


def text_of(cpe: Cpe, form: str) -> str:
    """The configuration of the router as text.

    Args:
        form: ``iproute2``, ``frr`` or ``cisco``.
    """
    return "\n".join(_FORMS[form](cpe)) + "\n"


def sub_interface(line: Line) -> str:
    """The name of a line's VLAN interface on Linux: ``eth0.1000``, or shorter where that is too long."""
    name = f"{line.interface}.{line.vlan}"
    return name if len(name) <= MAX_IFNAME_LENGTH else f"vlan{line.vlan}"


def _head(cpe: Cpe, sign: str) -> Iterator[str]:
    for line in cpe.lines:
        where = f" of data centre {line.data_centre}" if line.data_centre is not None else ""
        yield (
            f"{sign} VBR {line.vbr}: the router{where} at the far end of {line.physical_connection}, "
            f"which ends at its interface {line.interface}."
        )
    for hint in cpe.hints:
        yield f"{sign} Note: {hint}."


def _iproute2(cpe: Cpe) -> Iterator[str]:
    yield from _head(cpe, "#")
    yield "# The interface must be up, and the router must forward: sysctl -w net.ipv4.ip_forward=1"
    if len(cpe.lines) > 1:
        yield "# Packets come in by either line, which a strict source check would drop: sysctl rp_filter must not be 1"
    for line in cpe.lines:
        name = sub_interface(line)
        yield f"# R26: VLAN {line.vlan} on the line of {line.vbr}"
        yield (
            f"ip link show dev {name} > /dev/null 2>&1 || "
            f"ip link add link {line.interface} name {name} type vlan id {line.vlan}"
        )
        yield f"ip link set dev {name} up"
        yield f"# R27: the data centre's address on the line; {line.gateway} is the VBR's"
        yield f"ip address replace {line.address} dev {name}"
        yield from _probe_remarks(line, "#")
    for route in cpe.routes:
        yield f"# {route.rule}: {route.reason}"
        yield from _ip_routes(cpe, route)


def _ip_routes(cpe: Cpe, route: CpeRoute) -> Iterator[str]:
    hops = [f"via {cpe.line(vbr).gateway} dev {sub_interface(cpe.line(vbr))}" for vbr in route.vbrs]
    if len(hops) > 1 and route.is_balanced:
        yield f"ip route replace {route.destination} {' '.join(f'nexthop {hop}' for hop in hops)}"
        return
    for number, hop in enumerate(hops):
        metric = f" metric {FIRST_METRIC + number}" if len(hops) > 1 else ""
        yield f"ip route replace {route.destination} {hop}{metric}"


def _frr(cpe: Cpe) -> Iterator[str]:
    yield from _head(cpe, "!")
    yield "! FRR does not make VLAN interfaces: the system does, as the lines of iproute2 below say."
    for line in cpe.lines:
        yield f"!   ip link add link {line.interface} name {sub_interface(line)} type vlan id {line.vlan}"
    for line in cpe.lines:
        yield f"! R26, R27: VLAN {line.vlan} on the line of {line.vbr}; {line.gateway} is the VBR's address"
        yield f"interface {sub_interface(line)}"
        yield f" description VBR {line.vbr} on {line.physical_connection}"
        yield f" ip address {line.address}"
        yield "exit"
        yield from _probe_remarks(line, "!")
    for route in cpe.routes:
        yield f"! {route.rule}: {route.reason}"
        for hop in _by_distance(cpe, route):
            yield f"ip route {route.destination} {hop}"


def _cisco(cpe: Cpe) -> Iterator[str]:
    yield from _head(cpe, "!")
    for line in cpe.lines:
        yield f"! R26, R27: VLAN {line.vlan} on the line of {line.vbr}; {line.gateway} is the VBR's address"
        yield f"interface {line.interface}.{line.vlan}"
        yield f" description VBR {line.vbr} on {line.physical_connection}"
        yield f" encapsulation dot1Q {line.vlan}"
        yield f" ip address {line.address.ip} {line.address.netmask}"
        yield " no shutdown"
        yield "exit"
        yield from _probe_remarks(line, "!")
    for route in cpe.routes:
        yield f"! {route.rule}: {route.reason}"
        for hop in _by_distance(cpe, route):
            yield f"ip route {route.destination.network_address} {route.destination.netmask} {hop}"


def _by_distance(cpe: Cpe, route: CpeRoute) -> Iterator[str]:
    """The next hops as routers write them: equal ones share the flows, a greater distance stands by."""
    for number, vbr in enumerate(route.vbrs, start=1):
        distance = f" {number}" if number > 1 and not route.is_balanced else ""
        yield f"{cpe.line(vbr).gateway}{distance}"


def _probe_remarks(line: Line, sign: str) -> Iterator[str]:
    for source, destination in line.probes:
        yield f"{sign} R47: exempt ICMP from {source} to {destination} from rate limits, or the line seems to flap"


_FORMS: Mapping[str, Callable[[Cpe], Iterator[str]]] = {"iproute2": _iproute2, "frr": _frr, "cisco": _cisco}
FORMATS = tuple(_FORMS)
"""The kinds of routers that we can write for."""
