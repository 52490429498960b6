"""VBRs: their line, VLAN and addresses on it (R26, R27, D20)."""

from collections.abc import Iterator

from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup
from dataplane.config.vbr import Vbr

LINE_PREFIX_LENGTHS = (30, 31)


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about VBRs and the lines that they are on."""
    lines = lookup.network.physical_connections
    vlans: dict[tuple[str, int], str] = {}
    for vbr_id, vbr in lookup.network.vbrs.items():
        path: Path = ("vbrs", vbr_id)
        name = vbr.physical_connection
        if name not in lines and not lookup.is_broken("physical_connections", name):
            yield lookup.dangling((*path, "physical_connection"), "physical connection", name, lines, "R26")
        first = vlans.setdefault((name, vbr.vlan), vbr_id)
        if first != vbr_id:
            message = f"VBR {first} has VLAN {vbr.vlan} of {name} already"
            yield lookup.error((*path, "vlan"), message, "R26", "give each VBR of a line its own VLAN")
        yield from _line(lookup, path, vbr)
    yield from _devices(lookup)


def _line(lookup: Lookup, path: Path, vbr: Vbr) -> Iterator[Problem]:
    subnet, local, peer = vbr.local_ip.network, vbr.local_ip.ip, vbr.peer_ip
    if subnet.prefixlen not in LINE_PREFIX_LENGTHS:
        message = f"the line's subnet {subnet} is neither a /30 nor a /31"
        yield lookup.warning((*path, "local_ip"), message, "D20", "write a /30")
    if peer not in subnet:
        message = f"{peer} is not inside the line's subnet {subnet}"
        yield lookup.error((*path, "peer_ip"), message, "R27", f"use an address of {subnet}, or mend local_ip")
    elif peer == local:
        message = f"both ends of the line have the address {peer}"
        yield lookup.error((*path, "peer_ip"), message, "R27", "use the other address of the subnet")
    for key, address in (("local_ip", local), ("peer_ip", peer)):
        if subnet.prefixlen < 31 and address in (subnet.network_address, subnet.broadcast_address):
            message = f"{address} is the first or last address of {subnet}, which no host has"
            yield lookup.error((*path, key), message, "R27", f"use {subnet[1]} and {subnet[2]}")


def _devices(lookup: Lookup) -> Iterator[Problem]:
    """Two lines on one card of one host would be one line."""
    seen: dict[tuple[str | None, str], str] = {}
    for name, line in lookup.network.physical_connections.items():
        access_point = lookup.network.access_points.get(line.access_point)
        host = access_point.host if access_point is not None else None
        first = seen.setdefault((host or line.access_point, line.device), name)
        if first != name:
            message = f"physical connection {first} is on {line.device} already"
            yield lookup.error(("physical_connections", name, "device"), message, "R26", "use a card for each line")
