"""The flows of all topologies, once each: what of tests/lab fits into the time of an emulated machine.

Not collected by itself: ``scripts/test vm`` names it, inside the machine. The other hooks of the others:
``scripts/vm -- dataplane lab test NAME --hook HOOK``.
"""

import pytest

from lab import topology
from lab.hook import Hook
from tests.lab.conftest import _root, machine
from tests.lab.machine import Machine

__all__ = ["_root", "machine"]  # fixtures
XDP = ("standby-circuits",)
"""What asks most of a kernel there: lines behind the door at tc."""
OFF = ("regions",)
"""What asks most of the kernel's own forwarding: VLANs, tunnels."""


def test_all_topologies_are_meant() -> None:
    assert len(topology.names_known()) >= 10
    assert {*XDP, *OFF} <= set(topology.names_known())


@pytest.mark.parametrize("name", topology.names_known())
def test_topology(machine: Machine, name: str) -> None:
    """At ``auto``, which is tc."""
    _must_pass(machine, name, "auto")


@pytest.mark.parametrize("name", XDP)
def test_topology_at_xdp(machine: Machine, name: str) -> None:
    _must_pass(machine, name, "xdp")


@pytest.mark.parametrize("name", OFF)
def test_topology_without_the_forwarder(machine: Machine, name: str) -> None:
    _must_pass(machine, name, "off")


def _must_pass(machine: Machine, name: str, hook: Hook) -> None:
    proof = machine.proof(name, "--hook", hook, "--flows")
    assert proof["passed"], [flow["faults"] for flow in proof["flows"] if not flow["passed"]]
    wanted = {"auto": "tc", "xdp": "xdp"}.get(hook)
    assert bool(proof["forwarders"]) is (wanted is not None)
    for host in proof["forwarders"]:
        assert host["ports"][wanted] > 0
        assert host["packets"] > 0
    assert machine.run("ls", "-A", "/run/netns").stdout == ""
