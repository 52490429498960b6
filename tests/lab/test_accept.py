"""An acceptance in a lab, short: it passes, it fails where it must, and wires that are bad are noticed (R54, R124)."""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.lab.machine import BORDER_NODES, Machine, write_border

pytestmark = pytest.mark.skipif(shutil.which("iperf3") is None, reason="needs the package iperf3")

ACCEPTANCE = """\
version: 1
title: A line
duration: 1s
measures:
  - {{name: line, from: a, to: server, kinds: [bandwidth, requests], directions: inbound, flows: 2, limits: {limits}}}
"""
FLOWS = ("must_reach:", "  - {from: a, to: server, protocol: udp, via: [vbr-1, router]}")


def accepted(machine: Machine, folder: str, limits: str, *options: str) -> tuple[int, dict[str, Any]]:
    (Path(folder) / "acceptance.yaml").write_text(ACCEPTANCE.format(limits=limits))
    done = machine.lab("accept", folder, "-o", "json", "--no-netperf", *options, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_r124_an_acceptance_measures_and_judges(machine: Machine, tmp_path: Path) -> None:
    """Twice in a lab that stays up: what can be reached, and what cannot."""
    folder = write_border(tmp_path / "line", FLOWS)
    machine.lab("up", folder)
    page, cases = tmp_path / "r.html", tmp_path / "r.xml"
    code, said = accepted(
        machine,
        folder,
        "{bandwidth: {rate: 1Mbps}, requests: {requests: 1}}",
        "--html",
        str(page),
        "--junit",
        str(cases),
    )
    # A machine that is too noisy says so instead.
    assert (code, said["verdict"]) in ((0, "passed"), (1, "disturbed"))
    bandwidth, requests = said["measures"]
    assert bandwidth["value"] > 1_000_000 and bandwidth["is_counted_at_receiver"]
    assert requests["tool"] == "own pair" and requests["latency_ms"]["p50"] > 0
    # What the receiver's interface counted is what iperf3's server has read, or a little more.
    assert bandwidth["value"] > 0.8 * sum(flow["value"] for flow in bandwidth["flows"])
    assert "<svg" in page.read_text() and ElementTree.parse(cases).getroot().get("tests") == "2"
    code, said = accepted(machine, folder, "{bandwidth: {rate: 900Gbps}}", "--only", "bandwidth")
    assert (code, said["verdict"]) in ((3, "failed"), (1, "disturbed"))
    assert "is less than 900 Gbit/s" in said["measures"][0]["faults"][0]


def test_a_server_that_nobody_reaches_fails(machine: Machine, tmp_path: Path) -> None:
    """R72: without a way back nothing is measured, and that is no pass."""
    nodes = BORDER_NODES.replace("    routes: [{destination: 0.0.0.0/0, via: 172.16.0.1}]\n", "")
    folder = write_border(tmp_path / "one-way", FLOWS, nodes)
    code, said = accepted(machine, folder, "{}", "--only", "requests")
    assert (code, said["verdict"]) == (3, "failed")


def test_a_bad_wire_has_a_rate_and_loses_packets(machine: Machine, tmp_path: Path) -> None:
    """Both hold in each direction; netem where the kernel has it. A wire that gets better is a good one again."""
    wire = "  - {ends: [router/lan, server/eth0]"
    slow = BORDER_NODES.replace(wire, f"{wire}, rate: 50Mbps")
    folder = write_border(tmp_path / "bad", FLOWS, slow)
    machine.lab("up", folder)
    (Path(folder) / "acceptance.yaml").write_text(ACCEPTANCE.format(limits="{}").replace("bandwidth", "stream"))
    done = machine.lab("accept", folder, "-o", "json", "--only", "stream", check=False)
    (measure,) = json.loads(done.stdout)["measures"]
    assert 5_000_000 < measure["value"] < 52_000_000
    write_border(tmp_path / "bad", FLOWS, BORDER_NODES.replace(wire, f"{wire}, loss: 10%"))
    machine.lab("up", folder)
    sent, came = pings(machine)
    assert 0.65 * sent < came < 0.95 * sent, f"{came} of {sent} came, where a fifth are lost"
    write_border(tmp_path / "bad", FLOWS)
    machine.lab("up", folder)
    assert pings(machine) == (200, 200)
    machine.lab("down", "bad")


def pings(machine: Machine) -> tuple[int, int]:
    # The ARP requests are lost too: these fill the tables first.
    machine.lab("exec", "a", "--", "ping", "-c", "8", "-i", "0.2", "-W", "1", "172.16.1.10", check=False)
    done = machine.lab("exec", "a", "--", "ping", "-c", "200", "-i", "0.005", "-W", "1", "172.16.1.10", check=False)
    words = next(line for line in done.stdout.splitlines() if "packets transmitted" in line).split()
    return int(words[0]), int(words[3])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("rates:", "  - {from: a, to: nobody, at_least: 1Mbps}"), "rates[0].to: nobody here is called `nobody`"),
        (
            ("drills:", "  - {leg: ri-9, for: 2s, from: a, to: server, max_outage: 1s}"),
            "drills[0].leg: there is no router interface `ri-9`",
        ),
    ],
)
def test_checks_that_cannot_be_done_are_refused(tmp_path: Path, lines: tuple[str, str], message: str) -> None:
    from dataplane.config.problem import InvalidConfig
    from lab import topology

    with pytest.raises(InvalidConfig) as found:
        topology.load(write_border(tmp_path / "t", [*FLOWS, *lines]))
    assert message in str(found.value)


def test_a_rate_that_is_not_reached_fails_the_test(machine: Machine, tmp_path: Path) -> None:
    folder = write_border(tmp_path / "slow", [*FLOWS, "rates:", "  - {from: a, to: server, at_least: 900Gbps}"])
    proof = machine.proof(folder)
    assert all(flow["passed"] for flow in proof["flows"])
    assert "is less than 900 Gbit/s" in proof["rates"][0]["faults"][0]
    assert machine.proof(folder, "--flows")["passed"]
