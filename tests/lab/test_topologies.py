"""Every topology: up, every flow, no change the second time, down, nothing left; and the same on a machine itself."""

import json
import sys
import time

import pytest

from lab import topology
from tests.lab.machine import Machine

NAMES = topology.names_known()
HOSTS = {name: topology.load(name).hosts for name in NAMES}
ON_ONE_HOST = [name for name in NAMES if len(HOSTS[name]) == 1]


def test_there_are_topologies() -> None:
    assert set(NAMES) >= {"vpc-peering", "route-tables", "overlapping"}
    assert set(NAMES) >= {"standby-circuits", "shared-circuit", "nearby-access", "cloud-services"}
    assert {name for name in NAMES if name not in ON_ONE_HOST} >= {"three-hosts", "regions", "failover-hosts"}


@pytest.mark.parametrize("name", NAMES)
def test_topology(machine: Machine, name: str) -> None:
    mounts = machine.run("cat", "/proc/mounts").stdout
    machine.lab("up", name, "--hook", "auto")
    assert machine.faults(name, "--hook", "auto") == {}
    network = str(topology.load(name).network)
    for host in HOSTS[name]:
        again = machine.lab("exec", host, "--", sys.executable, "-m", "dataplane", "apply", network, "-o", "json")
        assert json.loads(again.stdout)["actions"] == []
    assert machine.lab("up", name, "--hook", "auto").stdout.startswith(f"{name} was up already")

    for number, host in enumerate(HOSTS[name]):
        _add_witness(machine, f"/run/dataplane-lab/{name}/{host}/net", f"witness{number}")
    assert machine.lab("down", name).stdout.strip() == f"{name} is down"
    for number, host in enumerate(HOSTS[name]):
        assert _ends(machine, f"witness{number}"), f"simulated {host} still lives after down"
    assert machine.run("ls", "-A", "/run/netns", "/var/lib/dataplane", "/run/dataplane-lab").stdout.split() == [
        "/run/dataplane-lab:",
        "/run/netns:",
        "/var/lib/dataplane:",
    ]
    assert machine.run("cat", "/proc/mounts").stdout == mounts


@pytest.mark.parametrize("name", ON_ONE_HOST)
def test_topology_here(machine: Machine, name: str) -> None:
    assert machine.faults(name, "--here") == {}
    assert machine.run("ls", "-A", "/run/netns").stdout == ""


def test_several_hosts_are_not_here(machine: Machine) -> None:
    done = machine.lab("test", "regions", "--here", check=False)
    assert done.returncode == 4
    assert "regions has 2 hosts (host-1, host-2): leave --here away" in done.stderr


def test_here_refuses_where_a_network_is(machine: Machine) -> None:
    network = str(topology.load("overlapping").network)
    machine.dataplane("apply", network)
    before = machine.run("ls", "/run/netns").stdout
    done = machine.lab("test", "overlapping", "--here", check=False)
    assert done.returncode == 1
    assert "a network is applied on this machine already" in done.stderr
    assert machine.run("ls", "/run/netns").stdout == before
    # In a simulated host it is no matter.
    assert machine.faults("overlapping") == {}
    assert machine.run("ls", "/run/netns").stdout == before


def _add_witness(machine: Machine, pin: str, ifname: str) -> None:
    """A veth between the machine and a host, to see from outside when the host has ended."""
    machine.run("ip", "link", "add", ifname, "type", "veth", "peer", "name", "inside")
    machine.run("sh", "-c", f"mkdir -p /run/netns && touch /run/netns/w && mount --bind {pin} /run/netns/w")
    machine.run("ip", "link", "set", "inside", "netns", "w")
    machine.run("sh", "-c", "umount /run/netns/w && rm /run/netns/w")


def _ends(machine: Machine, ifname: str) -> bool:
    """A link whose other end is in a namespace goes with it; that happens a little later, in the kernel."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if machine.run("ip", "link", "show", ifname, check=False).returncode != 0:
            return True
        time.sleep(0.05)
    return False
