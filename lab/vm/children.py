"""Processes that cannot outlive this one: qemu, and the server of the machine's root.

It owns starting and ending them. Whatever ends this process, also SIGKILL, ends them too.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

_PR_SET_PDEATHSIG = 1
_PATIENCE_S = 5.0

_libc = ctypes.CDLL(None)


@contextmanager
def running(
    command: Sequence[str], *, output: int | IO[bytes], errors: int | IO[bytes], inherited: Sequence[int] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is ended, with all of its session, when the block is left for whatever reason.

    Args:
        inherited: descriptors that it gets under the same numbers.

    A session of its own, so that the terminal's Ctrl-C reaches this process alone, which then ends the others in order.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        pass_fds=inherited,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )
    try:
        yield process
    finally:
        _end(process)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask, wait, kill. The group first: virtiofsd serves from a child of its own."""
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
