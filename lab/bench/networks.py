"""Networks to measure with, as text that a user could have written. Pure."""

_HEAD = """version: 1
accounts: {corp: {uid: "1"}}
regions: {here: {zones: {a: {}}}}
quotas: {peerings_per_vpc: 1000, peerings_per_account: 1000, custom_routes_per_table: 1000}
vpcs:
"""


def peered(vpcs: int, instances: int) -> str:
    """Instances spread evenly over VPCs, all of which are peered with the first, with routes to it and back."""
    text = _HEAD
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
