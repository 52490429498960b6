"""The files that the agent follows: read anew when they change, refused when they are wrong.

Owns what was last read and when it looks again. A text that changes while it is read is read again at the next look.
"""

from collections.abc import Sequence
from pathlib import Path

from dataplane.agent.reader import Reader
from dataplane.config import InvalidConfig, Loaded

_SUFFIXES = (".yaml", ".yml")

Signature = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of change of each file."""


class Files:
    """The configuration's files.

    Args:
        paths: files, or folders of them.
        reader: reads them.
    """

    def __init__(self, paths: Sequence[Path], reader: Reader) -> None:
        self._paths, self._reader = tuple(paths), reader
        self._seen: Signature | None = None

    def have_changed(self) -> bool:
        """Whether they differ from when they were last read."""
        return self._signature() != self._seen

    def read(self) -> Loaded | None:
        """The configuration; None where there is no file at all.

        Raises:
            InvalidConfig: they have errors.
            HostError: the process that reads them died.
        """
        self._seen = self._signature()
        if not self._seen:
            return None
        return self._reader.load(self._paths)

    def _signature(self) -> Signature:
        found = []
        for path in self._paths:
            for one in _files_of(path):
                try:
                    status = one.stat()
                except OSError:
                    continue
                found.append((str(one), status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)


def _files_of(path: Path) -> list[Path]:
    try:
        return sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES) if path.is_dir() else [path]
    except OSError:
        return []


def errors_of(error: InvalidConfig) -> list[str]:
    """The problems of files that were refused, a line each, without the warnings."""
    return [str(problem) for problem in error.problems if problem.severity == "error"]
