"""Rules about VBRs, lines, data centres and health checks."""

import pytest

from .networks import hybrid, loaded, problems, said, system_routes, two_vpcs

CHECK = "peering_connections.pcx-1.health_check"


def spoilt(key, value):
    network = hybrid()
    network["vbrs"]["vbr-1"][key] = value
    return network


def with_check(**changes):
    network = hybrid()
    network["peering_connections"]["pcx-1"]["health_check"] |= changes
    return network


@pytest.mark.parametrize("vlan", [0, 4095, -1, "1000", 1.0])
def test_r26_vlans_are_1_to_4094(vlan):
    assert said(spoilt("vlan", vlan)) == [("error", "R26", "vbrs.vbr-1.vlan")]


def test_r26_a_vlan_of_a_line_belongs_to_one_vbr():
    network = hybrid()
    network["vbrs"]["vbr-2"]["physical_connection"] = "pc-1"
    assert said(network) == [("error", "R26", "vbrs.vbr-2.vlan")]
    network["vbrs"]["vbr-2"]["vlan"] = 1001
    assert said(network) == []


def test_r26_references_of_lines_and_vbrs():
    assert said(spoilt("physical_connection", "pc-9")) == [("error", "R26", "vbrs.vbr-1.physical_connection")]
    network = hybrid()
    network["physical_connections"]["pc-1"] |= {"access_point": "xxx", "data_centre": "idcc"}
    assert said(network) == [
        ("error", "R26", "physical_connections.pc-1.access_point"),
        ("error", "R26", "physical_connections.pc-1.data_centre"),
    ]


def test_r26_a_card_ends_one_line():
    network = hybrid()
    network["physical_connections"]["pc-2"]["device"] = "eth1"
    assert said(network) == [("error", "R26", "physical_connections.pc-2.device")]


@pytest.mark.parametrize("peer", ["10.10.12.2", "10.10.11.1", "10.10.11.0", "10.10.11.3"])
def test_r27_the_other_side_is_on_the_lines_subnet(peer):
    network = spoilt("peer_ip", peer)
    network["peering_connections"]["pcx-1"]["health_check"]["destination"] = peer
    assert said(network) == [("error", "R27", "vbrs.vbr-1.peer_ip")]


def test_d20_r27_a_line_is_a_30_or_31():
    network = spoilt("local_ip", "10.10.11.3/31")
    assert said(network) == []
    network["vbrs"]["vbr-1"]["local_ip"] = "10.10.11.1/29"
    assert said(network) == [("warning", "D20", "vbrs.vbr-1.local_ip")]


def test_r28_a_vbr_needs_a_route_to_each_side():
    network = hybrid()
    network["vbrs"]["vbr-1"]["routes"] = []
    assert said(network) == [("warning", "R28", "vbrs.vbr-1"), ("warning", "R28", "peering_connections.pcx-1")]


def test_r30_a_vpc_needs_a_route_to_the_data_centre():
    network = hybrid()
    system_routes(network).clear()
    assert said(network) == [("warning", "R30", f"peering_connections.pcx-{number}") for number in (1, 2)]


def test_r31_routes_of_the_data_centre_go_through_its_own_vbrs():
    network = hybrid()
    pinned = [{"destination": f"192.168.10.{number}", "via": [f"vbr-{number}"]} for number in (1, 2)]
    network["data_centres"]["idc"]["routes"] = [{"destination": "192.168.0.0/16", "via": ["vbr-1", "vbr-2"]}, *pinned]
    assert said(network) == []
    del network["data_centres"]["idc"]["routes"][1:]
    network["data_centres"]["idc"]["routes"][0]["via"] = ["vbr-9"]
    assert said(network) == [("error", "R31", "data_centres.idc.routes[0].via[0]")]
    network["data_centres"]["idc"]["routes"][0]["via"] = []
    assert said(network) == [("error", "R31", "data_centres.idc.routes[0].via")]
    network["data_centres"]["idc"]["routes"] = [{"destination": "192.168.10.1", "via": ["vbr-1"]}]
    assert said(network) == []
    network["data_centres"]["idc"]["routes"][0]["destination"] = "172.16.0.0/12"
    assert said(network) == [("warning", "R31", "data_centres.idc.routes")]


def test_r32_a_data_centre_does_not_route_its_own_prefix():
    network = hybrid()
    routes = [{"destination": text, "via": ["vbr-1"]} for text in ("192.168.0.0/16", "10.32.0.0/16")]
    network["data_centres"]["idc"]["routes"] = routes
    errors = [item for item in said(network) if item[0] == "error"]
    assert errors == [("error", "R32", "data_centres.idc.routes[1].destination")]


R44_ROUTES = [
    {"destination": "192.168.0.0/16", "via": ["vbr-1", "vbr-2"]},
    {"destination": "192.168.10.1", "via": ["vbr-1"]},
    {"destination": "192.168.10.2/32", "via": ["vbr-2"]},
]


@pytest.mark.parametrize(
    ("position", "via", "finding"),
    [
        (1, None, ("warning", "R44", "data_centres.idc.routes[0].via")),
        (2, None, ("warning", "R44", "data_centres.idc.routes[0].via")),
        (1, ["vbr-2"], ("warning", "R44", "data_centres.idc.routes[1].via")),
        (1, ["vbr-1", "vbr-2"], ("warning", "R44", "data_centres.idc.routes[1].via")),
        (2, ["vbr-1"], ("warning", "R44", "data_centres.idc.routes[2].via")),
    ],
)
def test_r44_a_probe_is_answered_over_its_own_line(position, via, finding):
    network = hybrid()
    routes = [dict(route) for route in R44_ROUTES]
    network["data_centres"]["idc"]["routes"] = routes
    assert said(network) == []
    if via is None:
        del routes[position]
    else:
        routes[position]["via"] = via
    assert said(network) == [finding]


def test_r44_a_longer_prefix_by_the_line_alone_is_enough():
    network = hybrid()
    halves = [
        {"destination": "192.168.10.0/31", "via": ["vbr-1"]},
        {"destination": "192.168.10.2/31", "via": ["vbr-2"]},
    ]
    network["data_centres"]["idc"]["routes"] = [R44_ROUTES[0], *halves]
    assert said(network) == []


def test_r36_a_vpc_and_its_data_centre_have_different_cidrs():
    network = hybrid()
    network["data_centres"]["idc"]["cidrs"] = ["10.32.0.0/16", "192.168.0.0/16"]
    found = [item for item in said(network) if item[0] == "error"]
    assert found == [("error", "R36", "peering_connections.pcx-1")]


@pytest.mark.parametrize(
    ("cidr", "finding"), [("192.168.0.0/20", ("error", "R80")), ("192.168.64.0/20", ("warning", "D18"))]
)
def test_r80_d18_overlap_with_a_data_centre(cidr, finding):
    network = hybrid()
    network["data_centres"]["idc"]["cidrs"].append(cidr)
    assert (*finding, "peering_connections.pcx-1") in said(network)


def test_r133_a_data_centre_has_no_cloud_service_addresses():
    network = hybrid()
    network["data_centres"]["idc"]["cidrs"].append("100.64.0.0/16")
    assert ("error", "R133", "data_centres.idc.cidrs[1]") in said(network)


def test_r39_d1_defaults_and_units():
    check = loaded(hybrid()).network.peering_connections["pcx-1"].health_check
    assert (check.interval_ms, check.fall, check.rise, check.hold_down_ms, check.timeout_ms) == (2000, 8, 3, 0, None)
    check = loaded(with_check(interval="1.5s", timeout="200ms", hold_down="1m")).network.peering_connections["pcx-1"]
    assert (check.health_check.interval_ms, check.health_check.timeout_ms) == (1500, 200)
    assert check.health_check.hold_down_ms == 60_000


def test_r39_health_checks_watch_lines():
    network = two_vpcs()
    network["peering_connections"]["pcx"]["health_check"] = {"source": "172.16.5.1", "destination": "192.168.0.10"}
    assert said(network) == [("error", "R39", "peering_connections.pcx.health_check")]


def test_r40_the_source_is_inside_the_vpc():
    assert said(with_check(source="10.0.0.1")) == [("error", "R40", f"{CHECK}.source")]
    assert said(with_check(source="192.168.0.253")) == [("error", "R79", f"{CHECK}.source")]


def test_r41_the_destination_is_the_far_end_of_the_line():
    assert said(with_check(destination="10.32.0.1")) == [("error", "R41", f"{CHECK}.destination")]


def test_r42_d21_sources_differ():
    assert said(with_check(source="192.168.10.2")) == [
        ("error", "R42", "peering_connections.pcx-2.health_check.source")
    ]


def test_d21_several_hosts_probe_from_several_sources():
    network = with_check(source=["192.168.10.1", "192.168.10.3"])
    assert said(network) == []
    sources = loaded(network).network.peering_connections["pcx-1"].health_check.source
    assert [str(source) for source in sources] == ["192.168.10.1", "192.168.10.3"]
    for bad in ([], ["192.168.10.1", "192.168.10.1"]):
        assert said(with_check(source=bad)) == [("error", "D21", f"{CHECK}.source")]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"interval": "0s"}, "interval"),
        ({"interval": "61s"}, "interval"),
        ({"interval": "1s", "timeout": "1001ms"}, "timeout"),
        ({"timeout": "0ms"}, "timeout"),
        ({"fall": 0}, "fall"),
        ({"fall": 101}, "fall"),
        ({"rise": 0}, "rise"),
        ({"rise": 101}, "rise"),
    ],
)
def test_d1_bounds_of_the_timing(changes, key):
    assert said(with_check(**changes)) == [("error", "D1", f"{CHECK}.{key}")]


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": "60s"},
        {"interval": "1s", "timeout": "1s"},
        {"timeout": "1ms"},
        {"fall": 1, "rise": 1},
        {"fall": 100},
    ],
)
def test_d1_the_bounds_themselves_are_allowed(changes):
    assert said(with_check(**changes)) == []


def test_d1_very_fast_probes_are_warned_about():
    assert said(with_check(interval="9ms", timeout="5ms")) == [("warning", "D1", f"{CHECK}.interval")]
    assert said(with_check(interval="1ms", timeout="1ms")) == [("warning", "D1", f"{CHECK}.interval")]
    assert said(with_check(interval="10ms", timeout="5ms")) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [("interval", 2), ("interval", "2"), ("timeout", "fast"), ("damping", "maybe"), ("on_all_down", "x")],
)
def test_d1_d2_other_values_are_refused(key, value):
    assert said(with_check(**{key: value})) == [("error", None, f"{CHECK}.{key}")]


def test_d16_transit_is_off_unless_asked_for():
    assert loaded(hybrid()).network.vbrs["vbr-1"].transit is False
    assert said(spoilt("transit", True)) == []
    assert said(spoilt("transit", "yes")) == [("error", None, "vbrs.vbr-1.transit")]


def test_r31_a_vbr_whose_line_ends_elsewhere():
    network = hybrid()
    network["data_centres"]["other"] = {"routes": [{"destination": "192.168.0.0/16", "via": ["vbr-1"]}]}
    assert said(network) == [("error", "R31", "data_centres.other.routes[0].via[0]")]


@pytest.mark.parametrize(
    ("destination", "is_own"), [("10.32.0.0/16", True), ("10.32.9.9", True), ("10.0.0.0/8", False)]
)
def test_r32_d11_a_route_around_the_own_prefix_is_no_mistake(destination, is_own):
    # D18 allows a VPC 10.0.0.0/8 beside a data centre 10.32.0.0/16; its router tells them apart by the longest prefix.
    network = hybrid()
    routes = [{"destination": text, "via": ["vbr-1"]} for text in ("192.168.0.0/16", destination)]
    network["data_centres"]["idc"]["routes"] = routes
    found = [problem for problem in said(network) if problem[1] != "R44"]  # of the second line's health check
    assert found == [("error", "R32", "data_centres.idc.routes[1].destination")] * is_own


@pytest.mark.parametrize("address", ["127.0.0.1/30", "169.254.0.1/30", "240.0.0.1/30", "224.0.0.1/30"])
def test_d12_a_line_has_routable_addresses(address):
    assert ("error", "D12", "vbrs.vbr-1.local_ip") in said(spoilt("local_ip", address))


def test_r80_every_vswitch_that_overlaps_the_data_centre_is_named():
    network = hybrid()
    del network["peering_connections"]["pcx-2"], network["vbrs"]["vbr-2"]
    system_routes(network)[0]["next_hop"] = {"router_interface": "ri-a1"}
    for number in (1, 2):
        cidr = f"192.168.{32 + number}.0/24"
        network["vpcs"]["vpc-a"]["vswitches"][f"vsw-{number}"] = {"zone": "a", "cidr": cidr}
    network["data_centres"]["idc"]["cidrs"] = ["10.32.0.0/16", "192.168.32.0/20"]
    messages = [problem.message for problem in problems(network) if problem.rule == "R80"]
    assert messages == [
        f"vswitch vsw-{number} (192.168.{32 + number}.0/24) of vpc-a overlaps 192.168.32.0/20 of data centre idc"
        for number in (1, 2)
    ]


def test_r12_lines_and_vbrs_belong_to_known_accounts():
    network = hybrid() | {"accounts": {"corp": {}}}
    network["vbrs"]["vbr-1"]["account"] = network["physical_connections"]["pc-1"]["account"] = "crop"
    assert said(network) == [
        ("error", "R12", "physical_connections.pc-1.account"),
        ("error", "R12", "vbrs.vbr-1.account"),
    ]


def with_queues(**queues):
    network = hybrid()
    network["physical_connections"]["pc-1"]["queues"] = queues
    return network


@pytest.mark.parametrize(
    ("written", "mask"),
    [("ff", 0xFF), ("FF", 0xFF), ("f", 15), (10, 0x10), (0, 0), ("3,ffffffff", (1 << 34) - 1), ("1,0", 1 << 32)],
)
def test_r132_processors_are_written_as_the_kernel_writes_them(written, mask):
    assert loaded(with_queues(rps_cpus=written)).network.physical_connections["pc-1"].queues.rps_cpus == mask


@pytest.mark.parametrize(
    ("queues", "key"),
    [
        ({"rps_cpus": written}, "rps_cpus")
        for written in ("", "xyz", "0xff", "ff,", "123456789", 1000.0, -1, True, ["ff"], "ff ff")
    ]
    + [({"combined": written}, "combined") for written in (0, -1, 1025, "4", 4.0, True)],
)
def test_r132_what_is_not_a_number_of_queues_or_a_set_of_processors(queues, key):
    (problem,) = problems(with_queues(**queues))
    assert problem.path == f"physical_connections.pc-1.queues.{key}"


def test_r132_only_what_is_known():
    (problem,) = problems(with_queues(rx=4))
    assert "rx" in problem.message and problem.path.startswith("physical_connections.pc-1.queues")
