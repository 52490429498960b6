"""What an agent costs that keeps a network: its memory, the time to take one over, and to look at it again.

Each size is a network in a sandbox of its own, brought up by ``dataplane apply``. In each round an agent takes it over,
keeps it for a while in which nothing changes, and is stopped. It runs as a service manager would start it.
"""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.bench import networks, sandbox
from lab.bench.model import BenchError, Context, Result, Table
from lab.bench.row import Kind, Row, size_word
from lab.bench.statistics import Quartiles
from lab.child import in_child

TITLE = "an agent: memory of its processes, taking a network over, looking at an unchanged one"
ROUNDS, QUICK_ROUNDS = 5, 1
ROWS = {"T17": Kind.END_TO_END}

SIZES = (100, 1000)
ADOPTION, ROUND, SCRAPE = "taking over, s", "unchanged round, s", "scrape, s"
WORK = "processor, % (a round every 5 s)"
MEMORY, SHARED, AGENT, PROBER = "both, MB", "both, shared pages once, MB", "agent, MB", "prober, MB"
GOALS: Mapping[str, float] = {ADOPTION: 1.0, MEMORY: 60.0}
"""With the largest network (performance.md, T17)."""
_METRICS = ("127.0.0.1", 9477)
_COMPARE_S = 5
_WATCHED_S = 12.0
_PATIENCE_S = 60.0
_LOOK_S = 0.05
_NOTE = (
    "Taking over: from the start of the process until it says READY, which it does when everything was compared. "
    "Memory is taken after a scrape: what the kernel counts as resident for each process (Rss). Pages that both have, "
    "of the interpreter and of libraries, are in the sum twice; in the last row they are divided among all who have "
    "them (Pss). Files are read in a child that has ended by then."
)

Samples = dict[tuple[int, str], list[float]]
"""(instances, what) -> a value for each round."""


@dataclass(frozen=True, slots=True)
class _Agent:
    """An agent that has taken its network over.

    Args:
        adoption_s: how long that took.
    """

    process: "subprocess.Popen[bytes]"
    adoption_s: float

    def pids(self) -> tuple[int, int]:
        """The agent and its prober.

        Raises:
            BenchError: it has another number of children, and not for the time of a round alone.
        """
        pid, until = self.process.pid, time.monotonic() + _PATIENCE_S
        while True:
            children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            if len(children) == 1:
                return pid, children[0]
            if time.monotonic() > until:
                raise BenchError(f"the agent has {len(children)} children, where its prober alone is expected")
            time.sleep(_LOOK_S)  # another one takes part in reading the network


def measure(context: Context) -> Result:
    """Every size.

    Raises:
        BenchError: an agent does not come up, or does not answer.
    """
    samples: Samples = {}
    for size in SIZES:
        context.say(f"{context.rounds} agents with {size:,} instances")
        found, _ = in_child(lambda n=size: (_in_sandbox(n, context), []))  # type: ignore[misc]
        samples |= found
    document = {f"{size}/{what}": Quartiles.of(values).document() for (size, what), values in samples.items()}
    return Result({"agent": document, "goals": GOALS}, [_table(samples)], [_NOTE], list(_rows(samples)))


def _rows(samples: Samples) -> Iterator[Row]:
    """Each size; the goals are the largest network's."""
    for what, unit in ((MEMORY, "MB"), (ADOPTION, "s")):
        for size in SIZES:
            goal = GOALS[what] if size == max(SIZES) else None
            found = tuple(samples[size, what])
            id_ = f"T17/{what.partition(',')[0].replace(' ', '-')}-{size_word(size)}"
            measure = f"{what.partition(',')[0]}, {size:,} instances"
            yield Row(id_, measure, "-", found, goal, is_at_most=True, unit=unit, kind=Kind.END_TO_END)


def _in_sandbox(size: int, context: Context) -> Samples:
    sandbox.enter()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    folder = context.folder / f"agent-{size}"
    folder.mkdir()
    file = folder / "network.yaml"
    file.write_text(networks.peered(20, size, "auto"))
    command = [sys.executable, "-m", "dataplane"]
    done = subprocess.run([*command, "apply", str(file)], cwd=context.root, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"dataplane apply ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    samples: Samples = {}
    for _ in range(context.rounds):
        with _running([*command, "agent", str(file)], folder, context.root) as agent:
            for what, value in _look(agent).items():
                samples.setdefault((size, what), []).append(value)
    return samples


@contextmanager
def _running(command: list[str], folder: Path, root: Path) -> Iterator[_Agent]:
    """An agent, from its READY on.

    Raises:
        BenchError: it says nothing for too long, or ends.
    """
    address = folder / "notify"
    metrics, every = ":".join(map(str, _METRICS)), str(_COMPARE_S)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (folder / "said").open("w+b") as said:
        manager.bind(str(address))
        manager.settimeout(_PATIENCE_S)
        began = time.monotonic()
        process = subprocess.Popen(
            ["env", f"NOTIFY_SOCKET={address}", *command, "--metrics", metrics, "--compare-every", every],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            while b"READY=1" not in manager.recv(4096):
                pass
            agent = _Agent(process, time.monotonic() - began)
            address.unlink()  # from now on nobody listens, and it must not wait for anybody
            manager.close()
            yield agent
        except TimeoutError as error:
            raise BenchError(f"an agent is not ready after {_PATIENCE_S:.0f} s: {_last(said.name)}") from error
        finally:
            process.terminate()
            process.wait(_PATIENCE_S)
            address.unlink(missing_ok=True)


def _last(file: str | bytes | int) -> str:
    return Path(str(file)).read_text(errors="replace").strip()[-500:]


def _look(agent: _Agent) -> dict[str, float]:
    """What an agent is like that has nothing to do."""
    pids = agent.pids()
    first, began = _scraped(), time.monotonic()
    worked = sum(map(_worked_s, pids))
    time.sleep(_WATCHED_S)
    work = (sum(map(_worked_s, pids)) - worked) / (time.monotonic() - began)
    asked = time.monotonic()
    last = _scraped()
    scrape_s = time.monotonic() - asked
    rounds = last[_UNCHANGED] - first[_UNCHANGED]
    if rounds < 1 or last[_CHANGED] != first[_CHANGED]:
        raise BenchError("the agent has had no unchanged round, or something has changed its network")
    seconds = last[_SECONDS] - first[_SECONDS]
    resident, shared = zip(*map(_memory_mb, pids), strict=True)
    return {
        ADOPTION: agent.adoption_s,
        ROUND: seconds / rounds,
        WORK: 100 * work,
        SCRAPE: scrape_s,
        AGENT: resident[0],
        PROBER: resident[1],
        MEMORY: sum(resident),
        SHARED: sum(shared),
    }


_UNCHANGED = 'dataplane_rounds_total{outcome="unchanged"}'
_CHANGED = 'dataplane_rounds_total{outcome="changed"}'
_SECONDS = "dataplane_round_seconds_total"


def _scraped() -> dict[str, float]:
    """The values that the agent gives of its rounds."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open("http://{}:{}/metrics".format(*_METRICS), timeout=_PATIENCE_S) as reply:
        lines = reply.read().decode().splitlines()
    found = dict.fromkeys((_UNCHANGED, _CHANGED), 0.0)
    for name, _, value in (line.rpartition(" ") for line in lines if line.startswith("dataplane_round")):
        found[name] = float(value)
    return found


def _memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of a process: all of it, and with a part only of what others have too."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    return sizes["Rss"] / 1024, sizes["Pss"] / 1024


def _worked_s(pid: int) -> float:
    """Processor seconds of all threads of a process so far, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / 100


def _table(samples: Samples) -> Table:
    """A row for each thing that was measured, with the quartiles of the largest network. Pure."""
    rows = []
    for what in (ADOPTION, ROUND, WORK, SCRAPE, AGENT, PROBER, MEMORY, SHARED):
        small, large = (Quartiles.of(samples[size, what]) for size in SIZES)
        goal = f"{GOALS[what]:g}" if what in GOALS else "-"
        quartiles = f"{large.low:.3g}-{large.high:.3g}"
        rows.append((what, f"{small.median:.3g}", f"{large.median:.3g}", quartiles, goal))
    return Table("An agent", ("instances", *(f"{size:,}" for size in SIZES), "quartiles", "goal"), rows)
