"""Connections between VPCs of one host, judged by where packets go."""

import pytest

from dataplane.model.kernel import ForwarderState, Nexthop, Veth
from tests.fakes.networks import PEERED, desired, network
from tests.fakes.walk import Fate, Walk


def walk(text: str) -> Walk:
    return Walk([wish.object for wish in desired(text).wanted.values()])


def states(text: str) -> dict[str, tuple[str, str]]:
    return {str(item.resource): (item.state, item.reason) for item in desired(text).declared}


def test_r67_golden_routes_carry_packets_both_ways() -> None:
    there = walk(PEERED).send("dp-i-ecs-1", "192.168.1.10")
    back = walk(PEERED).send("dp-i-ecs-2", "172.16.1.10")
    assert there == Fate("delivered", "dp-i-ecs-2", ("dp-vpc-vpc-1", "dp-vpc-vpc-2"))
    assert back == Fate("delivered", "dp-i-ecs-1", ("dp-vpc-vpc-2", "dp-vpc-vpc-1"))


def test_r101_d16_a_peering_is_not_transitive() -> None:
    text = PEERED.replace(
        "routes: [{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}]",
        "routes: [{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}},"
        " {destination: 10.0.0.0/8, next_hop: {router_interface: ri-1}}]",
    )
    assert walk(text).send("dp-i-ecs-1", "10.0.1.10") == Fate(
        "prohibit", "dp-vpc-vpc-2", ("dp-vpc-vpc-1", "dp-vpc-vpc-2")
    )
    assert walk(text).send("dp-i-ecs-3", "172.16.1.10").verdict == "prohibit"


@pytest.mark.parametrize("end", ["vpc: vpc-1", "vpc: vpc-2"])
def test_r15_suspending_either_end_stops_the_connection(end: str) -> None:
    text = PEERED.replace(f"{end}}}", f"{end}, state: suspended}}", 1)
    assert text != PEERED
    assert walk(text).send("dp-i-ecs-1", "192.168.1.10") == Fate("blackhole", "dp-vpc-vpc-1", ("dp-vpc-vpc-1",))
    assert walk(text).send("dp-i-ecs-2", "172.16.1.10").verdict == "blackhole"
    found = states(text)
    assert found["peering_connection pcx-1"][0] == "Inactive"
    assert "R15" in found["peering_connection pcx-1"][1]
    assert found["route vpc-1/system/192.168.0.0/16"][0] == "Blackhole"
    assert found["route vpc-2/system/10.0.0.0/8"][0] == "Available"


def test_r15_suspending_changes_the_leg_and_no_route() -> None:
    before = desired(PEERED).wanted
    after = desired(PEERED.replace("vpc: vpc-1}", "vpc: vpc-1, state: suspended}", 1)).wanted
    changed = {key for key in before if before[key].object != after[key].object}
    assert before.keys() == after.keys()
    assert {before[key].object.__class__ for key in changed} == {Nexthop, ForwarderState}, "in both paths"


def test_r3_a_connection_with_one_end_waits_for_the_other() -> None:
    text = PEERED.replace(", acceptor: {router_interface: ri-4, vpc: vpc-3}", "").replace("ri-4", "ri-1")
    text = text.replace(
        "          - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}\n"
        "          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-1}}\n",
        "          - {destination: 11.0.0.0/8, next_hop: {instance: ecs-3}}\n",
    )
    assert states(text)["peering_connection pcx-2"] == ("Disconnected", "waits for its acceptor to be configured (R3)")
    assert walk(text).send("dp-i-ecs-2", "10.0.1.10").verdict == "blackhole"


def test_links_of_two_vpcs_belong_to_both_units() -> None:
    wishes = [w for w in desired(PEERED).wanted.values() if isinstance(w.object, Veth) and "peering" in w.object.mark]
    assert {wish.units for wish in wishes} == {frozenset({"vpc-1", "vpc-2"}), frozenset({"vpc-2", "vpc-3"})}


def test_d12_transit_links_have_no_addresses() -> None:
    wishes = desired(PEERED).wanted
    assert not [key for key in wishes if key[0] == "address" and str(key[2]).startswith("dpr")]
    neighbours = [key for key in wishes if key[0] == "neighbour" and str(key[2]).startswith("dpr")]
    assert {str(key[3]) for key in neighbours} == {"169.254.0.1"}
    assert len(neighbours) == 4


def test_the_smaller_mtu_of_both_vpcs_holds_on_the_link() -> None:
    text = PEERED.replace("    cidr: 172.16.0.0/12\n", "    cidr: 172.16.0.0/12\n    mtu: 9000\n")
    by_mark = {w.object.mark: w.object.mtu for w in desired(text).wanted.values() if isinstance(w.object, Veth)}
    assert by_mark["dataplane peering_connection/pcx-1"] == 1500
    assert by_mark["dataplane instance/ecs-1"] == 9000


def test_origins_name_the_line_that_asks() -> None:
    text = PEERED
    line = text[: text.index("pcx-1:")].count("\n") + 1
    wish = desired(text).wanted["veth", "dataplane peering_connection/pcx-1"]
    assert (wish.origin.file, wish.origin.line) == ("network.yaml", line)
    assert network(text).origin("nowhere").line >= 1
