"""Rules about the life of resources: roles, states as they are spelled, and what may not change (R2-R5, D7, D22)."""

import pytest

from dataplane.compile.lifecycle import forbidden_changes, remember
from dataplane.model.memory import CONNECTED_AT, CREATED_AT, Memory
from tests.fakes.networks import PEERED, desired, network
from tests.fakes.walk import Walk


def states(text: str) -> dict[str, str]:
    return {str(item.resource): item.state for item in desired(text).declared}


def walk(text: str) -> Walk:
    return Walk([wish.object for wish in desired(text).wanted.values()])


def test_r2_roles_say_who_asks_and_nothing_about_traffic() -> None:
    swapped = PEERED.replace("pcx-1: {initiator:", "pcx-1: {x:").replace("acceptor: {router_interface: ri-2", "y: {z")
    swapped = swapped.replace("{x:", "{acceptor:").replace("y: {z", "initiator: {router_interface: ri-2")
    assert network(swapped).network.router_interfaces["ri-2"].role == "initiator"
    for text in (PEERED, swapped):
        assert walk(text).send("dp-i-ecs-1", "192.168.1.10").verdict == "delivered"
        assert walk(text).send("dp-i-ecs-2", "172.16.1.10").verdict == "delivered"


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        ("", "", "Active"),
        ("vpc: vpc-1}", "vpc: vpc-1, state: suspended}", "Inactive"),
        ("vpc: vpc-2}", "vpc: vpc-2, state: Inactive}", "Inactive"),
        ("vpc: vpc-1}", "vpc: vpc-1, state: Activated}", "Active"),
    ],
)
def test_r4_r5_d7_a_connection_is_active_or_inactive(before: str, after: str, state: str) -> None:
    text = PEERED.replace(before, after, 1)
    assert (text == PEERED) is not bool(before)
    assert states(text)["peering_connection pcx-1"] == state


def test_d7_routes_are_available_rejected_or_blackhole() -> None:
    text = PEERED.replace("vpc: vpc-1}", "vpc: vpc-1, state: suspended}", 1)
    assert states(text)["route vpc-1/system/192.168.0.0/16"] == "Blackhole"
    assert states(text)["route vpc-2/system/10.0.0.0/8"] == "Available"
    # R62: the system route that a custom route replaces stands by, as learned routes will (R92).
    text = PEERED.replace("{destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}", "{destination: X}", 1)
    text = text.replace("{destination: X}", "{destination: 192.168.1.0/24, next_hop: {instance: ecs-2}}")
    assert states(text)["route vpc-2/system/192.168.1.0/24 (System)"] == "Rejected"


def test_r167_a_connection_is_dated_once_and_anew_when_it_comes_back() -> None:
    def dates(text: str, before: Memory, now: str, failed: tuple[str, ...] = ()) -> Memory:
        return remember(network(text), desired(text), failed, before, now)

    def of(memory: Memory) -> tuple[str | None, str | None]:
        kind, name = "peering_connection", "pcx-1"
        return memory.get(kind, name, CREATED_AT), memory.get(kind, name, CONNECTED_AT)

    suspended = PEERED.replace("vpc: vpc-1}", "vpc: vpc-1, state: suspended}", 1)
    failed = dates(PEERED, Memory(), "1st", ("vpc-1",))
    made = dates(suspended, failed, "2nd")
    joined = dates(PEERED, made, "3rd")
    later = dates(PEERED, joined, "4th")
    parted = dates(suspended, later, "5th")
    found = [of(memory) for memory in (failed, made, joined, later, parted, dates(PEERED, parted, "6th"))]
    assert found == [(None, None), ("2nd", None), ("2nd", "3rd"), ("2nd", "3rd"), ("2nd", None), ("2nd", "6th")]


def changes(before: str, after: str) -> list[tuple[str | None, str]]:
    memory = remember(network(before), desired(before))
    compiled = desired(after, remembered=memory.addresses())
    return [(problem.rule, problem.path) for problem in forbidden_changes(network(after), compiled, memory)]


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("cidr: 10.0.0.0/8", "cidr: 10.0.0.0/16", "vpcs.vpc-3.cidr"),
        ("cidr: 10.0.1.0/24", "cidr: 10.0.1.0/25", "vpcs.vpc-3.vswitches.vsw-3.cidr"),
    ],
)
def test_r75_d22_a_cidr_is_given_once(before: str, after: str, path: str) -> None:
    assert changes(PEERED, PEERED) == []
    assert changes(PEERED, PEERED.replace(before, after)) == [("R75", path)]
    # Under a new id it may be anything, and what is gone from the file is no change.
    assert changes(PEERED, PEERED.replace(before, after).replace("vpc-3", "vpc-4").replace("vsw-3", "vsw-4")) == []


def test_r85_d22_an_instance_moves_to_another_vswitch_when_it_is_stopped() -> None:
    before = PEERED.replace("{vsw-3: {zone: a, cidr: 10.0.1.0/24}}", "{vsw-3: {zone: a, cidr: 10.0.1.0/24}, vsw-9: V}")
    before = before.replace("vsw-9: V", "vsw-9: {zone: a, cidr: 10.0.9.0/24}")
    after = before.replace("ecs-3: {vswitch: vsw-3, ip: 10.0.1.10}", "ecs-3: {vswitch: vsw-9}")
    assert changes(before, after) == [("R85", "vpcs.vpc-3.instances.ecs-3")]
    stopped = after.replace("ecs-3: {vswitch: vsw-9}", "ecs-3: {vswitch: vsw-9, state: stopped}")
    assert changes(before, stopped) == []
    assert str(desired(stopped, remembered={}).addresses["ecs-3"]) == "10.0.9.1"
