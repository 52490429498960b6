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
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="after --, with its arguments")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    kernel = kernels.find(options.kernel)
    chosen = Accelerator.EMULATION if options.emulate else accelerator.choose(kernel)
    bring = options.bring.absolute() if options.bring else None
    job = Job(options.command, Path.cwd(), bring)
    print(f"vm: Linux {kernel.version}, {chosen.value}", file=sys.stderr)
    status = machine.run(kernel, job, chosen, Size(options.memory, options.cpus), options.timeout, _say)
    if bring is not None and status.file is not None:
        bring.write_bytes(status.file)
    assert status.exit_code is not None
    return status.exit_code


def _say(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _leave(number: int, frame: FrameType | None) -> None:
    """End like Ctrl-C does, through every `finally`, so that nothing is left running."""
    del frame
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
