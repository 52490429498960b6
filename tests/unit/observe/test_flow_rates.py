"""Rates of flows out of two looks at the table: of the same flow, or nothing."""

from ipaddress import IPv4Address

import pytest

from dataplane.model.flow import TCP, FlowEntry, FlowKey, FlowState
from dataplane.model.limit import BURST_NS, Limit
from dataplane.observe.flow_rates import FlowBytes, flow_bytes, heaviest
from tests.fakes.flow_table import flow_table

SECOND_NS = 10**9
CAP = Limit(8_000_000, 0, 64)
"""A megabyte a second."""
ALL = Limit(0, 8_000_000, 64)
UDP = 17


def key(port: int, leg: int = 1, protocol: int = TCP) -> FlowKey:
    return FlowKey(leg, int(IPv4Address("192.168.0.2")), int(IPv4Address("172.16.0.9")), protocol, port, 443)


def entry(port: int, count: int, used_ns: int = 1, **more: object) -> FlowEntry:
    return FlowEntry(key(port), count, used_ns, **more)


def counted(before: dict[int, FlowEntry], after: dict[int, FlowEntry], cap: Limit = CAP) -> dict[int, int]:
    """Source port -> bytes between two looks, a second apart."""
    found = flow_bytes(flow_table(before), flow_table(after), SECOND_NS, lambda leg: cap)
    return {flow.key.source_port: flow.bytes for flow in found.values()}


def test_the_same_flow_has_sent_the_difference() -> None:
    assert counted({3: entry(1, 500)}, {3: entry(1, 1_700)}) == {1: 1_200}


def test_one_that_sent_nothing_is_not_listed() -> None:
    assert counted({3: entry(1, 500)}, {3: entry(1, 500)}) == {}


def test_an_entry_that_another_flow_has_taken_counts_from_nothing() -> None:
    """Neither the old flow's bytes less the new one's, nor the new one's less the old one's (item 5 of the brief)."""
    assert counted({3: entry(1, 900_000)}, {3: entry(2, 1_000)}) == {2: 1_000}
    assert counted({3: entry(1, 1_000)}, {3: entry(2, 900_000)}) == {2: 900_000}


def test_a_flow_that_lost_its_entry_and_came_back_counts_from_nothing() -> None:
    assert counted({3: entry(1, 900_000)}, {3: entry(1, 4_000)}) == {1: 4_000}


def test_a_flow_that_moved_counts_in_both_places() -> None:
    assert counted({3: entry(1, 500)}, {3: entry(1, 700), 4: entry(1, 50)}) == {1: 250}
    assert counted({3: entry(1, 500)}, {3: entry(2, 10), 4: entry(1, 50)}) == {1: 50, 2: 10}


def test_the_bytes_of_whom_a_place_belonged_to_a_moment_ago_are_nobodys() -> None:
    """The key is written before the count: a look in between finds a new flow with hours of another's traffic."""
    before, torn = {3: entry(1, 10**12)}, {3: entry(2, 10**12 + 1)}
    assert counted(before, torn) == {}
    assert counted(before, torn, ALL) == {}
    assert counted(torn, {3: entry(2, 6_000)}) == {2: 6_000}


def test_the_same_flow_on_two_legs_is_two() -> None:
    after = {3: FlowEntry(key(1, leg=1), 100, 1), 4: FlowEntry(key(1, leg=2), 70, 1)}
    found = flow_bytes(flow_table({}), flow_table(after), SECOND_NS, lambda leg: CAP)
    assert {(flow.key.leg, flow.bytes) for flow in found.values()} == {(1, 100), (2, 70)}


@pytest.mark.parametrize(
    ("used_ns", "is_queued", "protocol", "state"),
    [
        (0, False, TCP, FlowState.IDLE),
        (-5, True, TCP, FlowState.IDLE),  # it ended in its queue, long ago
        (1, False, TCP, FlowState.UNDER),
        (1, True, TCP, FlowState.QUEUED),
        (BURST_NS, False, UDP, FlowState.POLICED),
        (BURST_NS, False, TCP, FlowState.UNDER),  # its next packet is queued
        (BURST_NS // 2, False, UDP, FlowState.UNDER),
    ],
)
def test_states(used_ns: int, is_queued: bool, protocol: int, state: FlowState) -> None:
    assert FlowEntry(key(1, protocol=protocol), 1, used_ns, is_queued).state is state


def state_of(used_before: int, used_after: int, cap: Limit) -> FlowState:
    before, after = (
        {3: FlowEntry(key(1, protocol=UDP), count, used)} for count, used in ((5, used_before), (9, used_after))
    )
    ((_, flow),) = flow_bytes(flow_table(before), flow_table(after), SECOND_NS, lambda leg: cap).items()
    return flow.state


def test_a_flow_that_was_policed_at_either_look_is() -> None:
    assert state_of(BURST_NS, 1, CAP) is FlowState.POLICED
    assert state_of(1, BURST_NS, CAP) is FlowState.POLICED
    assert state_of(1, 1, CAP) is state_of(1, 0, CAP) is FlowState.UNDER


def test_where_only_the_connection_has_a_limit_no_flow_is_policed() -> None:
    assert state_of(BURST_NS, BURST_NS, ALL) is FlowState.UNDER


def test_the_heaviest_come_first_and_equals_by_their_keys() -> None:
    flows = {key(port): FlowBytes(key(port), count, FlowState.UNDER) for port, count in ((7, 5), (2, 9), (1, 5))}
    assert [flow.key.source_port for flow in heaviest(flows, 2)] == [2, 1]
    assert heaviest(flows, 0) == []


def test_places_that_are_free_for_others_are_not_in_use() -> None:
    assert flow_table({1: entry(1, 5, 0), 2: entry(2, 5, -9, is_queued=True), 3: entry(3, 5, 7)}).used == 1


def test_a_look_at_another_table_finds_all_new() -> None:
    """The maps were made anew, larger."""
    found = flow_bytes(flow_table({3: entry(1, 500)}, 128), flow_table({3: entry(1, 700)}), SECOND_NS, lambda leg: CAP)
    assert [flow.bytes for flow in found.values()] == [700]


def test_a_table_tells_what_is_in_it_and_who_is_busy() -> None:
    """Over several pages of memory."""
    there = {place: entry(place, place + 1, place % 2) for place in (0, 127, 128, 129, 511)}
    table = flow_table(there, 512)
    assert (table.size, table.used) == (512, 3)
    assert list(table.entries()) == list(there.values())
    assert list(table.busy()) == [there[place] for place in (127, 129, 511)]
    assert list(table.changes(table)) == []
    after = flow_table({**there, 128: entry(128, 400)}, 512)
    assert list(after.changes(table)) == [(there[128], entry(128, 400))]
