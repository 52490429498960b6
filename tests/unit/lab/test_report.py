"""Results as rows for people."""

from ipaddress import IPv4Address

import pytest

from lab.model import Expectation, Flow, FlowResult, Node, Protocol
from lab.report import flow_row

A = Node("a", "vpc-1", "dp-i-a", IPv4Address("10.0.0.1"))
FLOW = Flow(Expectation.REACH, A, A, IPv4Address("10.1.0.1"), Protocol.TCP, 7)
WAY = ("dp-i-a", "dp-vpc-1", "dp-i-b")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ((), "nowhere"),
        (WAY, "dp-i-a > dp-vpc-1 > dp-i-b"),
        (WAY * 3, "dp-i-a > dp-vpc-1 > dp-i-b"),
        (("dp-i-a", "dp-vpc-1", "dp-i-f", "dp-vpc-1"), "dp-i-a > dp-vpc-1 > dp-i-f > dp-vpc-1"),
    ],
)
def test_the_way_of_a_connection_is_shown_once(path: tuple[str, ...], shown: str) -> None:
    """By way of an instance a packet crosses its router twice; the packets of a connection cross everything again."""
    assert flow_row(FlowResult(FLOW, (), path=path))[-1] == shown
