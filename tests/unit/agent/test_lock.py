"""One writer a host, and who it is (reliability A11)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataplane.agent import lock
from dataplane.errors import ConflictError, HostError

HOLDER = """
import sys
from pathlib import Path
from dataplane.agent import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_and_names_the_first(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with pytest.raises(ConflictError, match=f"process {first.pid} "), lock.held(tmp_path):
            pytest.fail("two at once")
        first.communicate("")
    with lock.held(tmp_path):
        assert (tmp_path / "lock").read_bytes() == b"", "an unchanged round writes nothing"


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        first.kill()
    with lock.held(tmp_path):
        pass


def test_a_place_where_no_lock_can_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = tmp_path / "file" / "run"
    with pytest.raises(HostError, match=f"cannot make the lock {where}/lock: Not a directory"), lock.held(where):
        pytest.fail("held nothing")
