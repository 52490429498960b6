"""Data centres: references to them, and the routes that their router needs (R31, R32, R44, R133)."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from dataplane.config.data_centre import DataCentre
from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup
from dataplane.config.rules.ranges import Ranges
from dataplane.config.rules.route_table import CLOUD_SERVICES


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about data centres."""
    known = lookup.network.data_centres
    for name, line in lookup.network.physical_connections.items():
        wanted = line.data_centre
        if wanted is not None and wanted not in known and not lookup.is_broken("data_centres", wanted):
            path: Path = ("physical_connections", name, "data_centre")
            yield lookup.dangling(path, "data centre", wanted, known, "R26")
    for name, data_centre in known.items():
        for index, cidr in enumerate(data_centre.cidrs):
            if cidr.overlaps(CLOUD_SERVICES):
                message = f"{cidr} overlaps {CLOUD_SERVICES}, where the cloud services are"
                yield lookup.error(("data_centres", name, "cidrs", index), message, "R133", "use another prefix")
        yield from _routes(lookup, name, data_centre)
        yield from _missing(lookup, name, data_centre)
        yield from _probes(lookup, name, data_centre)


def _routes(lookup: Lookup, name: str, data_centre: DataCentre) -> Iterator[Problem]:
    own = Ranges(data_centre.cidrs)
    for index, route in enumerate(data_centre.routes):
        path: Path = ("data_centres", name, "routes", index)
        if own.cover(route.destination):
            message = f"{route.destination} belongs to the data centre itself"
            yield lookup.error((*path, "destination"), message, "R32", "write the CIDR of a VPC")
        if not route.via:
            yield lookup.error((*path, "via"), "the route goes through no VBR", "R31", "name at least one")
        for position, vbr in enumerate(route.via):
            here: Path = (*path, "via", position)
            if vbr not in lookup.network.vbrs:
                if not lookup.is_broken("vbrs", vbr):
                    yield lookup.dangling(here, "VBR", vbr, lookup.network.vbrs, "R31")
            elif lookup.data_centre_of(vbr) not in (name, None):
                message = f"VBR {vbr} is on a line to data centre {lookup.data_centre_of(vbr)}"
                yield lookup.error(here, message, "R31", "name a VBR whose line ends here")


def _missing(lookup: Lookup, name: str, data_centre: DataCentre) -> Iterator[Problem]:
    """R31: a data centre that lists its routes lists one back to each VPC that it is connected to."""
    if not data_centre.routes or lookup.has_broken_under("data_centres", name, "routes"):
        return
    routed = Ranges(route.destination for route in data_centre.routes)
    vpcs = {
        joined.acceptor.vpc: None
        for joined in lookup.joined
        if lookup.data_centre_of(joined.initiator.vbr or "") == name
    }
    for vpc_id in vpcs:
        if vpc_id is not None and not routed.touches(lookup.network.vpcs[vpc_id].cidr):
            cidr = lookup.network.vpcs[vpc_id].cidr
            message = f"the data centre has no route back to VPC {vpc_id} ({cidr})"
            remedy = f"add {{destination: {cidr}, via: [...]}}"
            yield lookup.warning(("data_centres", name, "routes"), message, "R31", remedy)


def _probes(lookup: Lookup, name: str, data_centre: DataCentre) -> Iterator[Problem]:
    """R44: what answers a probe goes back by the line that it came by, or it would tell of another line."""
    if lookup.has_broken_under("data_centres", name, "routes"):
        return
    for joined in lookup.joined:
        vbr, item = joined.initiator.vbr, joined.connection.health_check
        if vbr is None or item is None or lookup.data_centre_of(vbr) != name:
            continue
        for source in item.source:
            best = _best_route(data_centre, source)
            via = data_centre.routes[best].via if best is not None else ()
            if best is None or via == (vbr,) or not via or not set(via) <= set(lookup.network.vbrs):
                continue  # as it should be, or R31 has spoken
            message = f"answers to the health check of {joined.id} from {source} do not go back by {vbr} alone"
            remedy = f"add {{destination: {source}, via: [{vbr}]}}"
            if data_centre.routes[best].destination.prefixlen == source.max_prefixlen:
                remedy = f"write via: [{vbr}]"
            yield lookup.warning(("data_centres", name, "routes", best, "via"), message, "R44", remedy)


def _best_route(data_centre: DataCentre, address: IPv4Address) -> int | None:
    """The position of the longest prefix that has an address, the first of equal ones."""
    fitting = [index for index, route in enumerate(data_centre.routes) if address in route.destination]
    return max(fitting, key=lambda index: data_centre.routes[index].destination.prefixlen, default=None)
