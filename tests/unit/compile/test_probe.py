"""Which legs are probed, from where, and which links they need."""

from ipaddress import IPv4Address

from dataplane.compile.compiler import compile_network
from dataplane.model.ids import IdBook
from dataplane.model.kernel import Veth, VlanLink
from tests.fakes.networks import TWO_CIRCUITS, desired, network


def test_r39_every_health_check_is_a_probe_of_its_leg() -> None:
    found = desired(TWO_CIRCUITS)
    probes = {probe.connection: probe for probe in found.probes}
    checks = {name: one.health_check for name, one in network(TWO_CIRCUITS).network.peering_connections.items()}
    assert probes.keys() == {name for name, check in checks.items() if check is not None} != set()
    for name, probe in probes.items():
        check = checks[name]
        assert check is not None
        assert (probe.source, probe.destination) == (check.source[0], check.destination)
        assert (probe.interval_ms, probe.fall, probe.rise) == (check.interval_ms, check.fall, check.rise)
        assert found.book.numbers["leg", probe.leg] == probe.number > 0
    assert len({probe.source for probe in found.probes}) == len(probes), "R42"
    assert all(isinstance(probe.source, IPv4Address) for probe in found.probes)


def test_d1_it_needs_both_ends_of_the_connection_and_the_line() -> None:
    found = desired(TWO_CIRCUITS)
    objects = [wish.object for wish in found.wanted.values()]
    for probe in found.probes:
        (veth,) = (
            o for o in objects if isinstance(o, Veth) and o.mark.endswith(f" peering_connection/{probe.connection}")
        )
        ends = {(end.namespace, end.ifindex) for end in veth.ends}
        (near,) = (ifindex for namespace, ifindex in ends if namespace == probe.namespace)
        ((vbr, _),) = (place for place in ends if place[0] != probe.namespace)
        (line,) = (o for o in objects if isinstance(o, VlanLink) and o.namespace == vbr)
        assert probe.links[0] == (probe.namespace, near)
        assert set(probe.links) == {*ends, (vbr, line.ifindex)}
        assert probe.arrivals == (near,)


def test_r15_a_suspended_connection_is_not_probed() -> None:
    text = TWO_CIRCUITS.replace("vbr: vbr-1}", "vbr: vbr-1, state: suspended}")
    assert text != TWO_CIRCUITS
    assert [probe.connection for probe in desired(text).probes] == [
        probe.connection for probe in desired(TWO_CIRCUITS).probes[1:]
    ]


def test_it_is_the_same_whoever_asks_again() -> None:
    loaded = network(TWO_CIRCUITS)
    first = compile_network(loaded, IdBook(), {})
    assert compile_network(loaded, first.book, {}).probes == first.probes


def test_d1_it_needs_the_device_of_its_line() -> None:
    """By name: a card's ifindex is the kernel's. A stand-in of 802.1Q follows its carrier only round by round."""
    declared = network(TWO_CIRCUITS).network
    for probe in desired(TWO_CIRCUITS).probes:
        connection = declared.peering_connections[probe.connection]
        (vbr,) = (end.vbr for _, end in connection.ends() if end.vbr is not None)
        assert probe.device == declared.physical_connections[declared.vbrs[vbr].physical_connection].device != ""
