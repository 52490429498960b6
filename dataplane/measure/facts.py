"""What a report says of the machine and the run (performance.md): kernel, processors, versions, load, the command."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from dataplane import __version__
from dataplane.accept.model import Tool
from dataplane.measure.programs import path_of

_VERSION_WORDS: Mapping[Tool, tuple[str, ...]] = {
    Tool.IPERF3: ("iperf3", "--version"),
    Tool.NETPERF: ("netperf", "-V"),
}


def facts(tools: Iterable[Tool]) -> dict[str, str]:
    """The facts of this machine and moment, by the words of a report.

    Args:
        tools: those that are used.
    """
    one, five, _ = os.getloadavg()
    return {
        "machine": platform.node(),
        "processors": f"{os.cpu_count()} x {_processor()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "congestion control": _text("/proc/sys/net/ipv4/tcp_congestion_control"),
        "dataplane": __version__,
        **{str(tool): version for tool in dict.fromkeys(tools) if (version := _version(tool))},
        "load at the start": f"{one:.2f} (5 minutes: {five:.2f})",
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": "none: ports and order are computed, nothing is by chance",
        "command": shlex.join(["dataplane", *sys.argv[1:]]),
    }


def _version(tool: Tool) -> str:
    words = _VERSION_WORDS.get(tool)
    program = path_of(words[0]) if words is not None else None
    if words is None or program is None:
        return ""
    said = subprocess.run([program, *words[1:]], capture_output=True, text=True).stdout.strip().splitlines()
    return said[0] if said else ""


def _processor() -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
