"""Nodes around a host: built, known to every command, seen by the sniffers, and gone with the lab."""

import json
import sys
from pathlib import Path

import pytest

from lab.topology import TOPOLOGIES
from tests.lab.machine import BORDER_NODES, Machine, write_border

REACH = ["must_reach:", "  - {from: a, to: server, via: [vbr-1, router], both_ways: true, protocol: [udp, tcp, icmp]}"]


def _applied(machine: Machine, folder: str) -> Machine:
    machine.lab("up", folder)
    return machine


def test_the_small_border_passes(machine: Machine, tmp_path: Path) -> None:
    assert machine.faults(write_border(tmp_path / "t", REACH)) == {}


def test_without_what_cpe_prints_nothing_comes_through(machine: Machine, tmp_path: Path) -> None:
    nodes = BORDER_NODES.replace("cpe_of: vbr-1", "forwarding: true")
    faults = machine.faults(write_border(tmp_path / "t", REACH, nodes))
    assert set(faults) == {
        f"{way} {protocol}" for way in ("a -> server", "server -> a") for protocol in ("udp", "tcp", "icmp")
    }
    assert any("last seen in the router of vbr vbr-1" in text or "on the" in text for text in faults["a -> server udp"])


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ("must_not_reach:\n  - {from: a, to: server, protocol: udp}", "reached node server, which it must not"),
        ("must_not_reach:\n  - {from: a, to: 172.16.1.99, protocol: udp}", "seen in node router on uplink"),
        ("must_reach:\n  - {from: a, to: server, protocol: udp}", "seen in the router of vbr vbr-1 (dp-vbr-vbr-1)"),
        (
            "must_reach:\n  - {from: a, to: server, protocol: icmp, via: [vbr-1, router], "
            "hops: [192.168.1.253, 10.10.10.9, 10.10.10.2]}",
            "hop 2 is 10.10.10.1 at TTL 2, not 10.10.10.9",
        ),
    ],
)
def test_a_wrong_claim_about_a_node_fails(machine: Machine, tmp_path: Path, flow: str, expected: str) -> None:
    faults = machine.faults(write_border(tmp_path / "t", flow.splitlines()))
    assert any(expected in text for texts in faults.values() for text in texts), faults


def test_commands_know_nodes(machine: Machine, tmp_path: Path) -> None:
    machine.lab("up", write_border(tmp_path / "t", REACH))
    assert "10.10.10.2/30" in machine.lab("exec", "router", "--", "ip", "-4", "-o", "address").stdout
    assert machine.lab("exec", "t/server", "ls", "/sys/class/net").stdout.split() == ["eth0", "lo"]
    assert "10.10.10.1/30" in machine.lab("exec", "vbr-1", "--", "ip", "-4", "-o", "address").stdout
    assert machine.lab("exec", "server", "--", "sh", "-c", "exit 42", check=False).returncode == 42
    unknown = machine.lab("exec", "rooter", "--", "true", check=False)
    assert "did you mean router" in unknown.stderr
    (lab,) = json.loads(machine.lab("status", "-o", "json").stdout)["labs"]
    assert lab["nodes"]["names"] == ["router", "server"]
    assert [host["name"] for host in lab["hosts"]] == ["host-1"]


def test_down_names_who_lives_in_a_node(machine: Machine, tmp_path: Path) -> None:
    machine.lab("up", write_border(tmp_path / "t", REACH))
    process = machine.popen(sys.executable, "-m", "dataplane", "lab", "exec", "server", "--", "sleep", "300")
    try:
        while '"sleep"' not in (status := machine.lab("status", "-o", "json").stdout):
            assert process.poll() is None, status
        done = machine.lab("down", "t")
    finally:
        process.kill()
        process.wait()
    assert f"process {process.pid} (sleep) in node/server still lives inside" in done.stderr


def test_up_brings_nodes_in_line(machine: Machine, tmp_path: Path) -> None:
    folder = write_border(tmp_path / "t", REACH)
    machine.lab("up", folder)
    before = machine.lab("exec", "router", "--", "readlink", "/proc/self/ns/net").stdout
    machine.lab("exec", "server", "--", "ip", "address", "flush", "dev", "eth0")
    assert "was up already" in machine.lab("up", folder).stdout
    assert machine.faults(folder) == {}
    assert machine.lab("exec", "router", "--", "readlink", "/proc/self/ns/net").stdout == before
    # Where the file has changed, nobody adapts nodes: they are made anew.
    write_border(tmp_path / "t", REACH, BORDER_NODES.replace("172.16.1.10", "172.16.2.20"))
    machine.lab("up", folder)
    assert "172.16.1.10" not in machine.lab("exec", "server", "--", "ip", "-4", "-o", "address").stdout
    assert machine.lab("exec", "router", "--", "readlink", "/proc/self/ns/net").stdout != before
    assert machine.faults(folder) == {}


def test_here_refuses_where_the_wires_interface_is(machine: Machine, tmp_path: Path) -> None:
    machine.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "other")
    done = machine.lab("test", write_border(tmp_path / "t", REACH), "--here", check=False)
    assert done.returncode == 1
    assert "host-1/eth1 is there already, and is not the wire from host-1/eth1 to router/uplink" in done.stderr
    assert machine.run("ip", "link", "show", "eth1").returncode == 0, "what others made is left alone"
    assert machine.faults(str(tmp_path / "t")) == {}


def test_the_mtu_of_a_wire(machine: Machine, tmp_path: Path) -> None:
    machine.lab("up", write_border(tmp_path / "t", REACH, BORDER_NODES.replace("mtu: 1500", "mtu: 1400")))
    for node, ifname in (("host-1", "eth1"), ("router", "uplink")):
        assert "mtu 1400" in machine.lab("exec", node, "--", "ip", "link", "show", ifname).stdout


@pytest.mark.parametrize("vbrs", [("vbr-1",), ("vbr-1", "vbr-2")])
def test_r27_r31_r44_what_cpe_prints_makes_exactly_that(machine: Machine, vbrs: tuple[str, ...]) -> None:
    """The text of iproute2, done twice in an empty network: these addresses, these routes, and nothing else."""
    network = str(TOPOLOGIES / "standby-circuits" / "network.yaml")
    first, *others = vbrs
    options = [option for vbr in others for option in ("--with", vbr)]
    text = machine.dataplane("cpe", first, network, *options).stdout
    wanted = json.loads(machine.dataplane("cpe", first, network, *options, "-o", "json").stdout)
    for line in wanted["lines"]:  # links of these names, since not every kernel makes VLAN links
        ifname = f"{line['interface']}.{line['vlan']}"
        machine.run("ip", "link", "add", ifname, "type", "veth", "peer", "name", f"x{line['interface']}")
        machine.run("ip", "link", "set", f"x{line['interface']}", "up")
    for _ in range(2):
        machine.run("sh", "-e", "-c", text)

    addresses = {
        (link["ifname"], f"{item['local']}/{item['prefixlen']}")
        for link in json.loads(machine.run("ip", "-4", "-j", "address").stdout)
        for item in link.get("addr_info", ())
        if link.get("ifname") != "lo"
    }
    assert addresses == {(f"{line['interface']}.{line['vlan']}", line["address"]) for line in wanted["lines"]}
    routes = [
        (route["dst"], route["gateway"], route.get("metric"))
        for route in json.loads(machine.run("ip", "-4", "-j", "route").stdout)
        if "gateway" in route
    ]
    expected = [
        (route["destination"].removesuffix("/32"), gateway, 100 + number if len(route["via"]) > 1 else None)
        for route in wanted["routes"]
        for number, gateway in enumerate(route["via"])
    ]
    assert sorted(routes, key=str) == sorted(expected, key=str)
