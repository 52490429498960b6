"""Verdicts of `why` from a file alone: the code, where, the sentence, the remedy and the line."""

from ipaddress import IPv4Address

import pytest

from dataplane.agent.why import explain_offline
from dataplane.observe.why.code import MEANINGS, Code
from dataplane.observe.why.explain import Explanation, Question
from tests.fakes.networks import PEERED, TWO_CIRCUITS, network
from tests.unit.compile.test_vbr import SECOND_VPC, THIRD_CONNECTION

OVERLAP = (
    PEERED.replace("    cidr: 10.0.0.0/8\n", "    cidr: 172.16.0.0/12\n")
    .replace("{zone: a, cidr: 10.0.1.0/24}", "{zone: a, cidr: 172.16.1.0/24}")
    .replace("ip: 10.0.1.10", "ip: 172.16.1.10")
)

SECOND_LINE = "    peer_ip: 10.10.11.2\n    routes:\n"


def ask(text: str, source: str, destination: str, **more: object) -> Explanation:
    return explain_offline(network(text), Question(source, destination, **more))  # type: ignore[arg-type]


def codes(found: Explanation) -> tuple[tuple[Code, str], tuple[Code, str] | None]:
    back = found.back
    forward = found.forward.verdict
    return (forward.code, forward.where), (back.verdict.code, back.verdict.where) if back is not None else None


def edit(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Code)
    assert all(code.meaning for code in Code)


def test_both_ways_are_delivered_with_every_hop_named() -> None:
    found = ask(PEERED, "ecs-1", "192.168.1.10", protocol="tcp", dport=443)
    assert found.is_good
    assert (found.source, found.destination) == ("ecs-1", "ecs-2")
    assert [(hop.where, hop.ttl, hop.route) for hop in found.forward.hops] == [
        ("ecs-1", 64, "default"),
        ("vpc-1", 64, "192.168.0.0/16"),
        ("vpc-2", 63, "192.168.1.10/32"),
        ("ecs-2", 62, ""),
    ]
    router = found.forward.hops[1]
    lines = PEERED.splitlines()
    assert router.ingress == "ecs-1 (dpi1)"
    assert router.egress.startswith("ri-1 (")
    assert router.table.startswith("system (1")
    assert "192.168.0.0/16" in lines[router.origin.line - 1]
    assert "ecs-2:" in lines[found.forward.hops[2].origin.line - 1]
    back = found.back
    assert back is not None and back.packet is not None
    assert (back.packet.source, back.packet.sport) == (IPv4Address("192.168.1.10"), 443)


def test_r72_no_way_back_is_named_for_the_way_back_only() -> None:
    text = edit(PEERED, ("          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}\n", ""))
    found = ask(text, "ecs-1", "ecs-2")
    assert codes(found) == ((Code.DELIVERED, "ecs-2"), (Code.NO_RETURN_ROUTE, "vpc-2"))
    assert found.back is not None
    assert found.back.verdict.remedy == (
        "add {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}} to vpcs.vpc-2.route_tables.system.routes"
    )
    assert codes(ask(text, "ecs-2", "ecs-1"))[0] == (Code.NO_ROUTE, "vpc-2"), "asked the other way it is no return"


def test_r15_the_suspended_end_is_named_with_its_line() -> None:
    text = edit(PEERED, ("vpc: vpc-2}}\n  pcx-2", "vpc: vpc-2, state: suspended}}\n  pcx-2"))
    verdict = ask(text, "ecs-1", "ecs-2").forward.verdict
    assert (verdict.code, verdict.where) == (Code.SUSPENDED, "vpc-1")
    assert "acceptor ri-2" in verdict.text
    assert verdict.remedy == "write `state: active` at its acceptor"
    assert "suspended" in text.splitlines()[verdict.origin.line - 1]


def test_r30_no_route_to_a_data_centre_says_which_connection_leads_there() -> None:
    text = edit(
        TWO_CIRCUITS, ("destination: 172.16.0.0/16, next_hop: {active", "destination: 172.17.0.0/16, next_hop: {active")
    )
    verdict = ask(text, "ecs-1", "172.16.5.5").forward.verdict
    assert (verdict.code, verdict.where) == (Code.NO_ROUTE, "vpc-a")
    assert "R30" in verdict.remedy


@pytest.mark.parametrize("transit", [False, True])
def test_d16_transit_through_a_vbr(transit: bool) -> None:
    text = TWO_CIRCUITS.replace("    vlan: 1000\n", f"    vlan: 1000\n    transit: {str(transit).lower()}\n", 1)
    to_a = "      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v1}}\n"
    to_b = "      - {destination: 10.0.0.0/16, next_hop: {router_interface: ri-v3}}\n"
    text = edit(
        text,
        (to_a, to_a + to_b),
        ("\npeering_connections:\n", f"\npeering_connections:{THIRD_CONNECTION}"),
        ("\nvpcs:\n", f"\nvpcs:{SECOND_VPC}"),
    )
    forward, _ = codes(ask(text, "ecs-b", "ecs-2"))
    assert forward == ((Code.DELIVERED, "ecs-2") if transit else (Code.NOT_TRANSITIVE, "vbr-1"))


def test_r44_the_data_centres_routes_choose_the_line_back() -> None:
    found = ask(TWO_CIRCUITS, "ecs-1", "172.16.5.5")
    assert found.back is not None and found.back.start is not None
    assert found.back.start.via == "vbr-1", "it came by vbr-1, and the data centre may answer by it"
    only_second = edit(TWO_CIRCUITS, ("via: [vbr-1, vbr-2]", "via: [vbr-2]"))
    back = ask(only_second, "ecs-1", "172.16.5.5").back
    assert back is not None and back.start is not None
    assert back.start.via == "vbr-2"
    assert "via: [vbr-2]" in only_second.splitlines()[back.start.origin.line - 1]


def test_r72_a_data_centre_without_a_route_is_where_the_answer_ends() -> None:
    text = edit(TWO_CIRCUITS, ("      - {destination: 192.168.0.0/16, via: [vbr-1, vbr-2]}\n", ""))
    forward, back = codes(ask(text, "ecs-1", "172.16.5.5"))
    assert (forward[0], back) == (Code.DELIVERED, (Code.NO_RETURN_ROUTE, "data centre idc"))
    assert codes(ask(text, "172.16.5.5", "ecs-1"))[0] == (Code.NO_ROUTE, "data centre idc")


def test_nothing_declared_is_assumed_to_come_back_and_said() -> None:
    routes = TWO_CIRCUITS[TWO_CIRCUITS.index("    routes:\n      - {destination: 192.168.0.0/16, via") :]
    routes = routes[: routes.index("physical_connections:")]
    found = ask(edit(TWO_CIRCUITS, (routes, "")), "ecs-1", "172.16.5.5")
    assert found.is_good
    assert found.back is not None
    assert any("assumed" in note for note in found.back.notes)


def test_r51_the_other_members_of_a_group_are_tried_too() -> None:
    text = edit(
        TWO_CIRCUITS,
        ("{active_standby: {active: ri-a1, standby: ri-a2}}", "{load_balance: [ri-a1, ri-a2]}"),
        (SECOND_LINE + "      - {destination: 172.16.0.0/16, next_hop: physical_connection}\n", SECOND_LINE),
    )
    found = ask(text, "ecs-1", "172.16.5.5")
    assert found.forward.verdict.code.is_delivered
    assert any("NO_ROUTE at vbr-2" in note for note in found.forward.notes), found.forward.notes


def test_r43_a_probe_source_answers_on_the_router() -> None:
    found = ask(TWO_CIRCUITS, "10.10.10.2", "192.168.10.1")
    assert codes(found) == ((Code.LOCAL, "vpc-a"), (Code.DELIVERED, "vbr-1"))


def test_r88_an_address_that_two_instances_have_means_the_near_one_or_none() -> None:
    assert codes(ask(OVERLAP, "172.16.1.10", "ecs-2"))[0][0] is Code.UNKNOWN_SOURCE
    # ecs-1 and ecs-3 have one address: what ecs-1 sends there never leaves it.
    assert codes(ask(OVERLAP, "ecs-1", "ecs-3")) == ((Code.OTHER_INSTANCE, "ecs-1"), (Code.OTHER_INSTANCE, "ecs-3"))
    assert codes(ask(PEERED, "web", "ecs-2"))[0] == (Code.UNKNOWN_SOURCE, "web")
    assert codes(ask(PEERED, "ecs-1", "web"))[0] == (Code.UNKNOWN_DESTINATION, "web")


def test_an_address_outside_everything() -> None:
    found = ask(PEERED, "ecs-1", "203.0.113.9")
    assert codes(found) == ((Code.NO_ROUTE, "vpc-1"), None)
    assert "nothing in the file has 203.0.113.9" in found.forward.verdict.remedy
    assert not found.is_good
