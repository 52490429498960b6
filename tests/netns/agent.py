"""An agent as a process of its own in the sandbox: started, asked, killed, and cleared away with all that it made.

What it says is taken from where anybody else would find it: its local API, its journal, its lines on stderr.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dataplane.agent.api.client import Client, connect
from dataplane.agent.api.routes import ApplyReply
from dataplane.agent.api.service import ApplyRequest
from dataplane.config import Source
from dataplane.datapath import forwarder
from dataplane.errors import AgentUnreachable
from dataplane.model.event import Event
from tests.netns.load import Load, load
from tests.netns.network import AppliedNetwork, our_namespaces

ROOT = Path(__file__).parents[2]
RATE = int(os.environ.get("DATAPLANE_LOAD", "50000"))
"""Packets a second: as many as two processors that others use too surely carry. Figures are made with 100,000."""
PATIENCE_S = 15.0
"""For what is promised within two seconds: generous, since the machine may be busy; yet only an event can do it, since
the next comparison of everything comes later than that."""
_STEP_S = 0.02


class AgentHost:
    """A host with an agent, or with none at the moment.

    Args:
        folder: for its state, its socket and its file.
    """

    def __init__(self, folder: Path) -> None:
        self.state_dir, self.run_dir, self.file = folder / "state", folder / "run", folder / "network.yaml"
        self.network = AppliedNetwork(folder)
        self._said = folder / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, text: str = "", *options: str) -> None:
        """Write the file, if there is a new text, start the agent, and wait until its first round is done."""
        if text:
            self.file.write_text(text)
        self._process = self.launch(*options)
        self.wait_until_ready()

    def launch(self, *options: str) -> "subprocess.Popen[bytes]":
        """Start one and wait for nothing."""
        folders = ("--state-dir", str(self.state_dir), "--run-dir", str(self.run_dir))
        command = [sys.executable, "-m", "dataplane", *folders, "agent", str(self.file), "--metrics", "off", *options]
        with self._said.open("ab") as said:
            return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def wait_until_ready(self) -> None:
        """Until it answers what only its loop can answer, which it does behind its first round."""
        client = wait("its socket", self._connected)
        assert isinstance(client, Client)
        client.health()

    @property
    def client(self) -> Client:
        """Asks it."""
        return Client(self.run_dir / "agent.sock")

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The one that runs."""
        assert self._process is not None, "no agent runs"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        """Its lines on stderr, and those of all before it."""
        return self._said.read_text()

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send it a signal that ends it, and see it end; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self._process = None
        return code

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It hangs during the block."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def apply(self, text: str, confirm_s: int | None = None) -> ApplyReply:
        """Hand it a text over its API, as ``dataplane apply`` does."""
        return self.client.apply(ApplyRequest((Source("network.yaml", text),), confirm_s=confirm_s))

    def must_apply(self, text: str) -> None:
        report = self.apply(text).report
        assert not report.failures and not report.remaining, report

    @property
    def newest(self) -> int:
        """The id of the newest event."""
        return self.client.events(most=1).newest

    def events(self, since: int = 0, what: str = "") -> list[Event]:
        """The events behind one, all or of one kind."""
        return [event for event in self.client.events(since).events if what in ("", event.what)]

    def wait_for(self, what: str, since: int, count: int = 1) -> list[Event]:
        """So many events of a kind behind one."""
        wait(f"{count} x {what}", lambda: len(self.events(since, what)) >= count)
        return self.events(since, what)

    def wait_until_healthy(self) -> None:
        """Until everything is as it is asked for."""
        try:
            wait("health", lambda: self.client.status().is_healthy)
        except AssertionError as error:
            status = self.client.status()
            raise AssertionError(f"{error}: {status.unhealthy} {status.foreign}\n{self.said}") from None

    def children(self) -> list[int]:
        """The processes that it has started."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(word) for word in listed.split()]

    def close(self) -> None:
        """End it, take its network away, and find that nothing is left."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        report = self.network.session().destroy()
        assert report.is_done, [outcome.error for outcome in report.failures] + list(report.remaining)
        assert our_namespaces() == []

    def _connected(self) -> Client | None:
        assert self._process is None or self._process.poll() is None, self.said
        try:
            return connect(self.run_dir)
        except AgentUnreachable:
            return None  # of the one before it


def wait(what: str, holds: Callable[[], object], patience_s: float = PATIENCE_S) -> object:
    """Wait until something holds; what it returned then."""
    until = time.monotonic() + patience_s
    while not (found := holds()):
        assert time.monotonic() < until, f"no {what} within {patience_s:g} s"
        time.sleep(_STEP_S)
    return found


@contextmanager
def unharmed(rate: int = RATE) -> Iterator[Load]:
    """Packets from ecs-1 to ecs-2 during the block, none of which may be lost."""
    with load("dp-i-ecs-1", "dp-i-ecs-2", "192.168.1.10", rate) as found:
        time.sleep(0.2)
        yield found
        time.sleep(0.2)
    assert found.rate > rate / 4, "the load was one"
    assert (found.lost, found.repeated) == (0, 0)


def program_ids() -> dict[str, int]:
    """Hook -> number of the program that the forwarder's pins lead to."""
    with forwarder.adopted() as present:
        assert present is not None
        return dict(present.program_ids())
