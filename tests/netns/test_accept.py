"""``dataplane accept`` on a host with an applied network: to an end that is here, and to somebody else's (R124)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.netns.test_command_line import Run, dataplane  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(shutil.which("iperf3") is None, reason="needs the package iperf3")

FILE = """\
version: 1
measures:
  - {name: ledger, from: [front], to: books, kinds: [stream, requests], directions: outbound, flows: 2}
"""
SHORT = ("--duration", "1s", "-o", "json", "--no-netperf")
QUIET_OR_NOISY = ((0, "passed"), (1, "disturbed"))


def document(done: subprocess.CompletedProcess[str]) -> tuple[tuple[int, str], list[dict[str, object]]]:
    said = json.loads(done.stdout) if done.stdout else pytest.fail(done.stderr)
    return (done.returncode, said["verdict"]), said["measures"]


def test_r128_between_two_instances(dataplane: Run, tmp_path: Path) -> None:  # noqa: F811
    assert dataplane("accept", "--server", "10.3.1.10").returncode == 2, "nothing is applied"
    assert dataplane("apply", "net.yaml").returncode == 0
    (tmp_path / "acceptance.yaml").write_text(FILE)
    verdict, (stream, requests) = document(dataplane("accept", "acceptance.yaml", *SHORT))
    assert verdict in QUIET_OR_NOISY
    assert stream["value"] > 1_000_000 and stream["is_counted_at_receiver"]  # type: ignore[operator]
    assert requests["value"] > 1 and requests["latency_ms"]["p50"] > 0  # type: ignore[operator,index]

    (tmp_path / "acceptance.yaml").write_text(FILE.replace("to: books", "to: nobody"))
    done = dataplane("accept", "acceptance.yaml", *SHORT)
    assert done.returncode == 4
    assert "acceptance.yaml:3:39 measures[0].to: nobody here is called `nobody` (R124)" in done.stderr


def test_r124_to_a_far_end_whose_servers_are_somebody_elses(dataplane: Run, tmp_path: Path) -> None:  # noqa: F811
    """The printed commands are what is run there, and the report says that the receiver was not seen."""
    assert dataplane("apply", "net.yaml").returncode == 0
    printed = json.loads(dataplane("accept", "--server", "10.3.1.10", "--commands", *SHORT).stdout)["commands"]
    assert "far-end: iperf3 -s -i 1 -p 16001" in printed
    assert "front: iperf3 -t 1 -c 10.3.1.10 -i 1 -p 16001 -A 1" in printed

    # Nobody listens there.
    verdict, (stream, back) = document(dataplane("accept", "--server", "10.3.1.10", "--only", "stream", *SHORT))
    assert verdict == (3, "failed")
    assert "Connection refused" in stream["faults"][0]  # type: ignore[index]
    assert (stream["is_counted_at_receiver"], back["is_counted_at_receiver"]) == (False, True)
