"""Who is at the two ends: an instance, a host of a data centre, a cloud service, a router's own address, or nobody.

Pure. It also says where the packet of a party enters what we can see: the instance itself, or a VBR's line.
"""

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from dataplane.config.data_centre import DataCentre, DataCentreRoute
from dataplane.model.kernel import Address
from dataplane.model.resource import NOWHERE, Origin
from dataplane.observe.why.atlas import Atlas, Instance
from dataplane.observe.why.code import Code
from dataplane.observe.why.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Party:
    """One end of the question.

    Args:
        name: as it is called: an instance's id, or the address itself.
        instance: the instance that it is.
        centre: the id of the data centre that it is in.
        namespace: where it lives, if it is neither.
    """

    name: str
    address: IPv4Address
    instance: Instance | None = None
    centre: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a walk begins.

    Args:
        ingress: the line that the packet comes in by; None where it is sent in the namespace.
        via: the VBR's id, for one that comes from a data centre.
        origin: the line of the file that sends it there.
        note: what was assumed.
    """

    namespace: str
    ingress: str | None = None
    via: str = ""
    origin: Origin = NOWHERE
    note: str = ""


def find_party(atlas: Atlas, text: str) -> Party | None:
    """Who an id or an address means; None where the text is neither. Of several with an address none is meant (R88)."""
    instance = atlas.instances.get(text)
    if instance is not None:
        return Party(instance.id, instance.address, instance)
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return None
    instances = atlas.instances_with(address)
    if len(instances) == 1:
        return Party(instances[0].id, address, instances[0])
    centre = centre_of(atlas, address)
    namespace = _namespace_of(atlas, address) if centre is None and not instances else None
    return Party(text, address, None, centre, namespace)


def centre_of(atlas: Atlas, address: IPv4Address) -> str | None:
    """The data centre that an address is in: by its prefixes, or as the far end of a line."""
    for name, centre in atlas.network.data_centres.items():
        if any(address in cidr for cidr in centre.cidrs):
            return name
    for vbr in atlas.network.vbrs.values():
        if address in vbr.local_ip.network and address != vbr.local_ip.ip:
            return atlas.network.physical_connections[vbr.physical_connection].data_centre
    return None


def _namespace_of(atlas: Atlas, address: IPv4Address) -> str | None:
    found = (wish.object for wish in atlas.desired.wanted.values())
    return next((i.namespace for i in found if isinstance(i, Address) and i.address.ip == address), None)


def nearest_instance(atlas: Atlas, address: IPv4Address, to: Instance | None) -> Instance | None:
    """Which instance an address means to one that talks to it: of its own VPC, of a peer, or the only one there is."""
    instances = atlas.instances_with(address)
    if to is not None and len(instances) > 1:
        peers = {
            other.vpc
            for interface in atlas.network.router_interfaces.values()
            if interface.vpc == to.vpc and (other := atlas.network.router_interfaces.get(interface.peer or ""))
        }
        near = [h for h in instances if h.vpc == to.vpc] or [h for h in instances if h.vpc in peers]
        instances = near or instances
    return instances[0] if len(instances) == 1 else None


def start_of(atlas: Atlas, party: Party, destination: IPv4Address, came_by: str = "") -> Start | Verdict:
    """Where a party's packets enter, or why they do not get that far.

    Args:
        destination: of the packet: a data centre chooses the line by it.
        came_by: the VBR that the packet which is answered went out by.
    """
    if party.instance is not None:
        return Start(party.instance.namespace)
    if party.centre is not None:
        return _from_centre(atlas, party.centre, destination, came_by)
    if party.namespace is not None:
        return Start(party.namespace)
    if came_by:
        line = atlas.lines[came_by]
        note = f"nothing is known of {party.address}: taken to be behind the line of {came_by}"
        return Start(line.namespace, line.ifname, came_by, note=note)
    text = f"nobody has {party.address}, or more than one instance has: give an instance's id"
    return Verdict(Code.UNKNOWN_SOURCE, party.name, text, "`dataplane status --kind instance` lists the instances")


def _from_centre(atlas: Atlas, name: str, destination: IPv4Address, came_by: str) -> Start | Verdict:
    """R44, R72: the declared routes of a data centre decide by which line its packets come."""
    centre = atlas.network.data_centres[name]
    vbrs = [vbr for vbr in atlas.lines if _is_of(atlas, vbr, name)]
    number = _best_route(centre, destination)
    if number is None:
        if centre.routes or not vbrs:
            return _no_route(atlas, name, destination, vbrs)
        vbr = came_by or vbrs[0]
        note = f"data_centres.{name}.routes is empty: assumed that packets come by {vbr}"
        return _at_line(atlas, vbr, atlas.loaded.origin("data_centres", name), note)
    route = centre.routes[number]
    via = [vbr for vbr in route.via if vbr in atlas.lines]
    vbr = came_by if came_by in via else via[0]
    others = ", ".join(other for other in via if other != vbr)
    note = f"data centre {name} may also send by {others}" if others else ""
    return _at_line(atlas, vbr, atlas.loaded.origin("data_centres", name, "routes", number), note)


def _at_line(atlas: Atlas, vbr: str, origin: Origin, note: str) -> Start:
    return Start(atlas.lines[vbr].namespace, atlas.lines[vbr].ifname, vbr, origin, note)


def _is_of(atlas: Atlas, vbr: str, centre: str) -> bool:
    line = atlas.network.vbrs[vbr].physical_connection
    return atlas.network.physical_connections[line].data_centre == centre


def _best_route(centre: DataCentre, destination: IPv4Address) -> int | None:
    def length(item: tuple[int, DataCentreRoute]) -> int:
        return item[1].destination.prefixlen

    found = [(number, route) for number, route in enumerate(centre.routes) if destination in route.destination]
    return max(found, key=length)[0] if found else None


def _no_route(atlas: Atlas, name: str, destination: IPv4Address, vbrs: list[str]) -> Verdict:
    prefix = next((vpc.cidr for vpc in atlas.network.vpcs.values() if destination in vpc.cidr), destination)
    remedy = (
        f"add {{destination: {prefix}, via: [{', '.join(vbrs)}]}} to data_centres.{name}.routes, and the route to its "
        "router: `dataplane cpe` prints it"
    )
    origin = atlas.loaded.origin("data_centres", name, "routes")
    text = f"data centre {name} has no route to {destination} (R72)"
    return Verdict(Code.NO_ROUTE, f"data centre {name}", text, remedy, origin)
