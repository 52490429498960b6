"""Rules about vSwitches and instances."""

from ipaddress import IPv4Network

import pytest

from dataplane.config.vswitch import gateway_of, is_reserved, room_in

from .networks import hybrid, loaded, said, two_vpcs

VSWITCH = "vpcs.vpc-a.vswitches.vsw-a"


def with_vswitch(cidr, **more):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-2"] = {"zone": "a", "cidr": cidr, **more}
    return network


@pytest.mark.parametrize("cidr", ["192.168.2.0/24", "192.168.2.0/29", "192.168.128.0/17"])
def test_r78_masks_and_places_that_are_allowed(cidr):
    assert said(with_vswitch(cidr)) == []


@pytest.mark.parametrize("cidr", ["192.168.2.0/30", "192.168.2.1/32", "192.0.0.0/8", "10.0.0.0/24", "192.168.0.0/25"])
def test_r78_masks_outside_16_to_29_places_outside_the_vpc_and_overlaps(cidr):
    assert said(with_vswitch(cidr)) == [("error", "R78", "vpcs.vpc-a.vswitches.vsw-2.cidr")]


def test_r78_a_vswitch_as_large_as_the_vpc_is_the_only_one():
    network = with_vswitch("192.168.0.0/16")
    assert said(network) == [("error", "R78", "vpcs.vpc-a.vswitches.vsw-2.cidr")]
    del network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["vswitch"] = "vsw-2"
    assert said(network) == []


def test_r59_a_vswitch_uses_one_route_table_of_its_vpc():
    network = two_vpcs()
    assert loaded(network).network.vpcs["vpc-a"].vswitches["vsw-a"].route_table == "system"
    network["vpcs"]["vpc-b"]["route_tables"]["rt-web"] = {}
    network["vpcs"]["vpc-b"]["vswitches"]["vsw-b"]["route_table"] = "rt-web"
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]["route_table"] = "rt-web"
    assert said(network) == [("error", "R59", f"{VSWITCH}.route_table")]


def test_r59_a_table_that_no_vswitch_uses_is_warned_about():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["route_tables"]["rt-web"] = {}
    assert said(network) == [("warning", "R59", "vpcs.vpc-a.route_tables.rt-web")]


def test_r57_the_system_table_need_not_be_written():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["route_tables"] = {}
    network["peering_connections"] = {}
    network["vpcs"]["vpc-b"]["route_tables"] = {}
    assert said(network) == []


def test_r83_zones_are_known_where_the_region_lists_any():
    network = two_vpcs()
    network["regions"] = {"beijing": {"zones": {"a": {}}}}
    assert said(network) == []
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]["zone"] = "z"
    assert said(network) == [("error", "R83", f"{VSWITCH}.zone")]


def test_d13_ids_of_vswitches_and_instances_are_unique_over_all_vpcs():
    network = two_vpcs()
    network["vpcs"]["vpc-b"]["vswitches"]["vsw-a"] = {"zone": "a", "cidr": "172.16.9.0/24"}
    network["vpcs"]["vpc-b"]["instances"]["ecs-a"] = {"vswitch": "vsw-a"}
    expected = [("error", "D13", "vpcs.vpc-b.vswitches.vsw-a"), ("error", "D13", "vpcs.vpc-b.instances.ecs-a")]
    assert sorted(said(network)) == sorted(expected)


@pytest.mark.parametrize("address", ["192.168.0.1", "192.168.0.252"])
def test_r79_addresses_that_instances_may_have(address):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["ip"] = address
    assert said(network) == []


@pytest.mark.parametrize("address", ["192.168.0.0", "192.168.0.253", "192.168.0.254", "192.168.0.255", "192.168.1.5"])
def test_r79_the_first_and_the_last_three_are_reserved(address):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["ip"] = address
    assert said(network) == [("error", "R79", "vpcs.vpc-a.instances.ecs-a.ip")]


def test_r79_the_gateway_is_the_third_last_and_four_are_reserved():
    cidr = loaded(two_vpcs()).network.vpcs["vpc-a"].vswitches["vsw-a"].cidr
    assert str(gateway_of(cidr)) == "192.168.0.253"
    assert sum(is_reserved(cidr, address) for address in cidr) == 4


def test_r79_one_instance_for_an_address():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"]["ecs-2"] = {"vswitch": "vsw-a", "ip": "192.168.0.10"}
    assert said(network) == [("error", "R79", "vpcs.vpc-a.instances.ecs-2.ip")]


@pytest.mark.parametrize(("count", "expected"), [(4, []), (5, [("error", "R79", VSWITCH)])])
def test_r79_a_slash_29_has_room_for_four(count, expected):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]["cidr"] = "192.168.0.0/29"
    network["vpcs"]["vpc-a"]["instances"] = {f"ecs-{number}": {"vswitch": "vsw-a"} for number in range(count)}
    assert said(network) == expected


def test_r40_a_probe_source_is_no_instances_address():
    network = hybrid()
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-10"] = {"zone": "a", "cidr": "192.168.10.0/24"}
    network["vpcs"]["vpc-a"]["instances"]["ecs-2"] = {"vswitch": "vsw-10", "ip": "192.168.10.3"}
    assert said(network) == []
    network["vpcs"]["vpc-a"]["instances"]["ecs-2"]["ip"] = "192.168.10.1"
    assert said(network) == [("error", "R40", "vpcs.vpc-a.instances.ecs-2.ip")]


def test_r40_probe_sources_take_room_from_instances():
    network = hybrid()
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-10"] = {"zone": "a", "cidr": "192.168.10.0/29"}
    for number in range(3):
        network["vpcs"]["vpc-a"]["instances"][f"x-{number}"] = {"vswitch": "vsw-10"}
    assert said(network) == [("error", "R79", "vpcs.vpc-a.vswitches.vsw-10")]


def test_r82_an_instance_is_in_a_vswitch_of_its_vpc():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"] = {"vswitch": "vsw-b"}
    assert said(network) == [("error", "R82", "vpcs.vpc-a.instances.ecs-a.vswitch")]
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"] = {"vswitch": "vsw-x"}
    assert said(network) == [("error", "R82", "vpcs.vpc-a.instances.ecs-a.vswitch")]


def test_r84_macs_belong_to_one_host_and_one_instance():
    network = two_vpcs()
    instances = network["vpcs"]["vpc-a"]["instances"]
    instances["ecs-a"]["mac"] = "02:00:00:00:00:0A"
    assert loaded(network).network.vpcs["vpc-a"].instances["ecs-a"].mac == "02:00:00:00:00:0a"
    instances["ecs-2"] = {"vswitch": "vsw-a", "mac": "02:00:00:00:00:0a"}
    assert said(network) == [("error", "R84", "vpcs.vpc-a.instances.ecs-2.mac")]
    instances["ecs-2"]["mac"] = "01:00:5e:00:00:01"
    assert said(network) == [("error", "R84", "vpcs.vpc-a.instances.ecs-2.mac")]


def test_instances_on_several_hosts_need_their_address_written():
    network = two_vpcs()
    network["hosts"] = {f"h{number}": {"address": f"172.20.0.{number}", "device": "eth0"} for number in (1, 2)}
    network["regions"] = {"beijing": {"zones": {"a": {"host": "h1"}, "b": {"host": "h2"}}}}
    assert said(network) == []
    del network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["ip"]
    assert said(network) == [("error", None, "vpcs.vpc-a.instances.ecs-a")]


@pytest.mark.parametrize(
    "attach", [{}, {"namespace": "web", "pid": 5}, {"namespace": "dp-i-x"}, {"namespace": "../x"}, {"pid": 0}]
)
def test_attach_names_one_foreign_place(attach):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["attach"] = attach
    assert [severity for severity, _, _ in said(network)] == ["error"]


@pytest.mark.parametrize("interface", ["all", "default", "lo", "a" * 16, "a/b", "..", ""])
def test_attach_interfaces_are_names_of_interfaces(interface):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["attach"] = {"namespace": "web", "interface": interface}
    assert said(network) == [("error", None, "vpcs.vpc-a.instances.ecs-a.attach.interface")]


def test_attach_is_to_a_place_of_its_own():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["attach"] = {"namespace": "web"}
    assert loaded(network).network.vpcs["vpc-a"].instances["ecs-a"].attach.interface == "eth0"
    network["vpcs"]["vpc-b"]["instances"]["ecs-b"]["attach"] = {"namespace": "web"}
    assert said(network) == [("error", None, "vpcs.vpc-b.instances.ecs-b.attach")]
    network["vpcs"]["vpc-b"]["instances"]["ecs-b"]["attach"]["interface"] = "eth1"
    assert said(network) == []


@pytest.mark.parametrize(
    ("cidr", "room"),
    [
        ("192.168.0.0/16", 65_532),
        ("172.16.0.0/12", 1_048_572),
        ("10.0.0.0/8", 16_777_212),
        ("192.168.1.0/24", 252),
        ("192.168.16.0/20", 4_092),  # the console's 4,091 has one address used
        ("192.168.1.0/29", 4),
        ("192.168.1.0/31", 0),
    ],
)
def test_r74_all_addresses_but_four_are_for_instances(cidr, room):
    assert room_in(IPv4Network(cidr)) == room
