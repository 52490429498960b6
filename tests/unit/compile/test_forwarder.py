"""The forwarder in a desired state: which programs are asked for, and what is said where there can be none."""

import pytest

from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarder import MAX_XDP_MTU_BYTES, following
from dataplane.config import InvalidConfig
from dataplane.model.desired import Desired
from dataplane.model.forwarding import LeafKind, PortKind
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook
from dataplane.model.kernel import FarEnd, ForwarderState, KernelObject, PortProgram
from dataplane.model.program import FORWARDER_STATE_KEY
from tests.fakes.networks import PEERED, THREE_HOSTS, TWO_CIRCUITS, desired, network

LACKS = "bcc is missing; install it"


def hooked(text: str, hook: str) -> str:
    return text.replace("version: 1\n", f"version: 1\ndatapath: {{hook: {hook}}}\n", 1)


def objects(found: Desired, kind: type) -> list[KernelObject]:
    return [wish.object for wish in found.wanted.values() if isinstance(wish.object, kind)]


def hooks(found: Desired) -> set[str]:
    return {item.hook for item in objects(found, PortProgram) if isinstance(item, PortProgram)}


def test_off_asks_for_nothing() -> None:
    found = desired(hooked(PEERED, "off"))
    assert not objects(found, PortProgram) + objects(found, ForwarderState) + objects(found, FarEnd)


def test_auto_is_tc_everywhere() -> None:
    """Whether the file says it or says nothing."""
    at_tc = desired(hooked(PEERED, "tc")).wanted
    for text in (PEERED, hooked(PEERED, "auto")):
        found = desired(text)
        assert {key: wish.object for key, wish in found.wanted.items()} == {k: w.object for k, w in at_tc.items()}
        assert {program.hook for program in objects(found, PortProgram)} == {"tc"}


def test_auto_leaves_it_to_the_kernel_where_there_can_be_none() -> None:
    found = desired(PEERED, facts=HostFacts(forwarder_lacks=LACKS))
    off = desired(hooked(PEERED, "off"))
    assert found.wanted.keys() == off.wanted.keys()
    assert found.notes == (*off.notes, f"the kernel forwards, without eBPF: {LACKS}")
    assert not [resource for resource in found.declared if resource.resource.kind == "forwarder"]


def test_tc_is_under_every_port_of_every_router() -> None:
    found = desired(hooked(PEERED, "tc"))
    (state,) = objects(found, ForwarderState)
    assert isinstance(state, ForwarderState)
    places = {(port.namespace, port.ifname) for port in state.forwarding.ports.values()}
    assert {
        (item.namespace, item.ifname) for item in objects(found, PortProgram) if isinstance(item, PortProgram)
    } == places
    assert len(places) == 3 + 4, "instances, and both ends of two connections"
    assert hooks(found) == {"tc"}
    assert not objects(found, FarEnd)


def test_xdp_prepares_the_far_ends_of_instances_only() -> None:
    found = desired(hooked(PEERED, "xdp"))
    assert hooks(found) == {"xdp"}
    ends = {(item.namespace, item.ifname) for item in objects(found, FarEnd) if isinstance(item, FarEnd)}
    assert ends == {(f"dp-i-ecs-{n}", "eth0") for n in (1, 2, 3)}


def at_tc(found: Desired) -> dict[str, PortKind]:
    """The ports at tc, by name."""
    (state,) = objects(found, ForwarderState)
    assert isinstance(state, ForwarderState)
    ports = {(port.namespace, port.ifname): port for port in state.forwarding.ports.values()}
    programs = [item for item in objects(found, PortProgram) if isinstance(item, PortProgram)]
    there = [ports[item.namespace, item.ifname] for item in programs if item.hook == "tc"]
    return {port.name: port.kind for port in there}


def test_xdp_is_tc_where_xdp_cannot_be() -> None:
    tunnels = at_tc(compile_network(network(hooked(THREE_HOSTS, "xdp")), IdBook(), {}, here="host-2"))
    assert tunnels and set(tunnels.values()) == {PortKind.TUNNEL}


def test_xdp_leaves_the_router_of_a_line_to_tc_on_both_sides_of_its_doors() -> None:
    """And prepares the door for frames, or each one that is sent there is lost (design, section 9)."""
    found = desired(hooked(TWO_CIRCUITS, "xdp"))
    connections = {f"peering_connection/pcx-{n}/{end}" for n in (1, 2) for end in ("initiator", "acceptor")}
    assert at_tc(found).keys() == {"line/vbr-1", "line/vbr-2", *connections}
    ends = [item for item in objects(found, FarEnd) if isinstance(item, FarEnd)]
    doors = [item.namespace for item in ends if item.ifname != "eth0"]
    assert sorted(doors) == ["dp-vbr-vbr-1", "dp-vbr-vbr-2"]
    assert not objects(desired(hooked(TWO_CIRCUITS, "tc")), FarEnd)


def test_xdp_with_large_packets_is_tc_and_says_so() -> None:
    """A frame has to fit into a page: the whole network is at one hook, since XDP sends across routers."""
    text = hooked(PEERED, "xdp").replace("cidr: 172.16.0.0/12\n", "cidr: 172.16.0.0/12\n    mtu: 9000\n")
    found = desired(text)
    assert hooks(found) == {"tc"}
    assert any(str(MAX_XDP_MTU_BYTES) in note for note in found.notes)


@pytest.mark.parametrize("hook", ["tc", "xdp"])
def test_where_the_file_insists_it_is_an_error_of_that_line(hook: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        desired(hooked(PEERED, hook), facts=HostFacts(forwarder_lacks=LACKS))
    (problem,) = refused.value.problems
    assert (problem.origin.line, problem.path) == (3, "datapath.hook")
    assert LACKS in problem.message


def test_the_numbers_of_next_hops_are_in_the_book_and_stay() -> None:
    first = desired(hooked(PEERED, "tc"))
    kinds = {kind for kind, _ in first.used}
    assert "next_hop" in kinds
    assert first.used <= first.book.numbers.keys()
    again = desired(hooked(PEERED, "tc"), first.book)
    assert again.wanted[FORWARDER_STATE_KEY].object == first.wanted[FORWARDER_STATE_KEY].object


def test_a_line_has_the_mac_of_its_card_and_without_one_stays_with_the_kernel() -> None:
    def line_macs(facts: HostFacts | None) -> set[str]:
        (state,) = objects(desired(hooked(TWO_CIRCUITS, "tc"), facts=facts), ForwarderState)
        assert isinstance(state, ForwarderState)
        return {port.mac for port in state.forwarding.ports.values() if port.kind is PortKind.LINE}

    assert line_macs(None) == {""}
    assert line_macs(HostFacts(devices={"eth1": ("02:00:00:00:00:01", 1500)})) == {"", "02:00:00:00:00:01"}


def test_what_the_kernel_has_decides_where_it_is_not_what_the_file_says() -> None:
    """Half of a network is there: the state is that of this half, and nothing leads to the rest."""
    whole = desired(hooked(PEERED, "tc"))
    present = {
        key: wish.object
        for key, wish in whole.wanted.items()
        if "ecs-3" not in str(wish.object) and "pcx-2" not in str(wish.object)
    }
    found = following(whole, present)
    state = found[FORWARDER_STATE_KEY].object
    assert isinstance(state, ForwarderState)
    assert {port.name for port in state.forwarding.ports.values()} == {
        "instance/ecs-1",
        "instance/ecs-2",
        "peering_connection/pcx-1/initiator",
        "peering_connection/pcx-1/acceptor",
    }
    leaves = [leaf for table in state.forwarding.tables.values() for leaf in table.routes.values()]
    assert {leaf.value for leaf in leaves if leaf.kind is LeafKind.HOP} <= state.forwarding.hops.keys()
    assert {key for key in found if key[0] == "program"} < whole.wanted.keys()


def test_following_the_whole_kernel_is_what_was_asked_for() -> None:
    whole = desired(hooked(TWO_CIRCUITS, "tc"))
    found = following(whole, {key: wish.object for key, wish in whole.wanted.items()})
    own = {
        key: wish.object for key, wish in whole.wanted.items() if isinstance(wish.object, (ForwarderState, PortProgram))
    }
    assert {key: wish.object for key, wish in found.items()} == own
