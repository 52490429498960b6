"""The two-circuit network of R39 to R54 with a real agent: the lab's own file, and a data centre of kernels behind it.

Each line ends at a router of the data centre (a namespace that forwards and answers), and behind both stand the
servers. The agent is the command, as a user starts it; what tests ask of it goes over its socket.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.agent.api.client import Client
from dataplane.agent.api.listener import SOCKET_NAME
from dataplane.agent.session import Session
from dataplane.agent.views import StatusView
from dataplane.errors import DataplaneError
from dataplane.kernel import netns
from dataplane.observe.health import Health, LegHealth
from lab.around import End
from lab.surroundings import Vlan
from lab.topology import TOPOLOGIES
from lab.vlan import make_vlans
from tests.netns.lines import cable
from tests.netns.network import hooked, our_namespaces
from tests.netns.objects import run, set_sysctl
from tests.netns.stream import Stream, stream

PREFERRED, SHARED = "172.16.0.1", "172.17.0.1"
"""Servers that are reached by the active line (R50), and by both (R51)."""
LEGS = ("ri-a1", "ri-a2")
SERVERS = "idc-servers"
INSTANCE = "dp-i-ecs-1"
PATIENCE_S = 30.0
_ROOT = Path(__file__).parents[2]
_TEXT = (TOPOLOGIES / "standby-circuits" / "network.yaml").read_text().replace(", interval: 200ms, fall: 4", "")
_DEVICES, _UP, _LINE, _VLAN = ("eth1", "eth2"), "up0", "line", 1000


@dataclass(frozen=True)
class Timing:
    """How legs are probed.

    Args:
        interval_ms, timeout_ms: as the file has them.
    """

    interval_ms: int
    timeout_ms: int
    fall: int = 3
    rise: int = 3

    @property
    def outage_ms(self) -> int:
        """What D1 allows."""
        return self.interval_ms * self.fall + self.timeout_ms

    def text(self, hook: str, more: str = "damping: 'off'") -> str:
        """The network, probed like this.

        Args:
            more: further keys of each health check.
        """
        found = _TEXT
        for number in (1, 2):
            check = f"source: 192.168.10.{number}, destination: 10.10.1{number - 1}.2"
            assert f"{{{check}}}" in found
            keys = f"interval: {self.interval_ms}ms, timeout: {self.timeout_ms}ms, fall: {self.fall}, rise: {self.rise}"
            found = found.replace(f"{{{check}}}", f"{{{check}, {keys}{f', {more}' if more else ''}}}")
        return hooked(found, hook)


FAST, USUAL = Timing(10, 5), Timing(100, 15)


@dataclass(frozen=True)
class Router:
    """The data centre's end of a line, by the number of its circuit (0 or 1)."""

    number: int

    @property
    def namespace(self) -> str:
        return f"idc-{self.number}"

    def cut(self, *chains: str) -> None:
        """Drop in silence what comes by the line (``in``), what goes there (``out``), or both where none is named."""
        rules = {
            "in": f"chain in {{ type filter hook prerouting priority -300; iifname {_LINE} drop; }}",
            "out": f"chain out {{ type filter hook postrouting priority 300; oifname {_LINE} drop; }}",
        }
        text = "\n".join(rules[chain] for chain in chains or rules)
        command = ["ip", "netns", "exec", self.namespace, "nft", "-f", "-"]
        subprocess.run(command, input=f"table ip cut {{\n{text}\n}}\n".encode(), check=True)

    def mend(self) -> None:
        """Nothing is dropped any more."""
        run("ip", "netns", "exec", self.namespace, "nft", "delete", "table", "ip", "cut")

    def restore(self) -> None:
        """Whatever was done to it is undone."""
        run("ip", "netns", "exec", self.namespace, "nft", "flush", "ruleset")
        self.set_carrier(is_up=True)

    def set_carrier(self, *, is_up: bool) -> None:
        """Pull the plug of the line, or put it back."""
        run("ip", "-n", self.namespace, "link", "set", "dev", _UP, "up" if is_up else "down")


ROUTERS = (Router(0), Router(1))


@contextmanager
def data_centre() -> Iterator[None]:
    """Cables, routers and servers; the network goes before they do."""
    with ExitStack() as stack:
        netns.prepare_directory()
        run("ip", "netns", "add", SERVERS)
        stack.callback(run, "ip", "netns", "delete", SERVERS)
        run("ip", "-n", SERVERS, "link", "set", "lo", "up")
        for address in (PREFERRED, SHARED):
            run("ip", "-n", SERVERS, "addr", "add", f"{address}/32", "dev", "lo")
        for router, device in zip(ROUTERS, _DEVICES, strict=True):
            stack.enter_context(cable(device, router.namespace, _UP))
            _build(router)
        yield


def _build(router: Router) -> None:
    place, number = router.namespace, router.number
    fd = netns.open_reference(place)
    try:
        make_vlans("failover", [(place, Vlan(number, _LINE, _VLAN, End(place, _UP)))], {place: fd})
    finally:
        os.close(fd)
    set_sysctl(place, "net/ipv4/ip_forward", "1")
    set_sysctl(place, "net/ipv4/conf/all/rp_filter", "0")
    run("ip", "-n", place, "link", "set", "lo", "up")
    run("ip", "-n", place, "addr", "add", f"10.10.1{number}.2/30", "dev", _LINE)
    run("ip", "-n", place, "link", "set", "dev", _LINE, "up")
    run("ip", "-n", place, "route", "add", "192.168.0.0/16", "via", f"10.10.1{number}.1")
    inner = f"router{number}"
    run("ip", "-n", place, "link", "add", "inner", "type", "veth", "peer", "name", inner, "netns", SERVERS)
    for where, device, address in ((place, "inner", 1), (SERVERS, inner, 2)):
        run("ip", "-n", where, "addr", "add", f"10.99.{number}.{address}/30", "dev", device)
        run("ip", "-n", where, "link", "set", "dev", device, "up")
    for device in ("all", inner):
        set_sysctl(SERVERS, f"net/ipv4/conf/{device}/rp_filter", "0")
    run("ip", "-n", place, "route", "add", "172.16.0.0/15", "via", f"10.99.{number}.2")


@dataclass
class RunningAgent:
    """The agent of this sandbox, as a process.

    Args:
        folder: of its file, its state and its socket.
        late_ms: how late its prober was at most, by its own account, since somebody set this to 0.
    """

    folder: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None)
    late_ms: float = 0.0

    @property
    def client(self) -> Client:
        """Asks it."""
        return Client(self.folder / "run" / SOCKET_NAME)

    @property
    def file(self) -> Path:
        return self.folder / "network.yaml"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "dataplane", "--state-dir", str(self.folder / "state")]
        command += ["--run-dir", str(self.folder / "run"), "agent", str(self.file), "--metrics", "off"]
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=_ROOT, stderr=log, stdin=subprocess.DEVNULL)
        self.wait("an answer", self._answers)

    def _answers(self) -> bool:
        with suppress(DataplaneError, FileNotFoundError):
            self.client.health()
            return True
        return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that ends it is waited for."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(PATIENCE_S)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def follow(self, text: str) -> None:
        """Give it another file, and wait until it has taken it and found all legs up."""
        self.file.write_text(text)
        self.client.reload()
        self.wait_up()

    def wait(self, what: str, holds: Callable[[], object]) -> None:
        """Wait until something holds; how long it may take says nothing about how long it should."""
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert self.is_running, f"{what}: the agent has ended\n{self.said()}"
            assert time.monotonic() < until, f"{what}\n{self.said()}"
            time.sleep(0.01)

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "agent.log").read_text(errors="replace")[-4000:]

    def health(self) -> Health:
        """What it thinks of all legs."""
        found = self.client.health()
        assert found.prober is not None
        self.late_ms = max(self.late_ms, 1000 * found.prober.lateness_s)
        return found

    def leg(self, leg: str) -> LegHealth:
        """What it thinks of a leg."""
        return next(one for one in self.health().legs if one.leg == leg)

    def wait_for(self, leg: str, state: str) -> None:
        self.wait(f"{leg} {state}", lambda: self.leg(leg).state == state)

    def wait_up(self) -> None:
        """All legs are up, by evidence."""
        self.wait("all legs up", lambda: [one.state.value for one in self.health().legs] == ["up"] * len(LEGS))

    def status(self) -> StatusView:
        return self.client.status()

    def prober(self) -> int:
        """The process id of its prober."""
        (only,) = self._children()
        return only

    def has_other_prober(self, before: int) -> bool:
        """Whether another one than that runs."""
        return len(self._children()) == 1 and before not in self._children()

    def _children(self) -> list[int]:
        assert self.process is not None
        shown = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in shown.split()]


@contextmanager
def running(folder: Path, text: str) -> Iterator[RunningAgent]:
    """The data centre, and an agent that keeps a network in front of it; nothing is left of either."""
    with data_centre():
        there = RunningAgent(folder)
        there.file.write_text(text)
        try:
            there.start()
            there.wait_up()
            yield there
        finally:
            if there.is_running:
                there.send(signal.SIGTERM)
            report = Session(folder / "state", folder / "run").destroy()
            assert report.is_done, [outcome.error for outcome in report.failures] + list(report.remaining)
            assert our_namespaces() == []


@contextmanager
def flowing() -> Iterator[Stream]:
    """The numbered stream to both servers, seen at the end of each line."""
    lines = [(router.namespace, _UP) for router in ROUTERS]
    with stream(INSTANCE, (PREFERRED, SHARED), SERVERS, lines) as found:
        time.sleep(0.15)
        yield found
        time.sleep(0.15)
