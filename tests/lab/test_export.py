"""What is exported means what the lab builds: the same flows hold, proven by real packets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.export.vagrant_text import TAIL
from lab.vlan import has_8021q
from tests.lab.machine import Machine

IN_EMULATION_S = 600
CARDS = (("eth1", "52:54:00:00:00:01"), ("eth2", "52:54:00:00:00:02"))


@pytest.mark.parametrize("name", ["three-hosts", "shared-circuit", "regions"])
def test_containers_are_the_lab(machine: Machine, name: str) -> None:
    """Of each kind of place one: the switch and addresses behind instances, a carrier, a router by `dataplane cpe`."""
    if name == "shared-circuit" and not has_8021q():
        pytest.skip("the kernel has no bridges that know VLANs (8021q): scripts/test vm tests/lab/test_export.py")
    done = machine.run(sys.executable, "-m", "tests.lab.containers", name, timeout=IN_EMULATION_S)
    assert json.loads(done.stdout.splitlines()[-1]) == {}


def test_machines_are_the_lab(machine: Machine) -> None:
    """The Vagrantfile at the top: its scripts twice over, FRR configured by what `dataplane cpe` prints."""
    if not Path("/usr/lib/frr/staticd").exists():
        pytest.skip("the package frr is not installed")
    done = machine.run(sys.executable, "-m", "tests.lab.machines", "regions", timeout=IN_EMULATION_S)
    assert json.loads(done.stdout.splitlines()[-1]) == {}


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_machine_finds_its_cards(machine: Machine, is_swapped: bool, tmp_path: Path) -> None:
    """Whatever the guest's kernel called them; the second time, with a VLAN that has the MAC of its card, too."""
    script = TAIL.split("NAME_CARDS = <<~'SH'\n", 1)[1].split("\nSH\n", 1)[0]
    script = script.replace("/etc/systemd/network", str(tmp_path))
    names = ["eth2", "eth1"] if is_swapped else ["ens5", "eth7"]
    for name, (_, mac) in zip(names, CARDS, strict=True):
        machine.run("ip", "link", "add", name, "address", mac, "type", "bridge")
    words = [word for name, mac in CARDS for word in (name, mac.replace(":", ""))]
    machine.run("sh", "-c", script, "cards", *words)
    # Like a VLAN it has the card's MAC, and another link behind it.
    machine.run("ip", "link", "add", "over", "address", CARDS[0][1], "type", "veth", "peer", "name", "under")
    machine.run("sh", "-c", script, "cards", *words)
    links = json.loads(machine.run("ip", "-json", "link").stdout)
    found = {link["ifname"]: link["address"] for link in links if link["ifname"].startswith("e")}
    assert found == dict(CARDS)
    assert f"PermanentMACAddress={CARDS[1][1]}\n[Link]\nName=eth2" in (tmp_path / "10-eth2.link").read_text()


def test_what_is_exported_cannot_be_overwritten_by_accident(tmp_path: Path) -> None:
    (tmp_path / "clab.yml").write_text("name: mine\n")
    command = [sys.executable, "-m", "dataplane", "lab", "export", "regions", "--to", "containerlab"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "was not written by this command" in done.stderr
    assert (tmp_path / "clab.yml").read_text() == "name: mine\n"
