"""The flows of some topologies, once each: what of tests/lab fits into the time of an emulated machine.

Not collected by itself: ``scripts/test vm`` names it, inside the machine. The others:
``scripts/vm -- dataplane lab test NAME``.
"""

import pytest

from tests.lab.conftest import _root, machine
from tests.lab.machine import Machine

__all__ = ["_root", "machine"]  # fixtures
TELLING = ("standby-circuits", "three-hosts", "regions", "failover-hosts")
"""What asks most of a kernel: VLANs and groups of next hops, tunnels, connections between hosts."""


@pytest.mark.parametrize("name", TELLING)
def test_topology(machine: Machine, name: str) -> None:
    assert machine.faults(name, "--hook", "auto") == {}
    assert machine.run("ls", "-A", "/run/netns").stdout == ""


@pytest.mark.parametrize("hook", ["tc", "xdp"], ids=["at-tc", "at-xdp"])  # "[tc]" is what the vm stage leaves out
def test_topology_at(machine: Machine, hook: str) -> None:
    assert machine.faults("vpc-peering", "--hook", hook) == {}
