"""Exported files: as committed, as the tools' own checkers want them, and what they say of places and cables."""

import copy
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataplane.errors import ConfigError
from lab import topology
from lab.export.containerlab import clab_text
from lab.export.vagrant import vagrant_text
from tests.unit.lab.clab import faults

ROOT = Path(__file__).parents[3]
NAMES = topology.names_known()
IN_MACHINES = [name for name in NAMES if "device: eth0" not in topology.load(name).network.read_text()]


def _clab(name: str) -> Any:
    wanted = topology.load(name)
    return yaml.safe_load(clab_text(wanted, wanted.folder))


@pytest.mark.parametrize("name", NAMES)
def test_committed_clab_is_what_export_writes(name: str) -> None:
    wanted = topology.load(name)
    assert (wanted.folder / "clab.yml").read_text() == clab_text(wanted, wanted.folder), (
        f"dataplane lab export {name} --to containerlab --out {wanted.folder.relative_to(ROOT)}"
    )


def test_committed_vagrantfile_is_what_export_writes() -> None:
    said = vagrant_text(topology.load("regions"), ROOT)
    assert (ROOT / "Vagrantfile").read_text() == said, "dataplane lab export regions --to vagrant --out ."


@pytest.mark.parametrize("name", NAMES)
def test_containerlab_takes_it(name: str) -> None:
    assert faults(_clab(name)) == []


def _spoil(file: Any, how: str) -> None:
    about = file["topology"]
    links = about["links"]
    match how:
        case "by the schema":
            about["nodes"]["host-1"]["binds"] = "network.yaml"
        case "an undefined node":
            links[0]["endpoints"][0] = "nobody:eth1"
        case "a lone end":
            del links[0]["endpoints"][1]
        case "twice used":
            links[0]["endpoints"] = links[1]["endpoints"]
        case "a name too long":
            links[0]["endpoints"][0] = "host-1:interface-number-1"
        case "no image":
            del about["kinds"]["linux"]["image"]
        case "the management card":
            del about["kinds"]["linux"]["network-mode"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("by the schema", "'binds': 'network.yaml'} is not valid under any of the given schemas"),
        ("an undefined node", "nobody:eth1: there is no node nobody"),
        ("a lone end", "has not two ends"),
        ("twice used", "is the end of two links"),
        ("a name too long", "interface-number-1 cannot be the name of an interface"),
        ("no image", "host-1 has no image"),
        ("the management card", "idc-server:eth0 is the management network's"),
    ],
)
def test_the_checker_notices(how: str, said: str) -> None:
    file = copy.deepcopy(_clab("standby-circuits"))
    _spoil(file, how)
    assert any(said in fault for fault in faults(file)), faults(file)


def test_a_container_gets_what_the_lab_gives_it() -> None:
    file = _clab("shared-circuit")["topology"]
    assert file["nodes"]["host-1"]["cmd"] == "dataplane agent /etc/dataplane/network.yaml"
    assert file["nodes"]["corp-router"]["sysctls"]["net.ipv4.ip_forward"] == 1
    assert file["nodes"]["corp-server"]["sysctls"]["net.ipv4.ip_forward"] == 0
    ends = {frozenset(link["endpoints"]) for link in file["links"]}
    # A carrier hands VLAN 1000 over without its tag, as the lab does by moving the VLAN's interface.
    assert {"carrier:access1", "corp-router:eth1.1000"} in ends
    assert "bridge vlan add dev access1 vid 1000 pvid untagged" in file["nodes"]["carrier"]["exec"]
    # Behind an instance: once the agent has made it.
    three = _clab("three-hosts")["topology"]
    waits, behind = three["nodes"]["host-2"]["exec"][1:]
    assert "dataplane agent --reload" in waits
    assert behind == "ip -n dp-i-gate address replace 203.0.113.7/32 dev lo"
    assert {"mtu": 1500, "endpoints": ["stranger:eth0", "underlay:stranger"]} in three["links"]


def test_a_network_is_named_from_where_the_file_is(tmp_path: Path) -> None:
    wanted = topology.load("regions")
    (bind,) = yaml.safe_load(clab_text(wanted, tmp_path))["topology"]["nodes"]["host-1"]["binds"]
    path, inside, _ = bind.split(":")
    assert (tmp_path / path).resolve() == wanted.network
    assert inside == "/etc/dataplane/network.yaml"


def test_three_machines() -> None:
    text = vagrant_text(topology.load("regions"), ROOT)
    machines = re.findall(r'^  "(\S+)" => \[\n((?:    .*\n)*)', text, re.MULTILINE)
    cards = {name: re.findall(r'\["(\w+)", "(\w{12})", "([\w-]+)"', lines) for name, lines in machines}
    assert {name: [(ifname, network) for ifname, _, network in found] for name, found in cards.items()} == {
        "host-1": [("eth1", "regions-wire-1"), ("eth2", "regions-underlay")],
        "host-2": [("eth2", "regions-underlay")],
        "tianjin-router": [("eth1", "regions-wire-1")],
    }
    macs = [mac for found in cards.values() for _, mac, _ in found]
    assert len(set(macs)) == len(macs)
    assert "dataplane cpe vbr-1 /etc/dataplane/network.yaml --interface vbr-1=eth1 --format frr" in text
    assert "ip netns exec tianjin-1 ip route replace 0.0.0.0/0 via 172.16.0.1" in text


@pytest.mark.parametrize("name", IN_MACHINES)
def test_every_script_is_one(name: str) -> None:
    """What a shell says of each script of a Vagrantfile; the file itself is Ruby's to judge, below."""
    text = vagrant_text(topology.load(name), ROOT)
    scripts = re.findall(r"<<~'SH',?\n(.*?)\n *SH$", text, re.MULTILINE | re.DOTALL)
    assert len(scripts) >= 4
    for script in scripts:
        done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stderr}\n{script}"
    assert text.count("<<~'SH'") == len(re.findall(r"^ *SH$", text, re.MULTILINE)) == len(scripts)


def test_the_card_of_vagrant_stays_its_own() -> None:
    with pytest.raises(ConfigError, match=r"host-1/eth0: Vagrant reaches a machine by its eth0; call it eth2"):
        vagrant_text(topology.load("three-hosts"), ROOT)


@pytest.mark.parametrize("name", IN_MACHINES)
def test_ruby_reads_it(name: str) -> None:
    if shutil.which("ruby") is None:
        pytest.skip("the package ruby is not installed")
    text = vagrant_text(topology.load(name), ROOT)
    done = subprocess.run(["ruby", "-c"], input=text, capture_output=True, text=True)
    assert done.stdout == "Syntax OK\n", done.stderr


@pytest.mark.parametrize(
    ("spoilt", "is_valid"),
    [(("", ""), True), (("libvirt.cpus", "libvirt.processors"), False), (("config.vm.box", "config.vm.bocks"), False)],
)
def test_vagrant_validates_it(spoilt: tuple[str, str], is_valid: bool, tmp_path: Path) -> None:
    """Without the plugin vagrant-libvirt only what all providers share is judged."""
    if shutil.which("vagrant") is None:
        pytest.skip("the package vagrant is not installed")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    plugins = subprocess.run(["vagrant", "plugin", "list"], env=env, capture_output=True, text=True).stdout
    options = [] if "vagrant-libvirt" in plugins else ["--ignore-provider"]
    if options and "libvirt" in spoilt[0]:
        pytest.skip("the package vagrant-libvirt is not installed")
    (tmp_path / "Vagrantfile").write_text(vagrant_text(topology.load("regions"), tmp_path).replace(*spoilt))
    command = ["vagrant", "validate", *options]
    env |= {"VAGRANT_DEFAULT_PROVIDER": "libvirt"} if not options else {}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode == 0) is is_valid, done.stdout + done.stderr
