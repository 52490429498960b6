"""Rules about prefixes that overlap: of peers, of a VPC and its peers elsewhere, of VPCs on one VBR (D10, D18)."""

import pytest

from .networks import hop, hub_vbr, problems, said, star, system_routes, two_vpcs, vpc

PCX = "peering_connections.pcx"


def overlapping(second_vswitch):
    network = two_vpcs()
    for letter, cidr in (("a", "192.168.0.0/24"), ("b", second_vswitch)):
        item = network["vpcs"][f"vpc-{letter}"]
        item["cidr"] = "192.168.0.0/16"
        item["vswitches"] = {f"vsw-{letter}": {"zone": "a", "cidr": cidr}}
        item["instances"] = {}
    system_routes(network, "vpc-a")[0]["destination"] = "192.168.128.0/17"
    system_routes(network, "vpc-b")[0]["destination"] = "192.168.0.0/17"
    return network


def test_r11_d18_peers_with_overlapping_cidrs_are_warned_about():
    assert said(overlapping("192.168.128.0/24")) == [("warning", "R11", PCX)]


def test_r80_d18_peers_with_overlapping_vswitches_are_refused():
    assert said(overlapping("192.168.0.128/25")) == [("error", "R80", PCX)]


def test_r102_d18_tencent_refuses_overlapping_cidrs():
    network = overlapping("192.168.128.0/24") | {"profile": "tencent"}
    assert said(network) == [("error", "R102", PCX)]


@pytest.mark.parametrize(("profile", "severity"), [("tencent", "error"), ("alibaba", "warning")])
def test_r102_d10_peers_of_one_vpc_in_other_regions(profile, severity):
    network = star(2) | {"profile": profile}
    network["vpcs"]["vpc-1"] = vpc("10.0.128.0/17", "1", *system_routes(network, "vpc-1"))
    system_routes(network, "vpc-hub")[1]["destination"] = "10.0.128.0/17"
    assert said(network) == []  # in one region they do not affect one another
    for number in (0, 1):
        network["vpcs"][f"vpc-{number}"]["region"] = "shanghai"
        network["peering_connections"][f"pcx-{number}"]["bandwidth"] = "1Gbps"
    assert said(network) == [(severity, "R102", "peering_connections.pcx-1")]


def test_d18_overlapping_vpcs_on_one_vbr_need_disjoint_routes():
    network = hub_vbr(2)
    network["vpcs"]["vpc-0"] = vpc("192.168.128.0/17", "0", *system_routes(network, "vpc-0"))
    network["vbrs"]["vbr-1"]["routes"][2]["destination"] = "192.168.128.0/17"
    assert said(network) == [("error", "D18", "peering_connections.pcx-x0")]
    network["vbrs"]["vbr-1"]["routes"][1]["destination"] = "192.168.0.0/17"
    assert said(network) == []


def test_r80_d10_every_pair_of_overlapping_vswitches_is_named():
    network = overlapping("192.168.128.0/24")
    for letter, cidrs in (("a", ("192.168.8.0/24", "192.168.9.0/24")), ("b", ("192.168.9.0/25", "192.168.8.0/22"))):
        for number, cidr in enumerate(cidrs):
            network["vpcs"][f"vpc-{letter}"]["vswitches"][f"{letter}-{number}"] = {"zone": "a", "cidr": cidr}
    del network["vpcs"]["vpc-b"]["vswitches"]["b-0"]
    assert [(problem.rule, problem.message) for problem in problems(network)] == [
        (
            "R80",
            f"vswitch a-{number} (192.168.{8 + number}.0/24) of vpc-a overlaps vswitch b-1 (192.168.8.0/22) of vpc-b",
        )
        for number in (0, 1)
    ]
    network["vpcs"]["vpc-b"]["vswitches"]["b-1"]["cidr"] = "192.168.9.0/25"
    (problem,) = problems(network)
    assert problem.message.startswith("vswitch a-1 (192.168.9.0/24) of vpc-a overlaps vswitch b-1 (192.168.9.0/25)")


def test_d18_two_small_vpcs_inside_a_third_on_one_vbr():
    network = hub_vbr(3)
    network["vpcs"]["vpc-a"] = vpc("10.0.0.0/8", "a", {"destination": "10.32.0.0/16", "next_hop": hop("ri-a1")})
    del network["peering_connections"]["pcx-1"]["health_check"]
    network["data_centres"]["idc"]["cidrs"] = []
    routes = network["vbrs"]["vbr-1"]["routes"]
    routes[1]["destination"] = "10.128.0.0/9"
    for number, destination in enumerate(("10.1.0.0/17", "10.1.64.0/18")):
        network["vpcs"][f"vpc-{number}"]["cidr"] = "10.1.0.0/16"
        network["vpcs"][f"vpc-{number}"]["vswitches"][f"vsw-{number}"]["cidr"] = "10.1.0.0/24"
        network["vpcs"][f"vpc-{number}"]["instances"] = {}
        routes[2 + number]["destination"] = destination
    assert ("error", "D18", "peering_connections.pcx-x1") in said(network)
    routes[3]["destination"] = "10.1.128.0/17"
    assert [item for item in said(network) if item[1] == "D18"] == []


def test_d18_routes_of_one_vbr_may_be_nested_where_the_vpcs_do_not_overlap():
    network = hub_vbr(2)
    routes = network["vbrs"]["vbr-1"]["routes"]
    routes[2]["destination"] = "172.16.0.0/12"
    routes.append({"destination": "172.16.128.0/17", "next_hop": hop("ri-v1")})
    assert [item for item in said(network) if item[1] == "D18"] == []


def test_d18_is_said_once_for_two_vpcs():
    network = hub_vbr(2)
    network["vpcs"]["vpc-0"] = vpc("192.168.128.0/17", "0", *system_routes(network, "vpc-0"))
    routes = network["vbrs"]["vbr-1"]["routes"]
    routes[2]["destination"] = "192.168.128.0/17"
    routes.append({"destination": "192.168.192.0/18", "next_hop": hop("ri-vbr-0")})
    assert said(network) == [("error", "D18", "peering_connections.pcx-x0")]
