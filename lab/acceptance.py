"""The acceptance test of a topology: ``acceptance.yaml`` beside its ``lab.yaml``, run in the lab.

It knows who is where in a lab; what is measured and judged is the product's own (``dataplane/accept``,
``dataplane/measure``), as on real hosts.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dataplane.accept.model import Acceptance, Drill, DrillResult, Measure, Result, Second
from dataplane.accept.report import drill_row, figure_text
from dataplane.errors import DataplaneError, HostError
from dataplane.measure.acceptance import Cut, Plan, Said, Watcher, accept
from dataplane.measure.place import Place, Places
from lab import nodes
from lab.account import opened_account
from lab.flows import raise_open_files_limit
from lab.hook import Hook, check_hook, files_with
from lab.host import Host, opened_all
from lab.model import ForwarderUse, node_namespace
from lab.product import Product, environment
from lab.topology import Topology

ACCEPTANCE_FILE = "acceptance.yaml"
_AGENT_WITHIN_S = 30.0
_POLL_S = 0.1
_HEALTHY = "up"


def acceptance_file(topology: Topology) -> Path:
    """Where the acceptance of a topology is declared.

    Raises:
        HostError: it has none.
    """
    file = topology.folder / ACCEPTANCE_FILE
    if not file.is_file():
        raise HostError(f"{topology.name} has no {ACCEPTANCE_FILE}: write one, lab/README.md says how")
    return file


@dataclass(frozen=True, slots=True)
class Run:
    """What a lab's acceptance is made of.

    Args:
        hosts: where its network is applied.
        hook: where the forwarder is to sit; None: as the file says.
        is_repeated: as of ``Plan``.
    """

    topology: Topology
    hosts: Sequence[Host]
    title: str
    measures: Sequence[Measure]
    drills: Sequence[Drill]
    hook: Hook | None = None
    is_repeated: bool = True


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells results line by line, and nothing in between."""

    say: Callable[[str], None]

    def begins(self, label: str, seconds: float) -> None:
        return

    def counted(self, measure: Measure, second: Second) -> None:
        return

    def ended(self, result: Result) -> None:
        self.say(f"{result.measure.label}: {result.verdict}; {figure_text(result.measure.kind, result.figures.value)}")

    def drilled(self, result: DrillResult) -> None:
        self.say(f"drill of {result.drill.leg}: {result.verdict}; the outage was {drill_row(result)[2]}")


def run(wanted: Run, watcher: Watcher, facts: Mapping[str, str]) -> Acceptance:
    """Do it in a lab that is up.

    Raises:
        DataplaneError: a place or tool is missing, or the forwarder is not where it was asked for.
    """
    topology, applied_on = wanted.topology, wanted.hosts
    raise_open_files_limit()
    with ExitStack() as stack:
        around = stack.enter_context(nodes.opened_nodes(topology.name, topology.surroundings))
        inside = stack.enter_context(opened_all(applied_on))
        account = stack.enter_context(opened_account(applied_on, inside))
        places = _places(topology, {**inside, **{node_namespace(id): fd for id, fd in around.items()}})
        cutting = agents(topology, applied_on, wanted.hook)
        plan = Plan(wanted.title, wanted.measures, wanted.drills, wanted.is_repeated)
        found = accept(plan, places, watcher, cutting, facts, "")
        used = account.used()
    check_hook(wanted.hook, topology.hosts, used)
    forwarded = f"{sum(use.packets for use in used):,} packets, of all measures and drills"
    all_facts = {**found.facts, "by the forwarder": forwarded}
    return Acceptance(found.title, found.results, found.drills, found.repeat, _hook_text(used), all_facts)


def _hook_text(used: Sequence[ForwarderUse]) -> str:
    return "+".join(sorted({hook for use in used for hook in use.ports})) or "off"


def _places(topology: Topology, namespaces: Mapping[str, int]) -> Places:
    known = topology.inventory.nodes.items()
    return {id: Place(id, namespaces[node.namespace]) for id, node in known if node.namespace in namespaces}


@contextmanager
def agents(topology: Topology, applied_on: Sequence[Host], hook: Hook | None) -> Iterator[Cut]:
    """The agents of a lab's hosts for the length of a block, without which nobody notices a cut, and who cuts."""
    with ExitStack() as stack:
        files = stack.enter_context(files_with(topology.network, hook))
        for host in applied_on:
            stack.enter_context(_agent(host, files))
        for host in applied_on:
            _await_healthy(Product(host))
        yield partial(_cut, applied_on)


def _cut(applied_on: Sequence[Host], drill: Drill) -> Said:
    """Cut a leg by the product's own command, on the host whose group has it."""
    why_not = "there is no host"
    for host in applied_on:
        try:
            found = json.loads(Product(host).run("drill", drill.leg, "--for", f"{drill.seconds:g}s", "-o", "json"))
        except DataplaneError as failure:
            why_not = str(failure)
            continue
        return Said(found["outage_s"], tuple(found["took_over"]))
    return Said(why_not=why_not)


@contextmanager
def _agent(host: Host, files: Sequence[Path]) -> Iterator[None]:
    command = [sys.executable, "-m", "dataplane", "agent", *map(str, files), "--metrics", "off"]
    # preexec_fn is safe here: it makes system calls, and takes nothing that the thread of a view may hold.
    process = subprocess.Popen(
        command,
        env=environment(host),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=host.enter,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _await_healthy(product: Product) -> None:
    """Until every leg of a host has been found up: a drill of another state shows nothing."""
    deadline = time.monotonic() + _AGENT_WITHIN_S
    while True:
        try:
            legs = json.loads(product.run("health", "-o", "json"))["legs"]
            if all(leg["state"] == _HEALTHY for leg in legs):
                return
            problem = "legs are not up: " + ", ".join(leg["leg"] for leg in legs if leg["state"] != _HEALTHY)
        except DataplaneError as failure:
            problem = str(failure)
        if time.monotonic() > deadline:
            raise HostError(f"the agent of {product.host.name} does not get ready: {problem}")
        time.sleep(_POLL_S)
