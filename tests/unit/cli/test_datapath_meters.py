"""`dataplane datapath show meters`: counters in the words of the configuration."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dataplane.agent.session import Session
from dataplane.cli.main import cli
from dataplane.kernel import driver
from dataplane.model.forwarding import Reason
from dataplane.model.simulation import Count
from dataplane.model.traffic import Traffic
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import PEERED, network


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeKernel:
    """A host with ``PEERED`` applied."""
    fake = FakeKernel()
    monkeypatch.setattr(driver, "KernelDriver", lambda: fake)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("DATAPLANE_STATE_DIR", str(tmp_path / "state"))
    return fake


def applied(kernel: FakeKernel, tmp_path: Path, text: str = PEERED) -> Session:
    session = Session(tmp_path / "state", tmp_path / "run", driver=kernel)
    assert session.apply(network(text)).is_done
    return session


def show(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["datapath", "show", "meters", *arguments])


def test_connections_both_ways_and_ports_by_verdict(kernel: FakeKernel, tmp_path: Path) -> None:
    book = applied(kernel, tmp_path)._store.load().book.numbers
    port, legs = book["port", "instance/ecs-1"], [book["leg", f"ri-{n}"] for n in (1, 2)]
    kernel.counted = Traffic(
        {
            (port, Reason.FORWARDED): Count(1200, 120_000),
            (port, Reason.CONTINUED): Count(3, 300),
            (port, Reason.ARP): Count(2, 84),
            (port, Reason.SPOOFED_MAC): Count(4, 400),
            (0, Reason.NO_PORT): Count(9, 900),
        },
        {legs[0]: Count(1203, 120_300), legs[1]: Count(7, 700)},
    )
    document = json.loads(show("-o", "json").stdout)["meters"]
    ends = {row["router_interface"]: row for row in document["connections"]}
    assert set(ends) == {"ri-1", "ri-2", "ri-3", "ri-4"}
    assert ends["ri-1"]["connection"] == ends["ri-2"]["connection"] == "pcx-1"
    assert ends["ri-1"]["sent"] == ends["ri-2"]["received"] == {"packets": 1203, "bytes": 120_300}
    assert ends["ri-1"]["received"] == {"packets": 7, "bytes": 700}
    ports = {row["port"]: row for row in document["ports"]}
    assert ports["instance/ecs-1"] == {
        "port": "instance/ecs-1",
        "sent_on": {"packets": 1203, "bytes": 120_300},
        "to_kernel": {"packets": 2, "bytes": 84},
        "dropped": {"packets": 4, "bytes": 400},
        "reasons": {
            "forwarded": {"packets": 1200, "bytes": 120_000},
            "continued": {"packets": 3, "bytes": 300},
            "arp": {"packets": 2, "bytes": 84},
            "spoofed_mac": {"packets": 4, "bytes": 400},
        },
    }
    assert ports["instance/ecs-2"]["sent_on"]["packets"] == 0
    lines = [line.split() for line in show().stdout.splitlines()]
    assert ["pcx-1", "ri-1", "1,203", "120,300", "7", "700"] in lines
    assert ["instance/ecs-1", "1,203", "2", "4"] in lines


def test_without_a_forwarder_there_is_nothing_to_show(kernel: FakeKernel, tmp_path: Path) -> None:
    off = PEERED.replace("version: 1\n", "version: 1\ndatapath: {hook: off}\n")
    assert (show().exit_code, "nothing is applied on this host" in show().stderr) == (1, True)
    applied(kernel, tmp_path, off)
    result = show()
    assert result.exit_code == 1
    assert "no forwarder is under this network" in result.stderr


def test_files_have_no_counters_and_the_kernels_need_root(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    result = show("--offline", "x.yaml")
    assert result.exit_code == 2
    assert "leave --offline away" in result.stderr
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert show().exit_code == 6
