"""The language of lab.yaml: what it expands to, and what it says of mistakes."""

from pathlib import Path

import pytest

from dataplane.errors import ConfigError
from lab import topology
from lab.model import Protocol
from tests.lab.machine import write_topology


def _load(folder: Path, *flows: str) -> topology.Topology:
    return topology.load(write_topology(folder / "t", flows))


def test_lists_expand_to_all_pairs_but_not_to_oneself(tmp_path: Path) -> None:
    flows = _load(tmp_path, "must_reach:", "  - {from: [a, b], to: [a, b], protocol: [udp, tcp]}").flows
    assert [str(flow) for flow in flows] == ["a -> b udp/7", "a -> b tcp/7", "b -> a udp/7", "b -> a tcp/7"]
    assert {flow.origin.line for flow in flows} == {5}


def test_both_ways_turns_the_path_round(tmp_path: Path) -> None:
    (there, back) = _load(
        tmp_path, "must_reach:", "  - {from: a, to: c, protocol: udp, back_via: [fw], both_ways: true}"
    ).flows
    assert (there.via, there.back_via) == ((), (("fw",),))
    assert (back.source.id, back.via, back.back_via) == ("c", (("fw",),), ())


def test_hops_are_a_trace_of_their_own(tmp_path: Path) -> None:
    flows = _load(
        tmp_path, "must_reach:", "  - {from: a, to: b, protocol: icmp, hops: [172.16.1.253, 192.168.1.253]}"
    ).flows
    assert [flow.protocol for flow in flows] == [Protocol.ICMP, Protocol.TRACE]
    assert len(flows[1].hops) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "{from: a, to: bb}",
            "lab.yaml:5:19 must_reach[0].to: `bb` is not an instance or node of this network; did you mean `b`?",
        ),
        ("{from: a, to: b, via: [vpc-9]}", "must_reach[0].via: `vpc-9` is not an instance, node, VPC, VBR or host"),
        ("{from: a, to: b, protocol: sctp}", "`sctp` is not a protocol that the lab speaks; write tcp, udp or icmp"),
        ("{from: a, to: b, port: 0}", "0 is not a port"),
        ("{from: a, to: 10.0.0.1}", "must_reach needs an instance in `to`"),
        ("{from: a, to: b, answer: none}", "the key `answer` is unknown"),
        ("{to: b}", "must_reach[0]: the key `from` is missing"),
        ("{from: a, to: b, hops: [1.2.3.4], both_ways: true}", "hops hold for one direction only"),
        ("{from: a, to: b, hops: [1.2.3]}", "`1.2.3` is not an IPv4 address"),
    ],
)
def test_mistakes_are_said_with_their_place(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, "must_reach:", f"  - {line}")
    assert message in str(raised.value)
    assert "lab.yaml:5:" in str(raised.value)


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, "must_reach:", "  - {from: x, to: y}", "  - {from: a, to: z}")
    assert str(raised.value).count("is not an instance") >= 3


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match="there is no topology `vpc-pering`: choose one of"):
        topology.load("vpc-pering")
    with pytest.raises(ConfigError, match=r"has no lab\.yaml"):
        topology.load("/nowhere/at-all")


@pytest.mark.parametrize("name", topology.names_known())
def test_every_topology_reads(name: str) -> None:
    loaded = topology.load(name)
    assert loaded.flows
    assert loaded.title
