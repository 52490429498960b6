"""Random networks out of a small world of names, so that one network meets the remains of the one before.

A network is a set of *choices*; the next one draws some of them again. CIDRs belong to ids for good (R75). What makes
a choice invalid in the light of others (a table that no longer exists, an address that is taken) is left out or bent
here; what is left for the language to refuse is drawn again by the caller.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

Plain = dict[str, Any]

VPCS = {"a": "10.0.0.0/16", "b": "10.0.0.0/16", "c": "192.168.0.0/16", "d": "172.16.0.0/12"}
"""``a`` and ``b`` have one CIDR (R88), and vSwitches of equal prefixes in it."""
VSWITCHES = {
    "a1": "10.0.1.0/24",
    "a2": "10.0.2.0/29",
    "a3": "10.0.16.0/20",
    "b1": "10.0.1.0/24",
    "b2": "10.0.128.0/24",
    "c1": "192.168.1.0/24",
    "c2": "192.168.0.0/24",
    "d1": "172.16.0.0/16",
}
"""The VPC of a vSwitch is its first letter."""
TABLES = ("web", "ports", "spoofed")
INSTANCES = tuple(f"i{number}" for number in range(1, 8))
CONNECTIONS = ("x1", "x2", "x3", "x4")
DEVICES = ("eth8", "eth9")
CIRCUITS = ("v1", "v2")
ATTACHED = "random-web"
"""A namespace that others made, for the instance that is attached."""
DESTINATIONS = (
    "0.0.0.0/0",
    *sorted(set(VPCS.values())),
    *sorted(set(VSWITCHES.values())),
    "10.0.1.0/25",
    "10.0.1.1/32",
    "10.0.0.0/22",
    "192.168.0.2",
    "192.168.0.0/23",
    "172.16.0.1/32",
    "100.64.8.0/24",
    "203.0.113.0/24",
)
ROUTES_A_TABLE = 3


@dataclass(frozen=True)
class Choices:
    """What was drawn, by the name of the question."""

    drawn: Mapping[str, Any] = field(default_factory=dict)

    def again(self, chance: random.Random, share: float) -> "Choices":
        """Draw that share of the choices again."""
        return Choices(
            {
                question: self.drawn[question] if question in self.drawn and chance.random() >= share else answer
                for question, answer in _draw(chance).items()
            }
        )


def _draw(chance: random.Random) -> dict[str, Any]:
    """An answer to every question."""
    drawn: dict[str, Any] = {"profile": chance.choice(["alibaba", "alibaba", "tencent"])}
    for vpc in VPCS:
        drawn[f"vpc {vpc}"] = chance.random() < 0.85
        drawn[f"mtu {vpc}"] = chance.choice([None, None, None, 1400, 9000, 576])
        for table in ("system", *TABLES):
            drawn[f"table {vpc} {table}"] = chance.random() < 0.6
            for number in range(ROUTES_A_TABLE):
                hop = chance.choice(["instance", "instance", "peer", "peer", "group", "none"])
                drawn[f"route {vpc} {table} {number}"] = (chance.choice(DESTINATIONS), hop, chance.randrange(60))
    for vswitch in VSWITCHES:
        drawn[f"vswitch {vswitch}"] = (chance.random() < 0.8, chance.choice(["system", "system", *TABLES]))
    for instance in INSTANCES:
        drawn[f"instance {instance}"] = chance.random() < 0.9
        drawn[f"place {instance}"] = chance.choice(list(VSWITCHES))
        drawn[f"ip {instance}"] = chance.choice([None, None, 1, 2, 3, 4])
        drawn[f"mac {instance}"] = chance.choice([None, None, None, f"02:aa:00:00:00:0{chance.randrange(4)}"])
        drawn[f"stopped {instance}"] = chance.random() < 0.15
        drawn[f"forwarding {instance}"] = chance.random() < 0.4
    drawn["attached"] = chance.choice([None, *INSTANCES[:2]])
    for connection in CONNECTIONS:
        ends = chance.sample(list(VPCS), 2)
        drawn[f"connection {connection}"] = chance.choice([None, ends, ends, ends])
        drawn[f"half {connection}"] = chance.choice([None, None, None, None, "initiator", "acceptor"])
        drawn[f"suspended {connection}"] = chance.choice([None, None, None, None, "initiator", "acceptor"])
    drawn["names"] = chance.choice(["plain", "plain", "rotated", "renamed"])
    for circuit in CIRCUITS:
        drawn[f"circuit {circuit}"] = chance.choice([None, *VPCS])
    return drawn


def plain_network(choices: Choices, before: Mapping[str, IPv4Address]) -> Plain:
    """The network that the choices describe.

    Args:
        before: the addresses that instances have: who gets another one is stopped (R85).
    """
    drawn = choices.drawn
    network: Plain = {
        "version": 1,
        "profile": drawn["profile"],
        "accounts": {"corp": {"uid": "1"}},
        "regions": {"r1": {"zones": {"z": {}}}},
        "access_points": {"here": {"region": "r1"}},
        "quotas": {"peerings_per_vpc": 20, "peerings_per_vbr": 20, "peerings_per_account": 20},
        "vpcs": {vpc: _vpc(drawn, vpc) for vpc in VPCS if drawn[f"vpc {vpc}"]},
    }
    for instance in INSTANCES:
        _place(network, drawn, instance, before)
    network["peering_connections"] = _connections(network, drawn) | _circuits(network, drawn)
    for vpc in network["vpcs"]:
        _fill_tables(network, drawn, vpc)
    return network


def text_of(network: Plain) -> str:
    """The network as a file: JSON is YAML."""
    return json.dumps(network, indent=1)


def _vpc(drawn: Mapping[str, Any], vpc: str) -> Plain:
    tables = [table for table in ("system", *TABLES) if drawn[f"table {vpc} {table}"]]
    vswitches = {}
    for name, cidr in VSWITCHES.items():
        is_there, table = drawn[f"vswitch {name}"]
        if is_there and name[0] == vpc:
            vswitches[name] = {"zone": "z", "cidr": cidr, "route_table": table if table in tables else "system"}
    found: Plain = {"account": "corp", "region": "r1", "cidr": VPCS[vpc], "vswitches": vswitches, "instances": {}}
    if drawn[f"mtu {vpc}"] is not None:
        found["mtu"] = drawn[f"mtu {vpc}"]
    return found | {"route_tables": {table: {"routes": []} for table in tables}}


def _place(network: Plain, drawn: Mapping[str, Any], instance: str, before: Mapping[str, IPv4Address]) -> None:
    vswitch = drawn[f"place {instance}"]
    vpc = network["vpcs"].get(vswitch[0])
    if not drawn[f"instance {instance}"] or vpc is None or vswitch not in vpc["vswitches"]:
        return
    cidr, others = IPv4Network(VSWITCHES[vswitch]), vpc["instances"].values()
    found: Plain = {"vswitch": vswitch}
    offset = drawn[f"ip {instance}"]
    if offset is not None and str(cidr[offset]) not in [other.get("ip") for other in others]:
        found["ip"] = str(cidr[offset])
    mac = drawn[f"mac {instance}"]
    if mac is not None and mac not in [other.get("mac") for other in others]:
        found["mac"] = mac
    if drawn["attached"] == instance:
        found["attach"] = {"namespace": ATTACHED}
    elif drawn[f"forwarding {instance}"]:
        found["forwarding"] = True
    had = before.get(instance)
    is_moved = had is not None and (had not in cidr or found.get("ip", str(had)) != str(had))
    if drawn[f"stopped {instance}"] or is_moved:
        found["state"] = "stopped"
    vpc["instances"][instance] = found


def _connections(network: Plain, drawn: Mapping[str, Any]) -> Plain:
    found: Plain = {}
    for number, connection in enumerate(CONNECTIONS):
        vpcs = drawn[f"connection {connection}"]
        if vpcs is None or any(vpc not in network["vpcs"] for vpc in vpcs) or not _are_apart(network, *vpcs):
            continue
        names = {"plain": number, "rotated": (number + 1) % len(CONNECTIONS), "renamed": number + 10}
        label = names[drawn["names"]]
        ends: Plain = {}
        for role, vpc in zip(("initiator", "acceptor"), vpcs, strict=True):
            if drawn[f"half {connection}"] != role:
                ends[role] = {"router_interface": f"ri-{label}-{role}", "vpc": vpc}
                if drawn[f"suspended {connection}"] == role:
                    ends[role]["state"] = "suspended"
        found[connection] = ends
    return found


def _are_apart(network: Plain, first: str, second: str) -> bool:
    """R80, R102."""
    if IPv4Network(VPCS[first]).overlaps(IPv4Network(VPCS[second])) and network["profile"] == "tencent":
        return False
    cidrs = [[IPv4Network(VSWITCHES[name]) for name in network["vpcs"][vpc]["vswitches"]] for vpc in (first, second)]
    return not any(one.overlaps(other) for one in cidrs[0] for other in cidrs[1])


def _circuits(network: Plain, drawn: Mapping[str, Any]) -> Plain:
    """Two VBRs, each with a connection to a VPC or to none."""
    network["physical_connections"], network["vbrs"] = {}, {}
    found: Plain = {}
    for number, circuit in enumerate(CIRCUITS):
        line = {"account": "corp", "access_point": "here", "device": DEVICES[number]}
        network["physical_connections"][f"pc-{circuit}"] = line
        network["vbrs"][f"vbr-{circuit}"] = {
            "account": "corp",
            "physical_connection": f"pc-{circuit}",
            "vlan": 1000,
            "local_ip": f"10.10.1{number}.1/30",
            "peer_ip": f"10.10.1{number}.2",
        }
        vpc = drawn[f"circuit {circuit}"]
        if vpc in network["vpcs"]:
            initiator = {"router_interface": f"ri-{circuit}-vbr", "vbr": f"vbr-{circuit}"}
            found[circuit] = {
                "initiator": initiator,
                "acceptor": {"router_interface": f"ri-{circuit}-vpc", "vpc": vpc},
            }
    return found


def _fill_tables(network: Plain, drawn: Mapping[str, Any], vpc: str) -> None:
    ends = [end for connection in network["peering_connections"].values() for end in connection.values()]
    interfaces = sorted(end["router_interface"] for end in ends if end.get("vpc") == vpc)
    members = [name for name in interfaces if name.startswith("ri-v")]
    for table, content in network["vpcs"][vpc]["route_tables"].items():
        routed: set[IPv4Network] = set()
        for number in range(ROUTES_A_TABLE):
            destination, kind, pick = drawn[f"route {vpc} {table} {number}"]
            hop = _next_hop(kind, pick, sorted(network["vpcs"][vpc]["instances"]), interfaces, members)
            if hop is not None and IPv4Network(destination) not in routed:
                routed.add(IPv4Network(destination))
                content["routes"].append({"destination": destination, "next_hop": hop})


def _next_hop(kind: str, pick: int, instances: list[str], interfaces: list[str], members: list[str]) -> Plain | None:
    if kind == "instance" and instances:
        return {"instance": instances[pick % len(instances)]}
    if kind == "peer" and interfaces:
        return {"router_interface": interfaces[pick % len(interfaces)]}
    if kind == "group" and len(members) == len(CIRCUITS):
        pair = members if pick % 2 else members[::-1]
        return {"load_balance": pair} if pick % 3 else {"active_standby": {"active": pair[0], "standby": pair[1]}}
    return None
