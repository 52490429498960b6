"""Runs one command and writes down how long it took: a program of its own, and a small one.

The kernel counts what a process had before it became another program, and that is a copy of whoever started it: the
memory of the command would be that of the measuring Python. So this imports next to nothing.
"""

import os
import sys
import time


def main() -> int:
    """``stopwatch.py REPORT COMMAND...``: write seconds, processor seconds, peak KB and exit code to REPORT."""
    report, *command = sys.argv[1:]
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    with open(report, "w", encoding="ascii") as file:  # noqa: PTH123 (pathlib is a megabyte)
        worked = usage.ru_utime + usage.ru_stime
        file.write(f"{seconds} {worked} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
