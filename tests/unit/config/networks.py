"""Small networks as plain values, valid and without a warning, for tests to spoil in one place each."""

import json
from typing import Any

from dataplane.config import InvalidConfig, Loaded, Problem, Source, load_sources

Plain = dict[str, Any]

EMPTY = """\
version: 1
datapath:
quotas:
accounts:
  corp:
hosts:
regions:
  r:
    zones:
      a:
  other:
    zones:
access_points:
vpcs:
  vpc-a:
    account: corp
    region: r
    cidr: 10.0.0.0/8
    vswitches:
    instances:
    route_tables:
      system:
  vpc-b:
    account: corp
    region: other
    cidr: 10.0.0.0/8
    route_tables:
      system:
        routes:
services:
data_centres:
  idc:
    cidrs:
    routes:
physical_connections:
vbrs:
peering_connections:
"""
"""Every map and list of the language that may be empty, written as a key without a value."""


def two_vpcs() -> Plain:
    """vpc-a and vpc-b of one account and region, peered, with a route in each direction."""
    return {
        "version": 1,
        "accounts": {"corp": {"uid": "12345678"}, "branch": {"uid": "87654321"}},
        "vpcs": {
            "vpc-a": vpc("192.168.0.0/16", "a", {"destination": "172.16.0.0/12", "next_hop": hop("ri-a")}),
            "vpc-b": vpc("172.16.0.0/12", "b", {"destination": "192.168.0.0/16", "next_hop": hop("ri-b")}),
        },
        "peering_connections": {
            "pcx": {
                "initiator": {"router_interface": "ri-a", "vpc": "vpc-a"},
                "acceptor": {"router_interface": "ri-b", "vpc": "vpc-b"},
            }
        },
    }


def hop(router_interface: str) -> Plain:
    """A next hop of general routing."""
    return {"router_interface": router_interface}


def vpc(cidr: str, letter: str, *routes: Plain, **more: Any) -> Plain:
    """A VPC with a vSwitch, the first /24 of its CIDR, an instance, and routes in its system table."""
    first = cidr.split("/")[0]
    return {
        "account": "corp",
        "region": "beijing",
        "cidr": cidr,
        "vswitches": {f"vsw-{letter}": {"zone": "a", "cidr": f"{first}/24"}},
        "instances": {f"ecs-{letter}": {"vswitch": f"vsw-{letter}", "ip": first[:-1] + "10"}},
        "route_tables": {"system": {"routes": list(routes)}},
        **more,
    }


def hybrid() -> Plain:
    """vpc-a with two circuits to the data centre idc, load balanced and watched (R39-R54)."""
    balanced = {"destination": "10.32.0.0/16", "next_hop": {"load_balance": ["ri-a1", "ri-a2"]}}
    network: Plain = {
        "version": 1,
        "access_points": {"daxing": {"region": "beijing"}},
        "vpcs": {"vpc-a": vpc("192.168.0.0/16", "a", balanced)},
        "data_centres": {"idc": {"cidrs": ["10.32.0.0/16"], "routes": []}},
        "physical_connections": {},
        "vbrs": {},
        "peering_connections": {},
    }
    for number in (1, 2):
        network["physical_connections"][f"pc-{number}"] = {
            "account": "corp",
            "access_point": "daxing",
            "device": f"eth{number}",
            "data_centre": "idc",
        }
        network["vbrs"][f"vbr-{number}"] = vbr(number)
        network["peering_connections"][f"pcx-{number}"] = {
            "initiator": {"router_interface": f"ri-v{number}", "vbr": f"vbr-{number}"},
            "acceptor": {"router_interface": f"ri-a{number}", "vpc": "vpc-a"},
            "bandwidth": "1Gbps",
            "health_check": {"source": f"192.168.10.{number}", "destination": f"10.10.1{number}.2"},
        }
    return network


def vbr(number: int) -> Plain:
    """A VBR of ``hybrid()`` with both its routes (R28)."""
    return {
        "account": "corp",
        "physical_connection": f"pc-{number}",
        "vlan": 1000,
        "local_ip": f"10.10.1{number}.1/30",
        "peer_ip": f"10.10.1{number}.2",
        "routes": [
            {"destination": "10.32.0.0/16", "next_hop": "physical_connection"},
            {"destination": "192.168.0.0/16", "next_hop": hop(f"ri-v{number}")},
        ],
    }


def system_routes(network: Plain, vpc_id: str = "vpc-a") -> list[Plain]:
    """The list of routes in a VPC's system table."""
    routes: list[Plain] = network["vpcs"][vpc_id]["route_tables"]["system"]["routes"]
    return routes


def star(leaves: int) -> Plain:
    """vpc-hub with a connection to each of some VPCs, routes both ways."""
    network: Plain = {"version": 1, "vpcs": {"vpc-hub": vpc("192.168.0.0/16", "hub")}, "peering_connections": {}}
    for number in range(leaves):
        back = {"destination": "192.168.0.0/16", "next_hop": hop(f"ri-{number}")}
        network["vpcs"][f"vpc-{number}"] = vpc(f"10.{number}.0.0/16", str(number), back)
        there = {"destination": f"10.{number}.0.0/16", "next_hop": hop(f"ri-hub-{number}")}
        system_routes(network, "vpc-hub").append(there)
        network["peering_connections"][f"pcx-{number}"] = {
            "initiator": {"router_interface": f"ri-hub-{number}", "vpc": "vpc-hub"},
            "acceptor": {"router_interface": f"ri-{number}", "vpc": f"vpc-{number}"},
        }
    return network


def hub_vbr(leaves: int) -> Plain:
    """vbr-1 with connections to several VPCs."""
    network = hybrid()
    system_routes(network).clear()
    system_routes(network).append({"destination": "10.32.0.0/16", "next_hop": hop("ri-a1")})
    del network["peering_connections"]["pcx-2"], network["vbrs"]["vbr-2"]
    for number in range(leaves - 1):
        route = {"destination": "10.32.0.0/16", "next_hop": hop(f"ri-{number}")}
        network["vpcs"][f"vpc-{number}"] = vpc(f"172.{16 + number}.0.0/16", str(number), route)
        back = {"destination": f"172.{16 + number}.0.0/16", "next_hop": hop(f"ri-vbr-{number}")}
        network["vbrs"]["vbr-1"]["routes"].append(back)
        network["peering_connections"][f"pcx-x{number}"] = {
            "initiator": {"router_interface": f"ri-vbr-{number}", "vbr": "vbr-1"},
            "acceptor": {"router_interface": f"ri-{number}", "vpc": f"vpc-{number}"},
        }
    return network


def loaded(network: Plain) -> Loaded:
    """The network, which must have no errors."""
    # JSON is YAML; every text is quoted in it, so nothing is guessed at.
    return load_sources([Source("net.yaml", json.dumps(network, indent=1))])


def problems(network: Plain) -> list[Problem]:
    """Everything that is said of a network."""
    try:
        return list(loaded(network).warnings)
    except InvalidConfig as error:
        return list(error.problems)


def said(network: Plain) -> list[tuple[str, str | None, str]]:
    """Severity, rule and path of everything that is said of a network."""
    return [(problem.severity, problem.rule, problem.path) for problem in problems(network)]


def text_problems(*texts: str) -> list[str]:
    """Everything that is said of some YAML texts, called 1.yaml, 2.yaml and so on."""
    try:
        sources = [Source(f"{number}.yaml", text) for number, text in enumerate(texts, start=1)]
        return [str(problem) for problem in load_sources(sources).warnings]
    except InvalidConfig as error:
        return [str(problem) for problem in error.problems]
