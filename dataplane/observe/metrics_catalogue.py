"""Every metric: its name, kind, labels and help. The one list; dashboards, alert rules and tests are held against it.

Names follow Prometheus: base units, ``_total`` for counters, states as 0 and 1. Bits are bytes here for that reason; a
dashboard multiplies by 8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "summary"]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Args:
        name: in full, with the ``_total`` of a counter.
        labels: their names, in the order in which the collector gives their values.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


_END = ("connection", "router_interface")
_WAY = (*_END, "direction")
_LEG = ("leg", "connection")

_TRAFFIC = (
    Family(
        "dataplane_connection_packets_total",
        "counter",
        "Packets that the forwarder sent into a router interface of a peering connection, or received from it.",
        _WAY,
    ),
    Family("dataplane_connection_bytes_total", "counter", "Bytes of dataplane_connection_packets_total.", _WAY),
    Family(
        "dataplane_connection_average_bytes_per_second",
        "gauge",
        "Average of the last finished interval of five minutes.",
        _WAY,
    ),
    Family(
        "dataplane_connection_average_packets_per_second",
        "gauge",
        "Average of the last finished interval of five minutes.",
        _WAY,
    ),
    Family(
        "dataplane_connection_day_peak_bytes_per_second",
        "gauge",
        "Highest five-minute average of the day (UTC), of the busier direction.",
        _END,
    ),
    Family(
        "dataplane_connection_limit_bytes_per_second",
        "gauge",
        "What a router interface may send: of one flow, or of all together; only where there is such a limit.",
        (*_END, "of"),
    ),
    Family(
        "dataplane_connection_throttled_packets_total",
        "counter",
        "Packets over a limit of the connection or of their flow: queued, or dropped.",
        (*_END, "how"),
    ),
    Family(
        "dataplane_connection_throttled_bytes_total",
        "counter",
        "Bytes of dataplane_connection_throttled_packets_total.",
        (*_END, "how"),
    ),
    Family(
        "dataplane_connection_overflow_packets_total",
        "counter",
        "Packets of flows that the flow table had no place for, and that share one flow's limit.",
        _END,
    ),
    Family(
        "dataplane_connection_shared_queue_packets_total",
        "counter",
        "Packets over a limit whose flow had to share a queue with another.",
        _END,
    ),
    Family(
        "dataplane_packets_total",
        "counter",
        "Frames that came in at all ports, by what the forwarder did and why.",
        ("verdict", "reason"),
    ),
    Family(
        "dataplane_port_packets_total",
        "counter",
        "Frames that came in at a port, by what the forwarder did and why; only reasons that have occurred.",
        ("port", "verdict", "reason"),
    ),
    Family("dataplane_port_bytes_total", "counter", "Bytes that came in at a port and were sent on.", ("port",)),
    Family("dataplane_line_drops_total", "counter", "Frames dropped on physical connections.", ("reason",)),
    Family("dataplane_underlay_drops_total", "counter", "VXLAN packets dropped on the underlay.", ("reason",)),
)

_HEALTH = (
    Family("dataplane_leg_up", "gauge", "1 where traffic may use the leg.", _LEG),
    Family("dataplane_leg_state", "gauge", "1 for the state that the leg has, 0 for the others.", (*_LEG, "state")),
    Family("dataplane_leg_forced", "gauge", "1 where somebody has fixed the leg's state by hand.", _LEG),
    Family("dataplane_leg_damped", "gauge", "1 where the leg is held down after too many flips.", _LEG),
    Family("dataplane_leg_frozen", "gauge", "1 where nobody probes the leg, so that its verdict stays.", _LEG),
    Family("dataplane_leg_carrier", "gauge", "1 where the links that the leg needs are up.", _LEG),
    Family("dataplane_leg_flips_total", "counter", "Changes of the leg between up and down.", _LEG),
    Family("dataplane_leg_probes_total", "counter", "Probes sent along the leg.", _LEG),
    Family("dataplane_leg_replies_total", "counter", "Probes that were answered in time.", _LEG),
    Family("dataplane_leg_misses_total", "counter", "Probes that were not answered in time.", _LEG),
    Family("dataplane_leg_late_replies_total", "counter", "Replies that came after the timeout.", _LEG),
    Family("dataplane_leg_voided_total", "counter", "Misses that do not count: the prober itself was late.", _LEG),
    Family("dataplane_leg_loss_ratio", "gauge", "Lost probes among the last ones, 0 to 1.", _LEG),
    Family("dataplane_leg_round_trip_seconds", "summary", "Round trips of the last replies.", _LEG),
    Family("dataplane_group_legs", "gauge", "Legs of a next-hop group.", ("group",)),
    Family("dataplane_group_healthy_legs", "gauge", "Legs of a next-hop group that are up.", ("group",)),
    Family("dataplane_prober_up", "gauge", "1 where the prober answers."),
    Family("dataplane_prober_lateness_seconds", "gauge", "Worst delay of the prober's loop since it last reported."),
    Family("dataplane_prober_heartbeat_age_seconds", "gauge", "Time since the prober's last sign of life."),
    Family("dataplane_prober_wakes_total", "counter", "Wake-ups of the prober's loop since it started."),
    Family("dataplane_prober_late_wakes_total", "counter", "Wake-ups that came more than a millisecond late."),
    Family("dataplane_prober_restarts_total", "counter", "Times that the agent had to start the prober again."),
)

_TABLES = (
    Family("dataplane_routes", "gauge", "Routes in a route table.", ("table",)),
    Family("dataplane_resources", "gauge", "Resources of the configuration by state.", ("kind", "state")),
    Family("dataplane_map_entries", "gauge", "Entries in use of a BPF map.", ("map",)),
    Family("dataplane_map_limit_entries", "gauge", "Entries that a BPF map has room for.", ("map",)),
    Family("dataplane_map_pressure_ratio", "gauge", "How full a BPF map is, 0 to 1.", ("map",)),
)

_AGENT = (
    Family("dataplane_build_info", "gauge", "1, with the version of the agent.", ("version",)),
    Family("dataplane_rounds_total", "counter", "Reconcile rounds.", ("outcome",)),
    Family("dataplane_round_seconds_total", "counter", "Time spent in reconcile rounds."),
    Family("dataplane_last_round_timestamp_seconds", "gauge", "When the last round ended."),
    Family("dataplane_last_good_round_timestamp_seconds", "gauge", "When a round last left nothing to do."),
    Family("dataplane_differences", "gauge", "What the last round left undone."),
    Family("dataplane_repairs_total", "counter", "Differences that nobody had asked for, mended.", ("kind",)),
    Family("dataplane_action_failures_total", "counter", "Changes of kernel objects that failed.", ("kind",)),
    Family("dataplane_waiting_objects", "gauge", "Objects that failed, or are undone again and again, and wait now."),
    Family("dataplane_foreign_objects", "gauge", "Objects that are not ours and in the way."),
    Family("dataplane_netlink_overflows_total", "counter", "Overflows of the queue of netlink events."),
    Family("dataplane_journal_lost_total", "counter", "Events that the journal could not keep."),
    Family("dataplane_config_valid", "gauge", "0 where the files have errors and the ones before are in force."),
    Family("dataplane_config_reloads_total", "counter", "Readings of the files.", ("outcome",)),
    Family("dataplane_confirmation_pending", "gauge", "1 while an apply waits for its confirmation."),
)

_PROCESS = ("process",)
_SELF = (
    Family("dataplane_process_cpu_seconds_total", "counter", "CPU time of a process of ours.", _PROCESS),
    Family("dataplane_process_resident_memory_bytes", "gauge", "Resident memory of a process of ours.", _PROCESS),
    Family("dataplane_process_open_fds", "gauge", "Open file descriptors of a process of ours.", _PROCESS),
    Family("dataplane_process_threads", "gauge", "Threads of a process of ours.", _PROCESS),
    Family("dataplane_process_start_time_seconds", "gauge", "When a process of ours started.", _PROCESS),
    Family("dataplane_scrape_ok", "gauge", "0 where a part of the metrics could not be read.", ("part",)),
)

FAMILIES: Mapping[str, Family] = {family.name: family for family in (*_TRAFFIC, *_HEALTH, *_TABLES, *_AGENT, *_SELF)}
"""Every metric by its name, in the order in which they are shown."""
