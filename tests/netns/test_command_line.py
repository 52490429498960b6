"""The commands on a real kernel, one process each, in a host of their own: its network, its /run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NETWORK = """\
version: 1
accounts:
  shop: {uid: "12345678"}
  bank: {uid: "87654321"}
regions: {home: {}}
vpcs:
  web:
    account: shop
    region: home
    cidr: 10.1.0.0/16
    vswitches: {web-a: {zone: a, cidr: 10.1.1.0/24}}
    instances: {front: {vswitch: web-a, ip: 10.1.1.10}}
    route_tables:
      system:
        routes: [{destination: 10.3.0.0/16, next_hop: {router_interface: ri-web}}]
  data:
    account: shop
    region: home
    cidr: 10.2.0.0/16
    vswitches: {data-a: {zone: a, cidr: 10.2.1.0/24}}
    instances: {db: {vswitch: data-a, ip: 10.2.1.10}}
  ledger:
    account: bank
    region: home
    cidr: 10.3.0.0/16
    vswitches: {ledger-a: {zone: a, cidr: 10.3.1.0/24}}
    instances: {books: {vswitch: ledger-a, ip: 10.3.1.10}}
    route_tables:
      system:
        routes: [{destination: 10.1.0.0/16, next_hop: {router_interface: ri-ledger}}]
peering_connections:
  pcx-1:
    initiator: {router_interface: ri-web, vpc: web}
    acceptor: {router_interface: ri-ledger, vpc: ledger}
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dataplane(tmp_path: Path) -> Iterator[Run]:
    """The command inside a simulated host that lives as long as the test: `dataplane("apply", "net.yaml")`."""
    hold = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", _PREPARE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert hold.stdout is not None and hold.stdin is not None
    assert hold.stdout.readline() == "ready\n"
    (tmp_path / "net.yaml").write_text(NETWORK)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", f"--target={hold.pid}", "--net", "--mount", f"--wdns={tmp_path}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATAPLANE_STATE_DIR": "/run/state"}
        command = [*enter, sys.executable, "-m", "dataplane", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    yield run
    run("destroy", "--yes")
    hold.stdin.close()
    hold.wait(timeout=10)


_PREPARE = "mount -t tmpfs none /run && mkdir /run/netns && echo ready && exec cat"


def test_from_a_file_to_a_passing_ping_and_back_to_nothing(dataplane: Run) -> None:
    first = dataplane("apply", "net.yaml")
    assert first.returncode == 0, first.stderr
    assert "and verified" in first.stdout
    assert dataplane("exec", "front", "--", "ping", "-c1", "-W2", "10.3.1.10").returncode == 0
    assert dataplane("exec", "books", "--", "ping", "-c1", "-W2", "10.1.1.10").returncode == 0
    assert dataplane("exec", "front", "--", "ping", "-c1", "-W1", "10.2.1.10").returncode == 1
    assert dataplane("status").returncode == 0
    again = dataplane("apply", "net.yaml")
    assert (again.returncode, again.stdout) == (0, "plan: nothing to do, this host is as the files say\n")
    gone = dataplane("destroy")
    assert gone.returncode == 0, gone.stderr
    assert "front" in dataplane("exec", "front", "--", "true").stderr
    assert dataplane("status").stdout == "nothing is applied on this host\n"


def test_plan_says_3_where_something_would_change_and_0_after_the_apply(dataplane: Run) -> None:
    assert dataplane("plan", "net.yaml", "--detailed-exitcode").returncode == 3
    dataplane("apply", "net.yaml")
    after = dataplane("plan", "net.yaml", "--detailed-exitcode")
    assert after.returncode == 0, after.stdout


def test_exec_shows_the_instances_own_network_and_hands_on_the_exit_code(dataplane: Run) -> None:
    dataplane("apply", "net.yaml")
    interfaces = dataplane("exec", "front", "--", "ls", "/sys/class/net").stdout.split()
    assert interfaces == ["eth0", "lo"]
    assert dataplane("exec", "front", "--", "sh", "-c", "exit 42").returncode == 42
    missing = dataplane("exec", "front", "--", "no-such-program")
    assert missing.returncode == 127
    assert "cannot run no-such-program" in missing.stderr


def test_the_sysfs_of_exec_is_not_seen_outside(dataplane: Run) -> None:
    dataplane("apply", "net.yaml")
    before = Path("/proc/self/mountinfo").read_text()
    dataplane("exec", "front", "--", "true")
    assert Path("/proc/self/mountinfo").read_text() == before


def test_status_sees_what_was_broken_by_hand_and_says_3(dataplane: Run) -> None:
    dataplane("apply", "net.yaml")
    assert dataplane("exec", "front", "--", "ip", "route", "del", "default").returncode == 0
    broken = dataplane("status", "--problems", "-o", "json")
    document = json.loads(broken.stdout)
    assert (broken.returncode, document["is_healthy"]) == (3, False)
    assert ("instance", "front") in {(item["kind"], item["id"]) for item in document["resources"]}
    assert dataplane("apply", "net.yaml").returncode == 0
    assert dataplane("status").returncode == 0


def test_a_file_with_errors_changes_nothing(dataplane: Run, tmp_path: Path) -> None:
    dataplane("apply", "net.yaml")
    (tmp_path / "bad.yaml").write_text(NETWORK.replace("vswitch: web-a", "vswitch: web-b"))
    bad = dataplane("apply", "bad.yaml")
    assert bad.returncode == 4
    assert "bad.yaml:" in bad.stderr
    assert dataplane("plan", "net.yaml", "--detailed-exitcode").returncode == 0
