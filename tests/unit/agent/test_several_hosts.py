"""Rounds on one host of several, over a fake kernel: what is remembered, and every fault at every operation."""

import sqlite3
from pathlib import Path

import pytest

from dataplane.agent.session import Session
from dataplane.agent.store import Applied, State, Store
from dataplane.config import Source
from dataplane.model.kernel import UnderlayFilter, VxlanLink
from dataplane.plan.action import Action
from tests.fakes.kernel import FakeKernel, Killed
from tests.fakes.networks import THREE_HOSTS, many, network

APART = THREE_HOSTS.replace("b: {host: host-2}", "b: {host: host-1}").replace("c: {host: host-3}", "c: {host: host-1}")
ALONE = many(1, 1)
CHANGES = {
    "from nothing": (None, THREE_HOSTS),
    "a network of one host spreads": (APART, THREE_HOSTS),
    "and comes together": (THREE_HOSTS, APART),
    "hosts are forgotten": (THREE_HOSTS, ALONE),
}


class Host:
    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.kernel, self.name = folder, FakeKernel(), name

    def session(self) -> Session:
        return Session(self.folder / "state", self.folder / "run", driver=self.kernel)

    def apply(self, text: str):
        loaded = network(text)
        return self.session().apply(loaded, self.name if loaded.network.hosts else "")


def prepared(folder: Path, before: str | None, name: str = "host-3") -> Host:
    host = Host(folder, name)
    if before is not None:
        assert host.apply(before).is_done
    host.kernel.operations = 0
    return host


@pytest.mark.parametrize("name", ["host-1", "host-2", "host-3"])
def test_each_host_applies_its_part_once(tmp_path: Path, name: str) -> None:
    host = Host(tmp_path, name)
    assert host.apply(THREE_HOSTS).is_done
    second = host.apply(THREE_HOSTS)
    assert second.is_done and not second.planned.actions
    status = host.session().status()
    assert (status.host, status.is_healthy) == (name, True)
    assert host.session().destroy().is_done
    assert not [item for item in host.kernel.objects.values() if isinstance(item, VxlanLink | UnderlayFilter)]


def test_hosts_that_applied_one_file_show_one_hash(tmp_path: Path) -> None:
    hosts = [Host(tmp_path / name, name) for name in ("host-1", "host-3")]
    for host in hosts:
        host.apply(THREE_HOSTS)
    assert len({host.session().status().sha256 for host in hosts}) == 1
    hosts[0].apply(THREE_HOSTS.replace("192.168.1.20", "192.168.1.21").replace("true}", "true, state: stopped}"))
    assert len({host.session().status().sha256 for host in hosts}) == 2


def test_a_host_that_is_another_one_now_says_so(tmp_path: Path) -> None:
    host = Host(tmp_path, "host-1")
    host.apply(THREE_HOSTS)
    planned = host.session().plan(network(THREE_HOSTS), "host-3")
    assert "this host was host-1 at the last apply, and is host-3 now" in planned.notes
    host.name = "host-3"
    assert host.apply(THREE_HOSTS).is_done
    assert host.session().status().host == "host-3"


@pytest.mark.parametrize("change", CHANGES)
def test_a_fault_or_death_at_every_operation_is_survived(change: str, tmp_path: Path) -> None:
    before, after = CHANGES[change]
    clean = prepared(tmp_path / "clean", before)
    assert clean.apply(after).is_done
    assert clean.kernel.operations >= 5

    def die_at(k: int):
        def fault(number: int, action: Action) -> str | None:
            if number == k:
                raise Killed
            return None

        return fault

    for k in range(1, clean.kernel.operations + 1):
        host = prepared(tmp_path / f"fault-{k}", before)
        host.kernel.fault = lambda number, action, k=k: f"EIO at {number}" if number == k else None
        report = host.apply(after)
        assert any("EIO" in str(outcome.error) for outcome in report.failures), f"operation {k}"
        host.kernel.fault = None
        assert host.apply(after).is_done, f"after a fault at {k}"
        assert host.kernel.objects == clean.kernel.objects, f"after a fault at {k}"
        host = prepared(tmp_path / f"death-{k}", before)
        host.kernel.fault = die_at(k)
        with pytest.raises(Killed):
            host.apply(after)
        host.kernel.fault = None
        assert host.apply(after).is_done
        assert host.kernel.objects == clean.kernel.objects, f"after death at {k}"


def test_a_state_file_of_the_first_version_is_read_and_becomes_the_present_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = State(applied=Applied((Source("net.yaml", "version: 1\n"),), "2026-01-02T03:04:05+00:00"))
    store.save(kept)
    with sqlite3.connect(tmp_path / "state.sqlite") as database:
        database.execute("ALTER TABLE applied DROP COLUMN host")
        database.execute("DROP TABLE legs")
        database.execute("PRAGMA user_version = 1")
    database.close()
    assert store.load().applied == kept.applied
    store.save(State(applied=Applied(kept.applied.sources, kept.applied.at, "host-2")))
    assert store.load().applied.host == "host-2"
    assert store.load().notice == ""
