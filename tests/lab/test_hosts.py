"""Labs of several hosts: their life, their names, and the checker seen red by what only several hosts can do wrong."""

import json
import sys
from pathlib import Path

import pytest

from tests.lab.hosts import HOSTS, REACH, write_hosts
from tests.lab.machine import Machine
from tests.netns.network import hooked

PRODUCT = (sys.executable, "-m", "dataplane")


def _nothing_is_left(machine: Machine) -> bool:
    listed = machine.run("sh", "-c", "ls -A /run/netns /run/dataplane-lab; grep dataplane-lab/ /proc/mounts || true")
    return machine.lab("status").stdout.startswith("no lab is up") and "dp-" not in listed.stdout


def _tunnel(machine: Machine, place: str, mark: str) -> str:
    """A VXLAN link of a router, by its mark."""
    links = json.loads(machine.lab("exec", place, "--", "ip", "-j", "link", "show", "type", "vxlan").stdout)
    return next(str(link["ifname"]) for link in links if link["ifalias"] == mark)


def test_up_twice_and_down(machine: Machine, tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "two")
    assert "two is up" in machine.lab("up", folder).stdout
    again = machine.lab("up", folder)
    assert "two was up already" in again.stdout
    assert again.stderr.count("0 to create, 0 to change, 0 to delete") == 2 or again.stderr.count("nothing to do") == 2
    assert machine.faults(folder) == {}
    (lab,) = json.loads(machine.lab("status", "-o", "json").stdout)["labs"]
    assert {host["name"]: set(host["namespaces"]) for host in lab["hosts"]} == {
        "host-1": {"dp-vpc-vpc-1", "dp-i-a"},
        "host-2": {"dp-vpc-vpc-1", "dp-vpc-vpc-2", "dp-i-b", "dp-i-c"},
    }
    assert lab["nodes"]["names"] == ["underlay"]
    machine.lab("down", "two")
    assert _nothing_is_left(machine)


def test_each_place_has_a_name(machine: Machine, tmp_path: Path) -> None:
    machine.lab("up", write_hosts(tmp_path / "two"))

    def addresses(place: str) -> str:
        return machine.lab("exec", place, "--", "ip", "-4", "-o", "address").stdout

    assert "10.1.1.253" in addresses("host-1/vpc-1") and "10.1.2.253" not in addresses("host-1/vpc-1")
    assert (
        "10.1.2.253" in addresses("host-2/vpc-1") == addresses("two/host-2/vpc-1") == addresses("host-2/dp-vpc-vpc-1")
    )
    assert addresses("vpc-2") == addresses("host-2/vpc-2") == addresses("two/vpc-2")
    assert addresses("b") == addresses("host-2/b") == addresses("two/b")
    assert "172.20.0.12/24" in addresses("host-2") == addresses("two/host-2")
    assert "host-1" in machine.lab("exec", "underlay", "--", "ls", "/sys/class/net").stdout.split()
    ambiguous = machine.lab("exec", "vpc-1", "--", "true", check=False)
    assert ambiguous.returncode == 1
    assert "`vpc-1` may be two/host-1/dp-vpc-vpc-1, two/host-2/dp-vpc-vpc-1: write one of these" in ambiguous.stderr
    elsewhere = machine.lab("exec", "host-1/b", "--", "true", check=False)
    assert "no lab that is up has a node `host-1/b`" in elsewhere.stderr


def test_the_product_on_each_host_knows_which_it_is(machine: Machine, tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "two")
    machine.lab("up", folder)
    found = {
        host: json.loads(machine.lab("exec", host, "--", *PRODUCT, "status", "-o", "json").stdout)
        for host in ("host-1", "host-2")
    }
    assert {host: document["host"] for host, document in found.items()} == {"host-1": "host-1", "host-2": "host-2"}
    assert len({document["sha256"] for document in found.values()}) == 1, "one file, one hash: else they do not agree"
    # What one host takes away is nothing to the other.
    machine.lab("exec", "host-1", "--", *PRODUCT, "destroy", "--yes")
    assert machine.lab("exec", "host-1", "--", "ls", "-A", "/run/netns").stdout == ""
    assert "dp-i-b" in machine.lab("exec", "host-2", "--", "ls", "-A", "/run/netns").stdout
    faults = machine.faults_as_it_is(write_hosts(tmp_path / "two", ["must_reach:", "  - {from: b, to: c}"]))
    assert faults == {}
    assert "was up already" in machine.lab("up", write_hosts(tmp_path / "two")).stdout
    assert machine.faults_as_it_is(folder) == {}


def test_where_one_host_fails_nothing_is_left(machine: Machine, tmp_path: Path) -> None:
    attached = HOSTS.replace("ip: 10.2.1.10}", "ip: 10.2.1.10, attach: {namespace: nowhere}}")
    assert attached != HOSTS
    done = machine.lab("up", write_hosts(tmp_path / "two", network=attached), check=False)
    assert done.returncode == 1
    assert "host-1: applied" in done.stderr, "the first host was done by then"
    assert "failed on host host-2 with exit code 1" in done.stderr
    assert _nothing_is_left(machine)


def test_half_of_two_hosts_is_made_anew(machine: Machine, tmp_path: Path) -> None:
    folder = write_hosts(tmp_path / "two")
    script = (
        "from lab import pins; from lab.host import SimulatedHost; from pathlib import Path\n"
        f"pins.begin('two', Path({folder!r})); SimulatedHost('two', 'host-2').make()"
    )
    machine.run(sys.executable, "-c", script)
    status = machine.lab("status", check=False)
    assert status.returncode == 3
    assert "half made" in status.stdout
    assert "two was half made: making it anew" in machine.lab("up", folder).stderr
    assert machine.faults(folder) == {}
    machine.lab("down", "two")
    assert _nothing_is_left(machine)


def test_a_host_that_the_files_no_longer_name_goes(machine: Machine, tmp_path: Path) -> None:
    machine.lab("up", write_hosts(tmp_path / "two"))
    fewer = HOSTS.replace("  host-2: {address: 172.20.0.12, device: eth0}\n", "").replace(
        "host: host-2", "host: host-1"
    )
    folder = write_hosts(tmp_path / "two", ["must_reach:", "  - {from: a, to: [b, c], both_ways: true}"], fewer)
    file = tmp_path / "two" / "lab.yaml"
    file.write_text(file.read_text().replace(", host-2: {}", ""))
    assert "two has a host host-2 that its files do not name: making it anew" in machine.lab("up", folder).stderr
    (lab,) = json.loads(machine.lab("status", "-o", "json").stdout)["labs"]
    assert [host["name"] for host in lab["hosts"]] == ["host-1"]
    assert machine.faults(folder) == {}


def test_the_underlay_is_as_wide_as_its_hosts_say(machine: Machine, tmp_path: Path) -> None:
    """MTU of a VPC on several hosts: the smallest underlay's less 50."""
    jumbo = HOSTS.replace("device: eth0}", "device: eth0, mtu: 9000}")
    machine.lab("up", write_hosts(tmp_path / "two", network=jumbo))
    assert "mtu 9000" in machine.lab("exec", "host-2", "--", "ip", "link", "show", "eth0").stdout
    assert "mtu 8950" in machine.lab("exec", "a", "--", "ip", "link", "show", "eth0").stdout
    whole = ("ping", "-c1", "-w5", "-M", "do", "-s", str(8950 - 28))
    assert "1 received" in machine.lab("exec", "a", "--", *whole, "10.1.2.10").stdout
    # One host has less: all follow, or what it cannot take would be lost.
    mixed = jumbo.replace("device: eth0, mtu: 9000}", "device: eth0}", 1)
    assert "was up already" in machine.lab("up", write_hosts(tmp_path / "two", network=mixed)).stdout
    for instance in ("a", "b"):
        assert "mtu 1450" in machine.lab("exec", instance, "--", "ip", "link", "show", "eth0").stdout
    assert machine.faults(str(tmp_path / "two")) == {}


def test_up_brings_the_underlay_in_line(machine: Machine, tmp_path: Path) -> None:
    machine.lab("up", write_hosts(tmp_path / "two"))
    folder = write_hosts(tmp_path / "two", ["underlay: {mtu: 4000}", *REACH])
    assert "was up already" in machine.lab("up", folder).stdout
    assert "mtu 4000" in machine.lab("exec", "host-1", "--", "ip", "link", "show", "eth0").stdout
    machine.lab("exec", "host-1", "--", "ip", "address", "flush", "dev", "eth0")
    machine.lab("exec", "underlay", "--", "ip", "link", "del", "switch")
    assert machine.faults(folder) == {}


ALL = {
    f"{way} {protocol}" for way in ("a -> b", "b -> a", "a -> c", "c -> a") for protocol in ("icmp", "udp/7", "tcp/7")
}
WITHIN = {flow for flow in ALL if "c" not in flow.split()[:3]}


@pytest.mark.parametrize(
    ("broken", "failing"),
    # The connection has a tunnel of its own to the second host; what comes back from there takes the VPC's.
    [("fdb", WITHIN), ("neighbour", WITHIN), ("link", ALL), ("filter", ALL), ("underlay", ALL)],
)
def test_what_breaks_a_host_is_seen(machine: Machine, tmp_path: Path, broken: str, failing: set[str]) -> None:
    """The checker seen red: one thing is taken away by hand on the first host, and just what needs it fails."""
    # Without the forwarder, which asks the kernel's neighbours for nothing: it has them in its next hops.
    folder = write_hosts(tmp_path / "two", network=hooked(HOSTS, "off"))
    machine.lab("up", folder)
    tunnel = _tunnel(machine, "host-1/vpc-1", "dataplane vpc_tunnel/vpc-1")
    entries = machine.lab("exec", "host-1/vpc-1", "--", "bridge", "-j", "fdb", "show", "dev", tunnel).stdout
    (mac,) = (entry["mac"] for entry in json.loads(entries))
    commands = {
        "fdb": ("host-1/vpc-1", "bridge", "fdb", "del", mac, "dev", tunnel, "dst", "172.20.0.12"),
        "neighbour": ("host-1/vpc-1", "ip", "neigh", "del", "172.20.0.12", "dev", tunnel),
        "link": ("host-1/vpc-1", "ip", "link", "set", tunnel, "down"),
        "filter": ("host-1", "nft", "flush", "set", "ip", "dataplane", "accepted"),
        "underlay": ("underlay", "ip", "link", "set", "host-1", "down"),
    }
    place, *command = commands[broken]
    machine.lab("exec", place, "--", *command)
    faults = machine.faults_as_it_is(folder)
    assert set(faults) == failing
    if broken == "fdb":
        at_router = "last seen in the router of vpc vpc-1 (host-1/dp-vpc-vpc-1)"
        assert f"forward: did not arrive; {at_router}, leaving by {tunnel}" in faults["a -> b udp/7"][0]
        assert f"back: no answer; {at_router}" in faults["b -> a icmp"][0]
    if broken == "filter":
        (back,) = faults["a -> b udp/7"]
        assert "back: no answer; last seen in the own namespace of host-1, coming in by eth0" in back


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ("{from: a, to: c}", "seen in the router of vpc vpc-1 (host-2/dp-vpc-vpc-1)"),
        (
            "{from: a, to: c, via: [host-2/vpc-1]}",
            "forward: did not pass the router of vpc vpc-1 (host-2/dp-vpc-vpc-1)",
        ),
        ("{from: b, to: c, via: [underlay], back_via: []}", "forward: did not pass node underlay"),
        ("{from: a, to: b, protocol: icmp, hops: [10.1.1.253]}", "the destination is 10.1.2.253 at TTL 2"),
    ],
)
def test_a_wrong_claim_about_hosts_fails(machine: Machine, tmp_path: Path, flow: str, expected: str) -> None:
    faults = machine.faults(write_hosts(tmp_path / "two", ["must_reach:", f"  - {flow}"]))
    assert any(expected in text for texts in faults.values() for text in texts), faults
