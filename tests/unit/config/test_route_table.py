"""Rules about route tables, routes and next hops."""

import pytest

from dataplane.config.next_hop import (
    ActiveStandbyHop,
    InstanceHop,
    LoadBalanceHop,
    PhysicalConnectionHop,
    RouterInterfaceHop,
)

from .networks import hop, hybrid, loaded, problems, said, system_routes, two_vpcs, vpc

ROUTES = "vpcs.vpc-a.route_tables.system.routes"


def with_route(destination, next_hop, network=None):
    network = network or two_vpcs()
    system_routes(network).append({"destination": destination, "next_hop": next_hop})
    return network


@pytest.mark.parametrize(("tables", "expected"), [(9, []), (10, [("error", "R58", "vpcs.vpc-a.route_tables")])])
def test_r58_ten_tables_with_the_system_table(tables, expected):
    network = two_vpcs()
    vpc_a = network["vpcs"]["vpc-a"]
    for number in range(tables):
        vpc_a["route_tables"][f"rt-{number}"] = {}
        vpc_a["vswitches"][f"vsw-{number}"] = {
            "zone": "a",
            "cidr": f"192.168.{number + 1}.0/24",
            "route_table": f"rt-{number}",
        }
    assert said(network) == expected


def test_r58_the_system_table_counts_although_it_is_not_written():
    network = two_vpcs()
    network["quotas"] = {"route_tables_per_vpc": 1}
    network["vpcs"]["vpc-a"]["route_tables"]["rt-1"] = {}
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]["route_table"] = "rt-1"
    assert said(network) == [("error", "R58", "vpcs.vpc-a.route_tables")]


@pytest.mark.parametrize(("count", "expected"), [(39, []), (40, [("error", "R60", ROUTES)])])
def test_r60_forty_custom_routes(count, expected):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["forwarding"] = True
    for number in range(count):
        with_route(f"10.0.{number}.0/24", {"instance": "ecs-a"}, network)
    assert said(network) == expected


def test_d6_r60_the_quota_can_be_changed_and_its_message_counts():
    network = two_vpcs()
    network["quotas"] = {"custom_routes_per_table": 1}
    with_route("172.17.0.0/16", hop("ri-a"), network)
    (problem,) = problems(network)
    assert problem.rule == "R60"
    assert problem.message == "2 custom routes, and the quota is 1"


def test_r61_cloud_services_are_a_system_route():
    assert said(with_route("100.64.0.0/10", hop("ri-a"))) == [("error", "R61", f"{ROUTES}[1].destination")]


def test_r62_custom_routes_may_override_other_system_routes():
    network = with_route("192.168.0.0/24", {"instance": "ecs-a"})
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["forwarding"] = True
    assert said(network) == []


def test_r63_the_golden_case_loads_and_a_destination_stands_once_in_a_table():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["instances"] = {
        name: {"vswitch": "vsw-a", "forwarding": True} for name in ("i-12345678", "i-87654321")
    }
    for destination, instance in (
        ("0.0.0.0/0", "i-12345678"),
        ("10.0.0.0/24", "i-87654321"),
        ("10.0.0.1", "i-87654321"),
        ("10.0.1.1", "i-12345678"),
    ):
        with_route(destination, {"instance": instance}, network)
    assert said(network) == []
    with_route("10.0.0.1/32", {"instance": "i-12345678"}, network)
    assert said(network) == [("error", "R63", f"{ROUTES}[5].destination")]


def test_r64_a_bare_address_means_32():
    network = with_route("172.16.9.9", hop("ri-a"))
    assert str(loaded(network).network.vpcs["vpc-a"].route_tables["system"].routes[1].destination) == "172.16.9.9/32"


@pytest.mark.parametrize(
    "destination", ["224.0.0.0/4", "239.1.1.1", "255.255.255.255", "127.0.0.0/8", "169.254.0.1", "240.0.0.0/4"]
)
def test_r84_d12_destinations_that_are_never_routed(destination):
    found = said(with_route(destination, hop("ri-a")))
    assert [(severity, path) for severity, _, path in found] == [("error", f"{ROUTES}[1].destination")]


def test_r65_the_types_of_next_hops():
    network = hybrid()
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["forwarding"] = True
    standby = {"active_standby": {"active": "ri-a1", "standby": "ri-a2"}}
    weighted = {
        "load_balance": [{"router_interface": "ri-a1", "weight": 7}, {"router_interface": "ri-a2", "weight": 7}]
    }
    for number, next_hop in enumerate([{"instance": "ecs-a"}, hop("ri-a1"), standby, weighted]):
        with_route(f"10.5{number}.0.0/16", next_hop, network)
    assert said(network) == []
    routes = loaded(network).network.vpcs["vpc-a"].route_tables["system"].routes
    classes = [type(route.next_hop) for route in routes]
    assert classes == [LoadBalanceHop, InstanceHop, RouterInterfaceHop, ActiveStandbyHop, LoadBalanceHop]
    assert [member.weight for member in routes[4].next_hop.members] == [7, 7]
    assert [member.weight for member in routes[0].next_hop.members] == [100, 100]
    assert isinstance(loaded(network).network.vbrs["vbr-1"].routes[0].next_hop, PhysicalConnectionHop)


@pytest.mark.parametrize("kind", ["vpn_gateway", "secondary_eni", "havip", "nat_gateway", "cen"])
def test_d24_r65_next_hops_that_come_later(kind):
    (problem,) = problems(with_route("10.0.0.0/8", {kind: "x"}))
    assert (problem.severity, problem.rule, problem.path) == ("error", "D24", f"{ROUTES}[1].next_hop")
    assert "comes later" in problem.message


@pytest.mark.parametrize(
    "next_hop", [{}, [], "ri-a", 5, None, {"router": "x"}, {"instance": "ecs-a", "router_interface": "ri-a"}]
)
def test_r65_what_is_no_next_hop(next_hop):
    assert said(with_route("10.0.0.0/8", next_hop)) == [("error", "R65", f"{ROUTES}[1].next_hop")]


def test_r65_an_instance_or_router_interface_of_another_vpc():
    assert said(with_route("10.0.0.0/8", {"instance": "ecs-b"})) == [("error", "R65", f"{ROUTES}[1].next_hop.instance")]
    assert said(with_route("10.0.0.0/8", {"instance": "ecs-x"})) == [("error", "R65", f"{ROUTES}[1].next_hop.instance")]
    (problem,) = problems(with_route("172.17.0.0/16", hop("ri-b")))
    assert (problem.rule, problem.path) == ("R65", f"{ROUTES}[1].next_hop.router_interface")
    assert problem.remedy.endswith("ri-a")


def test_r66_an_instance_that_does_not_forward_is_warned_about():
    network = with_route("0.0.0.0/0", {"instance": "ecs-a"})
    assert said(network) == [("warning", "R66", f"{ROUTES}[1].next_hop.instance")]
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["forwarding"] = True
    assert said(network) == []


def test_r16_d8_a_route_to_nothing_is_an_error_that_names_it():
    network = two_vpcs()
    network["peering_connections"] = {}
    found = problems(network)
    assert [(problem.severity, problem.rule) for problem in found] == [("error", "R16")] * 2
    assert "vpc-a/system/172.16.0.0/12" in found[0].message


def test_r104_d8_under_tencent_such_a_route_is_left_out_with_a_warning():
    network = two_vpcs()
    network["profile"] = "tencent"
    network["peering_connections"] = {}
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["forwarding"] = True
    with_route("10.0.0.0/8", {"instance": "ecs-a"}, network)
    with_route("10.0.0.0/9", hop("ri-a"), network)
    with_route("10.128.0.0/9", {"instance": "ecs-a"}, network)
    assert said(network) == [
        ("warning", "R104", f"{ROUTES}[0]"),
        ("warning", "R104", f"{ROUTES}[2]"),
        ("warning", "R104", "vpcs.vpc-b.route_tables.system.routes[0]"),
    ]
    result = loaded(network)
    kept = result.network.vpcs["vpc-a"].route_tables["system"].routes
    assert [str(route.destination) for route in kept] == ["10.0.0.0/8", "10.128.0.0/9"]
    # Positions in the network still lead to the right lines.
    text = result.sources[0].text.splitlines()
    origin = result.origin("vpcs", "vpc-a", "route_tables", "system", "routes", 1)
    assert "10.128.0.0/9" in text[origin.line]


def test_r104_positions_in_later_messages_are_those_of_the_file():
    network = two_vpcs()
    network["profile"] = "tencent"
    network["peering_connections"] = {}
    with_route("10.0.0.0/8", {"instance": "ecs-a"}, network)
    assert ("warning", "R66", f"{ROUTES}[1].next_hop.instance") in said(network)


def test_r29_a_vpc_has_no_line_and_a_vbr_has_no_instances():
    assert said(with_route("10.0.0.0/8", "physical_connection")) == [("error", "R29", f"{ROUTES}[1].next_hop")]
    network = hybrid()
    network["vbrs"]["vbr-1"]["routes"].append({"destination": "10.7.0.0/16", "next_hop": {"instance": "ecs-a"}})
    assert said(network) == [("error", "R29", "vbrs.vbr-1.routes[2].next_hop.instance")]
    network["vbrs"]["vbr-1"]["routes"][2]["next_hop"] = {"vpc": "vpc-a"}
    assert said(network) == [("error", "R29", "vbrs.vbr-1.routes[2].next_hop")]


def test_r49_groups_are_for_routes_of_a_vpc_to_vbrs():
    network = hybrid()
    pair = {"active_standby": {"active": "ri-v1", "standby": "ri-v1"}}
    network["vbrs"]["vbr-1"]["routes"].append({"destination": "192.168.7.0/24", "next_hop": pair})
    assert said(network) == [("error", "R49", "vbrs.vbr-1.routes[2].next_hop")]
    pair = {"active_standby": {"active": "ri-a", "standby": "ri-c"}}
    assert ("error", "R49", f"{ROUTES}[1].next_hop.active_standby.active") in said(with_route("172.17.0.0/16", pair))


def test_r50_two_different_router_interfaces():
    network = hybrid()
    with_route("10.32.1.0/24", {"active_standby": {"active": "ri-a1", "standby": "ri-a1"}}, network)
    assert said(network) == [("error", "R50", f"{ROUTES}[1].next_hop")]


@pytest.mark.parametrize(
    "members",
    [
        [],
        ["ri-a1"],
        ["ri-a1", "ri-a1"],
        ["ri-a1", {"router_interface": "ri-a2", "weight": 50}],
        ["ri-a1", "ri-a2", "ri-a1", "ri-a2", "ri-a1"],
        ["ri-a1"] * 300,
    ],
)
def test_r51_two_to_four_members_of_equal_weight(members):
    network = hybrid()
    with_route("10.32.1.0/24", {"load_balance": members}, network)
    assert said(network) == [("error", "R51", f"{ROUTES}[1].next_hop")]


def test_r51_four_members_share_the_flows():
    network = hybrid()
    for number in (3, 4):
        connection = network["peering_connections"][f"pcx-{number}"] = dict(network["peering_connections"]["pcx-1"])
        connection["initiator"] = {"router_interface": f"ri-v{number}", "vbr": "vbr-1"}
        connection["acceptor"] = {"router_interface": f"ri-a{number}", "vpc": "vpc-a"}
        connection["health_check"] = connection["health_check"] | {"source": f"192.168.10.{number}"}
        back = {"destination": f"192.168.{number}.0/24", "next_hop": hop(f"ri-v{number}")}
        network["vbrs"]["vbr-1"]["routes"].append(back)
    system_routes(network)[0]["next_hop"]["load_balance"] += ["ri-a3", "ri-a4"]
    assert said(network) == []


@pytest.mark.parametrize("weight", [0, 256, -1, "100", 1.5, True])
def test_r51_weights_are_1_to_255(weight):
    network = hybrid()
    members = [{"router_interface": name, "weight": weight} for name in ("ri-a1", "ri-a2")]
    with_route("10.32.1.0/24", {"load_balance": members}, network)
    place = f"{ROUTES}[1].next_hop.load_balance"
    assert said(network) == [("error", "R51", f"{place}[{number}].weight") for number in (0, 1)]


def test_r52_members_of_a_group_lead_to_vbrs():
    network = hybrid()
    network["vpcs"]["vpc-b"] = vpc("172.16.0.0/16", "b", {"destination": "192.168.0.0/16", "next_hop": hop("ri-b")})
    network["peering_connections"]["pcx"] = {
        "initiator": {"router_interface": "ri-a", "vpc": "vpc-a"},
        "acceptor": {"router_interface": "ri-b", "vpc": "vpc-b"},
    }
    with_route("172.16.0.0/16", {"load_balance": ["ri-a", "ri-a1"]}, network)
    assert said(network) == [("error", "R52", f"{ROUTES}[1].next_hop.load_balance[0]")]


def test_r48_a_member_without_a_health_check_is_warned_about():
    network = hybrid()
    del network["peering_connections"]["pcx-2"]["health_check"]
    assert said(network) == [("warning", "R48", f"{ROUTES}[0].next_hop.load_balance[1]")]


def test_r134_cloud_services_on_a_vbr_are_two_halves():
    network = hybrid()
    routes = network["vbrs"]["vbr-1"]["routes"]
    routes += [{"destination": half, "next_hop": hop("ri-v1")} for half in ("100.64.0.0/11", "100.96.0.0/11")]
    assert said(network) == []
    routes.append({"destination": "100.64.0.0/10", "next_hop": hop("ri-v1")})
    assert said(network) == [("error", "R134", "vbrs.vbr-1.routes[4].destination")]


def test_r29_the_line_of_a_vbr_takes_no_value():
    network = hybrid()
    network["vbrs"]["vbr-1"]["routes"][0]["next_hop"] = {"physical_connection": "pc-1"}
    (problem, *_) = problems(network)
    assert (problem.rule, problem.remedy) == ("R29", "write next_hop: physical_connection")


def test_d24_a_later_next_hop_without_a_value():
    assert ("error", "D24", f"{ROUTES}[1].next_hop") in said(with_route("10.0.0.0/8", "vpn_gateway"))


def test_r70_d24_the_publish_column_comes_later():
    network = two_vpcs()
    system_routes(network)[0]["publish"] = True
    (problem,) = problems(network)
    assert (problem.severity, problem.rule, problem.path) == ("error", "D24", f"{ROUTES}[0].publish")
    assert "comes later" in problem.message


@pytest.mark.parametrize("key", ["rds_instances", "havips", "secondary_enis", "vpn_gateways", "security_groups"])
def test_r86_r68_d24_features_that_come_later_are_no_unknown_keys(key):
    found = problems(two_vpcs() | {key: {}})
    assert [(problem.rule, problem.path, problem.message) for problem in found] == [
        ("D24", key, f"`{key}` comes later")
    ]
