"""What a figure has to be read with: the machine, the kernel, the versions, the day (performance.md)."""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dataplane


def facts(seed: int, rounds: Mapping[str, int]) -> dict[str, Any]:
    """Everything that a report says about where it comes from.

    Args:
        rounds: of each group.
    """
    version = subprocess.run(["ip", "-V"], capture_output=True, text=True, check=True).stdout
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _line_of("/proc/cpuinfo", "model name") or platform.machine(),
        "processors": os.cpu_count() or 0,
        "memory_mb": int(_line_of("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "dataplane": dataplane.__version__,
        "python": platform.python_version(),
        "iproute2": version.split("iproute2-")[-1].split(",")[0].strip(),
        "load_average": round(os.getloadavg()[0], 2),
        "seed": seed,
        "rounds": dict(rounds),
    }


def sentence(found: Mapping[str, Any]) -> str:
    """The same in one line."""
    return (
        f"{str(found['date'])[:10]}, {found['processors']} x {found['processor']}, {found['memory_mb']} MB, "
        f"Linux {found['kernel']}, dataplane {found['dataplane']}, Python {found['python']}, "
        f"iproute2 {found['iproute2']}, load {found['load_average']} at the start, seed {found['seed']}, "
        f"rounds: {', '.join(f'{count} of {name}' for name, count in found['rounds'].items())}"
    )


def _line_of(file: str, key: str) -> str:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
