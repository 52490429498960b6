"""Routes that are missing or lead nowhere: both directions need one (R28, R30, R72), and peering is not
transitive (R101, D16). All of them are warnings: a network may be on its way to what it shall be.
"""

from collections.abc import Iterator

from dataplane.config.next_hop import PhysicalConnectionHop, RouterInterfaceHop
from dataplane.config.peering import PeeringEnd
from dataplane.config.problem import Problem
from dataplane.config.rules.lookup import Joined, Lookup, RouteAt
from dataplane.config.rules.ranges import Ranges
from dataplane.config.rules.route_table import CLOUD_SERVICES


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every route that traffic needs and does not have, and every one that cannot deliver."""
    for joined in lookup.joined:
        if joined.initiator.vbr is None and joined.initiator.vpc != joined.acceptor.vpc:
            for end, other in joined.sides():
                yield from _to_vpc(lookup, joined, end, other)
        elif joined.initiator.vbr is not None:
            yield from _vbr_to_vpc(lookup, joined)
            yield from _to_data_centre(lookup, joined)
    yield from _to_lines(lookup)
    for at in lookup.routes:
        yield from _transitive(lookup, at)


def _leads(lookup: Lookup, end: PeeringEnd, prefixes: Ranges) -> bool:
    """Whether some route into an end matches some of the prefixes, or might: a malformed one was cut out."""
    if any(prefixes.touches(prefix) for prefix in lookup.prefixes_into(end.router_interface)):
        return True
    if end.vpc is not None:
        return lookup.has_broken_under("vpcs", end.vpc, "route_tables")
    return lookup.has_broken_under("vbrs", end.vbr or "", "routes")


def _system_routes(vpc: str | None) -> str:
    """Where a route is written that all vSwitches use which have not left the system table."""
    return f"vpcs.{vpc}.route_tables.system.routes"


def _to_vpc(lookup: Lookup, joined: Joined, end: PeeringEnd, other: PeeringEnd) -> Iterator[Problem]:
    peer = lookup.network.vpcs[other.vpc or ""]
    if not _leads(lookup, end, Ranges([peer.cidr])):
        message = f"VPC {end.vpc} has no route to VPC {other.vpc}, and packets need one in each direction"
        hop = f"{{router_interface: {end.router_interface}}}"
        remedy = f"add {{destination: {peer.cidr}, next_hop: {hop}}} to {_system_routes(end.vpc)}"
        yield lookup.warning(joined.path, message, "R72", remedy)


def _vbr_to_vpc(lookup: Lookup, joined: Joined) -> Iterator[Problem]:
    end, other = joined.sides()[0]
    if other.vpc is None:
        return
    cidr = lookup.network.vpcs[other.vpc].cidr
    if not _leads(lookup, end, Ranges([cidr])):
        message = f"VBR {end.vbr} has no route to VPC {other.vpc}"
        hop = f"{{router_interface: {end.router_interface}}}"
        remedy = f"add {{destination: {cidr}, next_hop: {hop}}} to vbrs.{end.vbr}.routes"
        yield lookup.warning(joined.path, message, "R28", remedy)


def _to_data_centre(lookup: Lookup, joined: Joined) -> Iterator[Problem]:
    """R30: the VPC's route to each prefix of the data centre."""
    vpc_end = joined.acceptor
    data_centre = lookup.data_centre_of(joined.initiator.vbr or "")
    if data_centre is None or vpc_end.vpc is None:
        return
    for cidr in lookup.network.data_centres[data_centre].cidrs:
        if not _leads(lookup, vpc_end, Ranges([cidr])):
            message = f"VPC {vpc_end.vpc} has no route to {cidr} of data centre {data_centre} through {joined.id}"
            hop = f"{{router_interface: {vpc_end.router_interface}}}"
            remedy = f"add {{destination: {cidr}, next_hop: {hop}}} to {_system_routes(vpc_end.vpc)}"
            yield lookup.warning(joined.path, message, "R30", remedy)


def _to_lines(lookup: Lookup) -> Iterator[Problem]:
    """R28: each VBR's route over its line to each prefix of the data centre."""
    for vbr_id, vbr in lookup.network.vbrs.items():
        data_centre = lookup.data_centre_of(vbr_id)
        if data_centre is None or lookup.has_broken_under("vbrs", vbr_id, "routes"):
            continue
        over_line = Ranges(
            route.destination for route in vbr.routes if isinstance(route.next_hop, PhysicalConnectionHop)
        )
        for cidr in lookup.network.data_centres[data_centre].cidrs:
            if not over_line.touches(cidr):
                message = f"VBR {vbr_id} has no route to {cidr} of data centre {data_centre}"
                remedy = f"add {{destination: {cidr}, next_hop: physical_connection}} to vbrs.{vbr_id}.routes"
                yield lookup.warning(("vbrs", vbr_id), message, "R28", remedy)


def _transitive(lookup: Lookup, at: RouteAt) -> Iterator[Problem]:
    """R101: what comes in at a VPC by a router interface leaves by a local port only (D16)."""
    hop, destination = at.route.next_hop, at.route.destination
    if not isinstance(hop, RouterInterfaceHop) or destination.overlaps(CLOUD_SERVICES):
        return
    known = lookup.network.router_interfaces
    own = known.get(hop.router_interface)
    if own is None or (own.vpc, own.vbr) != (at.vpc, at.vbr):
        return
    peer = known.get(own.peer or "")
    if peer is None or peer.vpc not in lookup.reach or lookup.has_broken_under("vpcs", peer.vpc or ""):
        return
    if not lookup.reach[peer.vpc or ""].touches(destination):
        message = f"the route leads nowhere: VPC {peer.vpc} does not have {destination} and passes nothing on"
        remedy = f"connect to the network that has {destination}"
        yield lookup.warning(at.path, message, "R101", remedy)
