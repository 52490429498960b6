"""Networks that tests of faults and of deaths change into one another."""

from tests.fakes.networks import PEERED

_TWO = PEERED[: PEERED.index("  vpc-3:")] + PEERED[PEERED.index("peering_connections:") : PEERED.index("  pcx-2")]
TWO = _TWO.replace("          - {destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}\n", "")
MORE = PEERED.replace("ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}", "ecs-9: {vswitch: vsw-1, ip: 172.16.1.9}").replace(
    "172.16.0.0/12, next_hop: {router_interface: ri-2}", "172.16.0.0/16, next_hop: {router_interface: ri-2}"
)
"""A VPC and a connection more, one instance for another, one prefix for another."""

SPANNING = """
version: 1
hosts:
  host-1: {address: 172.20.0.11, device: wire0}
  host-2: {address: 172.20.0.12, device: wire0}
regions: {r1: {zones: {a: {host: host-1}, b: {host: host-2}}}}
vpcs:
  near:
    account: corp
    region: r1
    cidr: 10.1.0.0/16
    vswitches: {near-a: {zone: a, cidr: 10.1.1.0/24}, near-b: {zone: b, cidr: 10.1.2.0/24}}
    instances: {i-a: {vswitch: near-a, ip: 10.1.1.10}, i-b: {vswitch: near-b, ip: 10.1.2.10, forwarding: true}}
    route_tables:
      system:
        routes:
          - {destination: 10.2.0.0/16, next_hop: {router_interface: ri-1}}
          - {destination: 10.9.0.0/16, next_hop: {instance: i-b}}
  far:
    account: corp
    region: r1
    cidr: 10.2.0.0/16
    vswitches: {far-b: {zone: b, cidr: 10.2.1.0/24}}
    instances: {i-far: {vswitch: far-b, ip: 10.2.1.10}}
    route_tables: {system: {routes: [{destination: 10.1.0.0/16, next_hop: {router_interface: ri-2}}]}}
peering_connections:
  p: {initiator: {router_interface: ri-1, vpc: near}, acceptor: {router_interface: ri-2, vpc: far}}
"""
"""As host-1 builds it: a tunnel of a VPC, of a connection and of a next hop, and the underlay filter."""
ALONE = SPANNING.replace("          - {destination: 10.9.0.0/16, next_hop: {instance: i-b}}\n", "").replace(
    "near-b: {zone: b", "near-b: {zone: a"
)
"""The same with all of `near` on host-1: two tunnels less."""
