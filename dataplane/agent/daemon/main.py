"""An agent put together: who listens to what, in the order in which they can fail without harm.

Owns the start and the end of the process. The lock comes first: where another agent runs, nothing is touched.
"""

import faulthandler
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.agent import lock
from dataplane.agent.api.server import Api
from dataplane.agent.daemon import memory
from dataplane.agent.daemon.figures import Figures
from dataplane.agent.daemon.keeper import Keeper
from dataplane.agent.daemon.loop import FULL_EVERY_S, Agent, Options
from dataplane.agent.daemon.patient import PatientStore
from dataplane.agent.daemon.probing import Probing
from dataplane.agent.daemon.service import AgentService
from dataplane.agent.journal import Journal
from dataplane.agent.log import say, set_up
from dataplane.agent.notify import Notifier
from dataplane.agent.reader import Reader
from dataplane.agent.session import Session
from dataplane.config import Loaded
from dataplane.kernel import libc
from dataplane.kernel.driver import KernelDriver
from dataplane.kernel.monitor import Monitor
from dataplane.observe.metrics import registry
from dataplane.observe.metrics_server import MetricsServer


@dataclass(frozen=True, slots=True)
class Start:
    """How an agent is to run.

    Args:
        paths: the files it follows.
        host_of: which host this one is in a configuration.
        metrics: address and port; None: nowhere.
        version: of the package, for whoever asks.
        full_every_s: seconds from one comparison of everything to the next at the latest.
        reader: reads configurations; perhaps it has begun to read the files already.
    """

    paths: tuple[Path, ...]
    state_dir: Path
    run_dir: Path
    host_of: Callable[[Loaded], str]
    metrics: tuple[str, int] | None
    version: str
    full_every_s: float = FULL_EVERY_S
    reader: Reader = field(default_factory=Reader)


def run(start: Start) -> None:
    """Be the agent of this host, until SIGTERM.

    Raises:
        ConflictError: another agent, or another run, has this host.
        PermissionDenied: a capability is missing.
        HostError: state, socket or port cannot be had.
    """
    set_up()
    faulthandler.enable()  # a watchdog's SIGABRT leaves in the log where the loop hung
    libc.require_privileges()
    with ExitStack() as stack:
        stack.enter_context(lock.held(start.run_dir))
        monitor = stack.enter_context(Monitor())
        journal, driver, store = Journal(start.state_dir), KernelDriver(), PatientStore(start.state_dir)
        stack.callback(journal.close)
        probing = Probing()
        stack.callback(probing.close)
        reader = start.reader
        options = Options(start.paths, start.state_dir, start.run_dir, start.host_of, start.full_every_s, reader)
        keeper = Keeper(store, driver, monitor, probing, journal, reader)
        agent = Agent(options, keeper, monitor, probing, journal, Notifier())
        service = AgentService(agent, _session(start, driver, store), start.version)
        api = Api.of_this_host(start.run_dir, service)
        api.start()
        stack.callback(api.close)
        figures = Figures(agent, service, driver)
        stack.callback(figures.keep)
        agent.each_second.append(figures.sample)
        if start.metrics is not None:
            server = MetricsServer(registry(figures), *start.metrics)
            server.start()
            stack.callback(server.close)
            say(f"metrics at http://{start.metrics[0]}:{server.port}/metrics")
        if journal.notice:
            say(journal.notice, level=logging.WARNING)
        memory.settle()
        agent.run()


def _session(start: Start, driver: KernelDriver, store: PatientStore) -> Session:
    """Looks at the host for callers, by what the agent has."""
    return Session(
        start.state_dir, start.run_dir, driver=driver, is_probing=True, store=store, read=start.reader.load_sources
    )
