"""Which namespace `exec` enters, and what it says where there is none."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dataplane.cli import instances
from dataplane.cli.instances import Applied
from dataplane.cli.main import cli
from tests.fakes.networks import PEERED, THREE_HOSTS, TWO_CIRCUITS, network
from tests.unit.observe.test_why_hosts import LINES_APART

ATTACHED = PEERED.replace(
    "ip: 172.16.1.10}}",
    "ip: 172.16.1.10}, box: {vswitch: vsw-1, attach: {namespace: container-7}},"
    " daemon: {vswitch: vsw-1, attach: {pid: 4242}}}",
)


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """A host with two instances of ours, one attached by name and one by process; notes what would be entered."""
    for name in ("dp-i-ecs-1", "dp-i-web", "dp-vpc-red", "foreign"):
        (tmp_path / name).touch()
    calls: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(instances, "NETNS_DIRECTORY", tmp_path)
    monkeypatch.setattr(Applied, "load", lambda: Applied(network(ATTACHED).network))
    monkeypatch.setattr("dataplane.cli.enter.become", lambda reference, command: calls.append((reference, command)))
    return calls


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["exec", *arguments])


@pytest.mark.parametrize(
    ("instance", "reference"),
    [("ecs-1", "dp-i-ecs-1"), ("web", "dp-i-web"), ("box", "container-7"), ("daemon", "pid:4242")],
)
def test_an_instance_is_found(entered, instance: str, reference: str) -> None:
    result = run(instance, "--", "ip", "route")
    assert result.exit_code == 0, result.output
    assert entered == [(reference, ("ip", "route"))]


def test_options_of_the_command_are_its_own(entered) -> None:
    run("web", "ping", "-c", "3", "--help")
    assert entered == [("dp-i-web", ("ping", "-c", "3", "--help"))]


def test_without_a_command_it_is_a_shell(entered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    run("web")
    assert entered == [("dp-i-web", ("/bin/zsh",))]


@pytest.mark.parametrize("instance", ["ecs-2", "vpc-red", "foreign", "../web"])
def test_an_unknown_instance_is_refused_with_what_is_near(entered, instance: str) -> None:
    result = run(instance, "--", "true")
    assert result.exit_code == 1
    assert f"there is no instance {instance} on this host." in result.stderr
    assert "dataplane status --kind instance" in result.stderr
    assert entered == []
    assert ("Did you mean ecs-1?" in result.stderr) == (instance == "ecs-2")


def test_where_nothing_is_applied_it_says_so(entered, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(instances, "NETNS_DIRECTORY", tmp_path / "none")
    monkeypatch.setattr(Applied, "load", Applied)
    assert "nothing is applied" in run("web").stderr


def test_an_instance_of_another_host_is_said_to_be_there(entered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Applied, "load", lambda: Applied(network(THREE_HOSTS).network, "host-1"))
    result = run("b3", "--", "true")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: instance b3 is on host-3 (this is host-1): run it there.\n",
    )
    assert entered == []
    assert "there is no instance a1 on this host" in run("a1").stderr, "it ought to be here, and is not"


def test_an_attached_instance_of_another_host_is_not_entered(entered, monkeypatch: pytest.MonkeyPatch) -> None:
    text = THREE_HOSTS.replace("ip: 172.16.3.10}", "ip: 172.16.3.10, attach: {namespace: foreign}}")
    monkeypatch.setattr(Applied, "load", lambda: Applied(network(text).network, "host-1"))
    assert "instance b3 is on host-3" in run("b3").stderr
    monkeypatch.setattr(Applied, "load", lambda: Applied(network(text).network, "host-3"))
    assert run("b3", "true").exit_code == 0
    assert entered == [("foreign", ("true",))]


@pytest.mark.parametrize(
    ("kind", "name", "hosts"),
    [
        ("instance", "fw", ("host-1",)),
        ("vpc", "vpc-b", ("host-2", "host-3")),
        ("peering_connection", "pcx", ("host-1", "host-2", "host-3")),
        ("vbr", "vpc-b", ()),
        ("port", "dpx1", ()),
    ],
)
def test_which_hosts_have_what(kind: str, name: str, hosts: tuple[str, ...]) -> None:
    applied = Applied(network(THREE_HOSTS).network, "host-1")
    assert applied.hosts_of(kind, name) == hosts
    assert Applied().hosts_of(kind, name) == ()
    sentence = applied.elsewhere(kind, name)
    assert sentence == ("vpc vpc-b is on host-2 and host-3 (this is host-1): run it there." if kind == "vpc" else "")


def test_a_vbr_is_where_its_line_comes_in() -> None:
    """And nothing is anywhere else in a network that names no hosts."""
    assert Applied(network(TWO_CIRCUITS).network).hosts_of("vbr", "vbr-1") == ("",)
    assert Applied(network(TWO_CIRCUITS).network).elsewhere("vbr", "vbr-1") == ""
    sentence = "vbr vbr-1 is on host-2 (this is host-1): run it there."
    assert Applied(network(LINES_APART).network, "host-1").elsewhere("vbr", "vbr-1") == sentence
    assert Applied(network(LINES_APART).network, "host-2").elsewhere("vbr", "vbr-1") == ""


def test_completion_offers_the_instances(entered) -> None:
    environment = {"_DATAPLANE_COMPLETE": "bash_complete", "COMP_WORDS": "dataplane exec e", "COMP_CWORD": "2"}
    result = CliRunner().invoke(cli, [], prog_name="dataplane", env=environment)
    assert result.stdout.split() == ["plain,ecs-1"]
