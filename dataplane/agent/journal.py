"""The journal: what happened on this host, in a bounded SQLite table of its own file.

Owns its file and the memory of what could not be written. It is a by-product: whatever befalls it (a full disk, a
damaged file), the agent goes on, and says so here. Nothing that forwarding needs is ever kept in it.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dataplane.errors import HostError
from dataplane.model.event import Event

FILE_NAME = "journal.sqlite"
MAX_EVENTS = 20_000
"""The oldest go first: some 6 MB of disk."""
MAX_HELD = 1_000
"""In memory, while the disk refuses."""
_SCHEMA_VERSION = 1
_MAX_TEXT = 500
_SPARE = 64
"""Rows above the limit until the oldest are taken away: not at every append."""
_LEAST_BYTES = 512
"""Of any SQLite file that has something in it."""
_SCHEMA = (
    "CREATE TABLE events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, monotonic_ns INTEGER NOT NULL, kind TEXT NOT NULL,"
    " resource TEXT NOT NULL, what TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, cause TEXT NOT NULL)",
    "CREATE TABLE kept (name TEXT PRIMARY KEY, text TEXT NOT NULL)",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
_COUNT = "SELECT count(*), coalesce(max(id), 0) FROM events"
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT})
"""What SQLite says of a file that is not what it was; everything else is the disk's or somebody else's doing."""
_COLUMNS = "id, at, monotonic_ns, kind, resource, what, before, after, cause"
_log = logging.getLogger(__name__)


class Journal:
    """The journal of one host, for its one agent. Any thread may call it.

    A death of the agent loses nothing that was appended, a power cut at most the last seconds; neither damages the file
    (SQLite's write-ahead log, without a wait for the disk at each event). A file that is damaged all the same, or of a
    newer version, is set aside and a new one begun, whose ids count from 1 after a restart.

    Args:
        state_dir: its folder (/var/lib/dataplane), made (0750) where it is missing.
        most: events that are kept.
    """

    def __init__(self, state_dir: Path, most: int = MAX_EVENTS) -> None:
        self._path = state_dir / FILE_NAME
        self._most = most
        self._database: sqlite3.Connection | None = None
        self._held: deque[Event] = deque(maxlen=MAX_HELD)
        self._changed = threading.Condition()
        self._newest = 0
        self._rows = 0
        self._has_counted = False
        self.lost = 0
        """Events that were neither written nor could be held any longer."""
        self.notice = ""
        """What is wrong with the file at present, or befell it at the start; empty where nothing did."""
        with self._changed:
            self._ready()

    def append(self, kind: str, resource: str, what: str, before: str = "", after: str = "", cause: str = "") -> Event:
        """Note that something happened now. Never fails: what cannot be written is held, and tried again next time.

        Args:
            kind: and the others, as ``Event`` has them; each is cut at 500 characters.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        words = (kind, resource, what, before, after, cause)
        with self._changed:
            # First, since a file that was set aside at the last try may give the number.
            self._ready()
            self._newest += 1
            event = Event(self._newest, at, time.monotonic_ns(), *(_clean(word) for word in words))
            if len(self._held) == MAX_HELD:
                self.lost += 1
            self._held.append(event)
            self._flush()
            self._changed.notify_all()
        return event

    def since(self, number: int, most: int = 1_000) -> tuple[Event, ...]:
        """The first events with an id above a number, at most so many."""
        with self._changed:
            found: list[Event] = []
            if self._ready() and self._database is not None:
                try:
                    found = _select(self._database, number, most)
                except sqlite3.Error as error:
                    self._fail(error)
            found += [event for event in self._held if event.id > number]
            return tuple(found[:most])

    @property
    def newest(self) -> int:
        """The id of the newest event; 0 where there is none."""
        with self._changed:
            return self._newest

    def wait(self, number: int, seconds: float) -> bool:
        """Wait until there is an event with an id above a number, at most so long; whether there is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._newest > number, seconds)

    def keep(self, name: str, text: str) -> None:
        """Keep a text over restarts, such as the traffic averages (R112); best effort, as all of this."""
        with self._changed:
            if self._ready() and self._database is not None:
                try:
                    self._database.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, text))
                except sqlite3.Error as error:
                    self._fail(error)

    def kept(self, name: str) -> str:
        """What was kept under a name; empty where nothing was."""
        with self._changed:
            if self._ready() and self._database is not None:
                try:
                    row = self._database.execute("SELECT text FROM kept WHERE name = ?", (name,)).fetchone()
                    return str(row[0]) if row else ""
                except sqlite3.Error as error:
                    self._fail(error)
            return ""

    def close(self) -> None:
        """Write what is held, and let the file go."""
        with self._changed:
            self._flush()
            if self._database is not None:
                with suppress(sqlite3.Error):
                    self._database.close()
                self._database = None

    def _ready(self) -> bool:
        """Whether the file is open; opens it where it is not."""
        if self._database is not None:
            return True
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            try:
                self._database = _open(self._path)
            except (sqlite3.Error, ValueError) as error:
                if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGE:
                    raise
                self._set_aside(error)
                self._database = _open(self._path)
            self._rows, newest = self._database.execute(_COUNT).fetchone()
            self._count_on(newest)
        except (OSError, sqlite3.Error, ValueError) as error:
            self._fail(error)
            return False
        return True

    def _count_on(self, newest: int) -> None:
        """Go on behind the file's newest id; what was held before the file could first be read moves behind it."""
        if not self._has_counted:
            held = [replace(event, id=newest + place) for place, event in enumerate(self._held, start=1)]
            self._held.clear()
            self._held += held
            newest += len(held)
        self._newest = max(self._newest, newest)
        self._has_counted = True

    def _flush(self) -> None:
        if not self._held or not self._ready() or self._database is None:
            return
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            rows = [
                (e.id, e.at, e.monotonic_ns, e.kind, e.resource, e.what, e.before, e.after, e.cause) for e in self._held
            ]
            database.executemany(f"INSERT OR REPLACE INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            total = self._rows + len(rows)
            if total > self._most + _SPARE:
                # Those that are kept have the highest ids, whatever gaps there are.
                total -= database.execute(
                    "DELETE FROM events WHERE id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (self._most,),
                ).rowcount
            database.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)
            return
        self._rows = total
        self._held.clear()

    def _fail(self, error: Exception) -> None:
        """Let the file go: it is looked at anew at the next call. Said once for each new trouble."""
        notice = f"the journal {self._path} cannot be used ({error}): events are held in memory; free or mend the disk"
        if notice != self.notice:
            _log.warning("%s", notice)
        self.notice = notice
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _set_aside(self, error: Exception) -> None:
        number = 1
        while (target := self._path.with_name(f"{FILE_NAME}.damaged-{number}")).exists():
            number += 1
        self._path.rename(target)
        # Its log belongs to it: a new file must not be brought up to date with the old one's.
        for suffix in ("-wal", "-shm"):
            beside = self._path.with_name(FILE_NAME + suffix)
            if beside.exists():
                beside.rename(target.with_name(target.name + suffix))
        self.notice = f"the journal was damaged ({error}) and is now {target}: a new one has been begun"
        _log.warning("%s", self.notice)


def read(state_dir: Path, number: int = 0, most: int = MAX_EVENTS) -> tuple[Event, ...]:
    """The journal of a host without an agent: events with an id above a number. Nothing is written.

    Raises:
        HostError: it cannot be read.
    """
    path = state_dir / FILE_NAME
    if not path.exists():
        return ()
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            database.text_factory = _text
            return tuple(_select(database, number, most))
    except sqlite3.Error as error:
        raise HostError(f"the journal {path} cannot be read: {error}; the agent sets a damaged one aside") from error


def _open(path: Path) -> sqlite3.Connection:
    """The database, made where there is none.

    Raises:
        ValueError: it is of another version, or damaged.
    """
    path.touch(mode=0o600)
    if 0 < path.stat().st_size < _LEAST_BYTES:
        raise ValueError("it has been cut")  # SQLite would take it for a new one
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    database.text_factory = _text
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if version == 0 and not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            database.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute("COMMIT")
        elif version != _SCHEMA_VERSION:
            raise ValueError(f"its version is {version}, not {_SCHEMA_VERSION}")
        database.execute(f"SELECT {_COLUMNS} FROM events LIMIT 1").fetchone()
        database.execute("SELECT name, text FROM kept LIMIT 1").fetchone()
        if database.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise ValueError("it is damaged")
    except BaseException:
        database.close()
        raise
    return database


def _select(database: sqlite3.Connection, number: int, most: int) -> list[Event]:
    rows: Sequence[tuple[int, str, int, str, str, str, str, str, str]] = database.execute(
        f"SELECT {_COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?", (number, most)
    ).fetchall()
    return [Event(*row) for row in rows]


def _text(raw: bytes) -> str:
    """Text of the file, whatever befell it: one bad character must not hide all events."""
    return raw.decode(errors="replace")


def _clean(text: str) -> str:
    """One printable line."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= _MAX_TEXT else f"{line[: _MAX_TEXT - 3]}..."
