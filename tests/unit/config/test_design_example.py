"""The example of the design, completed to the two-circuit network of R39-R54: every key of the language in use."""

from dataplane.config import Source, load_sources
from dataplane.config.vocabulary import known_keys

EXAMPLE = """\
version: 1
profile: alibaba
datapath: {hook: auto}
quotas: {custom_routes_per_table: 40}
accounts:
  corp:   {uid: "12345678"}
  branch: {uid: "87654321"}
hosts:
  host-1: {address: 172.20.0.11, device: eth0}
  host-2: {address: 172.20.0.12, device: eth0}
regions:
  cn-beijing:
    zones: {a: {host: host-1}, b: {host: host-2}}
access_points:
  beijing-daxing-a: {region: cn-beijing, host: host-1}
vpcs:
  vpc-a:
    account: corp
    region: cn-beijing
    cidr: 192.168.0.0/16
    name: Office
    vswitches:
      vsw-1: {zone: a, cidr: 192.168.1.0/24}
      vsw-2: {zone: b, cidr: 192.168.2.0/24, route_table: rt-web}
    instances:
      ecs-1: {vswitch: vsw-1, ip: 192.168.1.10, forwarding: true}
      ecs-2: {vswitch: vsw-1, ip: 192.168.1.1}
      web:   {vswitch: vsw-1, ip: 192.168.1.2, attach: {namespace: web}}
    route_tables:
      system:
        routes:
          - destination: 172.16.0.0/16
            next_hop: {load_balance: [ri-a1, ri-a2]}
      rt-web:
        name: Web tier
        routes:
          - {destination: 0.0.0.0/0, next_hop: {instance: ecs-1}}
          - {destination: 10.9.0.0/16, next_hop: {router_interface: ri-a1}}
          - {destination: 10.8.0.0/16, next_hop: {active_standby: {active: ri-a1, standby: ri-a2}}}
services:
  oss: {ip: 100.64.1.10, region: cn-beijing}
data_centres:
  idc:
    cidrs: [172.16.0.0/16]
    routes:
      - {destination: 192.168.0.0/16, via: [vbr-1, vbr-2]}
      - {destination: 192.168.10.1, via: [vbr-1]}
      - {destination: 192.168.10.2, via: [vbr-2]}
physical_connections:
  pc-1: {account: corp, access_point: beijing-daxing-a, data_centre: idc, bandwidth: 1Gbps, device: eth1}
  pc-2: {account: corp, access_point: beijing-daxing-a, data_centre: idc, bandwidth: 1Gbps, device: eth2}
vbrs:
  vbr-1:
    account: corp
    physical_connection: pc-1
    vlan: 1000
    local_ip: 10.10.10.1/30
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
    initiator: {router_interface: ri-v1, vbr: vbr-1, state: active}
    acceptor:  {router_interface: ri-a1, vpc: vpc-a}
    bandwidth: 1Gbps
    flow_cap: {divisor: 12, direction: to_vbr}
    health_check: {source: 192.168.10.1, destination: 10.10.10.2, interval: 2s, timeout: 2s, fall: 8, rise: 3,
                   hold_down: 0s, on_all_down: use_all}
  pcx-2:
    initiator: {router_interface: ri-v2, vbr: vbr-2, state: active}
    acceptor:  {router_interface: ri-a2, vpc: vpc-a}
    bandwidth: 1Gbps
    flow_cap: off
    health_check: {source: 192.168.10.2, destination: 10.10.11.2}
"""


def test_the_example_loads_without_errors():
    loaded = load_sources([Source("example.yaml", EXAMPLE)])
    assert [str(warning) for warning in loaded.warnings] == []
    network = loaded.network
    assert network.datapath.hook == "auto"
    assert network.quotas.custom_routes_per_table == 40
    assert network.vpcs["vpc-a"].instances["web"].attach.namespace == "web"
    assert set(network.router_interfaces) == {"ri-v1", "ri-a1", "ri-v2", "ri-a2"}
    assert network.peering_connections["pcx-2"].flow_cap == "off"


def test_origins_lead_to_the_lines_of_the_example():
    loaded = load_sources([Source("example.yaml", EXAMPLE)])
    lines = EXAMPLE.splitlines()

    def line(*path):
        origin = loaded.origin(*path)
        return lines[origin.line - 1][origin.column - 1 :]

    assert line("vpcs", "vpc-a").startswith("vpc-a:")
    assert line("vpcs", "vpc-a", "instances", "ecs-2").startswith("ecs-2:")
    assert line("vpcs", "vpc-a", "instances", "ecs-2", "mac").startswith("ecs-2:")
    assert line("vpcs", "vpc-a", "route_tables", "rt-web", "routes", 1).startswith("{destination: 10.9.0.0/16")
    assert line("peering_connections", "pcx-1", "health_check").startswith("health_check:")


def test_the_places_of_the_example_have_known_keys():
    assert "zone" in known_keys(("vpcs", "vpc-a", "vswitches", "vsw-1"))
    assert "weight" in known_keys(("vpcs", "a", "route_tables", "b", "routes", 0, "next_hop", "load_balance", 0))
    assert "interval" in known_keys(("peering_connections", "pcx-1", "health_check"))
    assert known_keys(("vpcs",)) == ()
