"""SIGKILL at a hundred random points of real applies: the next one reaches what a clean one reaches (reliability A2).

The points are spread over the whole length of an apply, however long this machine takes for it. DATAPLANE_SEED chooses
others.
"""

import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataplane.config import Source, load_sources
from dataplane.kernel import nft
from tests.fakes.networks import ONE_LINE
from tests.netns.changes import ALONE, MORE, SPANNING, TWO
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.lines import cable
from tests.netns.network import AppliedNetwork, our_namespaces
from tests.netns.objects import inside, run

SEED = int(os.environ.get("DATAPLANE_SEED", "20261122"))
KILLS = 30
"""Of each of the four changes; with those of lines and tunnels there are well over a hundred."""
LINE_KILLS, TUNNEL_KILLS = 6, 10
INTERRUPTIONS = 6
INTERRUPTED = 130
PINS = Path("/run/dataplane/bpf")

Picture = dict[str, list[str]]


@dataclass(frozen=True)
class Step:
    """One change of a cycle: the text that is applied, or "" for destroy, and on which host."""

    name: str
    text: str
    here: str = ""


CYCLE = (Step("first apply", TWO), Step("growing", MORE), Step("shrinking", TWO), Step("destroy", ""))
TUNNEL_CYCLE = (
    Step("first apply with tunnels", SPANNING, "host-1"),
    Step("fewer tunnels", ALONE, "host-1"),
    Step("more tunnels", SPANNING, "host-1"),
    Step("destroy with tunnels", ""),
)
LINE_CYCLE = (Step("first apply with a line", ONE_LINE), Step("destroy with a line", ""))


def do(network: AppliedNetwork, step: Step) -> None:
    """The change, which must be done."""
    if step.text:
        report = network.session().apply(load_sources([Source("network.yaml", step.text)]), step.here)
    else:
        report = network.session().destroy()
    assert report.is_done, [outcome.error for outcome in report.failures] + list(report.remaining)


def in_a_child(change: Callable[[], None], how: signal.Signals, after: float | None = None) -> tuple[float, bool]:
    """Run a change in a process of its own, and end that after so many seconds.

    Returns:
        How long it ran, and whether it was ended before it had done all.
    """
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
            change()
            code = 0
        except KeyboardInterrupt:
            code = INTERRUPTED
        finally:
            os._exit(code)
    if after is not None:
        time.sleep(max(0.0, after - (time.monotonic() - started)))
        os.kill(pid, how)
    _, status = os.waitpid(pid, 0)
    was_ended = os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == INTERRUPTED
    assert was_ended or os.WEXITSTATUS(status) == 0, "the change itself failed"
    return time.monotonic() - started, was_ended


def picture(network: AppliedNetwork) -> Picture:
    """All that a change leaves: in the namespaces, among the host's links, as pins, in the state folder."""
    pins = sorted(str(path.relative_to(PINS)) for path in PINS.rglob("*")) if PINS.is_dir() else []
    folder = network.folder / "state"
    kept = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    links = sorted(" ".join(line.split()[1:3]) for line in run("ip", "-o", "link").splitlines())
    host = {"pins": pins, "state": kept, "host": links, "filter": run("nft", "list", "ruleset").splitlines()}
    entries = {f"fdb of {name}": inside(name, "bridge", "fdb", "show").stdout.splitlines() for name in our_namespaces()}
    return {**fingerprint(our_namespaces()), **entries, **host}


def clean_run(network: AppliedNetwork, cycle: tuple[Step, ...]) -> tuple[dict[str, Picture], dict[str, float]]:
    """What each step of a cycle leaves, and how long it takes: the same in every cycle, or this would show nothing."""
    pictures: dict[str, Picture] = {}
    lengths: dict[str, list[float]] = {}
    for _ in range(3):
        for step in cycle:
            length, _ = in_a_child(lambda step=step: do(network, step), signal.SIGKILL)
            lengths.setdefault(step.name, []).append(length)
            seen = picture(network)
            assert differences(pictures.setdefault(step.name, seen), seen) == [], step.name
    return pictures, {name: statistics.median(found) for name, found in lengths.items()}


class Moments:
    """When to end the runs of one step: once in each of as many equal parts of its length, in any order.

    How long a run takes differs with what else the machine does: it is learned from those that were not ended in time.

    Args:
        length: of a run, in seconds, as measured.
    """

    def __init__(self, count: int, length: float, chance: random.Random) -> None:
        self._parts = [(number + chance.random()) / count for number in range(count)]
        chance.shuffle(self._parts)
        self.length = length

    def next(self) -> float:
        return self._parts.pop() * self.length

    def learn(self, took: float, was_ended: bool) -> None:
        self.length = self.length * 1.05 if was_ended else took * 0.9


def kill_often(
    network: AppliedNetwork, cycle: tuple[Step, ...], count: int, how: signal.Signals = signal.SIGKILL
) -> None:
    chance = random.Random(SEED)
    pictures, lengths = clean_run(network, cycle)
    moments = {step.name: Moments(count, lengths[step.name], chance) for step in cycle}
    killed = 0
    for number in range(count):
        for step in cycle:
            moment = moments[step.name].next()
            where = f"DATAPLANE_SEED={SEED}: {step.name}, kill {number} after {moment:.4f} s"
            took, was_ended = in_a_child(lambda step=step: do(network, step), how, moment)
            moments[step.name].learn(took, was_ended)
            killed += was_ended
            do(network, step)
            assert differences(pictures[step.name], picture(network)) == [], where
    assert killed >= count * len(cycle) // 2, f"only {killed} kills came before the end, so this showed little"


def test_a_kill_at_any_point_is_mended_by_the_next_apply(network: AppliedNetwork) -> None:
    kill_often(network, CYCLE, KILLS)


def test_ctrl_c_at_any_point_is_mended_by_the_next_apply(network: AppliedNetwork) -> None:
    """Another way than a kill: whatever is open is closed on the way out."""
    kill_often(network, CYCLE, INTERRUPTIONS, signal.SIGINT)


@pytest.fixture
def wire(network: AppliedNetwork) -> Iterator[None]:
    with cable("wire0"):
        yield
        assert network.session().destroy().is_done


def test_a_kill_while_a_line_is_made_or_taken_away_is_mended(network: AppliedNetwork, wire: None) -> None:
    """A compiler, pins and maps are in it where the kernel has no 8021q."""
    kill_often(network, LINE_CYCLE, LINE_KILLS)


def test_a_kill_while_tunnels_are_made_or_taken_away_is_mended(network: AppliedNetwork, wire: None) -> None:
    """VXLAN links, forwarding entries, and the underlay filter, which another process writes."""
    run("ip", "addr", "add", "172.20.0.11/24", "dev", "wire0")
    kill_often(network, TUNNEL_CYCLE, TUNNEL_KILLS)


def test_the_tool_that_writes_the_filter_dies_with_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would go on beside the next run: the lock is ours alone."""
    tool, started = tmp_path / "nft", tmp_path / "started"
    tool.write_text(f"#!/bin/sh\necho $$ > {started}.new && mv {started}.new {started}\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setattr(nft, "_PATH", str(tmp_path))

    def call() -> bool:
        in_a_child(nft.table, signal.SIGKILL, after=0.5)
        return started.exists()

    assert any(call() for _ in range(20)), "the tool was never started in time"
    state = Path(f"/proc/{int(started.read_text())}/stat")
    deadline = time.monotonic() + 5
    while is_alive(state) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(state)


def is_alive(state: Path) -> bool:
    """Whether a process runs, by its state; one that nobody has waited for does not."""
    try:
        return state.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
