"""Counts what a command writes: it is run in this process, and everything that could change something is watched.

A program of its own (``python -m lab.bench.audit apply FILE``): what is watched once is watched for good. It sees

- netlink requests that are no questions (of rtnetlink's message types, the lowest two bits are 2 for a question);
- files that Python opens for writing, sysctls among them; the lock and the terminal's are named in ``_HARMLESS``;
- namespaces made, and mounts;
- programs that are started, since what they do is not seen;
- the files of the state folder, by what ``stat`` says before and after: SQLite opens them behind Python's back.
"""

import contextlib
import io
import json
import os
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataplane.cli.context import DEFAULT_RUN, DEFAULT_STATE
from dataplane.cli.main import cli
from dataplane.kernel import libc, netlink

_HARMLESS = (str(DEFAULT_RUN), "/dev/")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FIRST_TYPE = 16
"""Of rtnetlink; each kind of object has four: new, delete, get, set."""
_QUESTION = 2
_NF_TABLES = 10
_NF_TABLES_QUESTIONS = {1, 4, 7, 10, 13, 16, 19, 23}
"""NFT_MSG_GETTABLE and its like."""
_TYPE_OFFSET = 4
_ALIGNMENT = 4
_LENGTH, _TYPE = struct.Struct("=I"), struct.Struct("=H")


def is_question(kind: int) -> bool:
    """Whether a message of rtnetlink, or of nf_tables, only asks."""
    if kind >> 8 == _NF_TABLES:
        return kind & 0xFF in _NF_TABLES_QUESTIONS
    return kind >= _FIRST_TYPE and kind % 4 == _QUESTION


def kinds_in(data: bytes | bytearray) -> Iterator[int]:
    """The types of the messages in one send."""
    offset = 0
    while offset < len(data):
        (length,) = _LENGTH.unpack_from(data, offset)
        yield _TYPE.unpack_from(data, offset + _TYPE_OFFSET)[0]
        offset += (length + _ALIGNMENT - 1) & -_ALIGNMENT


class Audit:
    """What was written so far.

    Args:
        counted: what kind of write, and how many.
    """

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._state = _fingerprint(DEFAULT_STATE)

    def start(self) -> None:
        """Watch, for as long as the process lives."""
        sys.addaudithook(self._see)
        self._wrap(netlink.NetlinkSocket, "_send", lambda call: self._count_requests(call[1]))
        for name in ("mount", "umount", "unshare"):
            self._wrap(libc, name, lambda _, name=name: self._count(name))

    def finish(self) -> dict[str, int]:
        """The counts, with the changes of the state folder."""
        if _fingerprint(DEFAULT_STATE) != self._state:
            self._count("state files")
        return dict(+self.counted)  # without what was looked at and was no write

    def _count(self, what: str) -> None:
        self.counted[what] += 1

    def _count_requests(self, data: bytes | bytearray) -> None:
        self.counted["netlink requests"] += sum(not is_question(kind) for kind in kinds_in(data))

    def _wrap(self, owner: Any, name: str, watch: Any) -> None:
        whole = getattr(owner, name)

        def watched(*words: Any, **named: Any) -> Any:
            watch(words)
            return whole(*words, **named)

        setattr(owner, name, watched)

    def _see(self, event: str, words: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.posix_spawn", "os.fork"):
            self._count("programs")
        if event == "open" and isinstance(words[0], str | bytes) and (words[2] or 0) & _WRITING:
            path = os.fsdecode(words[0])
            if not path.startswith(_HARMLESS):
                self._count("files")


def _fingerprint(folder: Path) -> list[tuple[str, int, int, int]]:
    """Names, sizes, inodes and times of the files in a folder."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [(entry.name, entry.stat()) for entry in entries]
    return [(name, status.st_size, status.st_ino, status.st_mtime_ns) for name, status in found]


def main() -> int:
    """Run the command of the product that the arguments are, and print the counts as JSON."""
    # Loaded before, so that bytecode which is written on the way is nobody's write.
    for module in ("dataplane.agent.session", "dataplane.cli.apply", "dataplane.kernel.driver"):
        __import__(module)
    audit = Audit()
    audit.start()
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli.main(sys.argv[1:], standalone_mode=False)
    print(json.dumps({"code": code or 0, "writes": audit.finish()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
