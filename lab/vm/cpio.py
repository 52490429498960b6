"""Writes the archive that a Linux kernel takes as its first root file system (cpio, "newc").

Pure: bytes in, bytes out.
"""

import stat
from collections.abc import Iterable
from dataclasses import dataclass

_END = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of the archive.

    Args:
        path: below the root, without a leading slash.
        mode: type and permissions, as in ``st_mode``.
        content: what is in the file.
    """

    path: str
    mode: int
    content: bytes = b""


def folder(path: str) -> Entry:
    """A folder; the kernel makes none by itself, so parents come first."""
    return Entry(path, stat.S_IFDIR | 0o755)


def program(path: str, content: bytes) -> Entry:
    """A file that can be run."""
    return Entry(path, stat.S_IFREG | 0o755, content)


def file(path: str, content: bytes) -> Entry:
    """A plain file."""
    return Entry(path, stat.S_IFREG | 0o644, content)


def archive(entries: Iterable[Entry]) -> bytes:
    """The whole archive, in the order given."""
    packed = [_pack(number, entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*packed, _pack(0, Entry(_END, 0))])


def _pack(inode: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device (major, minor), special device (major, minor), name size, check
    numbers = (inode, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(head + name) + _padded(entry.content)


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)
