"""Topologies of several hosts: who is where, what a way may name, what joins the hosts; and mistakes."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from dataplane.errors import ConfigError
from lab import topology
from lab.around import End
from lab.inventory import Inventory
from lab.judge import judge
from lab.model import Direction, Evidence, Expectation, Flow, Mark, Node, Protocol, Sighting, lab_name
from tests.lab.hosts import HOSTS, write_hosts


def _load(folder: Path, *lines: str, network: str = HOSTS) -> topology.Topology:
    return topology.load(write_hosts(folder / "t", lines or ["must_reach: []"], network))


def test_a_namespace_has_its_host_in_front_where_there_are_several(tmp_path: Path) -> None:
    inventory = _load(tmp_path).inventory
    assert {id: node.namespace for id, node in inventory.nodes.items()} == {
        "a": "host-1/dp-i-a",
        "b": "host-2/dp-i-b",
        "c": "host-2/dp-i-c",
        "underlay": "node/underlay",
    }
    assert inventory.namespaces("vpc-1") == ("host-1/dp-vpc-vpc-1", "host-2/dp-vpc-vpc-1")
    assert inventory.namespaces("host-2/vpc-1") == ("host-2/dp-vpc-vpc-1",)
    assert inventory.namespaces("vpc-2") == inventory.namespaces("host-2/vpc-2") == ("host-2/dp-vpc-vpc-2",)
    assert inventory.namespaces("host-1") == ("host-1/",)
    assert inventory.router_of(inventory.nodes["b"]) == "host-2/dp-vpc-vpc-1"
    assert inventory.underlay == {"host-1/": "eth0", "host-2/": "eth0"}
    assert inventory.describe("host-2/") == "the own namespace of host-2"
    assert inventory.describe("host-1/dp-vpc-vpc-1") == "the router of vpc vpc-1 (host-1/dp-vpc-vpc-1)"
    assert lab_name("host-1", "dp-i-a", ["host-1"]) == "dp-i-a"


def test_borders_and_services_are_on_a_host() -> None:
    loaded = topology.load("failover-hosts")
    assert loaded.inventory.lines == {"vbr-1": ("host-1/", "eth1"), "vbr-2": ("host-2/", "eth1")}
    assert loaded.inventory.borders["vbr-2"] == "host-2/dp-vbr-vbr-2"
    (router, *_) = loaded.surroundings.nodes
    assert [line.vlan.parent for line in router.cpe] == [End("idc-router", "eth1"), End("idc-router", "eth2")]
    services = {flow.source.id: flow for flow in topology.load("three-hosts").flows if flow.target == "oss"}
    assert services["red-2"].destination is not None
    assert services["red-2"].destination.namespace == "host-2/dp-svc-red"


def test_the_underlay_joins_the_hosts(tmp_path: Path) -> None:
    surroundings = _load(tmp_path).surroundings
    assert surroundings.underlay is not None
    assert surroundings.underlay.ports == ("host-1", "host-2")
    assert surroundings.underlay.uplinks == (
        (End("host-1", "eth0"), IPv4Interface("172.20.0.11/24")),
        (End("host-2", "eth0"), IPv4Interface("172.20.0.12/24")),
    )
    assert {wire.mtu for wire in surroundings.wires} == {1500}
    # The mask is as short as it must be.
    far = _load(tmp_path, network=HOSTS.replace("172.20.0.12", "172.20.7.12")).surroundings
    assert far.underlay is not None
    assert {address.network.prefixlen for _, address in far.underlay.uplinks} == {21}
    jumbo = _load(tmp_path, network=HOSTS.replace("0.12, device: eth0", "0.12, device: eth0, mtu: 9000")).surroundings
    assert {wire.mtu for wire in jumbo.wires} == {9000}
    assert {wire.mtu for wire in _load(tmp_path, "underlay: {mtu: 1400}").surroundings.wires} == {1400}
    assert topology.load("vpc-peering").surroundings.underlay is None


def test_a_router_on_several_hosts_is_named_with_its_host(tmp_path: Path) -> None:
    (flow,) = _load(
        tmp_path, "must_reach:", "  - {from: a, to: host-2/vpc-1, address: 10.1.2.253, protocol: icmp}"
    ).flows
    assert flow.destination is not None
    assert flow.destination.namespace == "host-2/dp-vpc-vpc-1"
    (flow,) = _load(tmp_path, "must_reach:", "  - {from: a, to: vpc-2, address: 10.2.1.253, protocol: icmp}").flows
    assert flow.destination is not None
    assert flow.destination.namespace == "host-2/dp-vpc-vpc-2"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "must_reach: [{from: a, to: vpc-1, address: 10.1.2.253}]",
            "`vpc-1` has a router on several hosts; write host-1/vpc-1 or host-2/vpc-1",
        ),
        (
            "must_reach: [{from: a, to: c, via: [host-1/vpc-2]}]",
            "`host-1/vpc-2` is not an instance, node, VPC, VBR or host",
        ),
        ("must_reach: [{from: a, to: c, via: [host-9/vpc-1]}]", "did you mean `host-"),
        ("must_reach: [{from: a, to: c, via: [host-1/]}]", "`` is not an id"),
        ("must_reach: [{from: underlay, to: c}]", "node `underlay` has no address"),
        ("nodes: {underlay: {}}", "`underlay` is the id of a switch between the hosts too"),
        ("nodes: {host-2: {}}", "`host-2` is the id of a host too"),
        (
            "nodes: {x: {}}\nwires: [{ends: [x/eth0, underlay/host-1]}]",
            "underlay/host-1 is where the underlay's own cable",
        ),
        (
            "nodes: {x: {}}\nwires: [{ends: [x/eth0, host-1/eth0]}]",
            "host-1/eth0 is where the underlay's own cable ends",
        ),
    ],
)
def test_mistakes_are_said(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, *line.splitlines())
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("hosts", "network", "message"),
    [
        ("{host-1: {}}", HOSTS, "the network's host `host-2` is missing here; add host-2: {}"),
        (
            "{host-1: {}, host-2: {}, host-3: {}}",
            HOSTS,
            "`host-3` is not a host of this network; known there: host-1, host-2",
        ),
        (
            "{host-1: {network: a.yaml}, host-2: {}}",
            HOSTS,
            "hosts with a.yaml and network.yaml; write one network for all",
        ),
        ("{node: {}, host-2: {}}", HOSTS.replace("host-1", "node"), "`node` means something else in a lab"),
        ("{}", HOSTS, "hosts"),
        (
            "{host-one-beijing: {}, host-2: {}}",
            HOSTS.replace("host-1", "host-one-beijing"),
            "the underlay's port to `host-one-beijing` cannot have its name; use at most 15 characters",
        ),
    ],
)
def test_mistakes_in_hosts_are_said(tmp_path: Path, hosts: str, network: str, message: str) -> None:
    folder = write_hosts(tmp_path / "t", ["must_reach: []"], network)
    file = tmp_path / "t" / "lab.yaml"
    file.write_text(file.read_text().replace("{host-1: {}, host-2: {}}", hosts))
    with pytest.raises(ConfigError) as raised:
        topology.load(folder)
    assert message in str(raised.value)


def test_hosts_without_an_underlay_are_refused(tmp_path: Path) -> None:
    """A network that names no hosts is for one."""
    bare = "\n".join(line for line in HOSTS.splitlines() if "device: eth0" not in line and line != "hosts:")
    bare = bare.replace("{host: host-1}", "{}").replace("{host: host-2}", "{}")
    with pytest.raises(ConfigError, match="`host-1` is not a host of this network; known there: it names none"):
        _load(tmp_path, network=bare)
    folder = write_hosts(tmp_path / "one", ["underlay: {mtu: 1400}"], bare)
    file = tmp_path / "one" / "lab.yaml"
    file.write_text(file.read_text().replace(", host-2: {}", ""))
    with pytest.raises(ConfigError, match="a network that names no hosts has no underlay; remove underlay:"):
        topology.load(folder)


A = Node("a", "vpc-1", "host-1/dp-i-a", IPv4Address("10.0.0.1"), host="host-1")
B = Node("b", "vpc-1", "host-2/dp-i-b", IPv4Address("10.0.1.1"), host="host-2")
C = Node("c", "vpc-1", "host-1/dp-i-c", IPv4Address("10.0.0.2"), host="host-1")
HOST_NAMES = ("host-1", "host-2", "host-3")
PARTS = {host: f"{host}/dp-vpc-1" for host in HOST_NAMES}
INVENTORY = Inventory(
    {"a": A, "b": B, "c": C},
    {"vpc-1": PARTS},
    hosts=HOST_NAMES,
    underlay={f"{host}/": "eth0" for host in HOST_NAMES},
)
FLOW = Flow(Expectation.REACH, A, B, IPv4Address("10.0.1.1"), Protocol.UDP, 7)
WAY = [
    ("host-1/dp-i-a", "eth0"),
    ("host-1/dp-vpc-1", "dpx1"),
    ("host-1/", "eth0"),
    ("node/underlay", "host-1"),
    ("node/underlay", "host-2"),
    ("host-2/", "eth0"),
    ("host-2/dp-vpc-1", "dpx1"),
    ("host-2/dp-i-b", "eth0"),
]


def _faults(flow: Flow, *more: tuple[str, str], way: list[tuple[str, str]] = WAY) -> str:
    steps = [(Direction.FORWARD, step) for step in way] + [(Direction.BACK, step) for step in reversed(way)]
    steps += [(Direction.FORWARD, step) for step in more]
    seen = tuple(
        Sighting(at, namespace, ifname, False, Mark(b"k", direction, IPv4Address("10.0.0.1"), 64))
        for at, (direction, (namespace, ifname)) in enumerate(steps)
    )
    evidence = Evidence(seen, arrived_from=A.address, is_answered=True)
    return "\n".join(judge(flow, evidence, INVENTORY).faults)


def test_a_flow_between_hosts_passes_the_underlay() -> None:
    assert _faults(FLOW) == ""
    assert _faults(replace(FLOW, via=(("host-2/vpc-1",),), back_via=(("host-1/vpc-1",),))) == ""
    assert _faults(replace(FLOW, via=(("vpc-1",), ("host-2/vpc-1",)))) == ""
    assert "did not pass the router of vpc vpc-1 (host-3/dp-vpc-1)" in _faults(replace(FLOW, via=(("host-3/vpc-1",),)))


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        (("host-3/", "eth0"), "seen in the own namespace of host-3 on eth0, where it has no business"),
        (("node/underlay", "host-3"), "seen in namespace node/underlay on host-3, where it has no business"),
        (("host-2/", "eth1"), "seen in the own namespace of host-2 on eth1, where it has no business"),
        (("host-3/dp-vpc-1", "dpx1"), "seen in the router of vpc vpc-1 (host-3/dp-vpc-1) on dpx1"),
        (("host-1/dp-i-c", "eth0"), "seen in instance c (host-1/dp-i-c) on eth0, where it has no business"),
    ],
)
def test_elsewhere_it_has_no_business(place: tuple[str, str], fault: str) -> None:
    assert fault in _faults(FLOW, place)


def test_a_flow_within_a_host_has_no_business_on_the_underlay() -> None:
    within = replace(FLOW, destination=C, address=IPv4Address("10.0.0.2"))
    way = [WAY[0], WAY[1], ("host-1/dp-i-c", "eth0")]
    assert _faults(within, way=way) == ""
    assert "seen in the own namespace of host-1 on eth0" in _faults(within, WAY[2], way=way)
    assert "seen in namespace node/underlay on host-1" in _faults(within, WAY[3], way=way)
