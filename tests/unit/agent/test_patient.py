"""The agent's state file while the disk refuses."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.agent.daemon.confirm import Confirmation
from dataplane.agent.daemon.patient import PatientStore
from dataplane.agent.store import Applied, State, Store
from dataplane.config import Source
from dataplane.errors import HostError
from dataplane.model.ids import IdBook
from dataplane.model.leg import NO_VERDICTS, LegVerdict

DOWN = NO_VERDICTS.saying("ri-1", LegVerdict("down", "health", "2026-11-20T12:00:00+00:00"))
FIRST = State(applied=Applied((Source("a.yaml", "version: 1\n"),), "2026-11-20T11:00:00+00:00"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PatientStore:
    """One that has a state, and a disk that refuses until the file ``full`` is gone."""
    (tmp_path / "full").touch()
    made = PatientStore(tmp_path)
    made.save(FIRST)
    transaction = Store._transaction

    def refuse(self: Store):  # type: ignore[no-untyped-def]
        if (tmp_path / "full").exists():
            raise sqlite3.OperationalError("database or disk is full")
        return transaction(self)

    monkeypatch.setattr(Store, "_transaction", refuse)
    return made


def test_27_a_verdict_waits_for_the_disk_and_is_known_meanwhile(store: PatientStore, tmp_path: Path) -> None:
    store.save(replace(FIRST, legs=DOWN))
    assert store.load().legs == DOWN
    assert Store(tmp_path).load().legs == NO_VERDICTS
    store.save(replace(FIRST, legs=DOWN))
    (tmp_path / "full").unlink()
    store.save(store.load())
    assert Store(tmp_path).load().legs == DOWN


@pytest.mark.parametrize(
    "more",
    [
        replace(FIRST, book=IdBook({("port", "x"): 1}, {})),
        replace(FIRST, applied=replace(FIRST.applied, sources=(Source("a.yaml", "version: 1 # new\n"),))),
    ],
    ids=["ids", "files"],
)
def test_27_ids_and_files_do_not_wait(store: PatientStore, more: State) -> None:
    with pytest.raises(HostError, match="free or mend the disk"):
        store.save(more)
    assert store.load() == FIRST


def test_27_the_time_of_a_repair_is_not_worth_an_error(store: PatientStore) -> None:
    store.save(replace(FIRST, applied=replace(FIRST.applied, at="2026-11-20T12:00:00+00:00")))
    assert store.load() == FIRST


def test_a_file_that_cannot_be_read_now_is_no_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files, say: its ids must not be given out anew for that."""
    Store(tmp_path).save(FIRST)

    def refuse(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(HostError, match="cannot read the state file"):
        Store(tmp_path).load()
    monkeypatch.undo()
    assert Store(tmp_path).load() == FIRST


def test_30_a_clock_that_is_set_neither_hastens_nor_delays_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year on, an hour back: only the boot clock counts."""
    now = 1000.0
    waits = Confirmation(tmp_path, lambda: now)
    waits.begin((Source("a.yaml", "a"),), "", 60)
    for wall in (31_536_000.0, -3600.0):
        monkeypatch.setattr("time.time", lambda wall=wall: 1.8e9 + wall)
        assert not waits.is_due()
        assert Confirmation(tmp_path, lambda: now).left_s() == 60
    now += 60
    assert waits.is_due()


def test_31_what_cannot_be_kept_has_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Confirmation(tmp_path)
    waits.begin((Source("a.yaml", "a"),), "first", 60)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HostError, match="No space left"):
        waits.take_back(None if waits.pending is None else replace(waits.pending, here="second"))
    found = Confirmation(tmp_path).pending
    assert found is not None and found.here == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["unconfirmed.json"]
