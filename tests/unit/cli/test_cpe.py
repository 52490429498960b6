"""`dataplane cpe` as a command: where the network comes from, what it refuses, its two kinds of output."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dataplane.agent.store import Applied, State, Store
from dataplane.cli.main import cli
from dataplane.config import Source
from lab.topology import TOPOLOGIES

NETWORK = str(TOPOLOGIES / "standby-circuits" / "network.yaml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["cpe", *arguments])


def test_the_text_needs_no_root_and_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = run("vbr-1", NETWORK)
    assert result.exit_code == 0
    assert "ip address replace 10.10.10.2/30 dev eth0.1000" in result.stdout


def test_one_document_with_the_same_routes() -> None:
    document = json.loads(run("vbr-1", NETWORK, "--with", "vbr-2", "-o", "json").stdout)
    assert [line["interface"] for line in document["lines"]] == ["eth0", "eth1"]
    assert {route["destination"]: route["vbrs"] for route in document["routes"]} == {
        "192.168.0.0/16": ["vbr-1", "vbr-2"],
        "192.168.10.1/32": ["vbr-1"],
        "192.168.10.2/32": ["vbr-2"],
    }
    assert document["text"] == run("vbr-1", NETWORK, "--with", "vbr-2").stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--interface", "wan0"], "wan0.1000"),
        (["--interface", "vbr-1=wan1"], "wan1.1000"),
        (["--format", "cisco"], "interface GigabitEthernet0/0.1000"),
        (["--format", "cisco", "--interface", "Te0/1"], "interface Te0/1.1000"),
    ],
)
def test_interfaces(options: list[str], expected: str) -> None:
    assert expected in run("vbr-1", NETWORK, *options).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vbr-3", NETWORK], "no VBR vbr-3 in this network; there are: vbr-1, vbr-2. Did you mean"),
        (["vbr-1", NETWORK, "--with", "vb"], "no VBR vb "),
        (["vbr-1", NETWORK, "--interface", "vbr-2=eth0"], "vbr-2 is none of vbr-1"),
        (["vbr-1", NETWORK, "--interface", "eth0; reboot"], "is not the name of an interface"),
        (["vbr-1", NETWORK, "--interface", "vbr-1="], "is not the name of an interface"),
    ],
)
def test_wrong_uses_are_refused(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["cpe", *arguments], standalone_mode=False)
    assert message in str(result.exception)


def test_without_a_file_it_is_what_was_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    source = Source("net.yaml", Path(NETWORK).read_text())
    Store(tmp_path).save(State(applied=Applied((source,), "2026-01-01T00:00:00Z")))
    result = CliRunner().invoke(cli, ["--state-dir", str(tmp_path), "cpe", "vbr-2"])
    assert result.exit_code == 0, result.output
    assert "10.10.11.2/30" in result.stdout
