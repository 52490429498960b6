"""Routers with limits on their legs, and packets for them: what the tests of the limiter have in common."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

from dataplane.datapath.simulate import Simulator
from dataplane.model.forwarding import Forwarding, Hop, How, Leaf, LeafKind, Port, PortKind, Table
from dataplane.model.limit import Limit
from tests.bpf.programs import filled
from tests.bpf.test_groups import MAC, ether

TCP, UDP = 6, 17
FLOW_BITS_S = 8_000_000  # a byte takes 1,000 ns
START_NS = 10**15
LEG = 1


def network(limits: dict[int, Limit], legs: int = 1, flow_table: int = 64) -> Forwarding:
    """Routers in a row, each of which leaves by a leg of its own number."""
    hops, ports, tables = {}, {}, {}
    for n in range(1, legs + 1):
        far = n + 1 if n < legs else 0
        hops[n] = Hop(n, How.PEER, 10 + n, 1_000_010 + n, MAC, MAC, 1500, far, leg=n)
        ports[n] = Port(n, 1_000_000 + n, "", "", PortKind.TRANSIT, "", n, MAC)
        ports[10 + n] = Port(10 + n, 1_000_010 + n, "", "", PortKind.TRANSIT, "", n, MAC)
        tables[n] = Table(n, "", "", {IPv4Network("0.0.0.0/0"): Leaf(LeafKind.HOP, n)})
    return Forwarding(ports, tables, hops, limits=limits, flow_table=flow_table)


@contextmanager
def limited(limits: dict[int, Limit], legs: int = 1, flow_table: int = 64) -> Iterator[Simulator]:
    with filled(network(limits, legs, flow_table)) as there:
        there.set_clock(START_NS)
        yield there


def frame(size: int, protocol: int = UDP, sport: int = 1, source: str = "10.0.0.1", fragment: int = 0) -> bytes:
    """A packet of so many bytes of IP."""
    return ether(source, "10.9.0.1", protocol, struct.pack("!HH", sport, 2) + bytes(size - 24), fragment)
