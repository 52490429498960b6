"""Who sends to whom, by which ports, along which legs, and how much of it can come (R117, R122, R124-R127)."""

from collections import Counter
from ipaddress import IPv4Address

import pytest

from dataplane.accept.commands import client_command, printed, server_command
from dataplane.accept.language import MeasureKind
from dataplane.accept.model import Tool
from dataplane.model.flow_hash import TCP, UDP, bucket_of
from tests.unit.accept.planned import CIRCUITS, asked, lab_file, measured, planner


def test_r122_eight_flows_of_a_gigabit_can_reach_two_thirds() -> None:
    ceiling = measured("bandwidth").ceiling
    assert ceiling.value == pytest.approx(666.7e6, rel=1e-3)
    assert ceiling.reason == "8 flows of at most 83.33 Mbit/s (1 Gbit/s / 12, R117) by ri-a1"


def test_r122_twelve_flows_fill_the_link() -> None:
    assert measured("bandwidth", flows=12).ceiling.value == pytest.approx(1e9)
    assert measured("bandwidth", flows=16).ceiling.value == 1e9


def test_r119_the_way_back_has_no_cap() -> None:
    found = measured("bandwidth", "outbound")
    assert found.ceiling.value == 1e9
    assert found.ceiling.reason == "1 Gbit/s of pcx-1 (R21)"


def test_d4_a_cap_may_hold_in_both_directions_have_a_divisor_or_be_off() -> None:
    capped = CIRCUITS.replace(
        "bandwidth: 1Gbps\n    health", "bandwidth: 1Gbps\n    flow_cap: {divisor: 10, direction: both}\n    health"
    )
    assert measured("bandwidth", "outbound", capped).ceiling.value == pytest.approx(8e8)
    free = CIRCUITS.replace("bandwidth: 1Gbps\n    health", 'bandwidth: 1Gbps\n    flow_cap: "off"\n    health')
    assert measured("bandwidth", "inbound", free).ceiling.value == 1e9


def test_d19_without_a_bandwidth_of_its_own_the_lines_is_the_base() -> None:
    text = CIRCUITS.replace("    bandwidth: 1Gbps\n    health", "    health").replace(
        "bandwidth: 1Gbps, device", "bandwidth: 600Mbps, device"
    )
    assert measured("bandwidth", text=text).ceiling.value == pytest.approx(4e8)


def test_r122_two_legs_add_up() -> None:
    found = measured("bandwidth", to="office")
    assert Counter(flow.leg for flow in found.flows) == {"ri-a1": 4, "ri-a2": 4}
    assert found.ceiling.value == pytest.approx(8 * 1e9 / 12)
    assert found.ceiling.reason.endswith("by ri-a2 = 666.7 Mbit/s")
    assert measured("bandwidth", to="office", flows=24).ceiling.value == pytest.approx(2e9)


def test_packets_and_payload_have_ceilings_of_their_own() -> None:
    assert measured("packet_rate").ceiling.value == pytest.approx(8e9 / 12 / 8 / 44)
    stream = measured("stream").ceiling
    assert stream.value == pytest.approx(8e9 / 12 * 1448 / 1500)
    assert "1448 of 1500 bytes (MTU)" in stream.reason


def test_without_a_bandwidth_what_is_offered_is_the_ceiling() -> None:
    text = CIRCUITS.replace("    bandwidth: 1Gbps\n    health", "    health").replace(
        "bandwidth: 1Gbps, device", "device"
    )
    found = measured("bandwidth", text=text)
    assert found.offered == 100_000_000
    assert found.ceiling.value == pytest.approx(8 * 102e6)
    assert measured("stream", text=text).ceiling.value is None


def test_clients_offer_more_than_the_ceiling() -> None:
    """R127's 100 Mbit/s, and more where four flows could have more."""
    assert measured("bandwidth").offered == 100_000_000
    found = measured("bandwidth", "outbound", flows=4)
    assert found.offered is not None
    assert found.offered * 4 > found.ceiling.value  # type: ignore[operator]


@pytest.mark.parametrize(("kind", "protocol"), [("bandwidth", UDP), ("stream", TCP)])
def test_client_ports_lead_by_the_leg_whose_turn_it_is(kind: str, protocol: int) -> None:
    """The same hash, asked again from outside: both ends, the port that the plan gives, and the way's buckets."""
    from dataplane.accept.way import way_between
    from tests.unit.accept.planned import network

    found = measured(kind, to="office", flows=16)
    way = way_between(network(), found.flows[0].client, found.flows[0].server)
    assert len(set(way.firsts)) == 2
    for flow in found.flows:
        ends = ((flow.client.address, flow.client_port), (flow.server.address, flow.server_port))
        place = way.firsts[bucket_of(protocol, *ends)]
        assert (way.legs[place].name, place) == (flow.leg, flow.number % 2)


@pytest.mark.parametrize("to", ["ecs-2", "192.168.2.10"])
def test_nobody_sends_to_itself(to: str) -> None:
    there = planner()
    assert there.measures(asked(to=to)) == ()
    (complaint,) = there.complaints
    assert (complaint.path, complaint.message[:22]) == (("measures", 0, "to"), "ecs-2 is at both ends:")


def test_client_ports_are_not_used_twice() -> None:
    flows = [flow for measure in planner().measures(asked(to="office")) for flow in measure.flows]
    used = [(flow.client.id, flow.client_port) for flow in flows]
    assert len(set(used)) == len(used) == 64


def test_r127_inbound_each_client_has_a_port_of_the_one_server() -> None:
    found = measured("bandwidth")
    assert [flow.server_port for flow in found.flows] == list(range(16001, 16009))
    assert [flow.client.id for flow in found.flows] == ["ecs-1", "ecs-2"] * 4
    assert {flow.server.id for flow in found.flows} == {"server"}


def test_r125_r127_outbound_each_instance_has_servers_from_the_first_port_on() -> None:
    found = measured("bandwidth", "outbound")
    assert [(flow.server.id, flow.server_port) for flow in found.flows[:4]] == [
        ("ecs-1", 16001),
        ("ecs-2", 16001),
        ("ecs-1", 16002),
        ("ecs-2", 16002),
    ]


def test_r127_commands_are_the_sources() -> None:
    found = measured("bandwidth")
    assert server_command(found.tool, 16001)[:6] == ["iperf3", "-s", "-i", "1", "-p", "16001"]
    lines = list(printed([measured("packet_rate")], 16))
    assert lines[1] == "server: iperf3 -s -i 1 -p 16001"
    assert lines[9] == "ecs-1: iperf3 -u -l 16 -b 100m -t 10 -c 172.16.1.10 -i 1 -p 16001 -A 1"
    assert lines[16] == "ecs-2: iperf3 -u -l 16 -b 100m -t 10 -c 172.16.1.10 -i 1 -p 16008 -A 8"
    # Of two processors there is no eighth, and iperf3 would refuse to begin.
    few = list(printed([measured("packet_rate")], 2))
    assert [line[-1] for line in few if " -A " in line] == list("10101010")


def test_r124_r126_with_netperf_packet_rate_and_requests_are_its_own() -> None:
    """R126: -l for the duration, never -I."""
    found = planner(has_netperf=True, seconds=300.0).measures(asked(kinds=["packet_rate", "requests", "bandwidth"]))
    packets, _, requests, _, bandwidth, _ = found
    assert (packets.tool, requests.tool, bandwidth.tool) == (Tool.NETPERF, Tool.NETPERF, Tool.IPERF3)
    lines = list(printed([packets], 16))
    assert lines[1] == "server: netserver -p 11256"
    assert lines[9] == "ecs-1: netperf -H 172.16.1.10 -p 11256 -t UDP_STREAM -l 300 -- -m 1 -R 1"
    assert lines[16].split()[5] == "11263"
    words = client_command(packets, packets.flows[0], 2)
    assert words[-2:] == ["-P", f"{packets.flows[0].client_port},{packets.flows[0].client_port}"]
    assert not any("-I" in line.split() for line in lines)
    # One byte of payload: 29 of IP.
    assert packets.ceiling.value == pytest.approx(8e9 / 12 / 8 / 29)


def test_netperfs_data_has_one_port_at_both_ends_and_is_hashed_so() -> None:
    from dataplane.accept.way import way_between
    from tests.unit.accept.planned import network

    (found, _) = planner(has_netperf=True).measures(asked(kinds="requests", to="office"))
    way = way_between(network(), found.flows[0].client, found.flows[0].server)
    for flow in found.flows:
        ends = ((flow.client.address, flow.client_port), (flow.server.address, flow.client_port))
        assert way.legs[way.firsts[bucket_of(TCP, *ends)]].name == flow.leg


def test_a_far_end_that_is_not_ours_is_asked_to_send() -> None:
    found = planner(server=IPv4Address("172.16.9.9")).measures(asked(to="nobody", kinds=["bandwidth", "requests"]))
    inbound, outbound, requests, back = found
    assert (inbound.flows[0].is_reversed, outbound.flows[0].is_reversed) == (False, True)
    assert outbound.flows[0].receiver.id == "ecs-1"
    assert "-R" in client_command(outbound, outbound.flows[0], 2)
    assert requests.skipped and back.skipped


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"from": ["ecs-9"]}, "`ecs-9` is not an instance with an address here"),
        ({"from": ["server"]}, "`server` is not an instance with an address here"),
        ({"to": "nobody"}, "nobody here is called `nobody`"),
    ],
)
def test_what_cannot_be_measured_is_complained_about(keys: dict[str, object], message: str) -> None:
    found = planner()
    assert found.measures(asked(**keys)) == ()
    assert [one.message for one in found.complaints] == [message]


def test_only_some_kinds() -> None:
    found = planner().measures(asked(), [MeasureKind.STREAM])
    assert {measure.kind for measure in found} == {MeasureKind.STREAM}


@pytest.mark.parametrize(
    ("leg", "to", "message"),
    [
        ("ri-a2", "server", "ri-a2 carries nothing from ecs-1 to server while all legs are healthy"),
        ("ri-a9", "server", "there is no router interface `ri-a9`"),
    ],
)
def test_r54_a_drill_that_would_show_nothing_is_refused(leg: str, to: str, message: str) -> None:
    drill = {"leg": leg, "for": "2s", "from": "ecs-1", "to": to, "max_outage": "1s"}
    file = asked().model_validate({"version": 1, "drills": [drill]})
    found = planner()
    assert found.drills(file) == ()
    assert [one.message for one in found.complaints] == [message]


def test_r54_a_drill_sends_along_the_leg_that_is_cut() -> None:
    from dataplane.accept.plan import DRILL_PORT
    from dataplane.accept.way import way_between
    from tests.unit.accept.planned import network

    drill = {"leg": "ri-a2", "for": "2s", "from": "ecs-1", "to": "office", "max_outage": "1s"}
    (found,) = planner().drills(asked().model_validate({"version": 1, "drills": [drill]}))
    way = way_between(network(), found.source, found.target)
    ends = ((found.source.address, found.client_port), (found.target.address, DRILL_PORT))
    assert way.legs[way.firsts[bucket_of(UDP, *ends)]].name == "ri-a2"


def test_the_labs_own_acceptance_is_planned_without_complaints() -> None:
    from dataplane.cli.acceptance import read_file

    file, _ = read_file(lab_file("standby-circuits"))
    assert file.measures and file.drills
