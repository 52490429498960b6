"""A fault at every operation of an apply, with every errno, and death at every operation (P2; reliability A2, A3)."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataplane.agent.report import Report
from dataplane.agent.session import Session
from dataplane.model.kernel import KernelObject, Key
from dataplane.plan.action import Action, Outcome
from tests.fakes.kernel import FakeKernel, Killed
from tests.fakes.networks import PEERED, network

REFUSALS = ("EBUSY", "ENOENT", "ENODEV", "EPERM", "ENOSPC")
"""The kernel says no, and nothing is done."""
LOST_ANSWERS = ("EEXIST", "ENOBUFS", "EINTR", "ETIMEDOUT")
"""It is done, or was there already, and what comes back is an error all the same."""

_PAIR = PEERED[: PEERED.index("  vpc-3:")] + PEERED[PEERED.index("peering_connections:") : PEERED.index("  pcx-2")]
PAIR = _PAIR.replace("          - {destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}\n", "")
"""Two VPCs and their connection."""
APART = PAIR[: PAIR.index("peering_connections:")]
for _route in (
    "    route_tables: {system: {routes: [{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}]}}\n",
    "    route_tables:\n      system:\n        routes:\n"
    "          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}\n",
):
    assert _route in APART
    APART = APART.replace(_route, "")
"""The same two VPCs without it."""
CHANGES = {"from nothing": (None, PAIR), "growing": (APART, PAIR), "shrinking": (PEERED, APART)}


class FaultyKernel(FakeKernel):
    """A kernel whose k-th operation answers with an errno.

    Args:
        at: k, from 1; 0 for none.
        errno: its name.
    """

    at: int = 0
    errno: str = ""
    has_fired: bool = False

    def perform(self, actions: Sequence[Action]) -> list[Outcome]:
        return [self._answer(action) for action in actions]

    def _answer(self, action: Action) -> Outcome:
        is_it = self.operations + 1 == self.at
        self.has_fired = self.has_fired or is_it
        if is_it and self.errno in REFUSALS:
            self.operations += 1
            return Outcome(action, f"{self.errno}: injected")
        (outcome,) = super().perform([action])
        return Outcome(action, f"{self.errno}: injected") if is_it else outcome


@dataclass
class Host:
    """A host with a state folder of its own."""

    folder: Path
    kernel: FaultyKernel

    @classmethod
    def prepared(cls, folder: Path, before: str | None) -> "Host":
        """With a network that was applied without a fault."""
        host = cls(folder, FaultyKernel())
        folder.mkdir()
        if before is not None:
            assert host.apply(before).is_done
        host.kernel.operations = 0
        return host

    def copy(self, folder: Path) -> "Host":
        """The same host again, so that each fault meets the same past."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return Host(folder, FaultyKernel(dict(self.kernel.objects)))

    def apply(self, text: str) -> Report:
        return Session(self.folder / "state", self.folder / "run", driver=self.kernel).apply(network(text))

    def left(self) -> tuple[frozenset[KernelObject], bytes]:
        """All that a later apply can know of an earlier one: the kernel's objects and the numbers that were given."""
        state = self.folder / "state" / "state.sqlite"
        return frozenset(self.kernel.objects.values()), state.read_bytes() if state.exists() else b""


@dataclass(frozen=True)
class Change:
    """One of the three changes: where it starts, what it must reach, and in how many operations."""

    start: Host
    after: str
    clean: dict[Key, KernelObject]
    operations: int

    @classmethod
    def named(cls, name: str, folder: Path) -> "Change":
        before, after = CHANGES[name]
        start = Host.prepared(folder / "start", before)
        host = start.copy(folder / "clean")
        report = host.apply(after)
        assert report.is_done, report.failures or report.remaining
        return cls(start, after, dict(host.kernel.objects), host.kernel.operations)

    def must_be_mended(self, host: Host, what: str) -> None:
        """The next apply reaches what a clean one reaches, and the one after that has nothing to do."""
        host.kernel.at, host.kernel.fault = 0, None
        assert host.apply(self.after).is_done, what
        assert host.kernel.objects == self.clean, what
        assert host.apply(self.after).planned.actions == (), what


@pytest.fixture(params=CHANGES)
def change(request: pytest.FixtureRequest, tmp_path: Path) -> Change:
    return Change.named(request.param, tmp_path)


def test_every_errno_at_every_operation_is_said_and_mended(change: Change, tmp_path: Path) -> None:
    """The whole matrix. Where two errnos leave the same behind, it is mended once."""
    fired = 0
    for k in range(1, change.operations + 1):
        mended = set()
        for errno in (*REFUSALS, *LOST_ANSWERS):
            what = f"{errno} at operation {k} of {change.operations}"
            host = change.start.copy(tmp_path / "host")
            host.kernel.at, host.kernel.errno = k, errno
            report = host.apply(change.after)
            fired += host.kernel.has_fired
            assert not report.is_done, f"{what}: nobody said so"
            assert any(errno in str(outcome.error) for outcome in report.failures), what
            left = host.left()
            if left not in mended:
                mended.add(left)
                change.must_be_mended(host, what)
    assert fired == 9 * change.operations >= 9 * 15, "every fault fired"


def test_death_at_every_operation_is_mended(change: Change, tmp_path: Path) -> None:
    for k in range(1, change.operations + 1):
        host = change.start.copy(tmp_path / "host")

        def die(number: int, action: Action, k: int = k) -> str | None:
            if number == k:
                raise Killed
            return None

        host.kernel.fault = die
        with pytest.raises(Killed):
            host.apply(change.after)
        change.must_be_mended(host, f"death at operation {k} of {change.operations}")
