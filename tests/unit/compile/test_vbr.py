"""Border routers, judged by where packets go (R26-R35, R39-R52, D16, D20)."""

import pytest

from dataplane.model.host import HostFacts
from dataplane.model.kernel import Address, DeviceQueues, Rule, VlanLink, VlanMode
from dataplane.plan.planner import make_plan
from dataplane.plan.stage import Stage
from tests.fakes.networks import TWO_CIRCUITS, desired
from tests.fakes.walk import Fate, Walk


def walk(text: str) -> Walk:
    return Walk([wish.object for wish in desired(text).wanted.values()])


def states(text: str) -> dict[str, tuple[str, str]]:
    return {str(item.resource): (item.state, item.reason) for item in desired(text).declared}


def test_r28_r30_an_instance_leaves_by_the_active_line() -> None:
    fate = walk(TWO_CIRCUITS).send("dp-i-ecs-1", "172.16.5.5")
    assert fate == Fate("line", "dp-vbr-vbr-1", ("dp-vpc-vpc-a", "dp-vbr-vbr-1"))


def test_r15_a_suspended_active_leg_leaves_by_the_standby() -> None:
    text = TWO_CIRCUITS.replace("vbr: vbr-1}", "vbr: vbr-1, state: suspended}")
    assert text != TWO_CIRCUITS
    fate = walk(text).send("dp-i-ecs-1", "172.16.5.5")
    assert fate == Fate("line", "dp-vbr-vbr-2", ("dp-vpc-vpc-a", "dp-vbr-vbr-2"))
    assert states(text)["peering_connection pcx-1"][0] == "Inactive"
    assert states(text)["route vpc-a/system/172.16.0.0/16"][0] == "Available", "the standby carries it"


def test_both_legs_suspended_is_a_blackhole_that_says_so() -> None:
    text = TWO_CIRCUITS.replace("vbr: vbr-1}", "vbr: vbr-1, state: suspended}")
    text = text.replace(
        "router_interface: ri-a2, vpc: vpc-a}", "router_interface: ri-a2, vpc: vpc-a, state: suspended}"
    )
    assert walk(text).send("dp-i-ecs-1", "172.16.5.5").verdict == "blackhole"
    state, reason = states(text)["route vpc-a/system/172.16.0.0/16"]
    assert state == "Blackhole" and "ri-v1" in reason and "ri-a2" in reason


def test_from_the_line_packets_reach_the_vpc_and_never_the_line_again() -> None:
    """D16: split horizon."""
    there = walk(TWO_CIRCUITS)
    assert there.arrive("dp-vbr-vbr-1", "172.16.5.5", "192.168.1.10").where == "dp-i-ecs-1"
    assert there.arrive("dp-vbr-vbr-1", "172.16.5.5", "172.16.9.9") == Fate(
        "prohibit", "dp-vbr-vbr-1", ("dp-vbr-vbr-1",)
    )
    assert there.arrive("dp-vbr-vbr-1", "172.16.5.5", "10.10.10.3").verdict == "prohibit"
    assert there.arrive("dp-vbr-vbr-1", "172.16.5.5", "10.10.10.1").verdict == "local"


def test_r43_the_probe_source_answers_on_the_vrouter() -> None:
    assert walk(TWO_CIRCUITS).arrive("dp-vbr-vbr-1", "172.16.5.5", "192.168.10.1") == Fate(
        "local", "dp-vpc-vpc-a", ("dp-vbr-vbr-1", "dp-vpc-vpc-a")
    )


def test_each_probe_is_bound_to_its_leg() -> None:
    """kernel.md, section 4: a rule for locally sent packets from the source to the destination of the check."""
    objects = [wish.object for wish in desired(TWO_CIRCUITS).wanted.values()]
    probes = [item for item in objects if isinstance(item, Rule) and item.priority == 50]
    assert {(str(r.source), str(r.destination), r.iif) for r in probes} == {
        ("192.168.10.1/32", "10.10.10.2/32", "lo"),
        ("192.168.10.2/32", "10.10.11.2/32", "lo"),
    }
    assert len({rule.table for rule in probes}) == 2
    sources = {str(i.address) for i in objects if isinstance(i, Address) and i.ifname == "lo"}
    assert {"192.168.10.1/32", "192.168.10.2/32"} <= sources


SECOND_VPC = """
  vpc-b:
    account: corp
    region: cn-beijing
    cidr: 10.0.0.0/16
    vswitches: {vsw-b: {zone: a, cidr: 10.0.1.0/24}}
    instances: {ecs-b: {vswitch: vsw-b, ip: 10.0.1.10}}
    route_tables: {system: {routes: [{destination: 192.168.0.0/16, next_hop: {router_interface: ri-b1}}]}}
"""
THIRD_CONNECTION = """
  pcx-3:
    initiator: {router_interface: ri-v3, vbr: vbr-1}
    acceptor: {router_interface: ri-b1, vpc: vpc-b}
"""


@pytest.mark.parametrize("transit", [False, True])
def test_d16_two_vpcs_of_one_vbr_meet_only_with_transit(transit: bool) -> None:
    text = TWO_CIRCUITS.replace("    vlan: 1000\n", f"    vlan: 1000\n    transit: {str(transit).lower()}\n", 1)
    to_a = "      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v1}}\n"
    to_b = "      - {destination: 10.0.0.0/16, next_hop: {router_interface: ri-v3}}\n"
    text = text.replace(to_a, to_a + to_b)
    text = text.replace("\npeering_connections:\n", f"\npeering_connections:{THIRD_CONNECTION}")
    text = text.replace("\nvpcs:\n", f"\nvpcs:{SECOND_VPC}")
    fate = walk(text).send("dp-i-ecs-b", "192.168.1.10")
    assert fate.verdict == ("delivered" if transit else "prohibit")
    assert walk(text).arrive("dp-vbr-vbr-1", "172.16.5.5", "10.0.1.10").where == "dp-i-ecs-b", "R35: the VBR is a hub"


def test_the_kernel_decides_how_a_vlan_is_made_and_the_status_says_which() -> None:
    def links(has_8021q: bool) -> list[VlanLink]:
        found = desired(TWO_CIRCUITS, facts=HostFacts(has_8021q))
        return [wish.object for wish in found.wanted.values() if isinstance(wish.object, VlanLink)]

    assert {(link.mode, link.parent, link.vlan, link.far_ifname is None) for link in links(True)} == {
        (VlanMode.KERNEL, "eth1", 1000, True),
        (VlanMode.KERNEL, "eth2", 1000, True),
    }
    assert {(link.mode, link.far_ifname is None) for link in links(False)} == {(VlanMode.TC, False)}
    declared = desired(TWO_CIRCUITS, facts=HostFacts(False)).declared
    assert "VLAN 1000 on eth1 (tc)" in next(d.kernel_object for d in declared if str(d.resource) == "vbr vbr-1")


def test_a_vbr_and_its_connections_are_a_unit() -> None:
    wishes = desired(TWO_CIRCUITS).wanted
    assert wishes["vlan", "dataplane line/vbr-1"].units == {"vbr/vbr-1"}
    assert wishes["veth", "dataplane peering_connection/pcx-1"].units == {"vpc-a", "vbr/vbr-1"}


def test_r70_r87_the_status_has_next_hops_types_and_free_addresses() -> None:
    details = {str(item.resource): item.detail for item in desired(TWO_CIRCUITS).declared}
    assert details["route vpc-a/system/172.16.0.0/16"] == "Custom to ri-a1, standby ri-a2"
    assert details["route vpc-a/system/192.168.1.0/24"] == "System"
    assert details["route vbr-1/172.16.0.0/16"] == "Custom to the physical connection"
    assert details["vswitch vsw-1"] == "192.168.1.0/24, 250 addresses available"


def test_r40_a_probe_source_is_reserved_in_its_own_vpc_only() -> None:
    """Equal CIDRs are normal: what one VPC reserves is free in another."""
    text = TWO_CIRCUITS.replace("192.168.10.1, destination", "192.168.1.1, destination").replace(
        "\nvpcs:\n",
        "\nvpcs:\n  vpc-z:\n    account: corp\n    region: cn-beijing\n    cidr: 192.168.0.0/16\n"
        "    vswitches: {vsw-z: {zone: a, cidr: 192.168.1.0/24}}\n    instances: {ecs-z: {vswitch: vsw-z}}\n",
    )
    text = text.replace("ecs-2: {vswitch: vsw-1, ip: 192.168.1.11}", "ecs-2: {vswitch: vsw-1}")
    addresses = {name: str(address) for name, address in desired(text).addresses.items()}
    assert (addresses["ecs-2"], addresses["ecs-z"]) == ("192.168.1.2", "192.168.1.1")


def test_r132_queues_are_of_the_card_and_of_nobody_who_asks_for_nothing() -> None:
    text = TWO_CIRCUITS.replace("device: eth1}", "device: eth1, queues: {combined: 4, rps_cpus: ff}}")
    text = text.replace("device: eth2}", "device: eth2, queues: {}}")
    wanted = desired(text).wanted
    (wish,) = [wish for wish in wanted.values() if isinstance(wish.object, DeviceQueues)]
    assert (wish.object, str(wish.owner)) == (DeviceQueues("eth1", 4, 0xFF), "physical_connection pc-1")
    # Before links are made on it; and never taken back, since nobody knows what the card had.
    assert wish.object in [action.object for action in make_plan(wanted, {}).stages[Stage.SYSCTL]]
    there = {key: wish.object for key, wish in wanted.items()}
    assert not make_plan(wanted, there).actions
    without = {key: wish for key, wish in wanted.items() if not isinstance(wish.object, DeviceQueues)}
    assert not make_plan(without, there).actions
