"""Tests of the forwarder's program itself, by BPF_PROG_TEST_RUN: in the sandbox of tests/netns, without any link."""

import os
from pathlib import Path

import pytest

from tests.netns import sandbox


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip with the reason rather than fail where the privileges are missing; otherwise move."""
    del config
    ours = [item for item in items if Path(__file__).parent in Path(item.path).parents]
    if not ours:
        return
    if os.geteuid() != 0:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="needs root: run with sudo"))
        return
    sandbox.enter()
