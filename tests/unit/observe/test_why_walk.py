"""The walk of `why` over kernel objects: against an independent model, and its checks one by one."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.model.kernel import KernelObject, Namespace, Neighbour, Sysctl, Veth, VlanLink
from dataplane.model.names import instance_namespace, is_router_mark
from dataplane.model.path import Answer, LinkState, NeighbourState, Packet
from dataplane.observe.why.code import Code
from dataplane.observe.why.scene import Scene
from dataplane.observe.why.trace import Trace
from dataplane.observe.why.walk import walk
from tests.fakes.networks import PEERED, TWO_CIRCUITS, desired
from tests.fakes.walk import Walk

ROOT = Path(__file__).resolve().parents[3]
TOPOLOGIES = [
    (ROOT / "lab" / "topologies" / name / "network.yaml").read_text()
    for name in ("vpc-peering", "route-tables", "overlapping")
]
SUSPENDED = PEERED.replace("vpc: vpc-2}}\n  pcx-2", "vpc: vpc-2, state: suspended}}\n  pcx-2")
TEXTS = [PEERED, SUSPENDED, TWO_CIRCUITS, *TOPOLOGIES]
SAME_AS = {
    "local": Code.LOCAL,
    "unreachable": Code.NO_ROUTE,
    "blackhole": Code.BLACKHOLE,
    "prohibit": Code.PROHIBITED,
    "line": Code.DELIVERED,
}


compiled = cache(desired)
"""Each text once; nobody changes what comes out of it."""


def objects(text: str) -> list[KernelObject]:
    return [wish.object for wish in compiled(text).wanted.values()]


def packet(source: str, destination: str, **more: int) -> Packet:
    return Packet(IPv4Address(source), IPv4Address(destination), **more)  # type: ignore[arg-type]


def go(items: Iterable[KernelObject], **more: int) -> Trace:
    return walk(Scene(items), packet("172.16.1.10", "192.168.1.10", **more), "dp-i-ecs-1")


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, str, IPv4Address]:
    """A network, a running instance of it, and an address: somebody's, close to somebody's, or any."""
    text = draw(st.sampled_from(TEXTS))
    addresses = compiled(text).addresses
    running = [
        i.b.namespace for i in objects(text) if isinstance(i, Veth) and i.b and i.b.up and "-i-" in i.b.namespace
    ]
    near = st.sampled_from(sorted(addresses.values())).flatmap(
        lambda address: st.integers(-3, 3).map(lambda step: address + step)
    )
    outside = st.sampled_from(["172.16.5.5", "10.9.9.9", "100.64.1.1", "203.0.113.1", "10.10.10.2"]).map(IPv4Address)
    return text, draw(st.sampled_from(running)), draw(near | outside)


@settings(max_examples=300, deadline=None)
@given(questions())
def test_both_models_of_the_kernel_agree(question: tuple[str, str, IPv4Address]) -> None:
    """``tests/fakes/walk.py`` was written apart; it does not go on through instances that forward."""
    text, namespace, destination = question
    items = objects(text)
    source = compiled(text).addresses[namespace.removeprefix("dp-i-")]
    if source == destination:
        return
    fate = Walk(items).send(namespace, str(destination))
    trace = walk(Scene(items), Packet(source, destination), namespace)
    passed = tuple(step.namespace for step in trace.steps)
    if fate.verdict == "delivered":
        assert fate.where in passed
    else:
        assert (trace.ending.code, trace.ending.namespace) == (SAME_AS[fate.verdict], fate.where), trace
    assert passed[1 : 1 + len(fate.routers)] == fate.routers


def test_the_comparison_sees_a_model_that_errs() -> None:
    """The test above, red: over other objects the two do not agree."""
    other = [item for item in objects(PEERED) if not (item.key[0] == "rule" and item.key[2] == 100)]
    question = packet("172.16.1.10", "10.0.1.10")
    routes = PEERED.replace(
        "next_hop: {router_interface: ri-1}}]",
        "next_hop: {router_interface: ri-1}}, {destination: 10.0.0.0/8, next_hop: {router_interface: ri-1}}]",
    )
    there = walk(Scene(objects(routes)), question, "dp-i-ecs-1")
    without = [item for item in objects(routes) if not (item.key[0] == "rule" and item.key[2] == 100)]
    assert len(other) < len(objects(PEERED))
    assert there.ending.code is Code.PROHIBITED
    assert Walk(without).send("dp-i-ecs-1", "10.0.1.10").verdict == "delivered"


def test_d17_the_ttl_falls_at_each_router() -> None:
    trace = go(objects(PEERED))
    assert [(step.namespace, step.ttl) for step in trace.steps] == [
        ("dp-i-ecs-1", 64),
        ("dp-vpc-vpc-1", 64),
        ("dp-vpc-vpc-2", 63),
        ("dp-i-ecs-2", 62),
    ]
    assert trace.ending.code is Code.DELIVERED


@pytest.mark.parametrize(("ttl", "code", "where"), [(1, Code.TTL, "dp-vpc-vpc-1"), (2, Code.TTL, "dp-vpc-vpc-2")])
def test_d17_a_router_that_gets_a_ttl_of_1_drops_it(ttl: int, code: Code, where: str) -> None:
    ending = go(objects(PEERED), ttl=ttl).ending
    assert (ending.code, ending.namespace) == (code, where)
    assert go(objects(PEERED), ttl=3).ending.code is Code.DELIVERED


@pytest.mark.parametrize(("size", "code"), [(1500, Code.DELIVERED), (1501, Code.MTU)])
def test_a_packet_of_the_mtu_fits_and_one_byte_more_does_not(size: int, code: Code) -> None:
    assert go(objects(PEERED), size_bytes=size).ending.code is code


def without(text: str, kind: type, namespace: str) -> list[KernelObject]:
    return [i for i in objects(text) if not (isinstance(i, kind) and getattr(i, "namespace", "") == namespace)]


def test_a_transit_link_without_its_neighbour_stops_and_an_instance_answers_by_arp() -> None:
    stopped = go(without(PEERED, Neighbour, "dp-vpc-vpc-1"))
    assert (stopped.ending.code, stopped.ending.namespace) == (Code.NO_NEIGHBOUR, "dp-vpc-vpc-1")
    only_to_the_instance = [
        item for item in objects(PEERED) if item.key[:2] != ("neighbour", "dp-vpc-vpc-2") or "169.254" in str(item)
    ]
    assert len(only_to_the_instance) == len(objects(PEERED)) - 1
    assert go(only_to_the_instance).ending.code is Code.DELIVERED


@pytest.mark.parametrize("mode", ["0", "1", "2"])
def test_the_source_check_asks_for_the_way_back(mode: str) -> None:
    """rp_filter 1 wants the same interface, 2 any route, 0 nothing."""
    text = PEERED.replace("ip: 172.16.1.10}}", "ip: 172.16.1.10}, ecs-9: {vswitch: vsw-1, ip: 172.16.1.9}}")
    items = [
        replace(i, value=mode) if isinstance(i, Sysctl) and i.name == "net/ipv4/conf/dpi1/rp_filter" else i
        for i in objects(text)
    ]

    def ending(source: str) -> Code:
        return walk(Scene(items), packet(source, "192.168.1.10"), "dp-i-ecs-1").ending.code

    assert ending("172.16.1.10") is Code.DELIVERED
    assert (ending("192.168.1.99") is Code.SPOOFED) == (mode != "0")
    assert (ending("172.16.1.9") is Code.SPOOFED) == (mode == "1"), "a neighbour's address"
    assert ending("172.16.1.253") is Code.SPOOFED, "the router's own address, whatever the mode"


def test_a_router_that_does_not_forward() -> None:
    items = [
        replace(i, value="0") if isinstance(i, Sysctl) and i.name == "net/ipv4/conf/dpr8/forwarding" else i
        for i in objects(PEERED)
    ]
    ending = go(items).ending
    assert (ending.code, ending.namespace) == (Code.NOT_FORWARDING, "dp-vpc-vpc-2")


def test_the_kernels_answer_wins_and_is_marked_where_nothing_of_ours_explains_it() -> None:
    def ask(namespace: str, ingress: str | None, asked: Packet) -> Answer | None:
        return Answer(refusal="EACCES") if namespace == "dp-vpc-vpc-2" else None

    trace = walk(Scene(objects(PEERED)), packet("172.16.1.10", "192.168.1.10"), "dp-i-ecs-1", ask=ask)
    assert (trace.ending.code, trace.ending.namespace) == (Code.PROHIBITED, "dp-vpc-vpc-2")
    assert [step.is_unexplained for step in trace.steps] == [False, False, True]


LINE = [item for item in objects(TWO_CIRCUITS) if isinstance(item, VlanLink)]


@pytest.mark.parametrize(
    ("links", "neighbours", "code"),
    [
        ([LinkState("", "eth1", True, True, 1500)], [], Code.DELIVERED),
        ([LinkState("", "eth1", True, False, 1500)], [], Code.NO_LINK),
        ([LinkState("", "eth1", False, False, 1500)], [], Code.NO_LINK),
        ([LinkState("", "eth2", True, True, 1500)], [], Code.NO_LINK),
        ([], [NeighbourState("dp-vbr-vbr-1", LINE[0].ifname, IPv4Address("10.10.10.2"), False)], Code.NO_NEIGHBOUR),
        ([], [NeighbourState("dp-vbr-vbr-1", LINE[0].ifname, IPv4Address("10.10.10.2"), True)], Code.DELIVERED),
    ],
    ids=["fine", "no carrier", "down", "missing", "nobody answers", "somebody answers"],
)
def test_a_line_ends_the_walk(links: list[LinkState], neighbours: list[NeighbourState], code: Code) -> None:
    scene = Scene(objects(TWO_CIRCUITS), links, neighbours)
    trace = walk(scene, packet("192.168.1.10", "172.16.5.5"), "dp-i-ecs-1")
    assert (trace.ending.code, trace.ending.namespace) == (code, "dp-vbr-vbr-1")
    if code is Code.DELIVERED:
        assert trace.steps[-1].via == IPv4Address("10.10.10.2")


def test_a_loop_is_found_without_counting_the_ttl_down() -> None:
    """Two routers that send a prefix to each other, as VBR and data centre would without split horizon."""
    items = [i for i in objects(PEERED) if not (i.key[0] == "rule" and i.key[2] == 100)]
    text = PEERED.replace(
        "172.16.0.0/12, next_hop: {router_interface: ri-2}", "192.168.128.0/17, next_hop: {router_interface: ri-2}"
    )
    items = [i for i in objects(text) if not (i.key[0] == "rule" and i.key[2] == 100)]
    trace = walk(Scene(items), packet("172.16.1.10", "192.168.200.1"), "dp-i-ecs-1")
    assert trace.ending.code is Code.LOOP
    assert len(trace.steps) < 6


def test_the_namespaces_of_routers_are_known_by_their_marks() -> None:
    scene = Scene(objects(TWO_CIRCUITS))
    for item in objects(TWO_CIRCUITS):
        if isinstance(item, Namespace):
            assert scene.is_router(item.name) == is_router_mark(item.mark)
    assert not scene.is_router(instance_namespace("ecs-1"))
