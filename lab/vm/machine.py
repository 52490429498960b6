"""Machines from their start to their end: boot, pass the output on, return what became of the command.

It owns the folders of the run and all processes, and leaves none behind.
"""

import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.vm import initramfs, qemu, status
from lab.vm.children import running
from lab.vm.errors import MachineError, MachineTimeout
from lab.vm.initramfs import Job
from lab.vm.kernels import Kernel
from lab.vm.qemu import Accelerator, Files, Size, Wire
from lab.vm.status import Status

BOOT_TIMEOUT_S = 120.0
_POLL_S = 0.2
_WORDS_LINES = 25
_ROOT = Path("/")

Say = Callable[[bytes], object]


def run(kernel: Kernel, job: Job, accelerator: Accelerator, size: Size, timeout_s: float, say: Say) -> Status:
    """Run a job in a machine of its own.

    Args:
        timeout_s: for the command, from its start.
        say: takes the command's output as it comes.

    Raises:
        MachineTimeout: the command had not ended by then.
        MachineError: the machine did not reach the command, or ended without a word; the console's end is in it.
    """
    with _started(kernel, job, accelerator, size, say) as machine:
        _pass_on([machine], timeout_s)
        return _result(machine.files)


def run_pair(
    kernel: Kernel, jobs: Sequence[Job], accelerator: Accelerator, size: Size, timeout_s: float, says: Sequence[Say]
) -> list[Status]:
    """Run two jobs in two machines, whose cards ``eth0`` are the ends of a wire; both stay on until both have ended.

    Args:
        timeout_s: for both commands, from the start of the later one.
        says: take the output of each.

    Raises:
        MachineTimeout: a command had not ended by then.
        MachineError: as `run` does, of either.
    """
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ExitStack() as stack:
        machines = []
        for job, end, say in zip(jobs, ends, says, strict=True):
            stack.enter_context(end)
            wire = Wire(end.fileno(), job.number)
            machines.append(stack.enter_context(_started(kernel, job, accelerator, size, say, wire)))
        _pass_on(machines, timeout_s)
        return [_result(machine.files) for machine in machines]


def starts(kernel: Kernel, accelerator: Accelerator, timeout_s: float) -> bool:
    """Whether a machine boots at all within a time."""
    with _folder() as files:
        files.initramfs.write_bytes(initramfs.build_probe())
        command = qemu.machine(accelerator, kernel.image, files, Size("256M", 1))
        with running(command, output=subprocess.DEVNULL, errors=subprocess.DEVNULL) as process:
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return False
        return _status(files).has_started


@dataclass(frozen=True, slots=True)
class _Machine:
    """One that runs.

    Args:
        output: the descriptor of what the command says.
    """

    files: Files
    output: int
    say: Say

    def pass_on(self) -> bool:
        """Pass on what there is to read; False: the machine is off."""
        content = os.read(self.output, 65536)
        self.say(content)
        return bool(content)


@contextmanager
def _started(
    kernel: Kernel, job: Job, accelerator: Accelerator, size: Size, say: Say, wire: Wire | None = None
) -> Iterator[_Machine]:
    shares = {"root": job.boot, "modules": kernel.modules} if job.boot else {"root": _ROOT}
    with ExitStack() as stack:
        files = stack.enter_context(_folder())
        files.initramfs.write_bytes(initramfs.build(kernel, job))
        for tag, folder in shares.items():
            stack.enter_context(_server(files, tag, folder))
        command = qemu.machine(accelerator, kernel.image, files, size, list(shares), wire)
        inherited = [wire.descriptor] if wire else []
        process = stack.enter_context(
            running(command, output=subprocess.PIPE, errors=subprocess.STDOUT, inherited=inherited)
        )
        assert process.stdout is not None
        yield _Machine(files, process.stdout.fileno(), say)


@contextmanager
def _folder() -> Iterator[Files]:
    with tempfile.TemporaryDirectory(prefix="dataplane-vm-") as path:
        yield Files(Path(path))


@contextmanager
def _server(files: Files, tag: str, folder: Path) -> Iterator[None]:
    # The socket listens before the server starts, so that the machine need not wait for it.
    with socket.socket(socket.AF_UNIX) as listener, files.share_log.open("ab") as log:
        listener.bind(str(files.socket(tag)))
        listener.listen(1)
        command = qemu.share_server(listener.fileno(), folder)
        with running(command, output=log, errors=log, inherited=[listener.fileno()]):
            yield


def _pass_on(machines: Sequence[_Machine], timeout_s: float) -> None:
    """Pass output on until a machine is off, or all of several have said what became of their commands."""
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    has_started = False
    while True:
        readable, _, _ = select.select([machine.output for machine in machines], [], [], _POLL_S)
        if [machine for machine in machines if machine.output in readable and not machine.pass_on()]:
            return
        found = [_status(machine.files) for machine in machines]
        if not has_started and all(each.has_started for each in found):
            has_started = True
            deadline = time.monotonic() + timeout_s
        # What a command said is in the pipe before its exit code is in the file. One that is alone goes off by itself.
        if not readable and len(machines) > 1 and all(each.exit_code is not None for each in found):
            return
        if time.monotonic() > deadline:
            if has_started:
                raise MachineTimeout(f"the command had not ended after {timeout_s:g} s; the machine was stopped")
            words = [_words(machine.files) for machine in machines if not _status(machine.files).has_started]
            raise MachineError(f"the machine did not start; the end of its console:\n{words[0]}")


def _status(files: Files) -> Status:
    return status.parse(files.status.read_bytes()) if files.status.exists() else Status()


def _result(files: Files) -> Status:
    found = _status(files)
    if found.exit_code is None:
        raise MachineError(f"the machine ended without a word; the end of its console:\n{_words(files)}")
    return found


def _words(files: Files) -> str:
    """The end of what the kernel and the servers of its files said."""
    texts = [path.read_text(errors="replace") for path in (files.console, files.share_log) if path.exists()]
    return "\n".join(line for text in texts for line in text.splitlines()[-_WORDS_LINES:]) or "(nothing)"
