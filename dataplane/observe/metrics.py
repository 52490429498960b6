"""The collector of Prometheus metrics: values of ``metrics_sources`` as samples of ``metrics_catalogue``.

Nothing is counted here, and nothing kept between two scrapes. A part that cannot be read leaves the others as they are,
and says so in ``dataplane_scrape_ok``.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from dataplane.model.forwarding import Reason
from dataplane.model.traffic import NO_LIMIT
from dataplane.observe.health import HealthState, LegHealth
from dataplane.observe.metrics_catalogue import FAMILIES
from dataplane.observe.metrics_sources import ConnectionTraffic, Sources

_log = logging.getLogger(__name__)

Row = tuple[str, tuple[str, ...], float]
"""The name of a metric, the values of its labels, and its own value."""

_WAYS = ("sent", "received")


class Metrics(Collector):
    """All metrics of one agent.

    Args:
        sources: who knows.
    """

    def __init__(self, sources: Sources) -> None:
        self._parts: Mapping[str, Callable[[], Iterable[Row]]] = {
            "traffic": lambda: _traffic(sources),
            "health": lambda: _health(sources),
            "tables": lambda: _tables(sources),
            "agent": lambda: _agent(sources),
            "processes": lambda: _processes(sources.processes()),
        }
        self._said: dict[str, str] = {}

    def collect(self) -> Iterator[Metric]:
        """Read everything, now."""
        found = {name: Metric(name.removesuffix("_total"), f.help, f.kind) for name, f in FAMILIES.items()}
        for part, read in self._parts.items():
            rows: list[Row] = []
            is_fine = 1.0
            try:
                rows += read()
            except Exception as error:
                # Whatever it is, a scrape with the rest is worth more than none.
                is_fine = 0.0
                self._say(part, error)
            for name, values, value in (*rows, ("dataplane_scrape_ok", (part,), is_fine)):
                labels = FAMILIES[name].labels
                if len(values) > len(labels):  # a summary, whose quantile is no label of ours
                    labels = (*labels, "quantile")
                found[name].add_sample(name, dict(zip(labels, values, strict=True)), value)
        yield from (metric for metric in found.values() if metric.samples)

    def describe(self) -> Iterator[Metric]:
        """No sample at registration: nothing may be readable yet."""
        return iter(())

    def _say(self, part: str, error: Exception) -> None:
        """Log a new trouble once, not at every scrape."""
        text = f"{type(error).__name__}: {error}"
        if self._said.get(part) != text:
            self._said[part] = text
            _log.warning("the metrics of %s cannot be read: %s", part, text)


def registry(sources: Sources) -> CollectorRegistry:
    """A registry with our metrics alone."""
    made = CollectorRegistry(auto_describe=False)
    made.register(Metrics(sources))
    return made


def _traffic(sources: Sources) -> Iterator[Row]:
    figures = sources.traffic()
    for end in figures.connections:
        yield from _connection(end)
    # A router in the middle of a walk counts a frame that another one counts as well.
    total = {reason: 0 for reason in Reason if reason is not Reason.CONTINUED}
    for port, reasons in figures.ports.items():
        for reason, count in reasons.items():
            labels = (port, reason.verdict.value, reason.name.lower())
            if reason in total:
                total[reason] += count.packets
            yield "dataplane_port_packets_total", labels, count.packets
        # One a port, not one a reason: half of a scrape would be bytes that nobody looks at.
        sent = sum(count.bytes for reason, count in reasons.items() if reason is Reason.FORWARDED)
        yield "dataplane_port_bytes_total", (port,), sent
    for reason, packets in total.items():
        yield "dataplane_packets_total", (reason.verdict.value, reason.name.lower()), packets
    for words, number in figures.line_drops.items():
        yield "dataplane_line_drops_total", (words,), number
    for words, number in figures.underlay_drops.items():
        yield "dataplane_underlay_drops_total", (words,), number


def _connection(end: ConnectionTraffic) -> Iterator[Row]:
    labels = (end.connection, end.router_interface)
    for way, count in zip(_WAYS, (end.counted.sent, end.counted.received), strict=True):
        yield "dataplane_connection_packets_total", (*labels, way), count.packets
        yield "dataplane_connection_bytes_total", (*labels, way), count.bytes
    yield from _limit(end)
    average = end.history.average if end.history is not None else None
    if end.history is None or average is None:
        return
    for way, bits, packets in zip(_WAYS, average.bits_per_second(), average.packets_per_second(), strict=True):
        yield "dataplane_connection_average_bytes_per_second", (*labels, way), bits / 8
        yield "dataplane_connection_average_packets_per_second", (*labels, way), packets
    yield "dataplane_connection_day_peak_bytes_per_second", labels, end.history.peak_bits / 8


def _limit(end: ConnectionTraffic) -> Iterator[Row]:
    """Of an end without limits there is nothing to say."""
    labels = (end.connection, end.router_interface)
    for of, bits in (("flow", end.limit.flow), ("connection", end.limit.bandwidth)):
        if bits:
            yield "dataplane_connection_limit_bytes_per_second", (*labels, of), bits / 8
    if end.limit == NO_LIMIT:
        return
    for how, count in (("queued", end.throttled.delayed), ("dropped", end.throttled.dropped)):
        yield "dataplane_connection_throttled_packets_total", (*labels, how), count.packets
        yield "dataplane_connection_throttled_bytes_total", (*labels, how), count.bytes
    yield "dataplane_connection_overflow_packets_total", labels, end.throttled.overflow
    yield "dataplane_connection_shared_queue_packets_total", labels, end.throttled.shared


def _health(sources: Sources) -> Iterator[Row]:
    health = sources.health()
    for leg in health.legs:
        yield from _leg(leg)
    for group in health.groups:
        yield "dataplane_group_legs", (group.group,), group.legs
        yield "dataplane_group_healthy_legs", (group.group,), group.healthy
    prober = health.prober
    if prober is None:
        return
    yield "dataplane_prober_up", (), float(prober.is_running)
    yield "dataplane_prober_lateness_seconds", (), prober.lateness_s
    if prober.heartbeat_age_s is not None:
        yield "dataplane_prober_heartbeat_age_seconds", (), prober.heartbeat_age_s
    yield "dataplane_prober_wakes_total", (), prober.wakes
    yield "dataplane_prober_late_wakes_total", (), prober.late_wakes
    yield "dataplane_prober_restarts_total", (), prober.restarts


def _leg(leg: LegHealth) -> Iterator[Row]:
    labels = (leg.leg, leg.connection)
    yield "dataplane_leg_up", labels, float(leg.is_up)
    for state in HealthState:
        yield "dataplane_leg_state", (*labels, state.value), float(leg.state is state)
    yield "dataplane_leg_forced", labels, float(bool(leg.forced))
    yield "dataplane_leg_damped", labels, float(leg.is_damped)
    yield "dataplane_leg_frozen", labels, float(leg.is_frozen)
    yield "dataplane_leg_carrier", labels, float(leg.has_carrier)
    yield "dataplane_leg_flips_total", labels, leg.flips
    yield "dataplane_leg_probes_total", labels, leg.sent
    yield "dataplane_leg_replies_total", labels, leg.replies
    yield "dataplane_leg_misses_total", labels, leg.misses
    yield "dataplane_leg_late_replies_total", labels, leg.late
    yield "dataplane_leg_voided_total", labels, leg.voided
    if leg.loss_ratio is not None:
        yield "dataplane_leg_loss_ratio", labels, leg.loss_ratio
    for quantile, seconds in leg.round_trip_s:
        yield "dataplane_leg_round_trip_seconds", (*labels, f"{quantile:g}"), seconds


def _tables(sources: Sources) -> Iterator[Row]:
    figures = sources.tables()
    for table, routes in figures.routes.items():
        yield "dataplane_routes", (table,), routes
    for labels, number in figures.resources.items():
        yield "dataplane_resources", labels, number
    for name, fill in figures.maps.items():
        yield "dataplane_map_entries", (name,), fill.entries
        yield "dataplane_map_limit_entries", (name,), fill.limit
        yield "dataplane_map_pressure_ratio", (name,), fill.entries / fill.limit if fill.limit else 0.0


def _agent(sources: Sources) -> Iterator[Row]:
    figures = sources.agent()
    yield "dataplane_build_info", (figures.version,), 1.0
    # Also those that never happened: a rule on their rise sees the first one then.
    for outcome in ("unchanged", "changed", "failed"):
        yield "dataplane_rounds_total", (outcome,), figures.rounds.get(outcome, 0)
    for outcome in ("applied", "refused"):
        yield "dataplane_config_reloads_total", (outcome,), figures.reloads.get(outcome, 0)
    yield "dataplane_round_seconds_total", (), figures.round_seconds
    if figures.last_round_s:
        yield "dataplane_last_round_timestamp_seconds", (), figures.last_round_s
    if figures.last_good_round_s:
        yield "dataplane_last_good_round_timestamp_seconds", (), figures.last_good_round_s
    yield "dataplane_differences", (), figures.differences
    for kind, number in figures.repairs.items():
        yield "dataplane_repairs_total", (kind,), number
    for kind, number in figures.failures.items():
        yield "dataplane_action_failures_total", (kind,), number
    yield "dataplane_waiting_objects", (), figures.waiting
    yield "dataplane_foreign_objects", (), figures.foreign
    yield "dataplane_netlink_overflows_total", (), figures.overflows
    yield "dataplane_journal_lost_total", (), figures.journal_lost
    yield "dataplane_config_valid", (), float(figures.is_config_valid)
    yield "dataplane_confirmation_pending", (), float(figures.waits_for_confirmation)


def _processes(pids: Mapping[str, int]) -> Iterator[Row]:
    for name, pid in pids.items():
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                rows = (
                    ("dataplane_process_cpu_seconds_total", times.user + times.system),
                    ("dataplane_process_resident_memory_bytes", process.memory_info().rss),
                    ("dataplane_process_open_fds", process.num_fds()),
                    ("dataplane_process_threads", process.num_threads()),
                    ("dataplane_process_start_time_seconds", process.create_time()),
                )
        except psutil.NoSuchProcess:
            continue  # it has just ended: its absence is what dataplane_prober_up is for
        for metric, value in rows:
            yield metric, (name,), float(value)
