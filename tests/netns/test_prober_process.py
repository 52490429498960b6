"""The prober as a process: stopped, killed, starved, lied to, deprived of its agent, and without any privilege (D3)."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.errors import HostError
from dataplane.health import packet
from dataplane.health.leg import attach_filter
from dataplane.health.legs_map import DOWN, GONE, STRIDE_BYTES, UP
from dataplane.health.state import NS_PER_MS, NS_PER_S, Cause, State, Verdict
from dataplane.kernel import netns, probe_socket
from tests.netns.objects import run
from tests.netns.probing import CENTRE, FAST, ROUTER, circuits, forged_reply, leg, probing, requests_heard

FORGED = int(os.environ.get("DATAPLANE_FORGED", "131072"))
_STATUS_WITHOUT = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def test_it_runs_without_any_privilege_and_small() -> None:
    with circuits() as (only,), probing([leg(only)]) as there:
        there.wait_for(["ri-1"], Verdict.UP)
        pid = there.prober.pid
        assert pid is not None
        status = status_of(pid)
        assert {status[name] for name in _STATUS_WITHOUT} == {"0" * 16}
        assert (status["NoNewPrivs"], status["Uid"].split()[0]) == ("1", "65534")
        assert int(status["VmRSS"].split()[0]) < 18 << 10
        assert there.prober.hello is not None
        assert "no capabilities, user nobody" in there.prober.hello.words
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert not [heavy for heavy in ("pydantic", "pyroute2", "yaml", "sqlite") if heavy in maps]


def test_64_busy_processors_flip_nothing() -> None:
    """Four hogs for each processor; voided misses are what a starved machine may cost, flips are not."""
    settings = replace(FAST, interval_ns=20 * NS_PER_MS, timeout_ns=20 * NS_PER_MS)
    with circuits(2) as (first, second), probing([leg(first, settings), leg(second, settings)]) as there:
        there.wait_for(["ri-1", "ri-2"], Verdict.UP)
        with hogs(4 * (os.cpu_count() or 1)):
            report = there.more("ri-1", "sent", 150)
        assert (report.flips, there.fresh("ri-2").flips) == (0, 0)
        assert len(there.changes) == 2


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_65_forged_replies_are_never_accepted_and_cannot_push_the_true_ones_out() -> None:
    """From the very address that is probed: a dead leg stays dead, and a living one lives on under the flood."""
    with circuits(2) as (first, second):
        first.cut_forth()
        with probing([leg(first), leg(second)]) as there:
            there.wait_for(["ri-1"], Verdict.DOWN)
            there.wait_for(["ri-2"], Verdict.UP)
            before = there.fresh("ri-1")
            with netns.entered(CENTRE):
                forger = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            with forger:
                for number in range(FORGED // 2):
                    for circuit in (first, second):
                        data = forged_reply(circuit.destination, circuit.source, number & 0xFFFF, number & 7, bytes(24))
                        forger.sendto(data, (circuit.source, 0))
                    if not number % 256:
                        there.pump(0)
            assert there.fresh("ri-1").misses > before.misses
            assert (there.fresh("ri-1").replies, there.value(1)) == (0, DOWN)
            assert (there.fresh("ri-2").flips, there.value(2)) == (0, UP)
            assert [c for c in there.changes if c.transition.cause is Cause.LOST][1:] == []


def test_the_filter_lets_in_what_has_the_secret_and_nothing_else() -> None:
    """The kernel's own judgement of the filter, one field wrong at a time."""
    with circuits() as (only,):
        fd = probe_socket.open_echo(ROUTER, only.source, only.destination)
        with socket.socket(fileno=fd) as there, netns.entered(CENTRE):
            attach_filter(fd, packet.reply_filter(7, 99))
            good = (99).to_bytes(4, "big") + bytes(20)
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:

                def arrives(identifier: int, payload: bytes) -> bool:
                    data = forged_reply(only.destination, only.source, identifier, 1, payload)
                    sender.sendto(data, (only.source, 0))
                    return bool(select.select([there], [], [], 0.2)[0]) and bool(there.recv(256))

                assert arrives(7, good)
                assert not arrives(8, good)
                assert not arrives(7, (98).to_bytes(4, "big") + bytes(20))
                assert not arrives(7, good + bytes(4))
                assert not arrives(7, good[:-4])


def test_stopped_for_a_while_it_flips_nothing_when_it_wakes() -> None:
    """SIGSTOP, then SIGCONT: what was on its way counts neither way unless its answer came in time (D3)."""
    with circuits(2) as (first, second), probing([leg(first), leg(second)]) as there:
        there.wait_for(["ri-1", "ri-2"], Verdict.UP)
        for _ in range(5):
            pid = there.prober.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            there.pump(0.3)
            os.kill(pid, signal.SIGCONT)
            there.more("ri-1", "sent", 5)
        assert [c.transition.after for c in there.changes] == [State.UP, State.UP]
        assert there.fresh("ri-1").flips == 0
        there.wait("the lateness to be told", lambda: there.late_ns > 200 * NS_PER_MS)


def test_a_probe_that_was_lost_while_nobody_looked_does_not_count() -> None:
    """One miss would be enough here; the probe is unanswered, and judged long after its time (D3)."""
    slow = replace(FAST, interval_ns=2 * NS_PER_S, timeout_ns=2 * NS_PER_S, fall=1)
    with circuits() as (only,), requests_heard(only.border, "north") as heard, probing([leg(only, slow)]) as there:
        there.wait("a first answer", lambda: there.fresh("ri-1").replies)
        only.cut_forth()
        count = len(heard())
        there.wait("a probe on its way", lambda: len(heard()) > count)
        assert there.prober.pid is not None
        os.kill(there.prober.pid, signal.SIGSTOP)
        only.mend()
        there.pump(3.5)
        os.kill(there.prober.pid, signal.SIGCONT)
        report = there.more("ri-1", "replies", 1)
        assert (report.flips, report.misses, report.voided) == (0, 0, 1)


def test_a_stopped_prober_shows_as_unknown_and_its_verdicts_hold() -> None:
    with circuits() as (only,), probing([leg(only)]) as there:
        there.wait_for(["ri-1"], Verdict.UP)
        report = there.fresh("ri-1")
        assert report.shown_state(time.monotonic_ns()) is State.UP
        assert there.prober.pid is not None
        os.kill(there.prober.pid, signal.SIGSTOP)
        there.wait("unknown", lambda: report.shown_state(time.monotonic_ns()) is State.UNKNOWN)
        assert there.value(1) == UP
        os.kill(there.prober.pid, signal.SIGCONT)


def test_killed_it_comes_back_with_its_verdicts_and_flips_nothing_on_the_way() -> None:
    with circuits(2) as (first, second), probing([leg(first), leg(second)]) as there:
        there.wait_for(["ri-1"], Verdict.UP)
        second.cut_back()
        there.wait_for(["ri-2"], Verdict.DOWN)
        before = there.prober.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        there.wait("a successor", lambda: there.prober.pid not in (None, before))
        assert [death.code for death in there.deaths] == [-signal.SIGKILL]
        changes = len(there.changes)
        assert there.fresh("ri-2").state is State.DOWN
        there.more("ri-1", "replies", 5)
        assert (there.value(1), there.value(2)) == (UP, DOWN)
        assert len(there.changes) == changes
        second.mend()
        there.wait_for(["ri-2"], Verdict.UP)


def test_without_its_agent_it_ends_and_leaves_the_verdicts(tmp_path: Path) -> None:
    """The agent is killed: its end of the channel closes with it (D3)."""
    states = tmp_path / "legs"
    states.write_bytes(bytes(64 * STRIDE_BYTES))
    with circuits() as (only,):
        only.cut_back()
        agent = subprocess.Popen(
            [sys.executable, "-c", _AGENT, str(states), repr(leg(only).target)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert agent.stdout is not None
        pid = int(agent.stdout.readline())
        agent.kill()
        agent.wait()
        agent.stdout.close()
        until = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < until, "the prober outlived its agent"
            time.sleep(0.01)
        assert states.read_bytes()[STRIDE_BYTES] == DOWN


_AGENT = """
import ast, sys, time
from dataplane.health.client import Prober
from dataplane.health.state import Settings
from dataplane.health.wire import LegSpec
from dataplane.kernel import probe_socket
prober = Prober(probe_socket)
prober.start()
prober.set_legs([LegSpec("ri-1", 1, *ast.literal_eval(sys.argv[2]), Settings(10_000_000, fall=3))])
with open(sys.argv[1], "r+b") as states:
    prober.use_map(states.fileno(), 64)
while not prober.known:
    prober.pump()
    time.sleep(0.01)
print(prober.pid, flush=True)
time.sleep(60)
"""


def test_an_agent_that_does_not_listen_holds_nothing_up_and_hears_the_last_word_of_each_leg() -> None:
    """Flips go on while nobody reads; afterwards there is one change for each leg, with how many it stands for."""
    with circuits() as (only,), probing([leg(only)]) as there:
        there.wait_for(["ri-1"], Verdict.UP)
        for number in range(6_000):  # by hand, which is the quickest way to many changes
            there.prober.force("ri-1", Verdict.DOWN if number % 2 == 0 else Verdict.UP)
            there.prober._flush()
        until = time.monotonic() + 30
        while there.value(1) != UP or there.prober._backlog:
            there.prober._flush()
            assert time.monotonic() < until
        there.prober.force("ri-1", Verdict.DOWN)
        while there.value(1) != DOWN:  # the forwarder has it although the agent has read nothing
            assert time.monotonic() < until
        told = len(there.changes)
        there.wait("the last word", lambda: there.changes[-1].transition.verdict is Verdict.DOWN)
        there.pump(0.2)
        heard = there.changes[told:]
        assert sum(1 + change.coalesced for change in heard) == 6_001
        assert any(change.coalesced for change in heard), "the channel never filled: nothing was shown"


def test_by_hand_lies_over_the_probes_and_gives_way_at_once() -> None:
    with circuits() as (only,), probing([leg(only)]) as there:
        there.wait_for(["ri-1"], Verdict.UP)
        there.prober.force("ri-1", Verdict.DOWN)
        there.wait("down by hand", lambda: there.value(1) == DOWN)
        report = there.more("ri-1", "replies", 5)
        assert (report.state, report.flips) == (State.DISABLED, 0)
        there.prober.force("ri-1", None)
        there.wait("up again", lambda: there.value(1) == UP)
        there.pump(0.1)
        assert [c.transition.cause for c in there.changes] == [Cause.ANSWERED, Cause.HAND, Cause.HAND]


def test_the_map_is_exchanged_while_it_runs_and_gone_is_the_agents_word() -> None:
    with circuits(2) as (first, second), probing([leg(first), leg(second)]) as there:
        there.wait_for(["ri-1", "ri-2"], Verdict.UP)
        first.cut_back()
        there.wait_for(["ri-1"], Verdict.DOWN)
        fd = os.memfd_create("next")
        try:
            os.pwrite(fd, bytes([GONE]), 2 * STRIDE_BYTES)
            os.truncate(fd, 3 * STRIDE_BYTES)

            def value(number: int) -> int:
                return os.pread(fd, 1, number * STRIDE_BYTES)[0]

            there.prober.use_map(fd, 3)
            there.wait("the present verdicts", lambda: value(1) == DOWN)
            assert value(2) == GONE
            first.mend()
            there.wait("the flip", lambda: value(1) == UP)
            assert there.value(1) == DOWN, "the old map was written to"
            there.prober.use_map(-1, 0)
            first.cut_back()
            there.wait_for(["ri-1"], Verdict.DOWN)
            assert value(1) == UP
        finally:
            os.close(fd)


def test_what_a_late_round_wrote_over_its_verdict_is_written_again_and_gone_stays() -> None:
    """A round of the agent that began before a flip carries the older verdict, and must not be the last word."""
    with circuits(2) as (first, second), probing([leg(first), leg(second)]) as there:
        there.wait_for(["ri-1", "ri-2"], Verdict.UP)
        there.states[STRIDE_BYTES * 1], there.states[STRIDE_BYTES * 2] = DOWN, GONE
        there.wait("its verdict", lambda: there.value(1) == UP)
        first.cut_back()
        there.wait_for(["ri-1"], Verdict.DOWN)
        there.states[STRIDE_BYTES * 1] = UP
        there.wait("its verdict", lambda: there.value(1) == DOWN)
        assert there.value(2) == GONE


def test_a_leg_that_did_not_change_keeps_its_counters_and_one_that_moved_keeps_its_verdict() -> None:
    with circuits(2) as (first, second), probing([leg(first), leg(second)]) as there:
        there.wait_for(["ri-1", "ri-2"], Verdict.UP)
        second.cut_back()
        there.wait_for(["ri-2"], Verdict.DOWN)
        sent = there.more("ri-1", "sent", 10).sent
        moved = replace(leg(second), source=first.source, destination=first.destination, arrivals=())
        slower = replace(leg(first), settings=replace(FAST, interval_ns=20 * NS_PER_MS))
        changes = len(there.changes)
        there.prober.set_legs([slower, moved])
        there.wait("the new way", lambda: there.fresh("ri-2").replies > 0)
        report = there.fresh("ri-1")
        assert (report.interval_ns, report.sent > sent) == (20 * NS_PER_MS, True)
        there.wait_for(["ri-2"], Verdict.UP)
        assert [c.transition.before for c in there.changes[changes:]] == [State.DOWN]
        there.prober.set_legs([slower])
        there.wait("one leg less", lambda: there.prober.beat is not None and there.prober.beat.legs == 1)
        assert set(there.prober.reports) == {"ri-1"}


def test_a_namespace_that_is_not_there_yet_is_named_and_waited_for() -> None:
    with circuits() as (only,), probing() as there:
        there.prober.set_legs([leg(only), replace(leg(only), name="ri-2", number=2, namespace="probe-later")])
        there.wait_for(["ri-1"], Verdict.UP)
        assert "probe-later" in there.prober.failures["ri-2"]
        run("ip", "netns", "add", "probe-later")
        try:
            run("ip", "-n", "probe-later", "link", "set", "lo", "up")
            run("ip", "-n", "probe-later", "addr", "add", f"{only.source}/32", "dev", "lo")
            there.wait("the leg", lambda: "ri-2" not in there.prober.failures)
            # No way out of there: the kernel refuses, which is as good as a lost probe.
            there.wait_for(["ri-2"], Verdict.DOWN)
        finally:
            run("ip", "netns", "delete", "probe-later")


def test_a_source_that_is_missing_is_named() -> None:
    with circuits() as (only,), pytest.raises(HostError, match=r"192\.168\.99\.9 .* cannot be sent: .*R40"):
        probe_socket.open_echo(ROUTER, "192.168.99.9", only.destination)


def test_the_longest_interval_of_all_begins_within_it() -> None:
    slow = replace(FAST, interval_ns=60 * NS_PER_S, timeout_ns=0)
    with circuits() as (only,), probing([leg(only, slow)]) as there:
        report = there.fresh("ri-1")
        assert (report.state, report.timeout_ns) == (State.UNKNOWN, 60 * NS_PER_S)
