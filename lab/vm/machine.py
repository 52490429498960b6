"""One machine from its start to its end: boots, passes the output on, returns what became of the command.

It owns the folder of the run and both processes, and leaves neither behind.
"""

import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.vm import initramfs, qemu, status
from lab.vm.children import running
from lab.vm.errors import MachineError, MachineTimeout
from lab.vm.initramfs import Job
from lab.vm.kernels import Kernel
from lab.vm.qemu import Accelerator, Files, Size
from lab.vm.status import Status

BOOT_TIMEOUT_S = 120.0
_POLL_S = 0.2
_WORDS_LINES = 25


def run(
    kernel: Kernel, job: Job, accelerator: Accelerator, size: Size, timeout_s: float, say: Callable[[bytes], object]
) -> Status:
    """Run a job in a machine of its own.

    Args:
        timeout_s: for the command, from its start.
        say: takes the command's output as it comes.

    Raises:
        MachineTimeout: the command had not ended by then.
        MachineError: the machine did not reach the command, or ended without a word; the console's end is in it.
    """
    with _folder() as files:
        files.initramfs.write_bytes(initramfs.build(kernel, job))
        command = qemu.machine(accelerator, kernel.image, files, size, has_root=True)
        with _root_server(files), running(command, output=subprocess.PIPE, errors=subprocess.STDOUT) as process:
            _pass_on(process, files, say, timeout_s)
        return _result(files)


def starts(kernel: Kernel, accelerator: Accelerator, timeout_s: float) -> bool:
    """Whether a machine boots at all within a time."""
    with _folder() as files:
        files.initramfs.write_bytes(initramfs.build_probe())
        command = qemu.machine(accelerator, kernel.image, files, Size("256M", 1), has_root=False)
        with running(command, output=subprocess.DEVNULL, errors=subprocess.DEVNULL) as process:
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return False
        return _status(files).has_started


@contextmanager
def _folder() -> Iterator[Files]:
    with tempfile.TemporaryDirectory(prefix="dataplane-vm-") as path:
        yield Files(Path(path))


@contextmanager
def _root_server(files: Files) -> Iterator[None]:
    # The socket listens before the server starts, so that the machine need not wait for it.
    with socket.socket(socket.AF_UNIX) as listener, files.root_log.open("wb") as log:
        listener.bind(str(files.root_socket))
        listener.listen(1)
        command = qemu.root_server(listener.fileno())
        with running(command, output=log, errors=log, inherited=[listener.fileno()]):
            yield


def _pass_on(
    process: "subprocess.Popen[bytes]", files: Files, say: Callable[[bytes], object], timeout_s: float
) -> None:
    """Pass output on until the machine is off."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    has_started = False
    while True:
        readable, _, _ = select.select([descriptor], [], [], _POLL_S)
        if readable:
            content = os.read(descriptor, 65536)
            if not content:
                return
            say(content)
        if not has_started and _status(files).has_started:
            has_started = True
            deadline = time.monotonic() + timeout_s
        if time.monotonic() > deadline:
            if has_started:
                raise MachineTimeout(f"the command had not ended after {timeout_s:g} s; the machine was stopped")
            raise MachineError(f"the machine did not start; the end of its console:\n{_words(files)}")


def _status(files: Files) -> Status:
    return status.parse(files.status.read_bytes()) if files.status.exists() else Status()


def _result(files: Files) -> Status:
    found = _status(files)
    if found.exit_code is None:
        raise MachineError(f"the machine ended without a word; the end of its console:\n{_words(files)}")
    return found


def _words(files: Files) -> str:
    """The end of what the kernel and the root's server said."""
    texts = [path.read_text(errors="replace") for path in (files.console, files.root_log) if path.exists()]
    return "\n".join(line for text in texts for line in text.splitlines()[-_WORDS_LINES:]) or "(nothing)"
