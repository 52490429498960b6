"""Verdicts from evidence that is written by hand: the sound case, and each single thing missing from it."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from lab.inventory import Inventory
from lab.judge import judge, needs_another_try
from lab.model import Direction, Evidence, Expectation, Flow, Mark, Node, Protocol, Sighting, node_namespace

A = Node("a", "vpc-1", "dp-i-a", IPv4Address("10.0.0.1"))
B = Node("b", "vpc-2", "dp-i-b", IPv4Address("10.1.0.1"))
C = Node("c", "vpc-3", "dp-i-c", IPv4Address("10.1.0.1"))
ROUTERS = {f"vpc-{number}": {"": f"dp-vpc-{number}"} for number in (1, 2, 3)}
INVENTORY = Inventory({"a": A, "b": B, "c": C}, ROUTERS)
REACH = Flow(Expectation.REACH, A, B, IPv4Address("10.1.0.1"), Protocol.UDP, 7)
NOT_REACH = replace(REACH, expectation=Expectation.NOT_REACH)
WAY = ("dp-i-a", "dp-vpc-1", "dp-vpc-2", "dp-i-b")


def _seen(direction: Direction, *namespaces: str, error: str = "", start: int = 0) -> tuple[Sighting, ...]:
    mark = Mark(b"k", direction, IPv4Address("10.0.0.1"), 64, error)
    return tuple(Sighting(start + i, name, "eth0", i == 0, mark) for i, name in enumerate(namespaces))


THERE = _seen(Direction.FORWARD, *WAY)
BACK = _seen(Direction.BACK, *reversed(WAY), start=10)
SOUND = Evidence(THERE + BACK, arrived_from=A.address, is_answered=True, round_trip_ms=0.1)


def _faults(flow: Flow, evidence: Evidence) -> str:
    return "\n".join(judge(flow, evidence, INVENTORY).faults)


def test_a_sound_exchange_passes() -> None:
    result = judge(REACH, SOUND, INVENTORY)
    assert result.passed
    assert result.path == WAY


@pytest.mark.parametrize(
    ("evidence", "fault"),
    [
        (Evidence(send_error="Network is unreachable"), "nothing left a (Network is unreachable)"),
        (Evidence(_seen(Direction.ASK, "dp-i-a")), "nobody answered dp-i-a's ARP request"),
        (Evidence(THERE[:2]), "forward: did not arrive; last seen in the router of vpc vpc-1"),
        (Evidence(THERE), "forward: came to instance b (dp-i-b) by eth0, but not to its socket"),
        (replace(SOUND, sightings=THERE, is_answered=False), "back: no answer; b sent no answer"),
        (
            replace(SOUND, sightings=THERE + BACK[:2], is_answered=False),
            "back: no answer; last seen in the router of vpc",
        ),
        (replace(SOUND, arrived_from=IPv4Address("10.9.9.9")), "forward: arrived from 10.9.9.9, not from 10.0.0.1"),
        (replace(SOUND, sightings=THERE + BACK + _seen(Direction.FORWARD, "dp-i-c")), "seen in instance c"),
        (replace(SOUND, sightings=THERE + BACK + _seen(Direction.BACK, "dp-vpc-3")), "seen in the router of vpc vpc-3"),
        (replace(SOUND, sightings=THERE + BACK + _seen(Direction.ASK, "dp-i-c")), "seen in instance c"),
    ],
)
def test_each_thing_missing_is_a_fault(evidence: Evidence, fault: str) -> None:
    assert fault in _faults(REACH, evidence)


def test_via_is_in_order() -> None:
    assert _faults(replace(REACH, via=(("vpc-1",), ("vpc-2",))), SOUND) == ""
    assert "did not pass the router of vpc vpc-1" in _faults(replace(REACH, via=(("vpc-2",), ("vpc-1",))), SOUND)


def test_must_not_reach() -> None:
    assert _faults(NOT_REACH, Evidence(THERE[:2])) == ""
    assert _faults(NOT_REACH, Evidence(_seen(Direction.ASK, "dp-i-a", "dp-vpc-1"))) == ""
    assert "which proves nothing" in _faults(NOT_REACH, Evidence())
    assert "reached instance b" in _faults(NOT_REACH, SOUND)
    assert "seen in the router of vpc vpc-2" in _faults(NOT_REACH, Evidence(THERE[:3]))
    assert _faults(replace(NOT_REACH, via=(("vpc-2",),)), Evidence(THERE[:3])) == ""
    assert "nothing is proven" in _faults(NOT_REACH, Evidence(THERE[:2], lost=("dp-i-b",)))


def test_the_answer_is_the_one_that_the_sender_got() -> None:
    flow = replace(NOT_REACH, answer="prohibited")
    at_router = Evidence(THERE[:2] + _seen(Direction.ERROR, "dp-vpc-1", error="prohibited", start=5))
    at_sender = Evidence(THERE[:2] + _seen(Direction.ERROR, "dp-i-a", error="prohibited", start=5))
    assert "answer was none" in _faults(flow, at_router)
    assert needs_another_try(flow, at_router)
    assert _faults(flow, at_sender) == ""
    assert not needs_another_try(flow, at_sender)
    assert "answer was prohibited" in _faults(replace(flow, answer="none"), at_sender)


def test_trace() -> None:
    first, second = IPv4Address("10.0.0.253"), IPv4Address("10.1.0.253")
    flow = replace(REACH, protocol=Protocol.TRACE, hops=(first, second))
    assert _faults(flow, Evidence(hops=(first, second, flow.address))) == ""
    assert "hop 2 is 10.0.0.253 at TTL 2" in _faults(flow, Evidence(hops=(first, first, flow.address)))
    assert "the destination is silent at TTL 3" in _faults(flow, Evidence(hops=(first, second, None)))


ROUTER = Node("idc", None, node_namespace("idc"), IPv4Address("172.16.0.1"), "node")
BORDERS = {"vbr-1": "dp-vbr-1", "vbr-2": "dp-vbr-2"}
BORDER = replace(
    INVENTORY,
    nodes={**INVENTORY.nodes, "idc": ROUTER},
    borders=BORDERS,
    lines={"vbr-1": ("", "eth1"), "vbr-2": ("", "eth2")},
    hosts=("host-1",),
)
OVER_LINE = replace(
    REACH, destination=ROUTER, address=ROUTER.address, via=(("vbr-1", "vbr-2"),), back_via=(("vbr-1",),)
)


def _border(vbr: str, ifname: str = "eth1", back: str = "dp-vbr-1") -> Evidence:
    forward = _seen(Direction.FORWARD, "dp-i-a", "dp-vpc-1", vbr, "", "node/idc")
    answer = _seen(Direction.BACK, "node/idc", "", back, "dp-vpc-1", "dp-i-a", start=10)
    seen = [replace(sighting, ifname=ifname) if not sighting.namespace else sighting for sighting in forward + answer]
    return Evidence(tuple(seen), arrived_from=A.address, is_answered=True)


def _border_faults(evidence: Evidence, flow: Flow = OVER_LINE) -> str:
    return "\n".join(judge(flow, evidence, BORDER).faults)


def test_one_of_several_is_enough() -> None:
    assert _border_faults(_border("dp-vbr-1")) == ""
    assert _border_faults(_border("dp-vbr-2")) == ""
    neither = "forward: did not pass the router of vbr vbr-1 (dp-vbr-1) nor the router of vbr vbr-2 (dp-vbr-2)"
    assert neither in _border_faults(_border("dp-vpc-1"))
    assert "back: did not pass the router of vbr vbr-1" in _border_faults(_border("dp-vbr-1", back="dp-vbr-2"))


def test_the_host_is_passed_on_the_line_only() -> None:
    assert _border_faults(_border("dp-vbr-1", "dpw7")) == ""
    assert "seen in the host's own namespace on eth3" in _border_faults(_border("dp-vbr-1", "eth3"))
    no_line = replace(REACH, destination=ROUTER, address=ROUTER.address)
    assert "seen in the host's own namespace on eth1" in _border_faults(_border("dp-vbr-1"), no_line)
    assert "seen in the host's own namespace on eth2" in _border_faults(
        _border("dp-vbr-1", "eth2"), replace(OVER_LINE, via=(("vbr-1",),))
    )


def test_a_node_hears_nothing_that_is_not_for_it() -> None:
    leak = replace(SOUND, sightings=THERE + BACK + _seen(Direction.FORWARD, "node/idc"))
    assert "seen in node idc on eth0, where it has no business" in _border_faults(leak, REACH)


def test_a_question_passes_the_way_too() -> None:
    flow = replace(NOT_REACH, source=ROUTER, destination=None, via=(("host-1",),))
    asked = _seen(Direction.ASK, "node/idc", "")
    assert _border_faults(Evidence(asked), flow) == ""
    assert "did not pass the host's own namespace" in _border_faults(Evidence(asked[:1]), flow)
