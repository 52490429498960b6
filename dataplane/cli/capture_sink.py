"""Where ``dataplane capture`` puts packets: lines on stdout, or pcapng in a file or on stdout.

What a packet is in words is not known here.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import click

from dataplane import __version__
from dataplane.errors import HostError
from dataplane.observe import pcapng
from dataplane.observe.capture import Frame, Point, line_of

if TYPE_CHECKING:
    from dataplane.kernel.capture import Counted

STDOUT = "-"


class Sink(Protocol):
    """Takes what is captured, batch by batch."""

    def take(self, frames: Sequence[Frame]) -> None:
        """Write a batch, and let whoever reads see it."""

    def finish(self, counts: "Sequence[Counted]") -> None:
        """The capture is over; what the kernel counted at each place."""


@contextmanager
def open_sink(write: str | None, points: Sequence[Point]) -> Iterator[Sink]:
    """Text where nothing is to be written, else pcapng.

    Args:
        write: a path, ``-`` for stdout, or None.
        points: the places of the capture, in the order of their numbers.

    Raises:
        UsageError: bytes would go to a terminal.
        HostError: the file cannot be written.
    """
    if write is None:
        yield _TextSink(points)
    elif write == STDOUT:
        if sys.stdout.isatty():
            raise click.UsageError("pcapng is not for a terminal; pipe it, or name a file.")
        yield _FileSink(sys.stdout.buffer, points)
    else:
        with _created(Path(write)) as file:
            yield _FileSink(file, points)


def _created(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}; name another file") from error


class _TextSink:
    """One line for each packet."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points

    def take(self, frames: Sequence[Frame]) -> None:
        lines = (line_of(frame, self._points[frame.point], _clock(frame.time_ns // 1_000_000_000)) for frame in frames)
        click.echo("\n".join(lines))

    def finish(self, counts: "Sequence[Counted]") -> None:
        """Nothing to add: the summary is on stderr."""


class _FileSink:
    """A pcapng file that is complete after every batch."""

    def __init__(self, file: IO[bytes], points: Sequence[Point]) -> None:
        self._file, self._points = file, points
        self._last_ns = 0
        interfaces = tuple(pcapng.Interface(point.ifname, point.description) for point in points)
        self._write(pcapng.header(f"dataplane {__version__}", interfaces))

    def take(self, frames: Sequence[Frame]) -> None:
        blocks = []
        for frame in frames:
            data, words = frame.tagged, self._points[frame.point].words(frame.direction)
            length = frame.length + len(data) - len(frame.data)
            blocks.append(pcapng.packet(frame.point, frame.time_ns, data, length, frame.direction, words))
            self._last_ns = frame.time_ns
        self._write(b"".join(blocks))

    def finish(self, counts: "Sequence[Counted]") -> None:
        statistics = (
            pcapng.statistics(number, self._last_ns, count.received, count.dropped)
            for number, count in enumerate(counts)
        )
        self._write(b"".join(statistics))

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except BrokenPipeError:
            raise  # whoever read it has seen enough: the command ends quietly
        except OSError as error:
            raise HostError(f"cannot write packets: {error.strerror}; free or mend the disk") from error


@lru_cache(maxsize=4)
def _clock(seconds: int) -> str:
    """The local time of day: many packets share a second."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")
