"""What flowed between two looks: rates by the time that really passed, shares, and counters that begin anew."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dataplane.model.flow import TCP, FlowEntry, FlowKey, FlowState, FlowTable
from dataplane.model.limit import Limit
from dataplane.model.simulation import Count
from dataplane.model.traffic import NO_LIMIT, NamedTraffic, Throttled
from dataplane.observe.throttled import limit_text, throttled_now
from dataplane.observe.top import Look, Rate, Top, top
from tests.fakes.flow_table import flow_table
from tests.fakes.networks import PEERED, network

NETWORK = network(PEERED).network
LEGS = {1: "ri-1", 2: "ri-2", 3: "ri-3", 4: "ri-4"}
LIMIT = Limit(8_000, 80_000, 64)
KEY = FlowKey(1, int(IPv4Address("10.1.0.2")), int(IPv4Address("10.2.0.2")), TCP, 40_000, 443)


def look(at_s: float, sent: int, came: int = 0, **more: object) -> Look:
    """So many frames of 114 bytes left by ri-1, and came by ri-2."""
    legs = {"ri-1": Count(sent, 114 * sent), "ri-2": Count(came, 114 * came), "ri-3": Count(0, 0), "ri-4": Count(0, 0)}
    given = {"throttled": {}, "flows": None, **more}
    traffic = NamedTraffic({}, legs, {"ri-1": LIMIT}, given["throttled"])
    return Look(int(at_s * 1e9), traffic, LEGS, given["flows"], int(at_s * 1e9) + 5)


def end(found: Top, name: str = "ri-1"):
    return next(one for one in found.connections if one.router_interface == name)


def test_r167_rates_are_of_ip_bytes_by_the_time_that_passed() -> None:
    found = top(NETWORK, look(5, 100, 7), look(7, 110, 27), 10)
    assert found.seconds == 2
    assert (end(found).sent, end(found).received) == (Rate(4_000, 5), Rate(8_000, 10))
    assert (end(found, "ri-2").sent, end(found, "ri-2").received) == (Rate(8_000, 10), Rate(4_000, 5))
    assert (end(found).share, end(found, "ri-2").share) == (0.05, None)
    assert found.flows_seen is None


def test_counters_that_began_anew_give_no_negative_rate() -> None:
    assert end(top(NETWORK, look(0, 10**9), look(1, 10), 10)).sent == Rate(8_000, 10)


def test_a_connection_that_was_not_there_before_has_no_rate_yet() -> None:
    """All that it has counted would be of the interval."""
    before = look(0, 0)
    before = replace(before, traffic=NamedTraffic({}, {"ri-3": Count(0, 0)}))
    assert end(top(NETWORK, before, look(1, 10**9), 10)).sent == Rate(0, 0)


def test_r167_what_limits_did() -> None:
    before = {"ri-1": Throttled(Count(10, 1_000), Count(5, 500), 3, 1)}
    after = {"ri-1": Throttled(Count(30, 3_000), Count(6, 600), 7, 2)}
    found = end(top(NETWORK, look(0, 1, throttled=before), look(2, 1, throttled=after), 10))
    assert (found.delayed, found.dropped) == (Rate(8_000, 10), Rate(400, 0.5))
    assert (found.overflow, found.shared, found.throttled) == (2, 0.5, 10.5)
    again = end(top(NETWORK, look(0, 1, throttled=after), look(1, 1, throttled=before), 10))
    assert again.dropped.packets == 5  # a counter that fell has begun anew


def flows(*entries: FlowEntry) -> FlowTable:
    return flow_table(dict(enumerate(entries)))


def test_flows_have_names_shares_and_states() -> None:
    before, after = flows(FlowEntry(KEY, 100, 1)), flows(FlowEntry(KEY, 1_600, 1, True), FlowEntry(KEY, 0, 0))
    found = top(NETWORK, look(0, 0, flows=before), look(2, 0, flows=after), 10)
    (flow,) = found.flows
    assert (flow.source, flow.destination) == ("10.1.0.2", "10.2.0.2")
    assert (flow.protocol, flow.source_port, flow.destination_port) == ("tcp", 40_000, 443)
    assert (flow.connection, flow.router_interface) == ("pcx-1", "ri-1")
    assert (flow.bits, flow.share, flow.state) == (6_000, 0.75, FlowState.QUEUED)
    assert (found.flows_seen, found.table_used, found.table_size) == (1, 1, 64)


def test_only_so_many_flows_and_only_of_one_connection() -> None:
    entries = [FlowEntry(KEY._replace(leg=leg, source_port=leg), 100 * leg, 1) for leg in (1, 3, 4, 9)]
    after = look(1, 0, flows=flows(*entries))
    found = top(NETWORK, look(0, 0, flows=flows()), after, 2)
    assert [flow.source_port for flow in found.flows] == [4, 3]
    assert found.flows_seen == 3  # leg 9 is nobody's
    one = top(NETWORK, look(0, 0, flows=flows()), after, 2, "pcx-1")
    assert {end.connection for end in one.connections} == {"pcx-1"}
    assert [flow.source_port for flow in one.flows] == [1]


def held_back(entries: list[FlowEntry], limit: Limit = LIMIT) -> tuple[str, ...]:
    held = {"ri-1": Throttled(Count(10, 1_000), Count(5_000, 500), 3, 1)}
    traffic = NamedTraffic({}, look(0, 0).traffic.legs, {"ri-1": limit}, held)
    return throttled_now(NETWORK, traffic, LEGS, flows(*entries))


def test_who_is_held_back_now_is_said_with_the_limits() -> None:
    entries = [
        FlowEntry(KEY._replace(source_port=1), 1, 1, True),
        FlowEntry(KEY._replace(source_port=2), 1, 1, True),
        FlowEntry(KEY._replace(source_port=3, protocol=17), 1, 50_000_000),
        FlowEntry(KEY._replace(source_port=4), 1, 0, True),
    ]
    assert held_back(entries) == (
        "connection pcx-1 is over its limits now at ri-1 (8kbps a flow, 80kbps in all): flows queued: 2, policed: 1; "
        "5,000 packets dropped so far",
    )


@pytest.mark.parametrize("entries", [[], [FlowEntry(KEY, 1, 5)], [FlowEntry(KEY._replace(leg=9), 1, 1, True)]])
def test_who_is_under_its_limits_is_not_spoken_of(entries: list[FlowEntry]) -> None:
    assert held_back(entries) == ()


def test_a_flow_that_shares_the_bandwidth_alone_is_not_policed() -> None:
    entries = [FlowEntry(KEY._replace(protocol=17), 1, 50_000_000)]
    assert (len(held_back(entries)), held_back(entries, Limit(0, 1_000, 64))) == (1, ())


def test_limits_in_words() -> None:
    assert limit_text(Limit(83_333_333, 10**9, 64)) == "83.3Mbps a flow, 1Gbps in all"
    assert (limit_text(Limit(1_500, 0, 64)), limit_text(NO_LIMIT)) == ("1.5kbps a flow", "")
