"""The agent dies, hangs, starts twice, is stopped: whoever sends packets sees none of it (P1, reliability A).

More kills: DATAPLANE_KILLS=20. A longer hang: DATAPLANE_HANG=60 (seconds).
"""

import os
import shutil
import signal
import time
from collections.abc import Callable

import pytest

from dataplane.datapath import bpffs
from dataplane.kernel import libc
from dataplane.observe.health import HealthState
from tests.fakes.networks import PEERED, TWO_CIRCUITS
from tests.netns.agent import AgentHost, program_ids, unharmed, wait
from tests.netns.echo import answering
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.lines import cable
from tests.netns.network import hooked, our_namespaces
from tests.netns.objects import run

KILLS = int(os.environ.get("DATAPLANE_KILLS", "3"))
HANG_S = float(os.environ.get("DATAPLANE_HANG", "2"))
ADOPTED_S = 5.0
TC = hooked(PEERED, "tc")
FAST = TWO_CIRCUITS.replace(
    "destination: 10.10.10.2}", "destination: 10.10.10.2, interval: 100ms, timeout: 50ms, fall: 3}"
).replace("destination: 10.10.11.2}", "destination: 10.10.11.2, interval: 100ms, timeout: 50ms, fall: 3}")


def test_1_sigkill_under_load_loses_nothing_and_the_next_one_adopts(host: AgentHost) -> None:
    host.start(TC)
    before, clean = program_ids(), fingerprint(our_namespaces())
    took = []
    with unharmed():
        for _ in range(KILLS):
            host.kill()
            since = time.monotonic()
            host.start()
            took.append(time.monotonic() - since)
            assert program_ids() == before
    print(f"adopted in {', '.join(f'{one:.2f}' for one in took)} s")
    assert max(took) < ADOPTED_S
    assert host.events(what="repaired") == [], "an adopted network needs no repair"
    assert differences(clean, fingerprint(our_namespaces())) == []


def test_4_a_hang_flips_nothing_on_waking(host: AgentHost) -> None:
    """Prober and agent stand still for longer than any check allows; on waking, what is late counts for nothing."""
    with cable("eth1", "idc-1"), cable("eth2", "idc-2"), answering({"idc-1": "10.10.10.2", "idc-2": "10.10.11.2"}):
        host.start(hooked(FAST, "tc"))
        wait("legs that are up", lambda: {leg.state for leg in host.client.health().legs} == {HealthState.UP})
        newest, children = host.newest, host.children()
        with host.stopped():
            for child in children:
                os.kill(child, signal.SIGSTOP)
            time.sleep(HANG_S)
            for child in children:
                os.kill(child, signal.SIGCONT)
        time.sleep(0.5)  # as long as it takes to find a dead leg here
        assert host.children() == children, "it is the same prober"
        assert [event for event in host.events(newest) if event.kind == "leg"] == []
        wait("fresh reports", lambda: {leg.state for leg in host.client.health().legs} == {HealthState.UP})
        assert {leg.flips for leg in host.client.health().legs} == {0}
        host.kill()
        assert host.network.session().destroy().is_done


def test_4_the_check_of_flips_can_fail(host: AgentHost) -> None:
    """The same with a data centre that has gone silent: the prober is alive, and finds both legs dead."""
    with cable("eth1", "idc-1"), cable("eth2", "idc-2"):
        with answering({"idc-1": "10.10.10.2", "idc-2": "10.10.11.2"}):
            host.start(hooked(FAST, "tc"))
            wait("legs that are up", lambda: {leg.state for leg in host.client.health().legs} == {HealthState.UP})
            newest = host.newest
        with host.stopped():
            time.sleep(0.5)
        assert {event.resource for event in host.wait_for("state", newest, 2)} >= {"ri-a1", "ri-a2"}
        host.kill()
        assert host.network.session().destroy().is_done


def test_4_a_hang_loses_nothing_and_what_was_broken_meanwhile_is_mended(host: AgentHost) -> None:
    host.start(TC)
    newest = host.newest
    with unharmed():
        with host.stopped():
            run("ip", "-n", "dp-vpc-vpc-3", "route", "flush", "table", "all", "proto", "219")
            time.sleep(HANG_S)
        host.wait_for("repaired", newest)
    host.wait_until_healthy()


def _remove_filter() -> None:
    for line in run("ip", "-n", "dp-vpc-vpc-1", "-o", "link").splitlines():
        if " dpi" in line:
            run("tc", "-n", "dp-vpc-vpc-1", "qdisc", "del", "dev", line.split()[1].partition("@")[0], "clsact")


def _remove_pins() -> None:
    shutil.rmtree(bpffs.folder())


def _unmount() -> None:
    libc.umount(str(bpffs.ROOT))


@pytest.mark.parametrize("harm", [_remove_pins, _unmount])
def test_10_pins_that_go_are_put_back_and_nothing_is_lost(host: AgentHost, harm: Callable[[], None]) -> None:
    """The kernel tells nobody: the next comparison finds it (P3)."""
    host.start(TC, "--compare-every", "1")
    before = program_ids()
    with unharmed():
        harm()
        wait("pins", lambda: bpffs.folder().is_dir() and any(bpffs.folder().rglob("*")))
        host.wait_until_healthy()
    assert program_ids().keys() == before.keys()


def test_8_a_hook_that_is_taken_away_is_put_back_while_the_kernel_forwards(host: AgentHost) -> None:
    host.start(TC)
    newest = host.newest
    with unharmed():
        _remove_filter()
        host.wait_for("repaired", newest)
        host.wait_until_healthy()
    assert any("forwarder" in event.after for event in host.events(newest, "repaired"))


def test_11_a_second_agent_leaves_at_once_and_names_the_first(host: AgentHost) -> None:
    host.start(TC)
    clean, newest = fingerprint(our_namespaces()), host.newest
    second = host.launch()
    assert second.wait(10) == 1
    assert f"process {host.pid} " in host.said
    assert (host.newest, differences(clean, fingerprint(our_namespaces()))) == (newest, [])
    assert host.client.hello().pid == host.pid


def test_12_stopping_leaves_forwarding_and_destroy_leaves_nothing(host: AgentHost) -> None:
    host.start(TC)
    clean = fingerprint(our_namespaces())
    with unharmed():
        assert host.kill(signal.SIGTERM) == 0
        time.sleep(0.5)
    assert "the network stays and goes on forwarding" in host.said
    assert not (host.run_dir / "agent.sock").exists()
    assert differences(clean, fingerprint(our_namespaces())) == []
    assert host.network.session().destroy().is_done
    assert our_namespaces() == []
    assert not bpffs.ROOT.exists() or not any(bpffs.ROOT.iterdir())


def test_25_the_prober_ends_with_its_agent_however_that_ends(host: AgentHost) -> None:
    host.start(TC)
    for number in (signal.SIGKILL, signal.SIGTERM):
        (prober,) = host.children()
        host.kill(number)
        wait("its end", lambda pid=prober: not _runs(pid))
        host.start()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
