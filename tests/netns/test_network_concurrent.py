"""Commands at the same time: one writer a host, who is named, and readers that nothing keeps out (reliability A11)."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataplane.agent import lock
from dataplane.config import Source, load_sources
from tests.fakes.networks import PEERED, many
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.network import AppliedNetwork, our_namespaces

ROOT = Path(__file__).resolve().parents[2]
BIG = many(3, 60)


def start(network: AppliedNetwork, *words: str) -> subprocess.Popen[str]:
    """A command as it is typed, in a process of its own."""
    command = [sys.executable, "-m", "dataplane", "--state-dir", str(network.folder / "state")]
    command += ["--run-dir", str(network.folder / "run"), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def process_state(pid: int) -> str:
    """R, S, T and the like (proc_pid_stat(5)); the name before it may hold anything but a last parenthesis."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


@contextmanager
def written(network: AppliedNetwork, text: str) -> Iterator[str]:
    path = network.folder / "network.yaml"
    path.write_text(text)
    yield str(path)


def ends(*commands: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """Exit code and error output of each."""
    return [(command.wait(timeout=60), command.communicate()[1]) for command in commands]


def test_of_several_applies_at_once_the_others_name_the_one_that_works(network: AppliedNetwork) -> None:
    with written(network, BIG) as file:
        commands = [start(network, "apply", file) for _ in range(3)]
        found = ends(*commands)
    assert sorted({code for code, _ in found}) in ([0], [0, 1])
    pids = {str(command.pid) for command in commands}
    for code, said in found:
        if code == 1:
            holder = re.search(r"another run is changing this host: process (\d+) \(.*apply", said)
            assert holder is not None and holder.group(1) in pids, said
            assert "Traceback" not in said
    assert network.apply(BIG).planned.actions == (), "the one that worked did all of it"


def test_whoever_holds_the_lock_keeps_apply_and_destroy_out(network: AppliedNetwork) -> None:
    network.must_apply(PEERED)
    before = fingerprint(our_namespaces())
    with lock.held(network.folder / "run"), written(network, BIG) as file:
        found = ends(start(network, "apply", file), start(network, "destroy", "--yes"))
        assert ends(start(network, "status"))[0][0] == 0, "looking needs no lock"
    for code, said in found:
        assert code == 1, said
        assert f"process {os.getpid()} " in said and "wait until it has finished" in said
    assert differences(before, fingerprint(our_namespaces())) == []


def test_apply_and_destroy_at_once_leave_all_or_nothing(network: AppliedNetwork) -> None:
    network.must_apply(BIG)
    for _ in range(2):
        with written(network, BIG) as file:
            found = ends(start(network, "destroy", "--yes"), start(network, "apply", file))
        assert {code for code, _ in found} <= {0, 1}
        assert all("another run is changing" in said for code, said in found if code)
        names = our_namespaces()
        assert len(names) in (0, 63), names
        if names:
            assert network.session().status().is_healthy


def test_looking_while_another_builds_and_removes_is_never_a_crash(network: AppliedNetwork) -> None:
    """Namespaces come and go under the reader; what it says is of that moment."""
    loaded = load_sources([Source("network.yaml", BIG)])
    with written(network, BIG) as file:
        for words in (("apply", file), ("destroy", "--yes")) * 2:
            command, looks = start(network, *words), 0
            while command.poll() is None:
                network.session().status()
                network.session().plan(loaded)
                looks += 1
            assert ends(command)[0][0] == 0
            assert looks, f"{words[0]} was over before anybody looked"


def test_what_is_half_built_is_said_so(network: AppliedNetwork) -> None:
    """The other is held in the middle, so that there is something half done to look at, however slow the look is."""
    loaded = load_sources([Source("network.yaml", BIG)])
    with written(network, BIG) as file:
        command = start(network, "apply", file)
        try:
            while not our_namespaces():
                assert command.poll() is None, "it was over before its first namespace was seen"
            command.send_signal(signal.SIGSTOP)
            while process_state(command.pid) != "T":
                pass
            status, planned = network.session().status(), network.session().plan(loaded)
        finally:
            command.send_signal(signal.SIGCONT)
        assert ends(command)[0][0] == 0
    assert status.resources or status.leftovers
    assert planned.actions
