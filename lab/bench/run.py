"""Runs one command as a user would, and says how long it took and how much memory it had at its peak."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.bench import stopwatch
from lab.bench.model import BenchError

_SHOWN_CHARACTERS = 2000
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command.

    Args:
        seconds: from before it was started until after it had ended.
        processor_seconds: how long it, and what it waited for, had a processor; others who need one do not count.
        peak_bytes: the most resident memory of the process itself.
        output: its standard output.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int
    output: str


def run(command: Sequence[str | Path], root: Path) -> Run:
    """Run a command in the checkout, to its end.

    Raises:
        BenchError: it failed; with the end of what it said.
    """
    watch = [sys.executable, "-I", "-S", stopwatch.__file__]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile() as report:
        subprocess.run(
            [*watch, report.name, *map(str, command)],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=True,
        )
        seconds, worked, peak_kb, code = Path(report.name).read_text(encoding="ascii").split()
        out.seek(0)
        output = out.read().decode(errors="replace")
        if code != "0":
            err.seek(0)
            said = (output + err.read().decode(errors="replace"))[-_SHOWN_CHARACTERS:]
            raise BenchError(f"`{' '.join(map(str, command))}` failed with {code}: {said}")
        return Run(float(seconds), float(worked), int(peak_kb) * 1024, output)


def wait_for_the_kernel(limit_s: float = 60.0) -> None:
    """Wait until the kernel takes no namespaces down any more, which it does after the command that deletes them ended.

    A worker's name has a plus before the queue that it works for at the moment.

    Raises:
        BenchError: it does not come to an end.
    """
    deadline = time.monotonic() + limit_s
    while any("+netns" in name for name in _names_of_processes()):
        if time.monotonic() > deadline:
            raise BenchError(f"the kernel has taken namespaces down for {limit_s:.0f} s; wait until it is done")
        time.sleep(_POLL_S)


def _names_of_processes() -> list[str]:
    names = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                names.append((entry / "comm").read_text(encoding="utf-8", errors="replace"))
            except OSError:
                continue  # it ended meanwhile
    return names
