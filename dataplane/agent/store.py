"""Local state between runs: ids, remembered facts, verdicts on legs, the last applied files (SQLite, one file).

Losing it is survivable by design (``compile/adopt.py``); a damaged one is set aside, never repaired in place.
Nothing is written where nothing changed.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast, get_args

from dataplane.config import Source
from dataplane.errors import HostError
from dataplane.model.ids import IdBook, IdKind
from dataplane.model.leg import CAUSES, NO_VERDICTS, Cause, LegVerdict, LegVerdicts, LegWord
from dataplane.model.memory import Memory

FILE_NAME = "state.sqlite"
_SCHEMA_VERSION = 3
_BEFORE_HOSTS, _BEFORE_LEGS = 1, 2
"""Versions that knew one host only, and no verdicts; read as they are, and made the present one at the next save."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT})
"""What SQLite says of a file that is not what it was; everything else is the disk's or somebody else's doing."""
_LEGS = """
CREATE TABLE legs (router_interface TEXT NOT NULL, cause TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
                   PRIMARY KEY (router_interface, cause))"""
_SCHEMA = f"""{_LEGS};
CREATE TABLE ids (kind TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL,
                  PRIMARY KEY (kind, name), UNIQUE (kind, number));
CREATE TABLE floors (kind TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE facts (kind TEXT NOT NULL, id TEXT NOT NULL, attribute TEXT NOT NULL, value TEXT NOT NULL,
                    PRIMARY KEY (kind, id, attribute));
CREATE TABLE sources (position INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE applied (only INTEGER PRIMARY KEY CHECK (only = 1), at TEXT NOT NULL,
                      host TEXT NOT NULL DEFAULT '');
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """The files of the last apply.

    Args:
        at: when, in UTC, ISO 8601; empty where nothing was applied.
        host: which of their hosts this one was; empty where they name none.
    """

    sources: tuple[Source, ...] = ()
    at: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """All that is kept between runs.

    Args:
        legs: what was said of legs, by hand and by health checks.
        is_new: there was no readable file: ids and facts are to be adopted from the kernel.
        notice: what happened to a damaged file; empty otherwise.
    """

    book: IdBook = field(default_factory=IdBook)
    memory: Memory = field(default_factory=Memory)
    applied: Applied = field(default_factory=Applied)
    legs: LegVerdicts = NO_VERDICTS
    is_new: bool = False
    notice: str = ""


class Store:
    """The state file of one host.

    Args:
        state_dir: its folder, made (0750) at the first save.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME

    def load(self) -> State:
        """What is kept. A damaged or newer file is not used; the state then says so.

        Raises:
            HostError: the file is there and cannot be read at present.
        """
        if not self._path.exists():
            return State(is_new=True)
        try:
            # Not read-only: what a death in the middle of a commit left is rolled back by whoever reads first.
            with closing(sqlite3.connect(f"file:{self._path}?mode=rw", uri=True)) as database:
                return State(is_new=True) if self._is_unborn(database) else _read(database)
        except (sqlite3.DatabaseError, ValueError, OverflowError) as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGE:
                # A disk or a limit that refuses says nothing about the file: ids must not be given out anew for that.
                raise HostError(f"cannot read the state file {self._path}: {error}; free or mend the disk") from error
            notice = f"the state file {self._path} cannot be used ({error}): state is rebuilt from the kernel"
            return State(is_new=True, notice=notice)

    def _is_unborn(self, database: sqlite3.Connection) -> bool:
        """Whether the very first save died before its commit."""
        version = database.execute("PRAGMA user_version").fetchone()[0]
        return not version and self._path.stat().st_size == 0

    def save(self, state: State) -> None:
        """Keep a state, all or nothing; no write where it equals what is kept.

        Raises:
            HostError: the disk refuses; what was kept before is intact.
        """
        kept = Store.load(self)  # what is on the disk, whatever a subclass holds besides
        if not kept.is_new and kept == replace(state, is_new=False, notice=""):
            return
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            if kept.notice:
                self._set_aside()
            with self._transaction() as database:
                _write(database, state)
        except (OSError, sqlite3.Error) as error:
            raise HostError(f"cannot write the state file {self._path}: {error}; free or mend the disk") from error

    def remove(self) -> None:
        """Forget everything: nothing of ours is left on this host. A damaged file is left for whoever looks into it.

        Raises:
            HostError: the disk refuses.
        """
        try:
            if self.load().notice:
                self._set_aside()
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise HostError(f"cannot remove the state file {self._path}: {error}; remove it by hand") from error

    def _set_aside(self) -> None:
        number = 1
        while (target := self._path.with_name(f"{FILE_NAME}.damaged-{number}")).exists():
            number += 1
        self._path.rename(target)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            self._path.chmod(0o600)
            database.execute("BEGIN IMMEDIATE")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in filter(None, map(str.strip, _SCHEMA.split(";"))):
                    database.execute(statement)
            if version == _BEFORE_HOSTS:
                database.execute("ALTER TABLE applied ADD COLUMN host TEXT NOT NULL DEFAULT ''")
            if version in (_BEFORE_HOSTS, _BEFORE_LEGS):
                database.execute(_LEGS)
            if version != _SCHEMA_VERSION:
                database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            yield database
            database.execute("COMMIT")


def _read(database: sqlite3.Connection) -> State:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version not in (_BEFORE_HOSTS, _BEFORE_LEGS, _SCHEMA_VERSION):
        raise ValueError(f"its version is {version}, not {_SCHEMA_VERSION}")
    if database.execute("PRAGMA quick_check").fetchone()[0] != "ok":
        raise ValueError("it is damaged")
    numbers = {(_kind(kind), name): int(n) for kind, name, n in database.execute("SELECT kind, name, number FROM ids")}
    floors = {_kind(kind): int(number) for kind, number in database.execute("SELECT kind, number FROM floors")}
    facts = {
        (kind, name, attribute): value
        for kind, name, attribute, value in database.execute("SELECT kind, id, attribute, value FROM facts")
    }
    sources = tuple(
        Source(name, text) for name, text in database.execute("SELECT name, text FROM sources ORDER BY position")
    )
    host = "host" if version != _BEFORE_HOSTS else "''"
    at = database.execute(f"SELECT at, {host} FROM applied").fetchone()
    legs = _read_legs(database) if version == _SCHEMA_VERSION else NO_VERDICTS
    return State(IdBook(numbers, floors), Memory(facts), Applied(sources, *(at or ("", ""))), legs)


def _read_legs(database: sqlite3.Connection) -> LegVerdicts:
    found: dict[tuple[str, Cause], LegVerdict] = {}
    for leg, cause, state, at in database.execute("SELECT router_interface, cause, state, at FROM legs"):
        if cause not in CAUSES or state not in get_args(LegWord):
            raise ValueError(f"unknown verdict {state!r} by {cause!r}")
        found[leg, cause] = LegVerdict(state, cause, at)
    return LegVerdicts(found)


def _kind(text: str) -> IdKind:
    if text not in ("port", "table", "leg", "group", "next_hop"):
        raise ValueError(f"unknown kind of id {text!r}")
    return cast(IdKind, text)


def _write(database: sqlite3.Connection, state: State) -> None:
    for table in ("ids", "floors", "facts", "legs", "sources", "applied"):
        database.execute(f"DELETE FROM {table}")
    database.executemany(
        "INSERT INTO ids VALUES (?, ?, ?)",
        [(kind, name, number) for (kind, name), number in state.book.numbers.items()],
    )
    database.executemany("INSERT INTO floors VALUES (?, ?)", list(state.book.floor.items()))
    database.executemany(
        "INSERT INTO facts VALUES (?, ?, ?, ?)", [(*key, value) for key, value in state.memory.facts.items()]
    )
    database.executemany(
        "INSERT INTO legs VALUES (?, ?, ?, ?)",
        [(leg, cause, verdict.state, verdict.at) for (leg, cause), verdict in state.legs.known.items()],
    )
    database.executemany(
        "INSERT INTO sources VALUES (?, ?, ?)",
        [(position, source.name, source.text) for position, source in enumerate(state.applied.sources)],
    )
    if state.applied.at:
        database.execute("INSERT INTO applied VALUES (1, ?, ?)", (state.applied.at, state.applied.host))
