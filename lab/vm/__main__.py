"""The command behind ``scripts/vm``: reads the options, runs the machine, returns the command's exit code."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from lab.vm import accelerator, kernels, machine
from lab.vm.errors import MachineError, MachineTimeout, Unavailable
from lab.vm.initramfs import Job
from lab.vm.qemu import Accelerator, Size

EXIT_PERMISSION = 6
EXIT_UNAVAILABLE = 69
EXIT_TIMEOUT = 124
EXIT_MACHINE = 125

_EXIT_CODES = {MachineTimeout: EXIT_TIMEOUT, Unavailable: EXIT_UNAVAILABLE}

_EPILOGUE = """
exit code: the command's; 2 usage, 6 not root, 69 no qemu or no kernel to be had, 124 its time was over,
125 the machine itself failed, 130 interrupted
examples:
  scripts/vm -- uname -r
  scripts/vm --kernel 6.12 -- .venv/bin/dataplane lab test vpc-peering
  scripts/vm --boot ROOT -- systemctl status
  scripts/vm --pair -- sh -c 'ip link set eth0 up; ip address add 192.0.2.$VM/24 dev eth0; ping -c9 192.0.2.$((3 - VM))'
"""


def main() -> int:
    """Run what the command line asks for.

    Returns:
        The exit code.
    """
    options = _options()
    if os.geteuid() != 0:
        print("error: the machine's root is served by root only: run this with sudo", file=sys.stderr)
        return EXIT_PERMISSION
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        return _run(options)
    except MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return _EXIT_CODES.get(type(error), EXIT_MACHINE)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/vm",
        description="Run a command as root in a machine with Debian's own kernel, which sees these files, read-only.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kernel", choices=sorted(kernels.SERIES), default="6.1", help="its series (6.1)")
    parser.add_argument("--memory", default="2G", help="of the machine (2G)")
    parser.add_argument("--cpus", type=int, choices=range(1, 9), default=2, metavar="N", help="processors of it (2)")
    parser.add_argument(
        "--timeout", type=float, default=1500.0, metavar="S", help="seconds for the command, from its start (1500)"
    )
    parser.add_argument("--bring", type=Path, metavar="FILE", help="a file that the command writes, to write here too")
    parser.add_argument("--emulate", action="store_true", help="do not use KVM even where it works")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--boot", type=Path, metavar="ROOT", help="boot this folder's Debian by its own init; it keeps what is written"
    )
    kinds.add_argument(
        "--pair", action="store_true", help="run it in two machines, wired as eth0; VM=1 and VM=2 say which is which"
    )
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="after --, with its arguments")
    options = parser.parse_args()
    if options.pair and options.bring:
        parser.error("--bring is for one machine")
    if options.boot and not os.path.lexists(options.boot / "sbin/init"):
        parser.error(f"{options.boot} has no /sbin/init: mmdebstrap --variant=minbase --include=systemd-sysv,kmod ...")
    return options


def _run(options: argparse.Namespace) -> int:
    kernel = kernels.find(options.kernel)
    chosen = Accelerator.EMULATION if options.emulate else accelerator.choose(kernel)
    size = Size(options.memory, options.cpus)
    print(f"vm: Linux {kernel.version}, {chosen.value}", file=sys.stderr)
    if options.pair:
        jobs = [Job(options.command, Path.cwd(), number=number) for number in (1, 2)]
        says = [_Lines(f"{job.number}: ".encode()) for job in jobs]
        pair = machine.run_pair(kernel, jobs, chosen, size, options.timeout, says)
        for say in says:
            say.end()
        return next((status.exit_code for status in pair if status.exit_code), 0)
    bring = options.bring.absolute() if options.bring else None
    boot = options.boot.absolute() if options.boot else None
    job = Job(options.command, Path("/") if boot else Path.cwd(), bring, boot)
    status = machine.run(kernel, job, chosen, size, options.timeout, _say)
    if bring is not None and status.file is not None:
        bring.write_bytes(status.file)
    assert status.exit_code is not None
    return status.exit_code


def _say(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


class _Lines:
    """Says whole lines with a word before each: whose they are, of two machines that speak at the same time."""

    def __init__(self, before: bytes) -> None:
        self._before = before
        self._rest = b""

    def __call__(self, content: bytes) -> None:
        """Take what comes, and say the lines that are whole."""
        *lines, self._rest = (self._rest + content).split(b"\n")
        _say(b"".join(self._before + line + b"\n" for line in lines))

    def end(self) -> None:
        """Say what is left without the end of a line."""
        if self._rest:
            self(b"\n")


def _leave(number: int, frame: FrameType | None) -> None:
    """End like Ctrl-C does, through every `finally`, so that nothing is left running."""
    del frame
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
