"""Tests of the launcher of emulated machines, from outside. What runs inside one is tests/netns and tests/lab."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Launch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Starts a machine; arguments are those of ``scripts/vm``."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run with sudo")
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs the package qemu-system-x86; scripts/vm installs it")

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "lab.vm", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_hear_interruptions,
        )

    return start


def _hear_interruptions() -> None:
    """As a terminal's command does: whoever runs the suite in the background has it ignored, and so would all below."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
