"""A small topology of two hosts: a VPC on both, one on the second, a connection between them."""

from collections.abc import Sequence
from pathlib import Path

HOSTS = """\
version: 1
accounts: {corp: {uid: "12345678"}}
hosts:
  host-1: {address: 172.20.0.11, device: eth0}
  host-2: {address: 172.20.0.12, device: eth0}
regions: {cn-beijing: {zones: {a: {host: host-1}, b: {host: host-2}}}}
vpcs:
  vpc-1:
    account: corp
    region: cn-beijing
    cidr: 10.1.0.0/16
    vswitches:
      vsw-1: {zone: a, cidr: 10.1.1.0/24}
      vsw-2: {zone: b, cidr: 10.1.2.0/24}
    instances:
      a: {vswitch: vsw-1, ip: 10.1.1.10}
      b: {vswitch: vsw-2, ip: 10.1.2.10}
    route_tables:
      system: {routes: [{destination: 10.2.0.0/16, next_hop: {router_interface: ri-1}}]}
  vpc-2:
    account: corp
    region: cn-beijing
    cidr: 10.2.0.0/16
    vswitches: {vsw-3: {zone: b, cidr: 10.2.1.0/24}}
    instances: {c: {vswitch: vsw-3, ip: 10.2.1.10}}
    route_tables:
      system: {routes: [{destination: 10.1.0.0/16, next_hop: {router_interface: ri-2}}]}
peering_connections:
  pcx-1:
    initiator: {router_interface: ri-1, vpc: vpc-1}
    acceptor: {router_interface: ri-2, vpc: vpc-2}
"""

REACH = [
    "must_reach:",
    "  - {from: a, to: b, both_ways: true}",
    "  - {from: a, to: c, back_via: [host-2/vpc-1], both_ways: true}",
]


def write_hosts(folder: Path, flows: Sequence[str] = REACH, network: str = HOSTS) -> str:
    """The topology in a folder.

    Args:
        flows: lines of lab.yaml after ``hosts:``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.yaml").write_text(network)
    head = ["version: 1", "title: A test", "hosts: {host-1: {}, host-2: {}}"]
    (folder / "lab.yaml").write_text("\n".join([*head, *flows, ""]))
    return str(folder)
