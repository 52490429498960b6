"""Rules about VPCs, accounts, regions and services by themselves."""

import pytest

from .networks import hybrid, loaded, said, two_vpcs, vpc


def test_the_networks_of_these_tests_are_valid_and_quiet():
    assert said(two_vpcs()) == []
    assert said(hybrid()) == []


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "10.9.0.0/16", "192.168.4.0/29"])
def test_r73_private_cidrs_are_accepted(cidr):
    network = {"version": 1, "vpcs": {"vpc-a": {"account": "corp", "region": "beijing", "cidr": cidr}}}
    assert str(loaded(network).network.vpcs["vpc-a"].cidr) == cidr


@pytest.mark.parametrize(
    "cidr", ["8.8.0.0/16", "0.0.0.0/0", "172.0.0.0/8", "192.168.4.0/30", "100.64.0.0/16", "224.0.0.0/8"]
)
def test_r73_other_cidrs_are_refused(cidr):
    network = {"version": 1, "vpcs": {"vpc-a": {"account": "corp", "region": "beijing", "cidr": cidr}}}
    assert said(network) == [("error", "R73", "vpcs.vpc-a.cidr")]


@pytest.mark.parametrize("cidr", ["192.168.0.0/1", "10.0.0.1/8"])
def test_d11_host_bits_are_refused_with_the_right_prefix(cidr):
    network = {"version": 1, "vpcs": {"vpc-a": {"account": "corp", "region": "beijing", "cidr": cidr}}}
    assert said(network) == [("error", "D11", "vpcs.vpc-a.cidr")]


def test_r76_a_large_vpc_with_a_data_centre_is_warned_about():
    network = hybrid()
    network["vpcs"]["vpc-a"] = vpc("172.16.0.0/12", "a", *network["vpcs"]["vpc-a"]["route_tables"]["system"]["routes"])
    for number in (1, 2):
        network["peering_connections"][f"pcx-{number}"]["health_check"]["source"] = f"172.16.10.{number}"
        network["vbrs"][f"vbr-{number}"]["routes"][1]["destination"] = "172.16.0.0/12"
    assert said(network) == [("warning", "R76", "vpcs.vpc-a.cidr")]


def test_r81_one_default_vpc_of_an_account_in_a_region():
    network = two_vpcs()
    network["vpcs"] = {"one": vpc("172.31.0.0/16", "a", default=True), "two": vpc("172.31.0.0/16", "b", default=True)}
    network["peering_connections"] = {}
    assert said(network) == [("error", "R81", "vpcs.two.default")]
    network["vpcs"]["two"]["region"] = "shanghai"
    assert said(network) == []


def test_r81_a_default_vpc_has_a_slash_16():
    network = two_vpcs()
    network["vpcs"]["vpc-b"]["default"] = True
    assert said(network) == [("error", "R81", "vpcs.vpc-b.cidr")]


def test_r88_equal_cidrs_of_vpcs_that_are_not_connected():
    network = two_vpcs()
    network["vpcs"] = {name: vpc("10.0.0.0/8", name) for name in ("x", "y", "z")}
    network["peering_connections"] = {}
    assert said(network) == []


def test_r88_one_vni_belongs_to_one_vpc():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["vni"] = network["vpcs"]["vpc-b"]["vni"] = 7
    assert said(network) == [("error", "R88", "vpcs.vpc-b.vni")]


@pytest.mark.parametrize(
    ("key", "bad"), [("vni", 0), ("vni", 16_777_216), ("mtu", 575), ("mtu", 65_536), ("mtu", "1500")]
)
def test_numbers_of_a_vpc_have_bounds(key, bad):
    network = two_vpcs()
    network["vpcs"]["vpc-a"][key] = bad
    assert said(network) == [("error", None, f"vpcs.vpc-a.{key}")]


@pytest.mark.parametrize(("key", "good"), [("vni", 1), ("vni", 16_777_215), ("mtu", 576), ("mtu", 65_535)])
def test_numbers_at_their_bounds_are_accepted(key, good):
    network = two_vpcs()
    network["vpcs"]["vpc-a"][key] = good
    assert said(network) == []


def test_r12_accounts_and_regions_are_known_where_the_file_lists_any():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["account"] = "crop"
    network["regions"] = {"beijing": {}}
    network["vpcs"]["vpc-b"]["region"] = "bejing"
    assert said(network) == [("error", "R12", "vpcs.vpc-a.account"), ("error", "R12", "vpcs.vpc-b.region")]


def test_r7_two_accounts_have_two_numbers():
    network = two_vpcs()
    network["accounts"]["branch"]["uid"] = "12345678"
    assert said(network) == [("error", "R7", "accounts.branch.uid")]


def test_r71_a_region_without_custom_route_tables():
    network = two_vpcs()
    network["regions"] = {"beijing": {"custom_route_tables": False}}
    assert said(network) == []
    network["vpcs"]["vpc-a"]["route_tables"]["rt-web"] = {}
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]["route_table"] = "rt-web"
    assert said(network) == [("error", "R71", "vpcs.vpc-a.route_tables.rt-web")]


def test_zones_run_on_known_hosts():
    network = two_vpcs()
    network["regions"] = {"beijing": {"zones": {"a": {"host": "host-1"}}}}
    assert said(network) == [("error", None, "regions.beijing.zones.a.host")]
    network["hosts"] = {"host-1": {"address": "172.20.0.11", "device": "eth0"}}
    assert said(network) == []


@pytest.mark.parametrize("name", ["Office", "办公室", "Web tier", "a1", "A" * 128])
def test_r69_r87_good_names(name):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["name"] = name
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]["name"] = name
    assert said(network) == []


@pytest.mark.parametrize("name", ["a", "1a", "-a", "A" * 129, "a;b", "", "ab\n"])
def test_r69_r87_bad_names(name):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]["name"] = name
    assert said(network) == [("error", "R69", "vpcs.vpc-a.vswitches.vsw-a.name")]


@pytest.mark.parametrize("description", ["x", "x" * 257, "http://x", "HTTPS://x"])
def test_r69_r87_bad_descriptions(description):
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["route_tables"]["system"]["description"] = description
    assert said(network) == [("error", "R69", "vpcs.vpc-a.route_tables.system.description")]


def test_r133_services_are_in_their_range_and_unique():
    network = two_vpcs()
    network["services"] = {"oss": {"ip": "100.64.1.10", "region": "beijing"}}
    assert said(network) == []
    network["services"]["dns"] = {"ip": "100.64.1.10", "region": "beijing"}
    network["services"]["log"] = {"ip": "100.128.0.1", "region": "beijing"}
    assert said(network) == [("error", "R133", "services.dns.ip"), ("error", "R133", "services.log.ip")]


@pytest.mark.parametrize(
    "bad", ["/etc/passwd", "../x", ".", "", "a" * 64, "a;b", "`", "a\nb", "é", "all", "default", "lo", "-a"]
)
def test_d13_names_that_never_become_part_of_a_path(bad):
    network = two_vpcs()
    network["vpcs"][bad] = vpc("10.0.0.0/8", "c")
    found = said(network)
    assert [(severity, rule) for severity, rule, _ in found] == [("error", "D13")]


@pytest.mark.parametrize("good", ["a", "0", "a-b", "a" * 63, "i-12345678", "vpc-a", "anything"])
def test_r89_d13_d23_good_names_need_no_prefix(good):
    network = two_vpcs()
    network["vpcs"][good] = vpc("10.0.0.0/8", "c") if good != "vpc-a" else network["vpcs"]["vpc-a"]
    assert said(network) == []


def test_r12_r26_services_and_access_points_are_in_known_regions_and_on_known_hosts():
    network = hybrid() | {"regions": {"beijing": {}}}
    assert said(network) == []
    network["services"] = {"oss": {"ip": "100.64.1.10", "region": "bejing"}}
    network["access_points"]["daxing"] = {"region": "bejing", "host": "host-1"}
    assert sorted(said(network), key=str) == [
        ("error", "R12", "access_points.daxing.region"),
        ("error", "R12", "services.oss.region"),
        ("error", None, "access_points.daxing.host"),
    ]
