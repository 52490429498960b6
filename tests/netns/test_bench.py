"""What scripts/bench rests on: the peer makes the same network, and the counter of writes counts. Both are seen red."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.bench import networks
from lab.bench.model import BenchError
from lab.bench.peer_scripts import PeerScripts, require_same, write_scripts

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[PeerScripts]:
    """A network made by the peer."""
    found = write_scripts(networks.peered(3, 6), tmp_path / "peer")
    subprocess.run(found.make, check=True)
    yield found
    subprocess.run(found.remove, check=True)


def test_peer_makes_the_same(scripts: PeerScripts) -> None:
    """All but the marks of addresses, for which this iproute2 has no word."""
    require_same(scripts)


@pytest.mark.parametrize(
    "fault",
    [
        "ip -n dp-i-i0-0 route delete default",
        "ip -n dp-vpc-v1 rule delete priority 100",
        "ip -n dp-vpc-v1 link set dev dpi5 alias stranger",
        "ip -n dp-i-i2-1 address flush dev eth0",
        "ip netns exec dp-i-i0-1 sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/accept_redirects'",
    ],
)
def test_a_peer_that_makes_less_is_found_out(scripts: PeerScripts, fault: str) -> None:
    """It would be faster by what it leaves out."""
    subprocess.run(fault, shell=True, check=True)
    with pytest.raises(BenchError):
        require_same(scripts)


def test_writes_are_counted_and_an_apply_with_nothing_to_do_has_none(tmp_path: Path) -> None:
    """The first apply has writes of every kind, the second none; a route or a sysctl that drifts is a write again."""
    file = tmp_path / "network.yaml"
    file.write_text(networks.peered(2, 4))
    try:
        assert set(writes(file)) == {"netlink requests", "files", "mount", "unshare", "state files"}
        assert writes(file) == {}
        subprocess.run(["ip", "-n", "dp-i-i0-0", "route", "delete", "default"], check=True)
        assert writes(file)["netlink requests"] == 1
        drift = "echo 1 >/proc/sys/net/ipv4/conf/all/accept_redirects"
        subprocess.run(["ip", "netns", "exec", "dp-i-i0-1", "sh", "-c", drift], check=True)
        assert writes(file)["files"] == 1
        assert writes(file) == {}
    finally:
        subprocess.run([sys.executable, "-m", "dataplane", "destroy", "--yes"], cwd=ROOT, check=True)


def writes(file: Path) -> dict[str, int]:
    """What an apply wrote, by kind."""
    command = [sys.executable, "-m", "lab.bench.audit", "apply", str(file)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(done.stdout)["writes"]
    return found
