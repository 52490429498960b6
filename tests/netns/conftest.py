"""Before anything runs, the whole pytest process moves into a sandbox; and what the tests of the kernel share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.kernel.driver import KernelDriver
from tests.netns import sandbox
from tests.netns.agent import AgentHost
from tests.netns.network import AppliedNetwork, our_namespaces
from tests.netns.objects import World, open_files


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip with the reason rather than fail where the privileges are missing; otherwise move."""
    del config
    here = Path(__file__).parent
    ours = [item for item in items if here in Path(item.path).parents]
    if not ours:
        return
    if os.geteuid() != 0:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="needs root: run with sudo"))
        return
    sandbox.enter()


@pytest.fixture
def world() -> Iterator[World]:
    """A driver with nothing around it, and the certainty that nothing is left behind."""
    before = open_files()
    there = World(KernelDriver())
    yield there
    there.clean_up()
    after = open_files()
    assert after.items() <= before.items(), "left open"  # what earlier tests left may be collected meanwhile


@pytest.fixture
def ping() -> str:
    """The ping command."""
    found = shutil.which("ping")
    if found is None:
        pytest.skip("needs the package iputils-ping")
    return found


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AppliedNetwork]:
    """A host without a network; whatever a test applies is destroyed, and nothing may be left."""
    there = AppliedNetwork(tmp_path)
    yield there
    report = there.session().destroy()
    assert report.is_done, [outcome.error for outcome in report.failures] + list(report.remaining)
    assert our_namespaces() == []


@pytest.fixture
def host(tmp_path: Path) -> Iterator[AgentHost]:
    """A host without a network and without an agent; whatever a test starts is ended, and nothing may be left."""
    there = AgentHost(tmp_path)
    yield there
    there.close()
