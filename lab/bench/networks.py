"""Networks to measure with, as text that a user could have written. Pure."""

import random
from collections.abc import Sequence
from functools import cache
from ipaddress import IPv4Network

_HEAD = """version: 1
accounts: {corp: {uid: "1"}}
regions: {here: {zones: {a: {}}}}
quotas: {peerings_per_vpc: 1000, peerings_per_account: 1000, custom_routes_per_table: 1000}
vpcs:
"""


def peered(vpcs: int, instances: int, hook: str = "off") -> str:
    """Instances spread evenly over VPCs, all of which are peered with the first, with routes to it and back.

    Args:
        hook: of the forwarder; without it where something else brings the network up beside the product (``peer.py``),
            which knows nothing like it.
    """
    text = f"datapath: {{hook: {hook}}}\n{_HEAD}"
    for v in range(vpcs):
        peers = range(1, vpcs) if v == 0 else range(1)
        routes = [f"{{destination: 10.{p}.0.0/16, next_hop: {{router_interface: ri-{v}-{p}}}}}" for p in peers]
        text += _vpc(v, instances // vpcs, routes)
    return text + _connections(vpcs)


def routed(vpcs: int, routes: int, *, with_change: bool = False) -> str:
    """VPCs of one instance each, all peered with the first, which share custom routes evenly.

    Args:
        with_change: one destination is another one.
    """
    text = _HEAD
    for v in range(vpcs):
        destinations = [f"172.{16 + n // 256}.{n % 256}.0/24" for n in range(routes // vpcs)]
        if with_change and v == vpcs - 1:
            destinations[-1] = "172.31.255.0/24"
        ways = [f"ri-0-{1 + n % (vpcs - 1)}" if v == 0 else f"ri-{v}-0" for n in range(len(destinations))]
        pairs = zip(destinations, ways, strict=True)
        text += _vpc(v, 1, [f"{{destination: {to}, next_hop: {{router_interface: {way}}}}}" for to, way in pairs])
    return text + _connections(vpcs)


_OTHER_ROUTES = 2
"""Of each other table of ``forwarding``."""
LINE_DEVICE = "line"
"""The card that the leased line of ``forwarding`` ends at."""
_LENGTHS = {16: 2, 18: 3, 20: 6, 22: 12, 23: 10, 24: 62, 28: 5}
"""Prefix length -> percent: about as in a table of the internet."""
_PUBLIC = ((1, 9),)
"""First bytes: no address of ours, and short to write, since a file holds 4 MB."""
_WIDE = ((1, 9), (11, 99), (128, 169))
"""The same for numbers that a file does not hold."""
_MANY = 90_000


@cache
def prefixes(count: int) -> tuple[IPv4Network, ...]:
    """Different destinations of many lengths, the same ones every time."""
    chance, found = random.Random(count), set[tuple[int, int]]()
    firsts = [first for span in (_WIDE if count > _MANY else _PUBLIC) for first in range(*span)]
    lengths = chance.choices(list(_LENGTHS), list(_LENGTHS.values()), k=2 * count)
    while len(found) < count:
        length = lengths.pop()
        address = chance.choice(firsts) << 24 | chance.getrandbits(24)
        found.add((address >> 32 - length << 32 - length, length))
    return tuple(IPv4Network(prefix) for prefix in sorted(found))


def forwarding(hook: str, destinations: Sequence[IPv4Network]) -> str:
    """Two ways to send packets, beside each other.

    From instance a to instance b of VPC one is one router, the system table of which has a route to b for each of the
    destinations. From c of VPC near to d of VPC far are three: VPC, VBR (``transit: true``), VPC; without the cap of
    a flow that a VBR's connections have (R117), which one flow at full speed would be held to.

    Args:
        hook: of the forwarder.
    """
    ways = [f"{{destination: {prefix},next_hop: {{instance: b}}}}" for prefix in destinations]
    quotas = f"quotas: {{custom_routes_per_table: {max(len(ways), _OTHER_ROUTES)}}}"
    separator = ",\n"
    return f"""version: 1
datapath: {{hook: {hook}}}
accounts: {{corp: {{uid: "1"}}}}
regions: {{here: {{zones: {{z: {{}}}}}}}}
access_points: {{site: {{region: here}}}}
{quotas}
data_centres: {{dc: {{cidrs: [172.16.0.0/12]}}}}
physical_connections:
  pc: {{account: corp, access_point: site, data_centre: dc, device: {LINE_DEVICE}}}
vpcs:
  one:
    account: corp
    region: here
    cidr: 10.1.0.0/16
    vswitches: {{sa: {{zone: z, cidr: 10.1.0.0/24}}, sb: {{zone: z, cidr: 10.1.1.0/24}}}}
    instances: {{a: {{vswitch: sa, ip: 10.1.0.10}}, b: {{vswitch: sb, ip: 10.1.1.10, forwarding: true}}}}
    route_tables: {{system: {{routes: [{separator.join(ways)}]}}}}
{_end("near", "c", 2, 3)}{_end("far", "d", 3, 2)}vbrs:
  border:
    account: corp
    physical_connection: pc
    vlan: 100
    transit: true
    local_ip: 10.100.0.1/30
    peer_ip: 10.100.0.2
    routes:
      - {{destination: 172.16.0.0/12, next_hop: physical_connection}}
      - {{destination: 10.2.0.0/16, next_hop: {{router_interface: ri-to-near}}}}
      - {{destination: 10.3.0.0/16, next_hop: {{router_interface: ri-to-far}}}}
peering_connections:
{_connection("near")}{_connection("far")}"""


def _end(vpc: str, instance: str, number: int, other: int) -> str:
    """A VPC of one instance, the routes of which lead to a VBR."""
    return f"""  {vpc}:
    account: corp
    region: here
    cidr: 10.{number}.0.0/16
    vswitches: {{s{number}: {{zone: z, cidr: 10.{number}.0.0/24}}}}
    instances: {{{instance}: {{vswitch: s{number}, ip: 10.{number}.0.10}}}}
    route_tables:
      system:
        routes:
          - {{destination: 10.{other}.0.0/16, next_hop: {{router_interface: ri-{vpc}}}}}
          - {{destination: 172.16.0.0/12, next_hop: {{router_interface: ri-{vpc}}}}}
"""


def _connection(vpc: str) -> str:
    initiator, acceptor = (
        f"{{router_interface: ri-to-{vpc}, vbr: border}}",
        f"{{router_interface: ri-{vpc}, vpc: {vpc}}}",
    )
    return f"  p-{vpc}: {{initiator: {initiator}, acceptor: {acceptor}, flow_cap: off}}\n"


def _vpc(v: int, instances: int, routes: list[str]) -> str:
    lines = [
        f"  v{v}:",
        "    account: corp",
        "    region: here",
        f"    cidr: 10.{v}.0.0/16",
        "    vswitches:",
        f"      s{v}: {{zone: a, cidr: 10.{v}.0.0/20}}",
        "    instances:",
        *(f"      i{v}-{n}: {{vswitch: s{v}}}" for n in range(instances)),
        "    route_tables:",
        "      system:",
        "        routes:",
        *(f"          - {route}" for route in routes),
    ]
    return "\n".join(lines) + "\n"


def _connections(vpcs: int) -> str:
    lines = ["peering_connections:"]
    for v in range(1, vpcs):
        first, second = f"{{router_interface: ri-0-{v}, vpc: v0}}", f"{{router_interface: ri-{v}-0, vpc: v{v}}}"
        lines.append(f"  p{v}: {{initiator: {first}, acceptor: {second}}}")
    return "\n".join(lines) + "\n"
