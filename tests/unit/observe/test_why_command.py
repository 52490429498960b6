"""``dataplane why`` without root: its text, its document, its exit codes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dataplane.cli.main import cli
from tests.fakes.networks import PEERED, TWO_CIRCUITS

TEXT = """\
ecs-1 -> ecs-2: DELIVERED; back: NO_RETURN_ROUTE at vpc-2

forward: 172.16.1.10 -> 192.168.1.10, tcp any -> 443 (configuration alone)
AT     TTL  COMES IN BY   TABLE                   ROUTE            GOES OUT BY           LINE
ecs-1  64   -             main                    default          eth0 to 172.16.1.253  net.yaml:11
vpc-1  64   ecs-1 (dpi1)  system (1001)           192.168.0.0/16   ri-1 (dpr7)           net.yaml:12
vpc-2  63   ri-2 (dpr8)   system, from RI (1004)  192.168.1.10/32  ecs-2 (dpi3)          net.yaml:18
DELIVERED at ecs-2: 192.168.1.10 is here

back: 192.168.1.10 -> 172.16.1.10, tcp 443 -> any (configuration alone)
AT     TTL  COMES IN BY   TABLE          ROUTE                GOES OUT BY            LINE
ecs-2  64   -             main           default              eth0 to 192.168.1.253  net.yaml:18
vpc-2  64   ecs-2 (dpi3)  system (1003)  unreachable default  -                      net.yaml:20
NO_RETURN_ROUTE at vpc-2: table system (1003) has no route to 172.16.1.10
  to change: add {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}} to \
vpcs.vpc-2.route_tables.system.routes
  look at:   net.yaml:20
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    route = "          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}\n"
    assert route in PEERED
    (tmp_path / "net.yaml").write_text(PEERED.replace(route, ""))
    (tmp_path / "good.yaml").write_text(PEERED)
    (tmp_path / "lines.yaml").write_text(TWO_CIRCUITS)
    return tmp_path


def why(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["why", *arguments])


def test_the_summary_comes_first_and_the_rest_is_a_table(folder: Path) -> None:
    result = why("ecs-1", "ecs-2", "--proto", "tcp", "--dport", "443", "--offline", "net.yaml")
    assert (result.exit_code, result.stdout) == (3, TEXT)


def test_delivered_both_ways_is_0(folder: Path) -> None:
    result = why("ecs-1", "ecs-2", "--offline", "good.yaml")
    assert result.exit_code == 0
    assert result.stdout.startswith("ecs-1 -> ecs-2: DELIVERED; back: DELIVERED\n")


def test_the_document_has_every_hop_of_both_ways(folder: Path) -> None:
    result = why("ecs-1", "ecs-2", "--offline", "net.yaml", "-o", "json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["version"], document["is_good"]) == (3, 1, False)
    assert document["summary"] == TEXT.splitlines()[0]
    forward, back = document["forward"], document["back"]
    assert [hop["where"] for hop in forward["configuration"]["hops"]] == ["ecs-1", "vpc-1", "vpc-2", "ecs-2"]
    router = forward["configuration"]["hops"][1]
    assert router["rule"] == "dp-vpc-vpc-1: rule 200: from all lookup 1001"
    assert router["kernel_route"].startswith("dp-vpc-vpc-1: route 192.168.0.0/16 nhid ")
    assert (router["file"], router["line"]) == ("net.yaml", 12)
    assert forward["kernel"] is None
    assert back["verdict"]["code"] == "NO_RETURN_ROUTE"
    assert back["verdict"]["meaning"]
    assert back["verdict"]["line"] == 20


def test_the_data_centres_choice_of_a_line_is_shown(folder: Path) -> None:
    result = why("172.16.5.5", "ecs-2", "--offline", "lines.yaml")
    assert result.exit_code == 0
    assert "the data centre sends it to vbr-1  lines.yaml:" in result.stdout
    assert "note: data centre idc may also send by vbr-2" in result.stdout


def test_an_unknown_id_is_a_code_too(folder: Path) -> None:
    result = why("web", "ecs-2", "--offline", "good.yaml")
    assert result.exit_code == 3
    assert result.stdout.startswith("web -> ecs-2: UNKNOWN_SOURCE at web\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dport", "443"], "icmp has no ports"),
        (["--source", "10.0.0.300"], "is not an IPv4 address"),
        (["--proto", "sctp"], "sctp"),
    ],
)
def test_a_wrong_use_is_2(folder: Path, arguments: list[str], words: str) -> None:
    result = why("ecs-1", "ecs-2", "--offline", "good.yaml", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_without_root_one_sentence_and_6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    result = why("ecs-1", "ecs-2")
    assert result.exit_code == 6
    assert result.stderr.startswith("error: `dataplane why` ")
