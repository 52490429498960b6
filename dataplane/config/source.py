"""Reading texts: a file, a folder of files, or standard input; nothing is parsed here.

Only regular files of at most 4 MB are opened, so that a FIFO cannot hang us and a device cannot feed us for ever.
"""

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataplane.config.problem import Problem
from dataplane.model.resource import Origin

MAX_BYTES = 4 * 1024 * 1024
SUFFIXES = (".yaml", ".yml")
STDIN = "-"
_NOT_REGULAR = "name a regular file, a folder, or - for standard input"


@dataclass(frozen=True, slots=True)
class Source:
    """A text and what it is called in messages."""

    name: str
    text: str


def read_sources(paths: Sequence[str | Path], problems: list[Problem]) -> list[Source]:
    """The texts behind paths, in their order; those of a folder sorted by name.

    Args:
        paths: files, folders, or ``-`` for standard input. A link to a regular file may be named; inside a
            folder links are refused, since there nobody has named them.
        problems: takes what cannot be read.
    """
    sources: list[Source] = []
    for path in paths:
        if str(path) == STDIN:
            _add(sources, "<stdin>", sys.stdin.buffer.read(MAX_BYTES + 1), problems)
            continue
        for file in _files(Path(path), problems):
            data = _read(file, problems)
            if data is not None:
                _add(sources, str(file), data, problems)
    return sources


def check_text(source: Source) -> Problem | None:
    """The first character that our YAML may not hold: a byte order mark, a tab, a control character."""
    if len(source.text) > MAX_BYTES:
        return _problem(source.name, "larger than 4 MB", "split it into several files")
    if source.text.startswith("\ufeff"):
        return _problem(source.name, "begins with a byte order mark", "save it as UTF-8 without BOM")
    if source.text.isprintable():
        return None
    for number, line in enumerate(source.text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if line.isprintable():
            continue
        for column, character in enumerate(line, start=1):
            if character == "\t":
                return _problem(source.name, "a tab", "use blanks", number, column)
            if _is_control(character):
                what = f"the control character U+{ord(character):04X}"
                return _problem(source.name, what, "remove it", number, column)
    return None


def _is_control(character: str) -> bool:
    # U+0085, U+2028 and U+2029 break lines for YAML 1.1 but not for YAML 1.2; U+FEFF cannot be seen.
    # Halves of surrogate pairs and U+FFFE are no characters at all; YAML's reader would stop at them without a place.
    is_half = "\ud800" <= character <= "\udfff"
    return character < " " or "\x7f" <= character <= "\x9f" or is_half or character in "\u2028\u2029\ufeff\ufffe\uffff"


def _problem(name: str, message: str, remedy: str, line: int = 1, column: int = 1) -> Problem:
    return Problem("error", Origin(name, line, column), "", message, None, remedy)


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    """The path itself, or the YAML files of the folder that it names."""
    if not path.is_dir():
        return [path]
    try:
        # Hidden files are editors' own: copies, locks, half-written ones.
        shown = (entry for entry in path.iterdir() if not entry.name.startswith("."))
        entries = sorted(entry for entry in shown if entry.suffix in SUFFIXES)
    except OSError as error:
        problems.append(_problem(str(path), f"cannot be read: {error.strerror}", "check its permissions"))
        return []
    if not entries:
        problems.append(
            _problem(str(path), "a folder without any *.yaml or *.yml file", "name the folder that has them")
        )
    files = []
    for entry in entries:
        if entry.is_symlink() or not entry.is_file():
            kind = "a symbolic link" if entry.is_symlink() else _kind(entry.stat().st_mode)
            problems.append(_problem(str(entry), f"is {kind}", "keep regular files only in a folder of configurations"))
        else:
            files.append(entry)
    return files


def _read(path: Path, problems: list[Problem]) -> bytes | None:
    """The bytes of a regular file, or None with the reason among the problems."""
    try:
        # O_NONBLOCK: opening a FIFO returns at once, and the test on the open file cannot be raced.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode):
                return file.read(MAX_BYTES + 1)
        problems.append(_problem(str(path), f"is {_kind(mode)}", _NOT_REGULAR))
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        problems.append(_problem(str(path), f"cannot be read: {said}", _NOT_REGULAR))
    return None


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "not a regular file")


def _add(sources: list[Source], name: str, data: bytes, problems: list[Problem]) -> None:
    if len(data) > MAX_BYTES:
        problems.append(_problem(name, "larger than 4 MB", "split it into several files"))
        return
    try:
        sources.append(Source(name, data.decode("utf-8")))
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8"
        problems.append(_problem(name, what, "save the file as UTF-8", line, column))
