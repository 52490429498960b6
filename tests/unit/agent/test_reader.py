"""The agent reads configurations in a child: the same values, the same problems, and nothing of the reading stays."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from dataplane.agent import reader as module
from dataplane.agent.reader import Reader
from dataplane.config import InvalidConfig, Source, load, load_sources
from dataplane.errors import HostError
from lab.bench.networks import peered

ROOT = Path(__file__).parents[3]
SOUND = Source("sound.yaml", peered(2, 4))
WRONG = Source("wrong.yaml", SOUND.text.replace("region: here", "regoin: here"))


@pytest.fixture
def reader():
    return Reader()


def test_a_child_reads_what_we_would(reader):
    found, own = reader.load_sources([SOUND]), load_sources([SOUND])
    assert (found.network, found.warnings, found.sources, found.sha256) == (
        own.network,
        own.warnings,
        own.sources,
        own.sha256,
    )
    path = ("vpcs", next(iter(own.network.vpcs)), "instances")
    assert found.origin(*path) == own.origin(*path) != found.origin()


def test_problems_are_the_same_ones(reader):
    with pytest.raises(InvalidConfig) as ours:
        load_sources([WRONG])
    with pytest.raises(InvalidConfig) as childs:
        reader.load_sources([WRONG])
    assert childs.value.problems == ours.value.problems
    assert str(childs.value) == str(ours.value)


def test_what_cannot_be_read_is_told_with_the_rest(reader, tmp_path):
    (tmp_path / "wrong.yaml").write_text(WRONG.text)
    paths = (tmp_path / "nowhere.yaml", tmp_path / "wrong.yaml")
    with pytest.raises(InvalidConfig) as ours:
        load(paths)
    with pytest.raises(InvalidConfig) as childs:
        reader.load(paths)
    assert childs.value.problems == ours.value.problems
    assert "nowhere.yaml" in str(childs.value)


def test_a_configuration_in_use_is_not_read_twice(reader, monkeypatch):
    found = reader.load_sources([SOUND])
    monkeypatch.setattr(module, "_PROGRAM", "raise SystemExit(3)")
    assert reader.load_sources([SOUND]) is found
    del found
    gc.collect()
    with pytest.raises(HostError, match="code 3"):
        reader.load_sources([SOUND])


def test_a_reader_that_dies_says_so(reader, monkeypatch):
    monkeypatch.setattr(module, "_PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(HostError, match="code -9"):
        reader.load_sources([SOUND])


def test_what_was_begun_is_taken_where_it_is_what_is_asked_for(reader, tmp_path, monkeypatch):
    file = tmp_path / "sound.yaml"
    file.write_text(SOUND.text)
    reader.begin([file])
    monkeypatch.setattr(module, "_PROGRAM", "raise SystemExit(3)")  # of whatever is read anew
    assert reader.load([file]).network == load([file]).network
    reader.begin([file])
    with pytest.raises(HostError, match="code 3"):
        reader.load_sources([WRONG])


def test_the_agent_lives_without_what_reads_files():
    code = "import sys, dataplane.cli.agent, dataplane.agent.daemon.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "dataplane.agent.reader" in modules
    assert not modules & {"pydantic", "pydantic_core", "yaml", "dataplane.config.loader", "pyroute2"}
