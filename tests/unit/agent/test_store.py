"""Local state: damaged in every way, and never mixed (reliability C27-C31)."""

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.agent.store import Applied, State, Store
from dataplane.config import Source
from dataplane.errors import HostError
from dataplane.model.ids import IdBook
from dataplane.model.leg import LegVerdict, LegVerdicts
from dataplane.model.memory import Memory

STATE = State(
    IdBook({("port", "instance/a"): 1, ("table", "v/system"): 2}, {"table": 7}),
    Memory({("vpc", "v", "cidr"): "10.0.0.0/8"}),
    Applied((Source("a.yaml", "version: 1\n"),), "2026-01-01T00:00:00+00:00"),
    LegVerdicts(
        {
            ("ri-1", "hand"): LegVerdict("down", "hand", "2026-01-02T00:00:00+00:00"),
            ("ri-1", "health"): LegVerdict("up", "health", "2026-01-03T00:00:00+00:00"),
        }
    ),
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    Store(tmp_path / "state").save(STATE)
    assert Store(tmp_path / "state").load() == STATE
    assert (tmp_path / "state" / "state.sqlite").stat().st_mode & 0o777 == 0o600


def test_d3_a_file_of_before_there_were_verdicts_is_read_and_becomes_the_present_one(tmp_path: Path) -> None:
    store, path = Store(tmp_path), tmp_path / "state.sqlite"
    store.save(STATE)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE legs")
        database.execute("PRAGMA user_version = 2")
        database.commit()
    old = store.load()
    assert old == replace(STATE, legs=LegVerdicts())
    store.save(replace(old, legs=STATE.legs))
    assert store.load() == STATE
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)


@pytest.mark.parametrize("row", [("ri-9", "somebody", "down"), ("ri-9", "hand", "sideways")])
def test_a_verdict_that_nobody_can_have_is_damage(tmp_path: Path, row: tuple[str, str, str]) -> None:
    Store(tmp_path).save(STATE)
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as database:
        database.execute("INSERT INTO legs VALUES (?, ?, ?, '')", row)
        database.commit()
    state = Store(tmp_path).load()
    assert state.is_new and "unknown verdict" in state.notice


def test_no_file_is_a_new_state(tmp_path: Path) -> None:
    assert Store(tmp_path).load() == State(is_new=True)


def test_a_file_cut_at_any_length_is_set_aside(tmp_path: Path) -> None:
    Store(tmp_path).save(STATE)
    path = tmp_path / "state.sqlite"
    whole = path.read_bytes()
    for length in range(1, len(whole), 997):
        path.write_bytes(whole[:length])
        state = Store(tmp_path).load()
        assert state.is_new and "rebuilt from the kernel" in state.notice, length
    Store(tmp_path).save(STATE)
    assert Store(tmp_path).load() == STATE
    assert (tmp_path / "state.sqlite.damaged-1").exists()


def test_flipped_bits_are_noticed_or_harmless(tmp_path: Path) -> None:
    """Never a crash; where SQLite cannot notice, the text is another text, and the store still loads."""
    seed = 20261120
    chance = random.Random(seed)
    Store(tmp_path).save(STATE)
    path = tmp_path / "state.sqlite"
    whole = path.read_bytes()
    noticed = 0
    for _ in range(300):
        position = chance.randrange(len(whole))
        changed = bytearray(whole)
        changed[position] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        noticed += Store(tmp_path).load().is_new
    assert noticed > 0, f"seed {seed}: the check never fired"


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"not a database at all\n" * 500])
def test_rubbish_is_set_aside(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(content)
    assert Store(tmp_path).load().is_new
    Store(tmp_path).save(STATE)
    assert Store(tmp_path).load() == STATE


def test_31_a_death_in_the_middle_of_a_save_leaves_the_old_state(tmp_path: Path) -> None:
    """What SQLite keeps beside the file until the commit is used by the next one that reads."""
    Store(tmp_path / "alive").save(STATE)
    with closing(sqlite3.connect(tmp_path / "alive" / "state.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN IMMEDIATE")
        rows = [(number, "more.yaml", "x" * 4000) for number in range(10, 60)]
        database.executemany("INSERT INTO sources VALUES (?, ?, ?)", rows)
        shutil.copytree(tmp_path / "alive", tmp_path / "dead")
    whole, half = (tmp_path / name / "state.sqlite" for name in ("alive", "dead"))
    assert half.read_bytes() != whole.read_bytes() and half.with_name("state.sqlite-journal").exists()
    assert Store(tmp_path / "dead").load() == STATE


def test_31_a_death_in_the_very_first_save_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").touch()
    assert Store(tmp_path).load() == State(is_new=True)
    Store(tmp_path).save(STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["state.sqlite"]


def test_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    Store(tmp_path).save(STATE)
    with sqlite3.connect(tmp_path / "state.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    state = Store(tmp_path).load()
    assert state.is_new and "version is 99" in state.notice


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HostError, match="cannot write the state file"):
        Store(tmp_path / "file" / "state").save(STATE)
