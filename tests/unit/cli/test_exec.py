"""Which namespace `exec` enters, and what it says where there is none."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from dataplane.cli import instances
from dataplane.cli.main import cli


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """A host with two instances of ours, one attached by name and one by process; notes what would be entered."""
    for name in ("dp-i-ecs-1", "dp-i-web", "dp-vpc-red", "foreign"):
        (tmp_path / name).touch()
    attached = {
        "box": SimpleNamespace(attach=SimpleNamespace(namespace="container-7", pid=None)),
        "daemon": SimpleNamespace(attach=SimpleNamespace(namespace=None, pid=4242)),
        "web": SimpleNamespace(attach=None),
    }
    network = SimpleNamespace(vpcs={"red": SimpleNamespace(instances=attached)})
    calls: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(instances, "NETNS_DIRECTORY", tmp_path)
    monkeypatch.setattr(instances, "attached_namespaces", lambda: instances._attached(SimpleNamespace(network=network)))
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
    monkeypatch.setattr(instances, "attached_namespaces", dict)
    assert "nothing is applied" in run("web").stderr


def test_completion_offers_the_instances(entered) -> None:
    environment = {"_DATAPLANE_COMPLETE": "bash_complete", "COMP_WORDS": "dataplane exec e", "COMP_CWORD": "2"}
    result = CliRunner().invoke(cli, [], prog_name="dataplane", env=environment)
    assert result.stdout.split() == ["plain,ecs-1"]
