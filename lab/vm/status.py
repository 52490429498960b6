"""What the machine says on its third serial port: that the command started, a file, the command's exit code.

Pure. The words are second.sh's.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """What became of the command.

    Args:
        has_started: the machine reached the command.
        exit_code: of the command; None: it did not come to its end.
        file: the content of the file to bring out, if it was there.
    """

    has_started: bool = False
    exit_code: int | None = None
    file: bytes | None = None


def parse(content: bytes) -> Status:
    """Read what has arrived so far."""
    first, _, rest = content.partition(b"\n")
    if first.strip() != b"started":
        return Status()
    file = None
    if rest.startswith(b"file "):
        size, _, rest = rest.removeprefix(b"file ").partition(b"\n")
        length = int(size)
        file, rest = rest[:length], rest[length:]
    word, _, code = rest.strip().partition(b" ")
    return Status(True, int(code) if word == b"exit" else None, file)
