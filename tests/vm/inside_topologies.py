"""Every topology's flows, once each: what of tests/lab fits into the time of an emulated machine.

Not collected by itself: ``scripts/test vm`` names it, inside the machine.
"""

import pytest

from lab import topology
from tests.lab.conftest import _root, machine
from tests.lab.machine import Machine

__all__ = ["_root", "machine"]  # fixtures


@pytest.mark.parametrize("name", topology.names_known())
def test_topology(machine: Machine, name: str) -> None:
    assert machine.faults(name, "--hook", "auto") == {}
    assert machine.run("ls", "-A", "/run/netns").stdout == ""


@pytest.mark.parametrize("hook", ["tc", "xdp"])
def test_topology_at(machine: Machine, hook: str) -> None:
    assert machine.faults("vpc-peering", "--hook", hook) == {}
