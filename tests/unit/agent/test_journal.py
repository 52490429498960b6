"""The journal: bounded, in order, and never in anybody's way (reliability C27-C31)."""

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from dataplane.agent import journal as journals
from dataplane.agent.journal import Journal, read
from dataplane.errors import HostError


def opened(folder: Path, most: int = 100) -> Journal:
    return Journal(folder / "state", most)


def file(folder: Path) -> Path:
    return folder / "state" / "journal.sqlite"


def test_what_is_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path)
    made = [first.append("leg", "ri-a1", "state", "up", "down", "8 misses"), first.append("agent", "", "started")]
    first.close()
    second = opened(tmp_path)
    assert second.since(0) == tuple(made) == read(tmp_path / "state")
    assert second.append("agent", "", "started").id == 3
    assert [event.id for event in second.since(1, 1)] == [2]
    assert file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert made[0].at.endswith("+00:00") and made[0].monotonic_ns < made[1].monotonic_ns
    second.close()


def test_the_oldest_go_first(tmp_path: Path) -> None:
    journal = opened(tmp_path, 100)
    for _ in range(1_000):
        journal.append("leg", "ri-a1", "state")
    ids = [event.id for event in journal.since(0, 10_000)]
    assert ids == list(range(ids[0], 1_001)) and 100 <= len(ids) <= 100 + journals._SPARE
    journal.close()
    assert opened(tmp_path).newest == 1_000


def test_texts_are_one_short_line(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    event = journal.append("leg", "a\nb\x1b[31m", "state", cause="x" * 5_000)
    assert event.resource == "a b [31m" and len(event.cause) == 500
    assert journal.since(0) == (event,)


def test_who_waits_is_woken(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert not journal.wait(0, 0.01)
    thread = threading.Timer(0.05, journal.append, ("leg", "ri-a1", "state"))
    began = time.monotonic()
    thread.start()
    assert journal.wait(0, 60.0) and time.monotonic() - began < 30.0, "it was not woken, it gave up"
    thread.join()
    assert journal.wait(0, 0.0) and not journal.wait(1, 0.0)


def test_many_threads_get_one_order(tmp_path: Path) -> None:
    journal = opened(tmp_path, 1_000)
    threads = [
        threading.Thread(target=lambda: [journal.append("leg", "ri", "state") for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.id for event in journal.since(0)] == list(range(1, 201))


def test_a_killed_agent_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL right behind an append, without closing: all of it is read by the next one and without an agent."""
    for rounds in range(1, 6):
        if (pid := os.fork()) == 0:
            journal = opened(tmp_path)
            for _ in range(10):
                journal.append("leg", "ri-a1", "state")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert [event.id for event in read(tmp_path / "state")] == list(range(1, 10 * rounds + 1))
    journal = opened(tmp_path)
    assert journal.newest == 50 and not journal.notice


def test_a_death_within_a_write_leaves_what_was_before(tmp_path: Path) -> None:
    opened(tmp_path).append("leg", "ri-a1", "state")
    if (pid := os.fork()) == 0:
        database = sqlite3.connect(file(tmp_path), isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO events VALUES (2, '', 0, '', '', '', '', '', '')")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    journal = opened(tmp_path)
    assert [event.id for event in journal.since(0)] == [1]
    assert journal.append("leg", "ri-a1", "state").id == 2


def whole_file(folder: Path) -> bytes:
    journal = opened(folder)
    for _ in range(50):
        journal.append("leg", "ri-a1", "state", "up", "down", "8 misses")
    journal.keep("averages", "text")
    journal.close()
    return file(folder).read_bytes()


def test_a_file_cut_at_any_length_is_set_aside(tmp_path: Path) -> None:
    whole = whole_file(tmp_path)
    for length in (1, 15, 16, 99, 100, *range(101, len(whole), 1_501)):
        file(tmp_path).write_bytes(whole[:length])
        journal = opened(tmp_path)
        assert "a new one has been begun" in journal.notice, length
        assert journal.append("agent", "", "started").id == 1 and len(journal.since(0)) == 1
        journal.close()
    assert file(tmp_path).with_name("journal.sqlite.damaged-1").read_bytes() == whole[:1]


def test_flipped_bits_never_stop_it(tmp_path: Path) -> None:
    chance = random.Random(20261120)
    whole = whole_file(tmp_path)
    noticed = 0
    for _ in range(300):
        changed = bytearray(whole)
        changed[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        file(tmp_path).write_bytes(changed)
        journal = opened(tmp_path)
        journal.since(0)
        journal.kept("averages")
        event = journal.append("agent", "", "started")
        assert event in journal.since(event.id - 1)
        assert not journal._held, "it was held, and not written"
        noticed += bool(journal.notice)
        journal.close()
        for old in file(tmp_path).parent.glob("*damaged*"):
            old.unlink()
    assert noticed > 10


def test_a_text_that_is_none_does_not_hide_the_others(tmp_path: Path) -> None:
    whole_file(tmp_path)
    with closing(sqlite3.connect(file(tmp_path))) as database, database:
        database.execute("UPDATE events SET cause = CAST(x'ff41' AS TEXT) WHERE id = 7")
    journal = opened(tmp_path)
    assert len(journal.since(0)) == len(read(tmp_path / "state")) == 50
    assert journal.since(6, 1)[0].cause == "\ufffdA" and not journal.notice


def test_a_file_of_another_version_is_set_aside(tmp_path: Path) -> None:
    whole_file(tmp_path)
    with closing(sqlite3.connect(file(tmp_path))) as database:
        database.execute("PRAGMA user_version = 99")
    journal = opened(tmp_path)
    assert "version is 99" in journal.notice and journal.newest == 0


def test_a_damaged_log_goes_with_its_file(tmp_path: Path) -> None:
    """What is left of the old file's log must not be written into the new one."""
    whole_file(tmp_path)
    journal = opened(tmp_path)
    journal.append("leg", "ri-a1", "state")
    copies = {suffix: (file(tmp_path).parent / f"journal.sqlite{suffix}").read_bytes() for suffix in ("-wal", "-shm")}
    journal.close()
    file(tmp_path).write_bytes(b"cut before SQLite would even look at it")
    for suffix, data in copies.items():
        (file(tmp_path).parent / f"journal.sqlite{suffix}").write_bytes(data)
    journal = opened(tmp_path)
    assert "a new one has been begun" in journal.notice
    assert journal.since(0) == () and journal.append("agent", "", "started").id == 1
    assert (file(tmp_path).parent / "journal.sqlite.damaged-1-wal").exists()


def test_a_disk_that_refuses_is_waited_for(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append("leg", "ri-a1", "state")
    database = journal._database
    assert database is not None
    database.execute("PRAGMA max_page_count = 1")  # what a full disk is to SQLite
    shown = [journal.append("leg", "ri-a1", "state", cause="x" * 400) for _ in range(60)]
    assert "free or mend the disk" in journal.notice or not journal._held
    assert journal.since(1) == tuple(shown)
    journal.close()
    assert [event.id for event in read(tmp_path / "state")] == list(range(1, 62))


def test_without_a_disk_a_bounded_number_is_held_and_the_rest_is_counted(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    journal = opened(tmp_path, 10_000)
    for _ in range(journals.MAX_HELD + 5):
        journal.append("leg", "ri-a1", "state")
    assert "cannot be used" in journal.notice
    assert journal.lost == 5 and len(journal.since(0, 10_000)) == journals.MAX_HELD
    (tmp_path / "state").unlink()
    journal.append("leg", "ri-a1", "state")
    assert len(read(tmp_path / "state")) == journals.MAX_HELD and journal.lost == 6
    journal.close()


def test_what_was_held_is_not_in_the_way_of_what_the_file_has(tmp_path: Path) -> None:
    """The file becomes readable only after events were held: their ids go on behind the file's."""
    whole = whole_file(tmp_path)
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").touch()
    journal = opened(tmp_path)
    journal.append("leg", "held", "state")
    (tmp_path / "state").unlink()
    (tmp_path / "state").mkdir()
    file(tmp_path).write_bytes(whole)
    journal.append("leg", "later", "state")
    journal.close()
    kept = read(tmp_path / "state")
    assert len(kept) == 52 and [event.resource for event in kept[-2:]] == ["held", "later"]


def test_texts_are_kept_by_name(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.kept("averages") == ""
    journal.keep("averages", "one")
    journal.keep("averages", "two")
    journal.close()
    assert opened(tmp_path).kept("averages") == "two"


def test_without_an_agent_nothing_is_nothing_and_damage_is_said(tmp_path: Path) -> None:
    assert read(tmp_path) == ()
    (tmp_path / "journal.sqlite").write_bytes(b"x" * 5_000)
    with pytest.raises(HostError, match="cannot be read"):
        read(tmp_path)
