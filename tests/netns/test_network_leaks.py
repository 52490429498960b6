"""Cycles of apply and destroy leave nothing: no descriptor, thread, mount, namespace, pin, and no growing memory (B25).

More cycles: DATAPLANE_CYCLES=1000.
"""

import gc
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.networks import ONE_LINE
from tests.netns.lines import cable
from tests.netns.network import AppliedNetwork
from tests.netns.objects import open_files, run

CYCLES = int(os.environ.get("DATAPLANE_CYCLES", "200"))
LINE_CYCLES = 4
WARM_UP = 20
MAX_GROWTH_BYTES = 5_000_000
PINS = Path("/run/dataplane/bpf")
TINY = """
version: 1
vpcs:
  v:
    account: corp
    region: r1
    cidr: 10.0.0.0/16
    vswitches: {s: {zone: a, cidr: 10.0.1.0/24}}
    instances: {i: {vswitch: s}}
"""


@dataclass(frozen=True)
class Held:
    """What this process and its host hold."""

    descriptors: tuple[str, ...]
    threads: int
    mounts: str
    namespaces: tuple[str, ...]
    links: str
    pins: tuple[str, ...]
    state: tuple[str, ...]

    @classmethod
    def now(cls, network: AppliedNetwork) -> "Held":
        """By the kernel's own lists."""
        gc.collect()
        return cls(
            tuple(sorted(open_files().values())),
            threading.active_count() + len(os.listdir("/proc/self/task")),  # noqa: PTH208 (numbers, not paths)
            Path("/proc/self/mountinfo").read_text(),
            tuple(sorted(path.name for path in Path("/run/netns").iterdir())),
            run("ip", "-o", "link"),
            tuple(sorted(str(path) for path in PINS.rglob("*"))) if PINS.is_dir() else (),
            tuple(sorted(str(path) for path in network.folder.rglob("*"))),
        )


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cycle(network: AppliedNetwork, text: str) -> None:
    assert network.apply(text).is_done
    assert network.session().destroy().is_done


def test_25_cycles_leave_nothing_behind(network: AppliedNetwork) -> None:
    for _ in range(WARM_UP):
        cycle(network, TINY)
    held, used = Held.now(network), resident_bytes()
    for _ in range(CYCLES):
        cycle(network, TINY)
    assert Held.now(network) == held
    grown = resident_bytes() - used
    print(f"{CYCLES} cycles: {grown / 1e6:+.2f} MB of {used / 1e6:.0f}")
    assert grown <= MAX_GROWTH_BYTES


def test_25_cycles_with_a_line_leave_no_pin(network: AppliedNetwork) -> None:
    with cable("wire0"):
        cycle(network, ONE_LINE)
        held = Held.now(network)
        for _ in range(LINE_CYCLES):
            cycle(network, ONE_LINE)
        assert Held.now(network) == held


def test_25_the_check_sees_what_is_held(network: AppliedNetwork) -> None:
    """A descriptor, a namespace, a link and memory: each of them shows."""
    held, used = Held.now(network), resident_bytes()
    with Path("/proc/self/ns/net").open("rb"):
        one = Held.now(network).descriptors
        with Path("/proc/self/ns/net").open("rb"):
            assert held.descriptors != one != Held.now(network).descriptors, "also a second one of the same kind"
    run("ip", "netns", "add", "kept")
    try:
        now = Held.now(network)
        assert now.namespaces != held.namespaces and now.mounts != held.mounts
    finally:
        run("ip", "netns", "del", "kept")
    ballast = b"\1" * (2 * MAX_GROWTH_BYTES)
    assert resident_bytes() - used > MAX_GROWTH_BYTES
    assert len(ballast) == 2 * MAX_GROWTH_BYTES
