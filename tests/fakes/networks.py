"""Configurations for unit tests, built from text as a user writes it."""

from functools import cache
from ipaddress import IPv4Address

from dataplane.compile.compiler import compile_network
from dataplane.config import Loaded, Source, load_sources
from dataplane.model.desired import Desired
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook


@cache
def network(text: str) -> Loaded:
    """Load one file's text."""
    return load_sources([Source("network.yaml", text)])


THREE_HOSTS = """\
version: 1
accounts: {corp: {uid: "1"}}
hosts:
  host-1: {address: 172.20.0.11, device: eth0}
  host-2: {address: 172.20.0.12, device: eth0, mtu: 9000}
  host-3: {address: 172.20.0.13, device: eth1}
regions:
  r: {zones: {a: {host: host-1}, b: {host: host-2}, c: {host: host-3}}}
vpcs:
  vpc-a:
    account: corp
    region: r
    cidr: 192.168.0.0/16
    vswitches:
      vsw-a1: {zone: a, cidr: 192.168.1.0/24}
      vsw-a2: {zone: b, cidr: 192.168.2.0/24, route_table: rt}
    instances:
      a1: {vswitch: vsw-a1, ip: 192.168.1.10}
      a2: {vswitch: vsw-a2, ip: 192.168.2.10}
      fw: {vswitch: vsw-a1, ip: 192.168.1.20, forwarding: true}
    route_tables:
      system:
        routes:
          - {destination: 172.16.0.0/16, next_hop: {router_interface: ri-a}}
      rt:
        routes:
          - {destination: 172.16.0.0/16, next_hop: {router_interface: ri-a}}
          - {destination: 10.99.0.0/16, next_hop: {instance: fw}}
  vpc-b:
    account: corp
    region: r
    cidr: 172.16.0.0/16
    vswitches:
      vsw-b2: {zone: b, cidr: 172.16.2.0/24}
      vsw-b3: {zone: c, cidr: 172.16.3.0/24}
    instances:
      b2: {vswitch: vsw-b2, ip: 172.16.2.10}
      b3: {vswitch: vsw-b3, ip: 172.16.3.10}
    route_tables:
      system:
        routes:
          - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-b}}
peering_connections:
  pcx:
    initiator: {router_interface: ri-a, vpc: vpc-a}
    acceptor: {router_interface: ri-b, vpc: vpc-b}
"""
"""vpc-a on host-1 and host-2, vpc-b on host-2 and host-3, a connection of both, a firewall as next hop across hosts."""


def desired(
    text: str,
    book: IdBook | None = None,
    remembered: dict[str, IPv4Address] | None = None,
    facts: HostFacts | None = None,
) -> Desired:
    """Compile one file's text for an empty host."""
    return compile_network(network(text), book or IdBook(), remembered or {}, facts)


def many(vpcs: int, instances: int) -> str:
    """A network of ``instances`` instances spread over ``vpcs`` VPCs, all peered with the first."""
    lines = [
        "version: 1",
        "accounts: {corp: {uid: '1'}}",
        "regions: {r1: {zones: {a: {}}}}",
        "quotas: {peerings_per_vpc: 1000, peerings_per_account: 1000}",
        "vpcs:",
    ]
    for v in range(vpcs):
        lines += [f"  v{v}:", "    account: corp", "    region: r1", f"    cidr: 10.{v}.0.0/16", "    vswitches:"]
        lines += [f"      s{v}: {{zone: a, cidr: 10.{v}.0.0/20}}", "    instances:"]
        lines += [f"      i{v}-{n}: {{vswitch: s{v}}}" for n in range(instances // vpcs)]
        peers = range(1, vpcs) if v == 0 else [0]
        routes = [f"{{destination: 10.{p}.0.0/16, next_hop: {{router_interface: ri-{v}-{p}}}}}" for p in peers]
        lines.append(f"    route_tables: {{system: {{routes: [{', '.join(routes)}]}}}}")
    lines.append("peering_connections:")
    for v in range(1, vpcs):
        ends = (
            f"initiator: {{router_interface: ri-0-{v}, vpc: v0}}, acceptor: {{router_interface: ri-{v}-0, vpc: v{v}}}"
        )
        lines.append(f"  p{v}: {{{ends}}}")
    return "\n".join(lines) + "\n"


PEERED = """
version: 1
accounts: {corp: {uid: "12345678"}}
regions: {r1: {zones: {a: {}}}}
vpcs:
  vpc-1:
    account: corp
    region: r1
    cidr: 172.16.0.0/12
    vswitches: {vsw-1: {zone: a, cidr: 172.16.1.0/24}}
    instances: {ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}}
    route_tables: {system: {routes: [{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}]}}
  vpc-2:
    account: corp
    region: r1
    cidr: 192.168.0.0/16
    vswitches: {vsw-2: {zone: a, cidr: 192.168.1.0/24}}
    instances: {ecs-2: {vswitch: vsw-2, ip: 192.168.1.10}}
    route_tables:
      system:
        routes:
          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}
          - {destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}
  vpc-3:
    account: corp
    region: r1
    cidr: 10.0.0.0/8
    vswitches: {vsw-3: {zone: a, cidr: 10.0.1.0/24}}
    instances: {ecs-3: {vswitch: vsw-3, ip: 10.0.1.10}}
    route_tables:
      system:
        routes:
          - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-4}}
          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-4}}
peering_connections:
  pcx-1: {initiator: {router_interface: ri-1, vpc: vpc-1}, acceptor: {router_interface: ri-2, vpc: vpc-2}}
  pcx-2: {initiator: {router_interface: ri-3, vpc: vpc-2}, acceptor: {router_interface: ri-4, vpc: vpc-3}}
"""
"""R67 with a third VPC: vpc-1 and vpc-3 both peer with vpc-2 and not with each other (R101)."""

TWO_CIRCUITS = """
version: 1
accounts: {corp: {uid: "12345678"}}
regions:
  cn-beijing: {zones: {a: {}}}
access_points: {daxing: {region: cn-beijing}}
vpcs:
  vpc-a:
    account: corp
    region: cn-beijing
    cidr: 192.168.0.0/16
    vswitches: {vsw-1: {zone: a, cidr: 192.168.1.0/24}}
    instances:
      ecs-1: {vswitch: vsw-1, ip: 192.168.1.10, forwarding: true}
      ecs-2: {vswitch: vsw-1, ip: 192.168.1.11}
    route_tables:
      system:
        routes:
          - {destination: 172.16.0.0/16, next_hop: {active_standby: {active: ri-a1, standby: ri-a2}}}
data_centres:
  idc:
    cidrs: [172.16.0.0/16]
    routes:
      - {destination: 192.168.0.0/16, via: [vbr-1, vbr-2]}
      - {destination: 192.168.10.1, via: [vbr-1]}
      - {destination: 192.168.10.2, via: [vbr-2]}
physical_connections:
  pc-1: {account: corp, access_point: daxing, data_centre: idc, device: eth1}
  pc-2: {account: corp, access_point: daxing, data_centre: idc, device: eth2}
vbrs:
  vbr-1:
    account: corp
    physical_connection: pc-1
    vlan: 1000
    local_ip: 10.10.10.1/29
    peer_ip: 10.10.10.2
    routes:
      - {destination: 172.16.0.0/16, next_hop: physical_connection}
      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v1}}
  vbr-2:
    account: corp
    physical_connection: pc-2
    vlan: 1000
    local_ip: 10.10.11.1/30
    peer_ip: 10.10.11.2
    routes:
      - {destination: 172.16.0.0/16, next_hop: physical_connection}
      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v2}}
peering_connections:
  pcx-1:
    initiator: {router_interface: ri-v1, vbr: vbr-1}
    acceptor: {router_interface: ri-a1, vpc: vpc-a}
    health_check: {source: 192.168.10.1, destination: 10.10.10.2}
  pcx-2:
    initiator: {router_interface: ri-v2, vbr: vbr-2}
    acceptor: {router_interface: ri-a2, vpc: vpc-a}
    health_check: {source: 192.168.10.2, destination: 10.10.11.2}
"""
"""The two-circuit network of R39-R54. The first line is a /29, so that a third host on it can be asked for."""

ONE_LINE = """
version: 1
accounts: {corp: {uid: "12345678"}}
regions: {r1: {zones: {a: {}}}}
access_points: {ap: {region: r1}}
data_centres: {idc: {cidrs: [172.16.0.0/16]}}
vpcs:
  border:
    account: corp
    region: r1
    cidr: 192.168.0.0/16
    vswitches: {vsw-b: {zone: a, cidr: 192.168.1.0/24}}
    instances: {inside: {vswitch: vsw-b, ip: 192.168.1.10}}
    route_tables: {system: {routes: [{destination: 172.16.0.0/16, next_hop: {router_interface: ri-a}}]}}
physical_connections: {pc-1: {account: corp, access_point: ap, data_centre: idc, device: wire0}}
vbrs:
  vbr-1:
    account: corp
    physical_connection: pc-1
    vlan: 1000
    local_ip: 10.10.10.1/30
    peer_ip: 10.10.10.2
    routes:
      - {destination: 172.16.0.0/16, next_hop: physical_connection}
      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v}}
peering_connections:
  pcx-1: {initiator: {router_interface: ri-v, vbr: vbr-1}, acceptor: {router_interface: ri-a, vpc: border}}
  pcx-2: {acceptor: {router_interface: ri-b, vpc: border}}
"""
"""One line, on the device wire0, and a connection that waits for its other end."""
