"""What no sniffer saw: TTLs say how many routers, counters say which; and each thing that does not fit is a fault."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lab.inventory import Inventory
from lab.judge import judge
from lab.model import Direction, Evidence, Expectation, Flow, Mark, Node, Place, Protocol, Sighting
from lab.sight import filled, gaps, is_out_of_sight

A = Node("a", "vpc-1", "dp-i-a", IPv4Address("10.0.0.1"))
B = Node("b", "vpc-2", "dp-i-b", IPv4Address("10.1.0.1"))
INVENTORY = Inventory({"a": A, "b": B}, {f"vpc-{number}": {"": f"dp-vpc-{number}"} for number in (1, 2, 3)})
REACH = Flow(Expectation.REACH, A, B, IPv4Address("10.1.0.1"), Protocol.UDP, 7, via=(("vpc-1",), ("vpc-2",)))

FROM_A: Place = ("dp-vpc-1", "to-a")
FROM_1: Place = ("dp-vpc-2", "to-1")
FROM_2: Place = ("dp-vpc-1", "to-2")
FROM_B: Place = ("dp-vpc-2", "to-b")
FROM_3: Place = ("dp-vpc-2", "to-3")
TO_2: Place = ("dp-vpc-3", "to-2")
_PAIRS = [(("dp-i-a", "eth0"), FROM_A), (FROM_2, FROM_1), (("dp-i-b", "eth0"), FROM_B), (FROM_3, TO_2)]
FAR = {**dict(_PAIRS), **{far: near for near, far in _PAIRS}}
COUNTED = {FROM_A, FROM_1, FROM_2, FROM_B}


def _seen(direction: Direction, place: Place, at: int, ttl: int, *, out: bool = False, packet: bytes = b"") -> Sighting:
    return Sighting(at, *place, out, Mark(b"k", direction, IPv4Address("10.0.0.1"), ttl, packet=packet))


LEFT_A = _seen(Direction.FORWARD, ("dp-i-a", "eth0"), 1, 64, out=True)
CAME_TO_B = _seen(Direction.FORWARD, ("dp-i-b", "eth0"), 5, 62)
LEFT_B = _seen(Direction.BACK, ("dp-i-b", "eth0"), 6, 64, out=True)
CAME_TO_A = _seen(Direction.BACK, ("dp-i-a", "eth0"), 9, 62)
AT_XDP = Evidence((LEFT_A, CAME_TO_B, LEFT_B, CAME_TO_A), arrived_from=A.address, is_answered=True)


def _faults(evidence: Evidence, flow: Flow = REACH) -> str:
    return "\n".join(judge(flow, replace(evidence), INVENTORY).faults)


def test_counters_say_which_routers_lie_in_a_gap() -> None:
    assert [(gap.before, gap.after, gap.routers) for gap in gaps(AT_XDP)] == [
        (LEFT_A, CAME_TO_B, 2),
        (LEFT_B, CAME_TO_A, 2),
    ]
    evidence = filled(AT_XDP, COUNTED, FAR)
    assert gaps(evidence) == []
    result = judge(replace(REACH, back_via=(("vpc-2",), ("vpc-1",))), evidence, INVENTORY)
    assert result.faults == ()
    assert result.path == ("dp-i-a", "dp-vpc-1", "dp-vpc-2", "dp-i-b")
    assert result.counted == {"dp-vpc-1", "dp-vpc-2"}


@pytest.mark.parametrize(
    ("counted", "fault"),
    [
        (set(), "forward: passed 2 routers unseen between instance a (dp-i-a) and instance b (dp-i-b), by its TTL"),
        (COUNTED - {FROM_1}, "forward: passed 2 routers unseen"),
        (COUNTED - {FROM_B}, "back: passed 2 routers unseen"),
        # A chain of counted ports, but another number of routers than the TTL says.
        ({FROM_A, FROM_3, FROM_B, FROM_2}, "forward: passed 2 routers unseen"),
        (COUNTED | {TO_2}, "counted by the forwarder in the router of vpc vpc-3 (dp-vpc-3) on to-2"),
    ],
)
def test_what_counters_do_not_show_is_a_fault(counted: set[Place], fault: str) -> None:
    assert fault in _faults(filled(AT_XDP, counted, FAR))


def test_the_way_that_counters_say_is_judged_like_any_other() -> None:
    turned = replace(REACH, via=(("vpc-2",), ("vpc-1",)))
    assert "forward: did not pass the router of vpc vpc-1" in _faults(filled(AT_XDP, COUNTED, FAR), turned)
    must_not = replace(REACH, expectation=Expectation.NOT_REACH, via=())
    assert "seen in the router of vpc vpc-2 (dp-vpc-2)" in _faults(filled(AT_XDP, COUNTED, FAR), must_not)


def test_a_packet_that_vanished_is_followed_as_far_as_it_was_counted() -> None:
    lost = Evidence((LEFT_A,))
    assert is_out_of_sight(lost, {FROM_A}, FAR)
    assert not is_out_of_sight(lost, set(), FAR)
    must_not = replace(REACH, expectation=Expectation.NOT_REACH, destination=None, via=(("vpc-1",),))
    assert "did not pass the router of vpc vpc-1" in _faults(lost, must_not)
    assert _faults(filled(lost, {FROM_A}, FAR), must_not) == ""
    assert "seen in the router of vpc vpc-2" in _faults(filled(lost, {FROM_A, FROM_1}, FAR), must_not)


def test_what_the_forwarder_hands_on_has_one_time_stamp() -> None:
    """The chain of ``bpf_redirect_peer`` runs within one softirq: the TTL orders what the time does not."""
    places = [(FROM_1, 63), (("dp-i-b", "eth0"), 62), (FROM_A, 64)]
    seen = sorted((_seen(Direction.FORWARD, place, 5, ttl) for place, ttl in places), key=lambda one: one.order)
    assert [one.namespace for one in seen] == ["dp-vpc-1", "dp-vpc-2", "dp-i-b"]
    assert gaps(Evidence((LEFT_A, *seen))) == []


def test_packets_of_a_connection_are_told_apart() -> None:
    """The first one seen at a router (the kernel took it) does not vouch for the second."""
    first = [
        _seen(Direction.FORWARD, place, at, ttl, packet=b"1") for place, at, ttl in ((FROM_A, 2, 64), (FROM_1, 3, 63))
    ]
    start = replace(LEFT_A, mark=replace(LEFT_A.mark, packet=b"1"))
    end = _seen(Direction.FORWARD, ("dp-i-b", "eth0"), 4, 62, packet=b"1")
    assert gaps(Evidence((start, *first, end))) == []
    assert [gap.routers for gap in gaps(Evidence((start, LEFT_A, *first, end, CAME_TO_B)))] == [2]


def test_a_ttl_that_could_not_be_read_says_nothing() -> None:
    tagged = _seen(Direction.FORWARD, ("", "eth1"), 3, 0)
    assert [gap.routers for gap in gaps(Evidence((LEFT_A, tagged, CAME_TO_B)))] == [2]
    assert gaps(Evidence((LEFT_A, tagged))) == []
