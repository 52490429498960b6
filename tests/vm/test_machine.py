"""Machines that really boot: what comes out of one, and that none outlives its launcher."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.vm.conftest import Launch

PATIENCE_S = 180.0


def _end(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, str]:
    output, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output, errors.decode()


def test_the_command_runs_on_the_stock_kernel_and_changes_nothing_here(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("as it was")
    script = """
        uname -r; pwd; id -u; cat here; printf 'a\\nb\\0\\377\\n'; echo to-stderr >&2
        ip link add parent type veth peer name other && ip link set parent up &&
            ip link add link parent name line type vlan id 1000 &&
            ip -d link show line | grep -o 'vlan protocol 802.1Q id 1000'
        test -t 1 && echo terminal
        echo changed >here; echo more >new; echo wanted >report; exit 42
    """
    (tmp_path / "report").touch()
    code, output, errors = _end(launch("--bring", str(tmp_path / "report"), "--", "bash", "-c", script))
    assert code == 42, errors
    first, rest = output.split(b"\n", 1)
    assert first.startswith(b"6.1.")
    assert rest == f"{tmp_path}\n0\nas it was".encode() + b"a\nb\0\xff\nto-stderr\nvlan protocol 802.1Q id 1000\n"
    assert errors.splitlines()[-1].startswith(f"vm: Linux {first.decode()}, ")
    assert (tmp_path / "here").read_text() == "as it was"
    assert (tmp_path / "report").read_text() == "wanted\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "report"]


def test_a_machine_that_dies_is_no_success(launch: Launch, tmp_path: Path) -> None:
    code, _, errors = _end(launch("--", "sh", "-c", "echo o >/proc/sysrq-trigger; sleep 600"))
    assert code == 125
    assert "the machine ended without a word; the end of its console" in errors
    assert list(tmp_path.iterdir()) == []


def test_two_machines_are_wired_and_wait_for_each_other(launch: Launch) -> None:
    """The first is done at once, and answers the second; which of them says what stays to be seen."""
    script = """
        ip link set eth0 up; ip address add 192.0.2.$VM/24 dev eth0
        test $VM = 1 && printf 'done' && exit 0
        sleep 1; until ping -c1 -W1 192.0.2.1 >/dev/null; do tries=x$tries; test ${#tries} -lt 60 || exit 9; done
        echo heard; exit 7
    """
    code, output, errors = _end(launch("--cpus", "1", "--pair", "--", "bash", "-c", script))
    assert (code, sorted(output.splitlines())) == (7, [b"1: done", b"2: heard"]), errors


def test_one_of_two_that_dies_ends_both(launch: Launch, tmp_path: Path) -> None:
    script = "test $VM = 1 && sleep 600; echo o >/proc/sysrq-trigger; sleep 600"
    code, _, errors = _end(launch("--cpus", "1", "--pair", "--", "bash", "-c", script))
    assert code == 125
    assert "the machine ended without a word" in errors
    assert list(tmp_path.iterdir()) == []


def test_time_over_stops_the_machine(launch: Launch, tmp_path: Path) -> None:
    process = launch("--timeout", "4", "--", "sh", "-c", "echo begun; sleep 600")
    children = _children_of_a_running_machine(process)
    code, output, errors = _end(process)
    assert (code, output) == (124, b""), errors
    assert "the command had not ended after 4 s" in errors
    _assert_gone(children)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_no_machine_outlives_its_launcher(launch: Launch, tmp_path: Path, number: int, code: int) -> None:
    process = launch("--", "sh", "-c", "echo begun; sleep 600")
    children = _children_of_a_running_machine(process)
    process.send_signal(number)
    assert _end(process)[0] == code
    _assert_gone(children)
    if number != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


def _children_of_a_running_machine(process: "subprocess.Popen[bytes]") -> list[int]:
    """The processes of a machine that has reached its command: qemu and the server of its root."""
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 2
    return [int(child) for child in children]


def _assert_gone(processes: list[int]) -> None:
    deadline = time.monotonic() + 20
    while (left := [process for process in processes if _is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert left == [], "these still ran"


def _is_alive(process: int) -> bool:
    """Also where nobody collects the orphans of a machine (a container without an init)."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
