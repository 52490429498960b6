"""Nodes and wires as they are written: what becomes of them, and what is said of mistakes."""

from pathlib import Path

import pytest

from dataplane.errors import ConfigError
from lab import topology
from lab.around import End
from lab.topology import TOPOLOGIES
from tests.lab.machine import BORDER_NODES, write_border


def _load(folder: Path, *lines: str, nodes: str = BORDER_NODES) -> topology.Topology:
    return topology.load(write_border(folder / "t", lines or ["must_reach: []"], nodes))


def test_a_line_is_found_by_its_wire(tmp_path: Path) -> None:
    surroundings = _load(tmp_path).surroundings
    router, _ = surroundings.nodes
    (line,) = router.cpe
    assert (line.vbr, line.vlan.ifname, line.vlan.vlan) == ("vbr-1", "uplink.1000", 1000)
    assert line.vlan.parent == End("router", "uplink")
    assert router.forwards
    assert not surroundings.nodes[1].forwards


def test_a_node_sends_from_its_first_address(tmp_path: Path) -> None:
    nodes = _load(tmp_path).inventory.nodes
    assert str(nodes["server"].address) == "172.16.1.10"
    assert (nodes["server"].vpc, nodes["server"].namespace) == (None, "node/server")
    without = _load(tmp_path / "without", nodes=BORDER_NODES.replace("interfaces: {lan: {address: 172.16.0.1/16}}", ""))
    assert str(without.inventory.nodes["router"].address) == "10.10.10.2"


def test_a_trunk_takes_the_line_elsewhere() -> None:
    nodes = {node.id: node for node in topology.load("shared-circuit").surroundings.nodes}
    assert (
        nodes["corp-router"].cpe[0].vlan.parent == nodes["branch-router"].cpe[0].vlan.parent == End("carrier", "eth1")
    )
    numbers = [vlan.number for node in nodes.values() for vlan in (*node.vlans, *(line.vlan for line in node.cpe))]
    assert len(set(numbers)) == len(numbers) == 3


def test_a_step_of_a_way_may_be_one_of_several(tmp_path: Path) -> None:
    (flow,) = _load(
        tmp_path, "must_reach:", "  - {from: a, to: server, protocol: icmp, via: [[vbr-1, vpc-1], router]}"
    ).flows
    assert flow.via == (("vbr-1", "vpc-1"), ("router",))
    assert flow.back_via == (("router",), ("vbr-1", "vpc-1"))
    assert flow.passes == {"vbr-1", "vpc-1", "router"}


def test_r43_a_router_is_reached_by_an_address_of_its_own(tmp_path: Path) -> None:
    (flow,) = _load(
        tmp_path, "must_reach:", "  - {from: server, to: vpc-1, address: 192.168.9.1, protocol: icmp, via: [vbr-1]}"
    ).flows
    assert flow.destination is not None
    assert (flow.destination.namespace, str(flow.address)) == ("dp-vpc-vpc-1", "192.168.9.1")
    with pytest.raises(ConfigError, match="`vpc-1` is not an instance or node"):
        _load(tmp_path, "must_reach:", "  - {from: server, to: vpc-1, protocol: icmp}")


def test_r133_a_service_is_the_one_of_the_flows_vpc() -> None:
    flows = {str(flow): flow for flow in topology.load("cloud-services").flows}
    namespaces = {
        name: flow.destination.namespace for name, flow in flows.items() if flow.destination and "udp/443" in name
    }
    assert namespaces["ecs-1 -> oss udp/443"] == "dp-svc-vpc-1"
    assert namespaces["ecs-2 -> oss udp/443"] == "dp-svc-vpc-2"
    assert namespaces["idc-1 -> oss udp/443"] == "dp-svc-vpc-1"
    assert flows["ecs-1 -> 100.65.1.10 udp/7"].destination is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "cpe_of: vbr-1",
            "cpe_of: vbr-9",
            "nodes.router.cpe_of[0]: `vbr-9` is not a VBR of this network; known here: vbr-1",
        ),
        ("host-1/eth1", "host-1/eth7", "no wire ends at eth1 of host-1, the line of vbr-1; add {ends: [host-1/eth1"),
        (
            "router/uplink]",
            "server/uplink]",
            "the line of vbr-1 comes in at server/uplink, not here; write trunk: server",
        ),
        ("router/lan,", "rooter/lan,", "there is no node or host `rooter`; known here: host-1, router, server"),
        ("server/eth0", "router/uplink", "router/uplink is the end of another wire already"),
        ("{lan:", "{wan:", "nodes.router.interfaces.wan: nothing brings router an interface wan; add a wire"),
        ("router/uplink]", "uplink]", "this is not an interface of a node or host"),
        ("ends: [host-1/eth1, router/uplink]", "ends: [host-1/eth1]", "a wire has two different ends"),
        ("lan: {address: 172.16.0.1/16}", "lan: {vlan: 5}", "a VLAN interface has both vlan: and parent:"),
        ("lan: {address: 172.16.0.1/16}", "lan: {vlan: 5, parent: a/b}", "a/b is not the end of a wire at a node"),
        ("address: 172.16.0.1/16", "adress: 172.16.0.1/16", "the key `adress` is unknown"),
        ("  server:", "  vpc-1:", "`vpc-1` is the id of a VPC too; give the node another id"),
        ("  server:", "  host-1:", "`host-1` is the id of a host too"),
        ("mtu: 1500", "mtu: 68", "68 is not an MTU"),
    ],
)
def test_mistakes_are_said(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in BORDER_NODES
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, nodes=BORDER_NODES.replace(old, new))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        ("{from: server, to: oss}", "`oss` is a service, and each VPC has one of its own; end `via` with the VPC"),
        ("{from: a, to: oss, both_ways: true}", "service oss only answers; remove both_ways"),
        ("{from: a, to: server, via: [vbr-2]}", "`vbr-2` is not an instance, node, VPC, VBR or host of this network"),
        ("{from: a, to: bare}", "node `bare` has no address; give one of its interfaces an address:"),
    ],
)
def test_mistakes_in_flows_are_said(tmp_path: Path, flow: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, "must_reach:", f"  - {flow}", nodes=BORDER_NODES.replace("nodes:", "nodes:\n  bare: {}"))
    assert message in str(raised.value)


def test_the_borders_among_the_topologies() -> None:
    known = {path.name for path in TOPOLOGIES.iterdir()}
    assert known >= {"standby-circuits", "shared-circuit", "nearby-access", "cloud-services"}
