"""How soon a leg that dies in silence is found out (performance.md, T8), beside FRR's bfdd in the same namespaces.

One link between a router and a data centre; the same cut (``kernel/cut.py``: the router's end drops what comes in, and
no link says so) takes the replies from our prober and the packets from bfdd. Both say when they decided: ours in its
message, by the moment of its store, bfdd in its log. Beside it, what a thousand legs cost (T9).
"""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dataplane.health.state import NS_PER_MS, NS_PER_S, Settings, State
from dataplane.health.wire import Change
from dataplane.kernel import cut, netns
from lab.bench import probes, sandbox
from lab.bench.model import BenchError, Context, Result, Table
from lab.bench.row import Kind, Row
from lab.bench.statistics import Quartiles
from lab.child import in_child

TITLE = "a leg that dies in silence, beside bfdd"
ROUNDS, QUICK_ROUNDS = 30, 5
ROWS = {"T8": Kind.END_TO_END, "T9": Kind.END_TO_END}

_CENTRE, _ROUTER = "bench-idc", "bench-r0"
_SETTINGS: Mapping[str, Settings] = {
    "1 ms x 3": Settings(NS_PER_MS, NS_PER_MS, 3, 3, is_damped=False),
    "10 ms x 3": Settings(10 * NS_PER_MS, 5 * NS_PER_MS, 3, 3, is_damped=False),
    "100 ms x 3": Settings(100 * NS_PER_MS, 15 * NS_PER_MS, 3, 3, is_damped=False),
}
_MOST_MS = {"1 ms x 3": 5, "10 ms x 3": 40, "100 ms x 3": 320}
_MOST_CORE = 0.25
_GOALS = {"1 ms x 3": "p99 <= 5", "10 ms x 3": "< 40", "100 ms x 3": "< 320"}
BFDD = "bfdd, 10 ms x 3"
_BFDD_PATHS = (Path("/usr/lib/frr/bfdd"), Path("/usr/local/sbin/bfdd"))
_BFDD_VARIABLE = "DATAPLANE_BFDD"
_LOG_LINE = re.compile(r"^(\S+ \S+) BFD: .* state-change: .* (\w+) -> (\w+)", re.MULTILINE)
_LINK_ADDRESSES = {_ROUTER: "198.18.0.1", _CENTRE: "198.18.0.2"}
_LEGS, _LEG_SECONDS = 1_000, 20
_NOTE = (
    "One leg; what comes back is dropped in silence, at every phase of the interval. Ours is the moment of the store "
    "that moves the traffic; bfdd only says that the peer is down, and whoever forwards has yet to be told."
)

Samples = dict[str, list[float]]
"""What -> milliseconds from the cut to the decision, of each round."""


@dataclass(frozen=True, slots=True)
class _Cuts:
    """What one setting gave."""

    samples: Samples
    false_flips: int


def measure(context: Context) -> Result:
    """Every setting, then a thousand legs.

    Raises:
        BenchError: something does not come up, or a cut is not found out.
    """
    samples: Samples = {}
    false_flips = 0
    bfdd = _bfdd()
    for name, settings in _SETTINGS.items() if context.wants("T8") else ():
        context.say(f"{context.rounds} cuts at {name}")
        peer = bfdd if name == "10 ms x 3" else None
        try:
            found = _apart(name, settings, peer, context)
        except BenchError as error:
            if peer is None:
                raise
            context.say(f"without bfdd, which does not run: {error}")
            bfdd, found = None, _apart(name, settings, None, context)
        samples |= found.samples
        false_flips += found.false_flips
    notes = [_NOTE, f"False flips between the cuts: {false_flips}."]
    if bfdd is None:
        notes.append("bfdd is not here, or does not run (Debian: apt install frr; DATAPLANE_BFDD names its program).")
    document: dict[str, Any] = {what: Quartiles.of(of).document() | {"p99": _p99(of)} for what, of in samples.items()}
    tables, rows = ([_table(samples)], list(_rows(samples))) if samples else ([], [])
    if context.wants("T9"):
        context.say(f"{_LEGS:,} legs at 100 ms for {_LEG_SECONDS} s")
        cost, _ = in_child(lambda: (_cost(), []))
        document["legs"] = cost
        tables.append(_legs_table(cost))
        rows.append(_legs_row(cost))
    return Result(document, tables, notes, rows)


def _apart(name: str, settings: Settings, bfdd: Path | None, context: Context) -> _Cuts:
    """One setting, in a process and a sandbox of its own."""
    found, _ = in_child(lambda: (_in_sandbox(name, settings, bfdd, context), []))
    return found


def _rows(samples: Samples) -> Iterator[Row]:
    """The slowest of a hundred at each setting; of fewer cuts, the slowest of all."""
    for name, most in _MOST_MS.items():
        found = samples[name]
        note = f"p99 of {len(found)} cuts; median {Quartiles.of(found).median:.1f} ms"
        if name == "10 ms x 3" and BFDD in samples:
            note += (
                f"; bfdd at 10 ms x 3: p99 {_p99(samples[BFDD])}, median {Quartiles.of(samples[BFDD]).median:.1f} ms"
            )
        yield Row(
            f"T8/{name.replace(' ', '')}",
            f"from a silent cut to the store that moves its traffic, {name}",
            "bfdd, 10 ms x 3" if BFDD in samples else "",
            (_p99(found),),
            most,
            is_at_most=True,
            unit="ms",
            note=note,
            kind=Kind.END_TO_END,
        )


def _legs_row(cost: Mapping[str, float]) -> Row:
    return Row(
        "T9",
        f"share of a core that {_LEGS:,} legs at 100 ms take",
        "",
        (cost["core"],),
        _MOST_CORE,
        is_at_most=True,
        unit="cores",
        note=f"{cost['resident_mb']:.1f} MB; {cost['false_flips']:.0f} false flips",
        kind=Kind.END_TO_END,
    )


def _in_sandbox(name: str, settings: Settings, bfdd: Path | None, context: Context) -> _Cuts:
    sandbox.enter()
    with ExitStack() as stack:
        bench = stack.enter_context(probes.legs(1, settings))
        places = [(_ROUTER, _ifindex(_ROUTER, "wire"))]
        log = stack.enter_context(_peers(bfdd, context.folder)) if bfdd is not None else None
        bench.settle()
        found: Samples = {}
        false_flips = 0
        for number in range(context.rounds):
            bench.events.clear()
            # Every place in the interval alike: the phase of the cut is part of the outage.
            bench.run(0.3 + settings.interval_ns / NS_PER_S * (number % 10) / 10)
            if any(isinstance(event, Change) for event in bench.events):
                false_flips += 1
                _wait_until_back(bench)
            for what, seconds in _one_cut(bench, places, name, settings, log).items():
                found.setdefault(what, []).append(1000 * seconds)
    return _Cuts(found, false_flips)


def _one_cut(
    bench: probes.Bench, places: list[tuple[str, int]], name: str, settings: Settings, log: Path | None
) -> dict[str, float]:
    """Cut, wait until all have seen it, mend, wait until all have seen that."""
    bench.events.clear()
    said = len(log.read_text()) if log is not None else 0
    cut.cut(places)
    began_ns, began_wall = time.monotonic_ns(), time.time()
    limit_s = 2 * settings.interval_ns * settings.fall / NS_PER_S + 1
    try:
        bench.run(limit_s / 2)
        changes = [event.transition for event in bench.events if isinstance(event, Change)]
        down = next((one.at_ns for one in changes if one.after is State.DOWN and one.at_ns >= began_ns), None)
        if down is None:
            raise BenchError(f"the leg is still up {limit_s / 2:.1f} s after the cut")
        found = {name: (down - began_ns) / NS_PER_S}
        if log is not None:
            found[BFDD] = _went_down(log, said) - began_wall
    finally:
        cut.mend(places)
    _wait_until_back(bench)
    if log is not None:
        _wait_until_up(log, said)
    return found


def _wait_until_back(bench: probes.Bench, limit_s: float = 20.0) -> None:
    """Until the leg is up again: by its own message, since a report may be from before the cut."""
    until = time.monotonic() + limit_s
    while not any(isinstance(event, Change) and event.transition.after is State.UP for event in bench.events):
        if time.monotonic() > until:
            raise BenchError("the leg does not come back after the cut")
        bench.run(0.02)


def _ifindex(namespace: str, ifname: str) -> int:
    with netns.entered(namespace):
        return socket.if_nametoindex(ifname)


def _bfdd() -> Path | None:
    named = os.environ.get(_BFDD_VARIABLE)
    candidates = (Path(named),) if named else _BFDD_PATHS
    return next((path for path in candidates if path.exists()), None)


@contextmanager
def _peers(bfdd: Path, folder: Path) -> Iterator[Path]:
    """bfdd at both ends of the link, with a session between them; the log of the one at the router."""
    processes = []
    (router, router_address), (centre, centre_address) = _LINK_ADDRESSES.items()
    try:
        for namespace, own, other, ifname in (
            (router, router_address, centre_address, "wire"),
            (centre, centre_address, router_address, "up0"),
        ):
            subprocess.run(["ip", "-n", namespace, "address", "add", f"{own}/30", "dev", ifname], check=True)
            home = folder / f"bfdd-{namespace}"
            home.mkdir()
            (home / "bfdd.conf").write_text(_configuration(home, own, other), encoding="ascii")
            command = [
                "ip",
                "netns",
                "exec",
                namespace,
                str(bfdd),
                "-f",
                str(home / "bfdd.conf"),
                "-i",
                str(home / "pid"),
            ]
            command += ["--vty_socket", str(home), "--bfdctl", str(home / "control"), "-u", "root", "-g", "root"]
            with (home / "said").open("wb") as said:
                processes.append(subprocess.Popen(command, stdout=said, stderr=said))
        _wait_until_up(folder / f"bfdd-{router}" / "log", 0)
        yield folder / f"bfdd-{router}" / "log"
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def _configuration(home: Path, own: str, other: str) -> str:
    lines = [
        f"log file {home / 'log'} debugging",
        "log timestamp precision 6",
        "debug bfd peer",
        "bfd",
        f" peer {other} local-address {own}",
        "  detect-multiplier 3",
        "  transmit-interval 10",
        "  receive-interval 10",
    ]
    return "\n".join(lines) + "\n"


def _changes(log: Path, since: int) -> list[tuple[float, str]]:
    """Moments (wall clock) and new states of the session, from a place in the log on."""
    text = log.read_text()[since:] if log.exists() else ""
    found = _LOG_LINE.findall(text)
    return [(datetime.strptime(at, "%Y/%m/%d %H:%M:%S.%f").astimezone().timestamp(), after) for at, _, after in found]


def _went_down(log: Path, since: int) -> float:
    down = next((at for at, state in _changes(log, since) if state == "down"), None)
    if down is None:
        raise BenchError(f"bfdd has not seen the cut: {log.read_text()[-500:]}")
    return down


def _wait_until_up(log: Path, since: int, limit_s: float = 20.0) -> None:
    until = time.monotonic() + limit_s
    while not (changes := _changes(log, since)) or changes[-1][1] != "up":
        if time.monotonic() > until:
            said = (log.parent / "said").read_text()[-500:]
            raise BenchError(f"the session of bfdd does not come up: {said or _changes(log, 0)}")
        time.sleep(0.02)


def _cost() -> dict[str, float]:
    """What a thousand legs cost (T9)."""
    sandbox.enter()
    with probes.legs(_LEGS, _SETTINGS["100 ms x 3"]) as bench:
        bench.settle()
        bench.run(2)
        found = bench.measure(_LEG_SECONDS)
    return {
        "core": found.processor_share,
        "resident_mb": found.resident_kb / 1024,
        "false_flips": float(found.flips),
        "late_ms": found.late_ns / 1e6,
    }


def _p99(samples: list[float]) -> float:
    return round(sorted(samples)[min(len(samples) - 1, int(0.99 * len(samples)))], 2)


def _table(samples: Samples) -> Table:
    rows = []
    for what, found in samples.items():
        middle = Quartiles.of(found)
        numbers = (min(found), middle.median, middle.high, _p99(found), max(found))
        rows.append((what, *(f"{number:.2f}" for number in numbers), _GOALS.get(what, "")))
    columns = ("milliseconds from the cut", "least", "median", "p75", "p99", "longest", "goal")
    return Table("A leg that dies in silence", columns, rows)


def _legs_table(cost: Mapping[str, float]) -> Table:
    row = (
        f"{_LEGS:,} legs at 100 ms",
        f"{100 * cost['core']:.0f} %",
        f"{cost['resident_mb']:.1f}",
        f"{cost['false_flips']:.0f}",
    )
    return Table("What probing costs", ("", "of one core (goal < 25 %)", "MB", "false flips"), [row])
