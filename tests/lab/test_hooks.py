"""The same flows with the forwarder in the driver and without it; and the checker, seen red where sniffers are blind.

Every topology runs at ``auto``, which is tc, in ``test_topologies.py``.
"""

import pytest

from lab import topology
from lab.hook import Hook
from tests.lab.machine import Machine, write_topology


@pytest.mark.parametrize("name", topology.names_known())
@pytest.mark.parametrize("hook", ["xdp", "off"])
def test_topology_at(machine: Machine, name: str, hook: Hook) -> None:
    proof = machine.proof(name, "--hook", hook, "--flows")
    assert proof["passed"], [flow["faults"] for flow in proof["flows"] if not flow["passed"]]
    if hook == "off":
        assert proof["forwarders"] == []
        return
    if name == "vpc-peering":
        assert any(flow["counted"] for flow in proof["flows"]), "routers of a walk are seen by their counters only"
    assert proof["forwarders"]
    for host in proof["forwarders"]:
        assert host["ports"][hook] > 0
        assert host["packets"] > 0


@pytest.mark.parametrize("hook", ["tc", "xdp", "off"])
def test_what_does_not_hold_fails_at_each_hook(machine: Machine, tmp_path, hook: Hook) -> None:
    flows = [
        "must_reach:",
        "  - {from: a, to: b, protocol: udp, via: [vpc-1, vpc-2]}",
        "  - {from: a, to: b, protocol: icmp, via: [vpc-2, vpc-1], back_via: []}",
        "  - {from: a, to: b, protocol: tcp, via: [fw], back_via: []}",
        "must_not_reach:",
        "  - {from: b, to: a, protocol: icmp}",
        "  - {from: c, to: 172.16.1.77, protocol: udp}",
    ]
    faults = machine.faults(write_topology(tmp_path / "red", flows), "--hook", hook)
    assert set(faults) == {"a -> b icmp", "a -> b tcp", "b -> a icmp", "c -> 172.16.1.77 udp"}
    assert "forward: did not pass the router of vpc vpc-1 (dp-vpc-vpc-1)" in faults["a -> b icmp"][0]
    assert "forward: did not pass instance fw (dp-i-fw)" in faults["a -> b tcp"][0]
    assert "reached instance a (dp-i-a), which it must not" in faults["b -> a icmp"]
    assert any(text.startswith("seen in the router of vpc vpc-1") for text in faults["b -> a icmp"])
    assert any(text.startswith("seen in instance fw (dp-i-fw)") for text in faults["c -> 172.16.1.77 udp"])


def test_a_lab_that_is_up_changes_its_hook(machine: Machine, tmp_path) -> None:
    """Also one whose file says another hook."""
    folder = write_topology(tmp_path / "moved", ["must_reach:", "  - {from: a, to: b, protocol: udp}"])
    with (tmp_path / "moved" / "network.yaml").open("a") as file:
        file.write("datapath: {hook: off}\n")
    machine.lab("up", folder, "--hook", "xdp")
    assert set(machine.proof(folder, "--hook", "xdp")["forwarders"][0]["ports"]) == {"xdp"}
    assert set(machine.proof(folder, "--hook", "tc")["forwarders"][0]["ports"]) == {"tc"}
    assert machine.proof(folder)["forwarders"] == []
