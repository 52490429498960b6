"""What the metrics show of an agent, read when they are asked for.

Owns the averages of R112 and where they are kept. Called from the metrics' own thread: it reads the forwarder's
maps, which belong to no namespace, and asks the loop for everything else.
"""

import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dataplane.agent.daemon.loop import Agent
from dataplane.agent.daemon.service import AgentService
from dataplane.agent.executor import Driver
from dataplane.datapath import forwarder
from dataplane.model.forwarding import Forwarding
from dataplane.model.kernel import ForwarderState
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.model.traffic import NamedTraffic, named
from dataplane.observe.averages import Averages
from dataplane.observe.connection_traffic import connection_traffic, readings
from dataplane.observe.health import Health
from dataplane.observe.metrics_sources import AgentFigures, MapFill, TableFigures, TrafficFigures

_KEPT = "averages"
_KEPT_EVERY_S = 60.0
_SAMPLED_EVERY_S = 10.0
"""An average of five minutes needs no more."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Figures:
    """The sources of the metrics.

    Args:
        driver: reads the counters.
    """

    def __init__(self, agent: Agent, service: AgentService, driver: Driver) -> None:
        self._agent, self._service, self._driver = agent, service, driver
        self._boot = _BOOT_ID.read_text(encoding="ascii").strip()
        self._averages = Averages.load(agent.journal.kept(_KEPT), self._boot)
        self._kept_at = time.monotonic()
        self._sampled_at = 0.0

    def sample(self) -> None:
        """Take the counters' present values into the averages now and then; called about once a second."""
        if time.monotonic() < self._sampled_at + _SAMPLED_EVERY_S:
            return
        self._sampled_at = time.monotonic()
        loaded, traffic = self._agent.keeper.loaded, self._traffic()
        if loaded is None or traffic is None:
            return
        ends = connection_traffic(loaded.network, traffic)
        self._averages = self._averages.after(readings(ends), time.monotonic_ns(), time.time())
        if time.monotonic() - self._kept_at > _KEPT_EVERY_S:
            self.keep()

    def keep(self) -> None:
        """Write the averages where the next agent finds them."""
        self._kept_at = time.monotonic()
        self._agent.journal.keep(_KEPT, self._averages.dump(self._boot))

    def traffic(self) -> TrafficFigures:
        """Counters, read now."""
        loaded, found = self._agent.keeper.loaded, self._traffic()
        line_drops, underlay_drops = self._driver.line_drops(), self._driver.underlay_drops()
        if loaded is None or found is None:
            return TrafficFigures(line_drops=line_drops, underlay_drops=underlay_drops)
        ends = connection_traffic(loaded.network, found, self._averages)
        return TrafficFigures(found.ports, ends, line_drops, underlay_drops)

    def health(self) -> Health:
        """Legs, groups and the prober."""
        return self._service.health()

    def tables(self) -> TableFigures:
        """Sizes of tables and maps, and resources by state as the configuration has them."""
        desired = self._agent.keeper.desired
        resources = Counter((declared.resource.kind, declared.state) for declared in desired.declared)
        state = self._forwarding()
        if state is None:
            return TableFigures(resources=resources)
        routes = {table.name: len(table.routes) for table in state.tables.values()}
        flows = self._driver.flows() if state.limits else None
        full = {"dp_flow": MapFill(flows.used, flows.size)} if flows is not None else {}
        return TableFigures(routes, {**_fill(state), **full}, resources)

    def agent(self) -> AgentFigures:
        """Rounds and what came of them."""
        agent, tally = self._agent, self._agent.keeper.tally
        return AgentFigures(
            version=self._service.version,
            rounds=dict(tally.rounds),
            round_seconds=tally.round_seconds,
            last_round_s=tally.last_round_s,
            last_good_round_s=tally.last_good_round_s,
            differences=tally.differences,
            repairs=dict(tally.repairs),
            failures=dict(tally.failures),
            foreign=tally.foreign,
            waiting=len(agent.keeper.backoff.waiting(time.monotonic())),
            overflows=tally.overflows,
            journal_lost=agent.journal.lost,
            is_config_valid=agent.is_config_valid,
            reloads=dict(agent.reloads),
            waits_for_confirmation=agent.confirmation.pending is not None,
        )

    def processes(self) -> Mapping[str, int]:
        """Process ids by name."""
        return {"agent": os.getpid(), **self._agent.probing.pids}

    def _traffic(self) -> NamedTraffic | None:
        state = self._forwarding()
        return named(self._driver.traffic(), state) if state is not None else None

    def _forwarding(self) -> Forwarding | None:
        wish = self._agent.keeper.desired.wanted.get(FORWARDER_STATE_KEY)
        return wish.object.forwarding if wish is not None and isinstance(wish.object, ForwarderState) else None


def _fill(state: Forwarding) -> dict[str, MapFill]:
    """How full the forwarder's tables are (P8)."""
    entries = {
        "dp_port": len(state.ports),
        "dp_nexthop": len(state.hops),
        "dp_group": len(state.groups),
        "dp_leg": len(state.legs),
    }
    with forwarder.adopted() as present:
        if present is None:
            return {}
        fills = {name: MapFill(count, present.limit(name)) for name, count in entries.items()}
        return fills | {name: MapFill(*fill) for name, fill in present.fib_fill(state.routes).items()}
