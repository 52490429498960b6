"""Each test has a machine of its own: a simulated host, so that it neither sees nor touches this one, and labs nest."""

import os
from collections.abc import Iterator

import pytest

from lab import pins
from lab.host import SimulatedHost
from tests.lab.machine import ROOT, Machine


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("labs need root")


@pytest.fixture
def machine(_root: None) -> Iterator[Machine]:
    """A fresh machine; everything on it is gone afterwards."""
    name = f"pytest-{os.getpid()}"
    with pins.locked():
        pins.begin(name, ROOT)
        host = SimulatedHost(name, "machine")
        host.make()
    try:
        yield Machine(host)
    finally:
        with pins.locked():
            pins.remove(name)
