"""What the agent remembers: a full disk, damaged files, a death between two steps of a write (reliability C)."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataplane.agent.daemon.confirm import Confirmation
from dataplane.agent.store import Store
from dataplane.config import Source
from dataplane.errors import DataplaneError
from dataplane.kernel import libc
from dataplane.observe.health import LegHealth
from tests.fakes.networks import PEERED, TWO_CIRCUITS
from tests.netns.agent import ROOT, AgentHost, unharmed, wait
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.lines import cable
from tests.netns.network import hooked, our_namespaces
from tests.netns.objects import run

SEED = int(os.environ.get("DATAPLANE_SEED", "20261120"))
TC = hooked(PEERED, "tc")
MORE = TC.replace("172.16.1.10}}", "172.16.1.10}, ecs-8: {vswitch: vsw-1, ip: 172.16.1.8}}")
ROUTER = "dp-vpc-vpc-1"
DISK_BYTES = 1 << 20


@contextmanager
def small_disk(place: Path) -> Iterator[Callable[[], None]]:
    """A disk of its own under a folder, and what fills it to the last byte."""
    place.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "small", str(place))

    def fill() -> None:
        with (place / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"\1" * 4096)
            except OSError:
                pass

    try:
        yield fill
    finally:
        libc.umount(str(place))


def test_27_a_full_disk_changes_nothing_and_holds_up_nothing(host: AgentHost) -> None:
    """An apply is refused whole; what breaks is mended all the same; with room again everything goes on."""
    with small_disk(host.state_dir) as fill:
        host.start(TC)
        clean, kept = fingerprint(our_namespaces()), Store(host.state_dir).load()
        fill()
        with unharmed():
            with pytest.raises(DataplaneError, match="free or mend the disk"):
                host.apply(MORE)
            assert differences(clean, fingerprint(our_namespaces())) == []
            with pytest.raises(DataplaneError, match="free or mend the disk"):
                host.apply(MORE, confirm_s=60)
            run("ip", "-n", "dp-vpc-vpc-3", "route", "flush", "table", "all", "proto", "219")
            host.wait_until_healthy()
            assert differences(clean, fingerprint(our_namespaces())) == []
        assert Store(host.state_dir).load() == kept
        (host.state_dir / "filler").unlink()
        host.must_apply(MORE)
        assert host.network.ping("ecs-8", "192.168.1.10")
        assert "dp-i-ecs-8" in our_namespaces()
        assert [event for event in host.events() if event.what == "repaired"], "the journal has what it had to hold"
        host.kill()
        assert host.network.session().destroy().is_done


def test_27_a_leg_that_dies_while_the_disk_is_full_stays_down(host: AgentHost) -> None:
    """Its verdict cannot be written: rounds that follow must not lead traffic back to it (D1), and it is kept later."""
    with small_disk(host.state_dir) as fill, cable("eth1", "idc-1"), cable("eth2", "idc-2"):
        host.start(hooked(TWO_CIRCUITS, "tc"), "--compare-every", "0.5")
        fill()
        clean = fingerprint(our_namespaces())
        run("ip", "-n", "idc-1", "link", "set", "dev", "up0", "down")
        wait("the verdict", lambda: not _leg(host, "ri-a1").is_up)
        wait("the slow path", lambda: differences(clean, fingerprint(our_namespaces())) != [])
        flipped = fingerprint(our_namespaces())
        time.sleep(2)
        assert differences(flipped, fingerprint(our_namespaces())) == []
        assert not Store(host.state_dir).load().legs.known
        (host.state_dir / "filler").unlink()
        wait("the state", lambda: Store(host.state_dir).load().legs.known)
        host.kill()
        assert host.network.session().destroy().is_done


def _leg(host: AgentHost, name: str) -> LegHealth:
    return next(leg for leg in host.client.health().legs if leg.leg == name)


def sizes(found: dict[str, list[str]]) -> dict[str, int]:
    """Namespace -> lines: tables may have other numbers, since only the file says whose a number is (style, rule 3)."""
    return {name: len(lines) for name, lines in found.items()}


def _truncate(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _zero(data: bytearray, dice: random.Random) -> None:
    data[:] = bytes(len(data))


def _flip(data: bytearray, dice: random.Random) -> None:
    for _ in range(20):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


@pytest.mark.parametrize("harm", [_truncate, _zero, _flip])
def test_28_a_start_survives_damaged_files(host: AgentHost, harm: Callable[[bytearray, random.Random], None]) -> None:
    """State and journal at once: the network is found again from the files and the kernel, without a loss."""
    dice = random.Random(SEED)
    host.start(TC)
    clean = fingerprint(our_namespaces())
    with unharmed():
        host.kill()
        for name in ("state.sqlite", "journal.sqlite"):
            data = bytearray((host.state_dir / name).read_bytes())
            harm(data, dice)
            (host.state_dir / name).write_bytes(data)
        host.start()
    assert sizes(fingerprint(our_namespaces())) == sizes(clean), f"seed {SEED}"
    host.wait_until_healthy()
    host.must_apply(MORE)
    assert host.network.ping("ecs-8", "192.168.1.10")


def test_28_a_state_of_a_later_version_is_set_aside_and_said(host: AgentHost) -> None:
    host.start(TC)
    host.kill()
    with sqlite3.connect(host.state_dir / "state.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    host.start()
    assert (host.state_dir / "state.sqlite.damaged-1").exists()
    assert "state is rebuilt from the kernel" in host.said
    assert host.client.status().is_healthy


def test_28_without_any_state_the_network_is_taken_over(host: AgentHost) -> None:
    host.start(TC)
    clean = fingerprint(our_namespaces())
    with unharmed():
        host.kill()
        for path in host.state_dir.iterdir():
            path.unlink()
        host.start()
    assert sizes(fingerprint(our_namespaces())) == sizes(clean)
    assert host.client.status().is_healthy


def test_confirm_goes_back_by_itself(host: AgentHost) -> None:
    host.start(TC)
    clean, newest = fingerprint(our_namespaces()), host.newest
    with unharmed():
        assert host.apply(MORE, confirm_s=2).confirm_until
        assert "dp-i-ecs-8" in our_namespaces()
        host.wait_for("applied", newest, 2)
    assert differences(clean, fingerprint(our_namespaces())) == []
    assert not (host.state_dir / "unconfirmed.json").exists()


def test_confirm_keeps_what_is_confirmed(host: AgentHost) -> None:
    host.start(TC)
    host.apply(MORE, confirm_s=1)
    host.client.confirm()
    time.sleep(1.5)
    assert "dp-i-ecs-8" in our_namespaces()
    with pytest.raises(DataplaneError, match="nothing waits"):
        host.client.confirm()


def test_confirm_survives_the_agent(host: AgentHost) -> None:
    """Killed while it waits, it goes back when it starts again: also when the time has passed meanwhile."""
    host.start(TC)
    clean = fingerprint(our_namespaces())
    host.apply(MORE, confirm_s=1)
    host.kill()
    time.sleep(1.2)
    assert "dp-i-ecs-8" in our_namespaces()
    host.start()
    host.wait_for("applied", host.events(what="started")[-1].id)
    assert differences(clean, fingerprint(our_namespaces())) == []


def test_a_second_apply_that_fails_keeps_the_way_back_of_the_first(host: AgentHost) -> None:
    """R75: an address may not change while the instance runs; the file is refused, and the first still waits."""
    host.start(TC)
    clean, newest = fingerprint(our_namespaces()), host.newest
    host.apply(MORE, confirm_s=3)
    with pytest.raises(DataplaneError):
        host.apply(MORE.replace("ip: 172.16.1.8", "ip: 172.16.1.9"), confirm_s=60)
    host.wait_for("applied", newest, 2)
    assert differences(clean, fingerprint(our_namespaces())) == []


_DYING = """
import os, sys
from pathlib import Path
from dataplane.agent.daemon.confirm import Confirmation
from dataplane.config import Source
folder, step = Path(sys.argv[1]), sys.argv[2]
real = Path.replace
def dying(self, target):
    if step == "before":
        os.kill(os.getpid(), 9)
    done = real(self, target)
    os.kill(os.getpid(), 9)
Path.replace = dying
Confirmation(folder).begin((Source("new.yaml", "new" * 1000),), "new", 60)
"""


@pytest.mark.parametrize("step", ["before", "after"])
def test_31_a_death_beside_the_rename_leaves_the_old_or_the_new(tmp_path: Path, step: str) -> None:
    """Of two that wait, the way back of the first stays the way back; the time is the later one's."""
    Confirmation(tmp_path).begin((Source("old.yaml", "old"),), "old", 60)
    before = Confirmation(tmp_path).pending
    done = subprocess.run([sys.executable, "-c", _DYING, str(tmp_path), step], cwd=ROOT, check=False)
    after = Confirmation(tmp_path).pending
    assert done.returncode == -signal.SIGKILL
    assert before is not None and after is not None
    assert (after.here, after.sources) == (before.here, before.sources)
    assert (after.until_s > before.until_s) is (step == "after")


def test_31_a_kill_at_any_moment_of_an_apply_leaves_a_whole_state(host: AgentHost) -> None:
    """The store is one transaction: what is found is what was there before or what came after."""
    host.start(TC)
    for turn in range(6):
        text = (MORE, TC)[turn % 2]
        host.file.write_text(text)
        host.process.send_signal(signal.SIGHUP)
        time.sleep(0.03 * turn)
        host.kill()
        state = Store(host.state_dir).load()
        assert not state.notice
        assert {source.text for source in state.applied.sources} <= {MORE, TC}
        host.start()
        host.wait_until_healthy()
    assert ("dp-i-ecs-8" in our_namespaces()) is (text == MORE)
