"""Rules about peering connections: ends, peers, rates, quotas, overlaps and missing routes."""

import pytest

from .networks import hop, hub_vbr, hybrid, loaded, problems, said, star, system_routes, two_vpcs

PCX = "peering_connections.pcx"


def test_r1_router_interfaces_are_the_two_ends():
    interfaces = loaded(two_vpcs()).network.router_interfaces
    assert set(interfaces) == {"ri-a", "ri-b"}
    assert (interfaces["ri-a"].role, interfaces["ri-a"].vpc, interfaces["ri-a"].peer) == ("initiator", "vpc-a", "ri-b")
    assert (interfaces["ri-b"].role, interfaces["ri-b"].vbr, interfaces["ri-b"].peer) == ("acceptor", None, "ri-a")


@pytest.mark.parametrize("router", [{}, {"vpc": "vpc-a", "vbr": "vbr-1"}])
def test_r1_an_end_belongs_to_one_router(router):
    network = two_vpcs()
    network["peering_connections"]["pcx"]["initiator"] = {"router_interface": "ri-a", **router}
    assert said(network) == [("error", "R1", f"{PCX}.initiator")]


def test_r1_no_connection_of_a_vpc_with_itself_and_none_without_ends():
    network = two_vpcs()
    network["peering_connections"]["self"] = {
        "initiator": {"router_interface": "ri-x", "vpc": "vpc-a"},
        "acceptor": {"router_interface": "ri-y", "vpc": "vpc-a"},
    }
    network["peering_connections"]["nothing"] = {}
    expected = [("error", "R1", "peering_connections.self"), ("error", "R1", "peering_connections.nothing")]
    assert said(network) == expected


def test_r1_a_router_interface_is_one_end_only():
    network = two_vpcs()
    network["peering_connections"]["pcx"]["acceptor"]["router_interface"] = "ri-a"
    assert ("error", "R1", f"{PCX}.acceptor.router_interface") in said(network)


@pytest.mark.parametrize("missing", ["initiator", "acceptor"])
def test_r3_a_connection_with_one_end_waits(missing):
    network = two_vpcs()
    del network["peering_connections"]["pcx"][missing]
    network["vpcs"]["vpc-a" if missing == "initiator" else "vpc-b"]["route_tables"] = {}
    assert said(network) == [("warning", "R3", PCX)]
    (interface,) = loaded(network).network.router_interfaces.values()
    assert interface.peer is None


def test_r3_what_an_end_says_of_the_other_is_compared():
    network = two_vpcs()
    network["vpcs"]["vpc-b"]["account"] = "branch"
    connection = network["peering_connections"]["pcx"]
    connection["initiator"]["peer"] = {"account": "branch", "router_interface": "ri-b"}
    connection["acceptor"]["peer"] = {"account": "12345678", "router_interface": "ri-a"}
    assert said(network) == []
    connection["initiator"]["peer"] = {"account": "corp", "router_interface": "ri-x"}
    assert sorted(said(network)) == [
        ("error", "R3", f"{PCX}.initiator.peer.account"),
        ("error", "R3", f"{PCX}.initiator.peer.router_interface"),
    ]


def test_r6_both_ends_of_one_account_need_no_peer():
    connection = loaded(two_vpcs()).network.peering_connections["pcx"]
    assert connection.initiator.peer is None
    assert connection.acceptor.state == "active"


def test_r9_a_vbr_is_the_initiator():
    network = hybrid()
    connection = network["peering_connections"]["pcx-1"]
    connection["initiator"], connection["acceptor"] = connection["acceptor"], connection["initiator"]
    assert ("error", "R9", "peering_connections.pcx-1.acceptor.vbr") in said(network)


def test_r10_an_acceptor_takes_no_bandwidth():
    network = two_vpcs()
    network["peering_connections"]["pcx"]["acceptor"]["bandwidth"] = "1Gbps"
    assert said(network) == [("error", "R10", f"{PCX}.acceptor.bandwidth")]


def test_r12_ends_belong_to_routers_that_exist():
    network = two_vpcs()
    network["peering_connections"]["pcx"]["acceptor"]["vpc"] = "vpc-x"
    assert ("error", "R12", f"{PCX}.acceptor.vpc") in said(network)
    network = hybrid()
    network["peering_connections"]["pcx-1"]["initiator"]["vbr"] = "vbr-x"
    assert ("error", "R12", "peering_connections.pcx-1.initiator.vbr") in said(network)


@pytest.mark.parametrize(("written", "bits"), [("2Mbps", 2_000_000), ("1.5Gbps", 1_500_000_000), ("100kbps", 100_000)])
def test_r12_bandwidths_are_decimal(written, bits):
    network = two_vpcs()
    network["peering_connections"]["pcx"]["bandwidth"] = written
    assert loaded(network).network.peering_connections["pcx"].bandwidth == bits


@pytest.mark.parametrize(
    "bad", ["0Mbps", "-1Mbps", "18446744073709551616kbps", "1Mb", "1GB", "10", 10, "", "2000Gbps", "1mbps"]
)
def test_r12_other_bandwidths_are_refused(bad):
    network = two_vpcs()
    network["peering_connections"]["pcx"]["bandwidth"] = bad
    assert said(network) == [("error", None, f"{PCX}.bandwidth")]


@pytest.mark.parametrize(("profile", "limit", "rule"), [("alibaba", 5, "R13"), ("tencent", 10, "R105")])
def test_r13_r105_connections_of_a_vpc(profile, limit, rule):
    network = star(limit) | {"profile": profile, "quotas": {"peerings_per_account": 100}}
    assert said(network) == []
    network = star(limit + 1) | {"profile": profile, "quotas": {"peerings_per_account": 100}}
    (problem,) = problems(network)
    assert (problem.severity, problem.rule, problem.path) == ("error", rule, "vpcs.vpc-hub")
    assert problem.message == f"VPC vpc-hub has {limit + 1} peering connections, and the quota is {limit}"
    network["quotas"]["peerings_per_vpc"] = limit + 1
    assert said(network) == []


def test_r13_d6_connections_of_an_account():
    network = star(11) | {"quotas": {"peerings_per_vpc": 100}}
    assert said(network) == [("error", "R13", "accounts.corp")]


def test_r13_r14_connections_of_a_vbr_and_vpcs_of_a_line():
    assert said(hub_vbr(5)) == []
    assert said(hub_vbr(6)) == [("error", "R14", "physical_connections.pc-1"), ("error", "R13", "vbrs.vbr-1")]
    assert said(hub_vbr(6) | {"quotas": {"peerings_per_vbr": 6, "vpcs_per_physical_connection": 6}}) == []


def test_r15_either_end_may_be_suspended():
    network = two_vpcs()
    network["peering_connections"]["pcx"]["acceptor"]["state"] = "suspended"
    assert said(network) == []
    assert loaded(network).network.router_interfaces["ri-b"].state == "suspended"
    network["peering_connections"]["pcx"]["acceptor"]["state"] = "off"
    assert said(network) == [("error", None, f"{PCX}.acceptor.state")]


def test_r24_r106_d5_a_bandwidth_is_required_across_regions_only():
    network = two_vpcs()
    network["vpcs"]["vpc-b"]["region"] = "shanghai"
    assert said(network) == [("error", "R106", PCX)]
    network["peering_connections"]["pcx"]["bandwidth"] = "1Gbps"
    assert said(network) == []
    network["peering_connections"]["pcx"]["bandwidth"] = "1.1Gbps"
    assert said(network) == [("error", "R106", f"{PCX}.bandwidth")]
    network["quotas"] = {"cross_region_bandwidth": "2Gbps"}
    assert said(network) == []


def test_r72_a_route_is_needed_in_each_direction():
    network = two_vpcs()
    system_routes(network, "vpc-b").clear()
    (problem,) = problems(network)
    assert (problem.severity, problem.rule, problem.path) == ("warning", "R72", PCX)
    assert "vpc-b has no route to VPC vpc-a" in problem.message
    route = "{destination: 192.168.0.0/16, next_hop: {router_interface: ri-b}}"
    assert problem.remedy == f"add {route} to vpcs.vpc-b.route_tables.system.routes"


def test_r101_peering_is_not_transitive():
    network = star(2)
    system_routes(network, "vpc-0").append({"destination": "10.1.0.0/16", "next_hop": hop("ri-0")})
    assert said(network) == [("warning", "R101", "vpcs.vpc-0.route_tables.system.routes[1]")]


def test_r101_what_the_peer_gives_to_an_instance_is_delivered():
    network = star(2)
    network["vpcs"]["vpc-hub"]["instances"]["ecs-hub"]["forwarding"] = True
    system_routes(network, "vpc-0").append({"destination": "0.0.0.0/0", "next_hop": hop("ri-0")})
    system_routes(network, "vpc-0").append({"destination": "8.8.8.8", "next_hop": hop("ri-0")})
    assert said(network) == [("warning", "R101", "vpcs.vpc-0.route_tables.system.routes[2]")]
    system_routes(network, "vpc-hub").append({"destination": "8.0.0.0/8", "next_hop": {"instance": "ecs-hub"}})
    assert said(network) == []


def test_r101_a_cycle_of_routes_leads_nowhere():
    network = two_vpcs()
    system_routes(network, "vpc-a").append({"destination": "10.9.0.0/16", "next_hop": hop("ri-a")})
    system_routes(network, "vpc-b").append({"destination": "10.9.0.0/16", "next_hop": hop("ri-b")})
    assert said(network) == [
        ("warning", "R101", "vpcs.vpc-a.route_tables.system.routes[1]"),
        ("warning", "R101", "vpcs.vpc-b.route_tables.system.routes[1]"),
    ]


def test_r110_a_second_connection_of_the_same_vpcs_is_warned_about():
    network = two_vpcs()
    network["peering_connections"]["pcx-2"] = {
        "initiator": {"router_interface": "ri-b2", "vpc": "vpc-b"},
        "acceptor": {"router_interface": "ri-a2", "vpc": "vpc-a"},
    }
    assert ("warning", "R110", "peering_connections.pcx-2") in said(network)


@pytest.mark.parametrize("cap", ["off", {}, {"divisor": 1}, {"divisor": 64, "direction": "both"}])
def test_d4_flow_caps(cap):
    network = hybrid()
    network["peering_connections"]["pcx-1"]["flow_cap"] = cap
    assert said(network) == []


@pytest.mark.parametrize(
    ("cap", "where"), [("on", ""), (12, ""), ({"divisor": 0}, ".divisor"), ({"divisor": 65}, ".divisor")]
)
def test_d4_other_flow_caps_are_refused(cap, where):
    network = hybrid()
    network["peering_connections"]["pcx-1"]["flow_cap"] = cap
    assert said(network) == [("error", "D4", f"peering_connections.pcx-1.flow_cap{where}")]


def test_r2_either_vpc_may_be_the_initiator():
    network = two_vpcs()
    connection = network["peering_connections"]["pcx"]
    connection["initiator"], connection["acceptor"] = connection["acceptor"], connection["initiator"]
    assert said(network) == []
    assert loaded(network).network.router_interfaces["ri-b"].role == "initiator"


@pytest.mark.parametrize("silent", ["initiator", "acceptor"])
def test_r3_of_two_accounts_both_say_who_their_peer_is(silent):
    network = two_vpcs()
    network["vpcs"]["vpc-b"]["account"] = "branch"
    assert said(network) == []  # one person wrote the file for both
    connection = network["peering_connections"]["pcx"]
    connection["initiator"]["peer"] = {"account": "branch", "router_interface": "ri-b"}
    connection["acceptor"]["peer"] = {"account": "corp", "router_interface": "ri-a"}
    assert said(network) == []
    other = connection[silent].pop("peer")
    (problem,) = problems(network)
    assert (problem.severity, problem.rule, problem.path) == ("warning", "R3", f"{PCX}.{silent}")
    assert problem.remedy.endswith(f"router_interface: {other['router_interface']}}}")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Active", "active"), ("Activated", "active"), ("Inactive", "suspended"), ("Disconnected", "suspended")],
)
def test_r5_d7_states_may_be_written_as_they_are_shown(written, meant):
    network = two_vpcs()
    network["peering_connections"]["pcx"]["initiator"]["state"] = written
    assert said(network) == []
    assert loaded(network).network.router_interfaces["ri-a"].state == meant


@pytest.mark.parametrize(("role", "missing"), [("initiator", "acceptor"), ("acceptor", "initiator")])
@pytest.mark.parametrize("account", ["corp", "12345678"])
def test_r8_an_end_alone_is_for_two_accounts(role, missing, account):
    network = two_vpcs()
    connection = network["peering_connections"]["pcx"]
    del connection[missing]
    for item in network["vpcs"].values():
        item["route_tables"] = {}
    connection[role]["peer"] = {"account": account, "router_interface": "ri-x"}
    assert said(network) == [("error", "R8", f"{PCX}.{role}")]
    connection[role]["peer"]["account"] = "branch"
    assert said(network) == [("warning", "R3", PCX)]


def test_r106_the_message_has_the_units_of_the_file():
    network = two_vpcs()
    network["vpcs"]["vpc-b"]["region"] = "shanghai"
    network["peering_connections"]["pcx"]["bandwidth"] = "1500Mbps"
    (problem,) = problems(network)
    assert problem.message == "1.5Gbps between regions, and the quota is 1Gbps"


def test_r106_a_vbr_is_in_the_region_of_its_access_point():
    network = hybrid()
    network["access_points"]["daxing"]["region"] = "shanghai"
    del network["peering_connections"]["pcx-2"]["bandwidth"]
    assert said(network) == [("error", "R106", "peering_connections.pcx-2")]


def test_r106_a_region_that_is_not_there_is_no_other_region():
    network = two_vpcs() | {"regions": {"beijing": {}, "shanghai": {}}}
    network["vpcs"]["vpc-b"]["region"] = "shanhgai"
    assert said(network) == [("error", "R12", "vpcs.vpc-b.region")]


def test_r12_a_router_that_is_not_there_makes_up_no_other_problems():
    network = two_vpcs()
    network["peering_connections"]["pcx"]["acceptor"]["vpc"] = "vpc-x"
    del network["vpcs"]["vpc-b"]
    assert said(network) == [("error", "R12", f"{PCX}.acceptor.vpc")]


def test_r3_one_account_need_not_say_it_twice():
    network = two_vpcs()
    peer = {"account": "corp", "router_interface": "ri-b"}
    network["peering_connections"]["pcx"]["initiator"]["peer"] = peer
    assert said(network) == []


def test_r106_a_malformed_bandwidth_is_not_missing_besides():
    network = two_vpcs()
    network["vpcs"]["vpc-b"]["region"] = "shanghai"
    network["peering_connections"]["pcx"]["bandwidth"] = "fast"
    assert said(network) == [("error", None, f"{PCX}.bandwidth")]
