"""check, schema and plan --offline on real files: what is printed where, and the exit codes."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from dataplane.cli.main import cli

GOOD = """\
version: 1
accounts: {shop: {uid: "12345678"}}
regions: {home: {}}
vpcs:
  web:
    account: shop
    region: home
    cidr: 10.1.0.0/16
    vswitches: {web-a: {zone: a, cidr: 10.1.1.0/24}}
    instances: {front: {vswitch: web-a}}
"""
BAD = GOOD.replace("cidr: 10.1.1.0/24", "cidr: 10.1.1.0/30").replace("vswitch: web-a}", "vswitch: web-b}")
# A route to a connection whose other end has no way back (R72).
ONE_WAY = """\
version: 1
accounts: {shop: {uid: "12345678"}}
regions: {home: {}}
vpcs:
  web:
    account: shop
    region: home
    cidr: 10.1.0.0/16
    vswitches: {web-a: {zone: a, cidr: 10.1.1.0/24}}
    route_tables:
      system:
        routes: [{destination: 10.2.0.0/16, next_hop: {router_interface: ri-web}}]
  data:
    account: shop
    region: home
    cidr: 10.2.0.0/16
    vswitches: {data-a: {zone: a, cidr: 10.2.1.0/24}}
peering_connections:
  pcx-1:
    initiator: {router_interface: ri-web, vpc: web}
    acceptor: {router_interface: ri-data, vpc: data}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to write into; the commands run beside it, and without root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return Path("net.yaml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_a_valid_file_is_one_line(file: Path) -> None:
    file.write_text(GOOD)
    result = run("check", "net.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "net.yaml: valid\n", "")


def test_an_invalid_file_has_all_its_problems_on_stderr_and_is_4(file: Path) -> None:
    file.write_text(BAD)
    result = run("check", "net.yaml")
    assert result.exit_code == 4
    assert result.stdout == "net.yaml: invalid, 2 errors\n"
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("net.yaml:") for line in lines)
    assert "(R78)" in lines[0]
    assert "web-b" in lines[1]


def test_the_problems_as_json_have_their_place_rule_and_remedy(file: Path) -> None:
    file.write_text(BAD)
    document = json.loads(run("check", "net.yaml", "-o", "json").stdout)
    assert document["is_valid"] is False
    first = document["problems"][0]
    assert (first["severity"], first["file"], first["line"], first["rule"]) == ("error", "net.yaml", 9, "R78")
    assert isinstance(first["column"], int)
    assert first["path"] == "vpcs.web.vswitches.web-a.cidr"
    assert set(first) == {"severity", "file", "line", "column", "path", "rule", "message", "remedy"}


@pytest.mark.parametrize(("arguments", "code", "word"), [([], 0, "valid"), (["--strict"], 4, "invalid")])
def test_a_warning_passes_unless_strict(file: Path, arguments: list[str], code: int, word: str) -> None:
    file.write_text(ONE_WAY)
    result = run("check", "net.yaml", *arguments)
    assert result.exit_code == code
    assert result.stdout.startswith(f"net.yaml: {word}, ")
    assert "(R72)" in result.stderr


def test_a_file_that_is_not_there_is_said_and_4(file: Path) -> None:
    result = run("check", "none.yaml")
    assert result.exit_code == 4
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize("command", [["plan", "--offline", "net.yaml"], ["check", "net.yaml"]])
def test_errors_are_lines_that_an_editor_can_follow(file: Path, command: list[str]) -> None:
    file.write_text(BAD)
    result = run(*command)
    assert result.exit_code == 4
    assert result.stderr.splitlines()[0].startswith("net.yaml:9:")


def test_commands_that_act_say_how_many_errors_and_that_nothing_changed(file: Path) -> None:
    file.write_text(BAD)
    result = run("plan", "--offline", "net.yaml")
    assert result.stdout == ""
    assert result.stderr.endswith("error: 2 errors in the configuration; nothing was changed.\n")


def test_an_offline_plan_names_the_line_of_each_resource(file: Path) -> None:
    file.write_text(GOOD)
    document = json.loads(run("plan", "--offline", "net.yaml", "-o", "json").stdout)
    created = {(a["object"], a["file"], a["line"]) for a in document["actions"] if a["kind"] == "namespace"}
    assert created == {("namespace dp-vpc-web", "net.yaml", 5), ("namespace dp-i-front", "net.yaml", 10)}


def test_the_schema_is_json_schema_in_both_forms() -> None:
    document = json.loads(run("schema").stdout)
    assert document["$schema"].startswith("https://json-schema.org/")
    assert {"version", "vpcs", "peering_connections"} <= set(document["properties"])
    assert yaml.safe_load(run("schema", "-o", "yaml").stdout) == document


def test_the_keys_of_the_language_as_a_table() -> None:
    rows = [line.split()[:2] for line in run("schema", "-o", "table").stdout.splitlines()]
    assert rows[0] == ["KEY", "TYPE"]
    assert ["vpcs.<id>.instances.<id>.ip", "string"] in rows
    assert ["vpcs.<id>.vswitches.<id>.cidr", "string"] in rows
    assert [key for key, _ in rows if key.startswith("vpcs.<id>.route_tables.<id>.routes[].next_hop.")]
