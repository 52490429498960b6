"""Servers and clients of a measure: started in their places, waited for, and surely ended. Only our own processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dataplane.accept.commands import client_command, server_command
from dataplane.accept.model import Flow, Measure, Tool
from dataplane.errors import HostError
from dataplane.measure import exchange
from dataplane.measure.place import Place, Places

_LISTENS_WITHIN_S = 10.0
_ENDS_WITHIN_S = 2.0
_POLL_S = 0.005
_SIGNS = {Tool.IPERF3: "listening", Tool.NETPERF: "Starting netserver", Tool.OWN: "listening"}
_PACKAGES = {Tool.IPERF3: "iperf3 (Debian: iperf3)", Tool.NETPERF: "netperf (Debian: non-free; scripts/netperf)"}


@dataclass(slots=True)
class Program:
    """A process that prints into a file.

    Args:
        words: its command line, for messages.
    """

    words: Sequence[str]
    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def text(self) -> str:
        """What it has printed so far, on both streams."""
        return self.output.read_text(errors="replace")

    def is_over(self) -> bool:
        return self.process.poll() is not None

    def end(self) -> None:
        """End it, and what it has started (netserver has a child for each client), unless it has ended."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_ENDS_WITHIN_S)
                return


def has(tool: Tool) -> bool:
    """Whether a tool can be run on this host."""
    needed = {Tool.IPERF3: ("iperf3",), Tool.NETPERF: ("netperf", "netserver"), Tool.OWN: ()}[tool]
    return all(path_of(name) for name in needed)


def path_of(name: str) -> str | None:
    """Where a program is: on the PATH, or beside our own command, where scripts/netperf puts it."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def need(tool: Tool) -> None:
    """Refuse to go on without a tool.

    Raises:
        HostError: it is not there; the package is named.
    """
    if not has(tool):
        raise HostError(f"the measure needs {_PACKAGES[tool]}, which this host does not have: install it")


@contextmanager
def served(measure: Measure, places: Places) -> Iterator[None]:
    """The servers of a measure that are ours to run, listening, for the length of a block.

    Raises:
        HostError: one does not listen; what it said is in the message.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dataplane-accept-")))
        servers: list[Program] = []
        wanted = {(flow.server.id, flow.server_port): flow for flow in measure.flows if flow.server.id in places}
        for (id, port), _ in wanted.items():
            words = server_command(measure.tool, port) or [*_own(), "server", str(port)]
            server = _start(words, places[id], folder / f"server-{len(servers)}")
            stack.callback(server.end)
            servers.append(server)
        for server in servers:
            _await_listening(server, _SIGNS[measure.tool])
        yield


@contextmanager
def asked(measure: Measure, places: Places) -> Iterator[list[Program]]:
    """The clients of a measure, one for each flow, running."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dataplane-accept-")))
        clients: list[Program] = []
        for flow in measure.flows:
            client = _start(_client_words(measure, flow), places[flow.client.id], folder / f"client-{flow.number}")
            stack.callback(client.end)
            clients.append(client)
        yield clients


def _client_words(measure: Measure, flow: Flow) -> list[str]:
    if measure.tool is not Tool.OWN:
        return client_command(measure, flow, len(os.sched_getaffinity(0)))
    where = [str(flow.server.address), str(flow.server_port), str(flow.client_port)]
    return [*_own(), "client", *where, f"{measure.seconds:g}"]


def _own() -> list[str]:
    return [sys.executable, "-I", "-S", exchange.__file__]


def _start(words: Sequence[str], place: Place, output: Path) -> Program:
    with output.open("wb") as file, place.inside():
        try:
            # In a group of its own: control-C is for us, who end it in order.
            process = subprocess.Popen(
                [path_of(words[0]) or words[0], *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as failure:
            raise HostError(f"cannot run {words[0]} in {place.id}: {failure.strerror}") from failure
    return Program(words, process, output)


def _await_listening(server: Program, sign: str) -> None:
    deadline = time.monotonic() + _LISTENS_WITHIN_S
    while sign not in server.text:
        if server.is_over() or time.monotonic() > deadline:
            said = server.text.strip() or "it says nothing"
            raise HostError(f"`{' '.join(server.words)}` does not listen: {said}")
        time.sleep(_POLL_S)
