"""Rules about networks of several hosts: the underlay, where things are, VNIs and MTUs (R88, kernel.md section 6)."""

import pytest

from dataplane.config.placement import Placement
from dataplane.model import names

from .networks import Plain, loaded, said, two_vpcs


def spread() -> Plain:
    """vpc-a on two hosts, vpc-b on the third one."""
    network = two_vpcs()
    network["hosts"] = {
        f"host-{number}": {"address": f"172.20.0.1{number}", "device": "eth0"} for number in range(1, 4)
    }
    zones = {zone: {"host": f"host-{number}"} for number, zone in enumerate("abc", 1)}
    network["regions"] = {"beijing": {"zones": zones}}
    for vpc_id, places in {"vpc-a": ("a", "b"), "vpc-b": ("c",)}.items():
        vpc = network["vpcs"][vpc_id]
        base = vpc["cidr"].split("/")[0].rsplit(".", 2)[0]
        vpc["vswitches"] = {
            f"{vpc_id}-{zone}": {"zone": zone, "cidr": f"{base}.{number}.0/24"} for number, zone in enumerate(places, 1)
        }
        vpc["instances"] = {
            f"i-{vpc_id}-{zone}": {"vswitch": f"{vpc_id}-{zone}", "ip": f"{base}.{number}.10"}
            for number, zone in enumerate(places, 1)
        }
    return network


def test_a_network_of_several_hosts_is_valid_and_quiet():
    assert said(spread()) == []


def test_what_is_where():
    placement = Placement(loaded(spread()).network, "host-1")
    assert placement.hosts_of_vpc("vpc-a") == ("host-1", "host-2")
    assert placement.hosts_of_vpc("vpc-b") == ("host-3",)
    assert placement.host_of_instance("vpc-a", "i-vpc-a-b") == "host-2"
    assert placement.spans_hosts("vpc-a") and not placement.spans_hosts("vpc-b")
    assert (placement.largest_mtu("vpc-a"), placement.largest_mtu("vpc-b")) == (1450, 1500)


def test_a_vpc_without_vswitches_is_on_the_first_host_of_its_region():
    network = spread()
    network["vpcs"]["vpc-b"] |= {"vswitches": {}, "instances": {}}
    assert Placement(loaded(network).network, "host-3").hosts_of_vpc("vpc-b") == ("host-1",)


def test_without_hosts_everything_is_on_the_host_that_asks():
    placement = Placement(loaded(two_vpcs()).network, "")
    assert placement.hosts_of_vpc("vpc-a") == ("",)


def test_two_hosts_have_two_addresses():
    network = spread()
    network["hosts"]["host-2"]["address"] = "172.20.0.11"
    assert said(network) == [("error", None, "hosts.host-2.address")]


@pytest.mark.parametrize(("mtu", "is_wrong"), [(1450, False), (1451, True), (1500, True)])
def test_the_mtu_of_a_vpc_fits_into_vxlan_on_all_of_its_hosts(mtu, is_wrong):
    network = spread()
    network["vpcs"]["vpc-a"]["mtu"] = mtu
    assert said(network) == ([("error", None, "vpcs.vpc-a.mtu")] if is_wrong else [])
    for host in network["hosts"].values():
        host["mtu"] = 9000
    assert said(network) == []


def test_the_mtu_of_a_vpc_on_one_host_is_free():
    network = spread()
    network["vpcs"]["vpc-b"]["mtu"] = 9000
    assert said(network) == []


@pytest.mark.parametrize("mtu", [625, 65_536, "1500"])
def test_the_mtu_of_an_underlay_has_bounds(mtu):
    network = spread()
    network["hosts"]["host-1"]["mtu"] = mtu
    assert said(network) == [("error", None, "hosts.host-1.mtu")]


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("vpc", ("vpcs", "vpc-b")),
        ("peering_connection", ("peering_connections", "pcx-1")),
        ("next_hop", ("vpcs", "vpc-a", "instances", "i-vpc-a-b")),
    ],
)
def test_r88_a_vni_belongs_to_one_thing_also_where_it_is_computed(kind, place):
    network = spread()
    (network["peering_connections"],) = ({"pcx-1": next(iter(network["peering_connections"].values()))},)
    firewall = {"destination": "10.99.0.0/16", "next_hop": {"instance": "i-vpc-a-b"}}
    network["vpcs"]["vpc-a"]["route_tables"]["system"]["routes"].append(firewall)
    network["vpcs"]["vpc-a"]["instances"]["i-vpc-a-b"]["forwarding"] = True
    assert said(network) == []
    network["vpcs"]["vpc-a"]["vni"] = names.vni(kind, place[-1])
    assert said(network) == [("error", "R88", ".".join([*place, "vni"]))]
    item = network
    for key in place:
        item = item[key]
    item["vni"] = 4711
    assert said(network) == []


def test_computed_vnis_do_not_count_on_a_single_host():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["vni"] = names.vni("vpc", "vpc-b")
    assert said(network) == []


def test_r88_vnis_that_are_equal_by_chance_are_found(monkeypatch):
    """One in 16 million for a pair; all that two hosts agree on is computed, so that a chance must be seen."""
    monkeypatch.setattr(names, "vni", lambda kind, path: 7)
    found = said(spread())
    assert found and {(severity, rule) for severity, rule, _ in found} == {("error", "R88")}


def test_part_of_a_vpc_on_no_host_by_name_is_an_error():
    network = spread()
    network["regions"]["beijing"]["zones"]["b"] = {}
    assert said(network) == [("error", None, "vpcs.vpc-a.vswitches.vpc-a-b.zone")]


def test_one_end_of_a_connection_on_no_host_by_name_is_an_error():
    network = spread()
    network["regions"]["beijing"]["zones"]["c"] = {}
    name = next(iter(network["peering_connections"]))
    assert said(network) == [("error", None, f"peering_connections.{name}")]


def test_a_next_hop_may_be_on_another_host():
    network = spread()
    network["vpcs"]["vpc-a"]["instances"]["i-vpc-a-b"]["forwarding"] = True
    routes = network["vpcs"]["vpc-a"]["route_tables"]["system"]["routes"]
    routes.append({"destination": "10.99.0.0/16", "next_hop": {"instance": "i-vpc-a-b"}})
    assert said(network) == []
