"""Compiled programs kept on disk: compiling takes a second or three, loading what was compiled a few milliseconds.

Owns /var/cache/dataplane. What is in it can be lost at any time and costs a compilation then; what is damaged, or lies
where others than root could have put it, counts as lost, since the kernel is going to run it.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from dataplane.datapath.compiled import Compiled

FOLDER = Path("/var/cache/dataplane/programs")
_MOST = 64
"""Files that are kept: of every size of network that this host has had lately."""


def find(key: str) -> Compiled | None:
    """What was kept under a key; None where nothing was, or nothing that can be trusted."""
    path = _path(key)
    try:
        if not _is_ours(FOLDER.lstat()) or not _is_ours(path.lstat()):
            return None
        found = Compiled.of_text(path.read_text(encoding="ascii"))
        os.utime(path)
    except (OSError, ValueError):
        return None
    return found


def keep(key: str, compiled: Compiled) -> None:
    """Keep a program. A disk that is full or read-only is no reason to fail: the next one compiles again."""
    try:
        FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(FOLDER.lstat()):
            return
        with tempfile.NamedTemporaryFile("w", dir=FOLDER, prefix="new-", delete=False, encoding="ascii") as out:
            try:
                out.write(compiled.text())
                out.flush()
                Path(out.name).replace(_path(key))
            except OSError:
                Path(out.name).unlink()
                raise
        _tidy()
    except OSError:
        return


def _path(key: str) -> Path:
    return FOLDER / f"{key}.json"


def _is_ours(found: os.stat_result) -> bool:
    """Whether nobody but us can have written there."""
    is_open = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid == os.geteuid() and not is_open and not stat.S_ISLNK(found.st_mode)


def _tidy() -> None:
    """Remove what was not used for longest, and what a death half way left."""
    dated = []
    for path in FOLDER.iterdir():
        with contextlib.suppress(OSError):  # another process tidies too
            dated.append((path.stat().st_mtime, path))
    for _, path in sorted(dated, reverse=True)[_MOST:]:
        with contextlib.suppress(OSError):
            path.unlink()
