"""Each test has a machine of its own: a simulated host, so that it neither sees nor touches this one, and labs nest."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

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
    with fresh_machine(f"pytest-{os.getpid()}") as fresh:
        yield fresh


@contextmanager
def fresh_machine(name: str) -> Iterator[Machine]:
    """A machine for the length of a block."""
    with pins.locked():
        pins.begin(name, ROOT)
        host = SimulatedHost(name, "machine")
        host.make()
    try:
        yield Machine(host)
    finally:
        with pins.locked():
            pins.remove(name)
