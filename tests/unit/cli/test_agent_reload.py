"""``dataplane agent --reload``, and what a file that does not name this host is for a running agent."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataplane.cli.agent import _host_of
from dataplane.cli.main import cli
from dataplane.config.problem import InvalidConfig, Problem
from dataplane.errors import ConfigError
from dataplane.model.resource import Origin
from tests.fakes.networks import THREE_HOSTS, network
from tests.fakes.service import FakeService, PeerApi


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = FakeService()
    api = PeerApi(tmp_path, found)
    api.start()
    yield found
    api.close()


def run(folder: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["--run-dir", str(folder), "agent", *words])
    return done.exit_code, done.stderr


def test_reload_asks_the_agent_and_says_what_came_of_it(tmp_path: Path, service: FakeService) -> None:
    code, said = run(tmp_path, "--reload")
    assert code == 0 and said
    assert [name for name, _ in service.asked] == ["reload"]


def test_reload_fails_with_the_lines_of_files_that_are_refused(tmp_path: Path, service: FakeService) -> None:
    """So that `systemctl reload` fails too."""
    service.error = InvalidConfig((Problem("error", Origin("a.yaml", 3, 5), "vpcs", "is wrong", None, "mend it"),))
    code, said = run(tmp_path, "--reload")
    assert code == 4
    assert "a.yaml:3:5" in said


def test_reload_without_an_agent_is_5_and_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    code, said = run(tmp_path, "--reload")
    assert code == 5 and "no agent runs here" in said
    assert run(tmp_path, "--reload", "a.yaml")[0] == 2


def test_a_file_that_lacks_this_host_is_wrong_but_ends_no_agent() -> None:
    """A click.UsageError would."""
    loaded = network(THREE_HOSTS)
    known = next(iter(loaded.network.hosts))
    assert _host_of(loaded, known) == known
    with pytest.raises(ConfigError, match="is none of the files' hosts"):
        _host_of(loaded, "elsewhere")
