"""What a scrape holds: the figures of the sources, all of them, and nothing that traffic can multiply."""

import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarding import compile_forwarding
from dataplane.config.loader import load
from dataplane.errors import HostError
from dataplane.model.forwarding import Reason, Verdict
from dataplane.model.ids import IdBook
from dataplane.model.simulation import Count
from dataplane.model.traffic import NamedTraffic, Traffic, named
from dataplane.observe import serve
from dataplane.observe.averages import Averages, Reading
from dataplane.observe.connection_traffic import connection_traffic, readings
from dataplane.observe.health import Health, HealthState, LegHealth
from dataplane.observe.metrics import registry
from dataplane.observe.metrics_catalogue import FAMILIES
from dataplane.observe.metrics_server import MOST_CONNECTIONS, MetricsServer
from dataplane.observe.metrics_sources import ConnectionTraffic, TrafficFigures
from lab.topology import TOPOLOGIES
from tests.fakes.metrics import FakeSources, reading

PATIENCE = 20.0


def scraped(sources: FakeSources) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) -> value, as a Prometheus reads it."""
    text = generate_latest(registry(sources)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(sources: FakeSources, name: str, **labels: str) -> float:
    return scraped(sources)[name, tuple(sorted(labels.items()))]


def test_every_metric_of_the_catalogue_is_there_with_its_labels_and_no_other() -> None:
    found: dict[str, set[tuple[str, ...]]] = {}
    for name, labels in scraped(FakeSources()):
        found.setdefault(name, set()).add(tuple(label for label, _ in labels if label != "quantile"))
    assert found == {name: {tuple(sorted(family.labels))} for name, family in FAMILIES.items()}


def test_kinds_are_what_the_catalogue_says() -> None:
    text = generate_latest(registry(FakeSources())).decode()
    for name, family in FAMILIES.items():
        assert f"# TYPE {name} {family.kind}\n" in text
        assert f"# HELP {name} {family.help}\n" in text
        assert name.endswith("_total") is (family.kind == "counter")


def test_figures_come_through() -> None:
    sources = FakeSources()
    end = {"connection": "pcx-1", "router_interface": "ri-a1"}
    leg = {"leg": "ri-a1", "connection": "pcx-1"}
    assert value(sources, "dataplane_connection_bytes_total", direction="received", **end) == 800_000
    # 3,000 packets of 100 bytes sent in five minutes, and twice as many received.
    assert value(sources, "dataplane_connection_average_packets_per_second", direction="sent", **end) == 10
    assert value(sources, "dataplane_connection_average_bytes_per_second", direction="sent", **end) == 1_000
    assert value(sources, "dataplane_connection_day_peak_bytes_per_second", **end) == 2_000
    assert value(sources, "dataplane_leg_state", state="up", **leg) == 1
    assert value(sources, "dataplane_leg_state", state="down", **leg) == 0
    assert value(sources, "dataplane_leg_round_trip_seconds", quantile="0.99", **leg) == 0.004
    assert value(sources, "dataplane_map_pressure_ratio", map="dp_fib") == 0.25
    assert value(sources, "dataplane_map_pressure_ratio", map="dp_flow") == 0
    assert value(sources, "dataplane_repairs_total", kind="route") == 2
    assert value(sources, "dataplane_rounds_total", outcome="failed") == 0
    assert value(sources, "dataplane_process_resident_memory_bytes", process="agent") > 1_000_000


def test_limits_and_what_they_did_come_through_and_only_where_there_are_any() -> None:
    sources = FakeSources()
    end = {"connection": "pcx-1", "router_interface": "ri-a1"}
    # 8 Mbit/s a flow, and 96 in all, are bytes here as all else.
    assert value(sources, "dataplane_connection_limit_bytes_per_second", of="flow", **end) == 1_000_000
    assert value(sources, "dataplane_connection_limit_bytes_per_second", of="connection", **end) == 12_000_000
    assert value(sources, "dataplane_connection_throttled_packets_total", how="queued", **end) == 30
    assert value(sources, "dataplane_connection_throttled_bytes_total", how="dropped", **end) == 30_000
    assert value(sources, "dataplane_connection_overflow_packets_total", **end) == 5
    assert value(sources, "dataplane_connection_shared_queue_packets_total", **end) == 2
    free = TrafficFigures(connections=(ConnectionTraffic("pcx-1", "ri-a1", reading(1)),))
    names = {name for name, _ in scraped(FakeSources(free)) if name.startswith("dataplane_connection_")}
    assert names == {"dataplane_connection_bytes_total", "dataplane_connection_packets_total"}


def test_each_frame_is_in_the_hosts_total_once_and_every_reason_is_there_at_zero() -> None:
    ports = {
        "instance/a": {Reason.FORWARDED: Count(5, 50), Reason.CONTINUED: Count(9, 90)},
        "instance/b": {Reason.FORWARDED: Count(2, 20), Reason.BLACKHOLE: Count(1, 10)},
    }
    found = scraped(FakeSources(TrafficFigures(ports)))
    totals = {dict(labels)["reason"]: v for (name, labels), v in found.items() if name == "dataplane_packets_total"}
    assert totals.keys() == {reason.name.lower() for reason in Reason} - {"continued"}
    assert {reason: number for reason, number in totals.items() if number} == {"forwarded": 7, "blackhole": 1}
    assert found["dataplane_port_bytes_total", (("port", "instance/a"),)] == 50


def test_a_leg_without_probes_has_no_loss_and_no_round_trip() -> None:
    sources = FakeSources(health_figures=Health((LegHealth("ri-x", "pcx-x", HealthState.UNKNOWN, True),)))
    names = {name for name, _ in scraped(sources)}
    assert "dataplane_leg_up" in names
    assert not names & {"dataplane_leg_loss_ratio", "dataplane_leg_round_trip_seconds", "dataplane_prober_up"}


@pytest.mark.parametrize("part", ["traffic", "health", "tables", "agent", "processes"])
def test_a_part_that_cannot_be_read_is_missing_alone_and_said_once(part: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    sources = FakeSources(broken=frozenset({part}))
    made = registry(sources)
    for _ in range(3):
        text = generate_latest(made).decode()
    flags = [line for line in text.splitlines() if line.startswith("dataplane_scrape_ok")]
    assert sorted(flags) == sorted(
        f'dataplane_scrape_ok{{part="{one}"}} {0.0 if one == part else 1.0}'
        for one in ("traffic", "health", "tables", "agent", "processes")
    )
    assert [record.getMessage() for record in caplog.records] == [
        f"the metrics of {part} cannot be read: OSError: {part} cannot be read"
    ]


def test_a_process_that_has_ended_is_left_out() -> None:
    class Ended(FakeSources):
        def processes(self) -> dict[str, int]:
            return {"prober": 2**22 + 1}

    found = scraped(Ended())
    assert found["dataplane_scrape_ok", (("part", "processes"),)] == 1
    assert not any(name.startswith("dataplane_process") for name, _ in found)


def test_labels_are_escaped() -> None:
    nasty = 'a"b\\c\nd'
    sources = FakeSources(TrafficFigures(line_drops={nasty: 1}))
    assert value(sources, "dataplane_line_drops_total", reason=nasty) == 1


def test_the_number_of_series_is_bounded_by_the_configuration() -> None:
    """More traffic, more of every reason: a port has at most a series a reason, and bytes (reliability, test 74)."""
    ports = {f"instance/{n}": {reason: Count(10**9, 10**12) for reason in Reason} for n in range(20)}
    lines = generate_latest(registry(FakeSources(TrafficFigures(ports)))).decode().splitlines()
    assert sum("instance/7" in line for line in lines) == len(Reason) + 1


def test_a_scrape_of_a_thousand_instances_takes_little_of_a_core() -> None:
    """Reliability, test 74: 100 ms. By the clock of the process, since others may be busy; figure: 50 to 60 ms."""
    reasons = (Reason.FORWARDED, Reason.ARP, Reason.LOCAL, Reason.SPOOFED_SOURCE)
    ports = {f"instance/ecs-{n}": dict.fromkeys(reasons, Count(5, 500)) for n in range(1_000)}
    made = registry(FakeSources(TrafficFigures(ports)))
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        text = generate_latest(made)
        best = min(best, time.process_time() - began)
    assert text.count(b"\n") > 5_000
    assert best < 0.3


def network() -> object:
    from dataplane.config import Source, load_sources

    text = """
version: 1
accounts: {a: {uid: "1"}}
regions: {r: {zones: {z: {}}}}
vpcs:
  v1: {account: a, region: r, cidr: 10.1.0.0/16, vswitches: {s1: {zone: z, cidr: 10.1.0.0/24}}}
  v2: {account: a, region: r, cidr: 10.2.0.0/16, vswitches: {s2: {zone: z, cidr: 10.2.0.0/24}}}
peering_connections:
  p: {initiator: {router_interface: ri-1, vpc: v1}, acceptor: {router_interface: ri-2, vpc: v2}}
"""
    return load_sources((Source("n.yaml", text),)).network


def test_what_one_end_sends_the_other_receives() -> None:
    traffic = NamedTraffic({}, {"ri-1": Count(5, 500), "ri-2": Count(7, 700)})
    ends = {end.router_interface: end for end in connection_traffic(network(), traffic)}
    assert ends["ri-1"].counted == Reading(Count(5, 500), Count(7, 700))
    assert ends["ri-2"].counted == Reading(Count(7, 700), Count(5, 500))


def test_an_end_whose_other_is_on_another_host_receives_what_came_in_at_its_port() -> None:
    port = {Reason.FORWARDED: Count(3, 300), Reason.BLACKHOLE: Count(1, 100), Reason.CONTINUED: Count(2, 200)}
    traffic = NamedTraffic({"peering_tunnel/p": port}, {"ri-2": Count(7, 700)})
    (end,) = connection_traffic(network(), traffic)
    assert (end.connection, end.router_interface) == ("p", "ri-2")
    assert end.counted == Reading(Count(7, 700), Count(6, 600))


@pytest.mark.parametrize("host", ["host-1", "host-2"])
def test_every_end_on_a_host_of_several_receives(host: str) -> None:
    """Of the very ports and legs that the compiler makes there."""
    loaded = load([TOPOLOGIES / "regions" / "network.yaml"])
    state = compile_forwarding(compile_network(loaded, IdBook(), {}, here=host))
    counted = Traffic(
        {(port, Reason.FORWARDED): Count(1, 1) for port in state.ports}, {leg: Count(1, 1) for leg in state.legs}
    )
    ends = connection_traffic(loaded.network, named(counted, state))
    assert any(end.router_interface in ("ri-bh", "ri-hb") for end in ends)
    assert [end for end in ends if end.counted != Reading(Count(1, 1), Count(1, 1))] == []


def test_histories_find_their_ends() -> None:
    traffic = NamedTraffic({}, {"ri-1": Count(5, 500), "ri-2": Count(7, 700)})
    averages = Averages().after(readings(connection_traffic(network(), traffic)), 1, 0.0)
    (one, other) = connection_traffic(network(), traffic, averages)
    assert one.history is not None and one.history.last == one.counted != other.counted


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer(registry(FakeSources()), port=0)
    made.start()
    yield made
    made.close()


def fetched(server: MetricsServer, path: str = "/metrics", method: str = "GET") -> tuple[int, bytes]:
    asked = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_it_serves_on_loopback_alone(server: MetricsServer) -> None:
    code, text = fetched(server)
    assert code == 200 and b"dataplane_build_info" in text
    assert server._server is not None
    assert server._server._listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/", 200), ("GET", "/x", 404), ("POST", "/metrics", 405), ("HEAD", "/metrics", 200)],
)
def test_it_answers_nothing_else(server: MetricsServer, method: str, path: str, code: int) -> None:
    assert fetched(server, path, method)[0] == code


def test_who_sends_what_nobody_wants_still_hears_the_answer(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing on unread bytes would reset the connection, and the answer would be lost on its way."""
    monkeypatch.setattr(serve, "REQUEST_SECONDS", PATIENCE)
    monkeypatch.setattr(serve, "_DRAIN_SECONDS", PATIENCE)
    body = bytes(1_000_000)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)  # or all of it would be on its way at once
        one.sendall(b"POST /metrics HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert one.recv(100).startswith(b"HTTP/1.1 405")


def test_who_asks_again_at_once_costs_nothing(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    first = server.text()
    monkeypatch.setattr(server, "_registry", None)  # a second reading would fail
    assert server.text() is first
    monkeypatch.setattr(server, "_read_at", server._read_at - 2.0)
    with pytest.raises(AttributeError):
        server.text()


def test_a_port_that_is_taken_is_an_error_with_a_remedy(server: MetricsServer) -> None:
    with pytest.raises(HostError, match="choose another port"):
        MetricsServer(registry(FakeSources()), port=server.port).start()


def test_many_who_say_nothing_are_refused_and_forgotten(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "REQUEST_SECONDS", 0.5)
    before = threading.active_count()
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        # Those there is no room for hear so at once; the others when their time is over.
        refused = [one for one in held if one.recv(12) == b"HTTP/1.1 503"]
        assert len(refused) >= 100 - 3 * MOST_CONNECTIONS
        assert threading.active_count() <= before + MOST_CONNECTIONS
    finally:
        for one in held:
            one.close()
    monkeypatch.setattr(serve, "REQUEST_SECONDS", PATIENCE)
    until = time.monotonic() + PATIENCE
    while (code := fetched(server)[0]) != 200 and time.monotonic() < until:
        time.sleep(0.05)
    assert code == 200


def test_verdicts_of_reasons_are_the_labels() -> None:
    found = {dict(labels)["verdict"] for name, labels in scraped(FakeSources()) if name == "dataplane_packets_total"}
    assert found == {verdict.value for verdict in Verdict}


def test_the_fake_has_two_directions() -> None:
    assert reading(1).sent != reading(1).received
