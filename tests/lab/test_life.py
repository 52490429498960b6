"""Up, down, status, exec, shell: several labs at once, half ones, and who still lives inside."""

import json
import sys

from dataplane.config.compose import compose
from lab import pins
from tests.lab.machine import NETWORK, Machine, write_topology

FLOWS = ["must_reach:", "  - {from: a, to: b}"]


def _left(machine: Machine) -> str:
    return machine.run(
        "sh", "-c", "ls -A /run/netns /run/dataplane-lab; grep dataplane-lab/ /proc/mounts || true"
    ).stdout


def test_several_labs_at_once_do_not_meet(machine: Machine, tmp_path) -> None:
    one, two = (write_topology(tmp_path / name, FLOWS) for name in ("one", "two"))
    machine.lab("up", one)
    machine.lab("up", two)
    assert machine.faults(one) == machine.faults(two) == {}
    assert machine.run("ls", "-A", "/run/netns").stdout == ""
    ambiguous = machine.lab("exec", "a", "--", "true", check=False)
    assert ambiguous.returncode == 1
    assert "`a` may be one/dp-i-a, two/dp-i-a: write one of these" in ambiguous.stderr
    # Each has its own /run/netns and its own state; one's destroy is nothing to the other.
    machine.lab("exec", "one/host-1", "--", sys.executable, "-m", "dataplane", "destroy", "--yes")
    assert machine.lab("exec", "one/host-1", "--", "ls", "-A", "/run/netns").stdout == ""
    assert "dp-i-a" in machine.lab("exec", "two/host-1", "--", "ls", "-A", "/run/netns").stdout
    machine.lab("down", "one")
    assert machine.faults(two) == {}
    labs = json.loads(machine.lab("status", "-o", "json").stdout)["labs"]
    assert [(lab["name"], lab["state"]) for lab in labs] == [("two", "up")]


def test_a_lab_of_another_folder_is_not_replaced(machine: Machine, tmp_path) -> None:
    (tmp_path / "x").mkdir()
    machine.lab("up", write_topology(tmp_path / "same", FLOWS))
    other = machine.lab("up", write_topology(tmp_path / "x" / "same", FLOWS), check=False)
    assert other.returncode == 1
    assert f"a lab same is up from {tmp_path}/same: take it down first" in other.stderr


def test_a_failed_up_says_why_and_leaves_nothing(machine: Machine, tmp_path) -> None:
    folder = write_topology(tmp_path / "broken", FLOWS)
    text = (tmp_path / "broken" / "network.yaml").read_text()
    attached = text.replace("ip: 192.168.1.10}", "ip: 192.168.1.10, attach: {namespace: nowhere}}")
    assert attached != text
    (tmp_path / "broken" / "network.yaml").write_text(attached)
    done = machine.lab("up", folder, check=False)
    assert done.returncode == 1
    assert "failed on host host-1 with exit code" in done.stderr
    assert "nowhere" in done.stderr
    assert machine.lab("status").stdout.startswith("no lab is up")
    assert "broken" not in _left(machine)


def test_half_a_lab_is_said_and_taken_down(machine: Machine, tmp_path) -> None:
    script = (
        "from lab import pins; from lab.host import SimulatedHost; from pathlib import Path\n"
        f"pins.begin('half', Path({str(tmp_path / 'half')!r})); SimulatedHost('half', 'host-1').make()"
    )
    machine.run(sys.executable, "-c", script)
    status = machine.lab("status", check=False)
    assert status.returncode == 3
    assert "half made" in status.stdout
    # Up makes it anew, down takes the half away.
    assert "making it anew" in machine.lab("up", write_topology(tmp_path / "half", FLOWS)).stderr
    machine.run("rm", "/run/dataplane-lab/half/.ready")
    assert machine.lab("down", "half").stdout == "half is down\n"
    assert "half" not in _left(machine)
    assert machine.lab("down", "half").stdout == "half was not up\n"


def test_down_names_who_still_lives_inside(machine: Machine, tmp_path) -> None:
    machine.lab("up", write_topology(tmp_path / "lived-in", FLOWS))
    process = machine.popen(sys.executable, "-m", "dataplane", "lab", "exec", "a", "--", "sleep", "300")
    try:
        while '"sleep"' not in (status := machine.lab("status", "-o", "json").stdout):
            assert process.poll() is None, status
        done = machine.lab("down", "lived-in")
    finally:
        process.kill()
        process.wait()
    assert f"process {process.pid} (sleep) in dp-i-a still lives inside" in done.stderr
    assert "lived-in" not in _left(machine)


def test_exec_is_the_command(machine: Machine, tmp_path) -> None:
    machine.lab("up", write_topology(tmp_path / "x", FLOWS))
    assert machine.lab("exec", "a", "--", "sh", "-c", "exit 42", check=False).returncode == 42
    assert machine.lab("exec", "a", "ls", "/sys/class/net").stdout.split() == ["eth0", "lo"]
    assert "172.16.1.253" in machine.lab("exec", "vpc-1", "--", "ip", "-4", "-o", "address").stdout
    assert machine.lab("exec", "b", "--", "pwd").stdout.strip() == str(machine.run("pwd").stdout).strip()
    missing = machine.lab("exec", "a", "--", "no-such-program", check=False)
    assert missing.returncode == 127 and "cannot run no-such-program" in missing.stderr
    unknown = machine.lab("exec", "aa", "--", "true", check=False)
    assert unknown.returncode == 1 and "did you mean a" in unknown.stderr


def test_shell_says_where_it_is(machine: Machine, tmp_path) -> None:
    machine.lab("up", write_topology(tmp_path / "x", FLOWS))
    script = (
        "SHELL=/bin/bash script -qec '$0 -m dataplane lab shell a' /dev/null <<'EOF'\nip -o -4 address\nexit 7\nEOF\n"
    )
    shown = machine.run("sh", "-c", script.replace("$0", sys.executable), check=False).stdout
    assert "[lab x/a]" in shown
    assert "172.16.1.10/24" in shown


def test_a_lab_inside_a_lab(machine: Machine, tmp_path) -> None:
    folder = write_topology(tmp_path / "nest", FLOWS)
    machine.lab("up", folder)
    inner = machine.lab("exec", "host-1", "--", sys.executable, "-m", "dataplane", "lab", "test", folder)
    assert "3 of 3 flows passed" in inner.stdout
    assert machine.faults(folder) == {}
    machine.lab("down", "nest")


def test_the_test_of_a_lab_that_is_up_leaves_it_up(machine: Machine, tmp_path) -> None:
    folder = write_topology(tmp_path / "x", FLOWS)
    machine.lab("up", folder)
    assert machine.faults(folder) == {}
    assert "x" in machine.lab("status").stdout
    machine.lab("down", "x")
    assert machine.faults(folder) == {}
    assert machine.lab("status").stdout.startswith("no lab is up")


def test_the_pins_are_not_seen_from_another_mount_namespace(machine: Machine, tmp_path) -> None:
    machine.lab("up", write_topology(tmp_path / "x", FLOWS))
    code = [sys.executable, "-m", "dataplane", "lab", "status"]
    assert machine.run("unshare", "--mount", *code).stdout.startswith("no lab is up")
    assert [lab.name for lab in pins.labs() if lab.name == "x"] == []


def test_the_small_network_is_yaml() -> None:
    problems: list = []
    assert compose("network", NETWORK.format(forward="", back=""), problems) is not None
    assert problems == []
