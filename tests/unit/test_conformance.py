"""Which test shows which rule of the configuration: a table, and the machine that holds it against the tests.

Each row says what a rule of the rule book means in this project and where that is shown: tests (``folder/file::name``
below ``tests``, with wildcards) whose names carry the rule's number, or for rules about packets ``lab/<topology>``,
whose flows name it. To add a rule: write its test first, then its row.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Issue 2, item 3, and what issues 4, 7 and 9 add.
RULES = (
    "R1-R6 R8-R9 R11-R15 R21 R24 R26-R32 R35-R36 R40-R42 R48-R52 R54 R57-R89 R101-R102 R104-R106 R110 R117-R119 R122 "
    "R124-R130 R132 R134 R167 R170 D2 D4-D24"
)

PEERING, VBR, VPC = "unit/config/test_peering", "unit/config/test_vbr", "unit/config/test_vpc"
VSWITCH, TABLE, MERGE = "unit/config/test_vswitch", "unit/config/test_route_table", "unit/config/test_merge"
TABLES, LIFE, ADDRESSES = "unit/compile/test_route_tables", "unit/compile/test_lifecycle", "unit/compile/test_addresses"
OVERLAP, HOSTS = "unit/config/test_overlap", "unit/compile/test_several_hosts"
LIMITS, SHAPED = "unit/compile/test_shaper", "netns/test_shaper"
ACCEPT = "unit/accept/test"
LINKS, PACKETS = "unit/compile/test_peering", "netns/test_network_packets"

SHOWN: Mapping[str, tuple[str, ...]] = {
    # rule: what it means here, where it is shown...
    "R1": ("two ends, each a router interface of one VPC or VBR, with an id of its own", f"{PEERING}::*_r1_*"),
    "R2": ("roles say who asks; traffic passes both ways", f"{LIFE}::*_r2_*", f"{PEERING}::*_r2_*", "lab/vpc-peering"),
    "R3": (
        "both ends stand in the file, and what they say of each other holds",
        f"{PEERING}::*_r3_*",
        f"{MERGE}::*_r3_*",
    ),
    "R4": ("a connection is Active or Inactive; asking and accepting come later", f"{LIFE}::*_r4_*"),
    "R5": ("Activated and Disconnected are taken for states, and shown", f"{PEERING}::*_r5_*", f"{LIFE}::*_r5_*"),
    "R6": ("one account writes both ends, and nothing more is needed", f"{PEERING}::*_r6_*"),
    "R8": ("an end without the other is for two accounts only", f"{PEERING}::*_r8_*"),
    "R9": ("a VBR is the initiator, the acceptor a VPC", f"{PEERING}::*_r9_*"),
    "R11": ("peers' CIDRs may overlap only while their vSwitches do not (D18)", f"{OVERLAP}::*_r11_*"),
    "R12": (
        "what a connection names is there; bandwidths have units",
        f"{PEERING}::*_r12_*",
        f"{VPC}::*_r12_*",
        f"{VBR}::*_r12_*",
    ),
    "R13": ("5 connections of a VPC or VBR, 10 of an account", f"{PEERING}::*_r13_*"),
    "R14": ("5 VPCs on a line", f"{PEERING}::*_r14_*"),
    "R15": (
        "either end suspended: nothing passes, and again when active",
        f"{PEERING}::*_r15_*",
        f"{LINKS}::*_r15_*",
        f"{PACKETS}::*_r15_*",
    ),
    "R21": (
        "the initiator's bandwidth, each way, shared fairly",
        f"{LIMITS}::*_r21_*",
        f"{SHAPED}::*_r21_*",
    ),
    "R24": ("a region is an attribute: only bandwidths depend on it", f"{PEERING}::*_r24_*", "lab/regions"),
    "R26": ("a VBR has a line, a VLAN that is its own on it, and a route table", f"{VBR}::*_r26_*"),
    "R27": ("both addresses of a line are hosts of one small subnet", f"{VBR}::*_r27_*"),
    "R28": ("a VBR without a route to its line or its VPC is warned about", f"{VBR}::*_r28_*"),
    "R29": ("the next hops of a VBR are its line and router interfaces", f"{TABLE}::*_r29_*"),
    "R30": ("a VPC without a route to the data centre is warned about", f"{VBR}::*_r30_*"),
    "R31": ("the data centre routes to VPCs, through VBRs of its own lines", f"{VBR}::*_r31_*"),
    "R32": ("the data centre does not route its own CIDR to us", f"{VBR}::*_r32_*"),
    "R35": ("one access point for VPCs of several regions: a VBR is a hub", "lab/regions", "lab/nearby-access"),
    "R36": ("a VPC and its data centre have different CIDRs", f"{VBR}::*_r36_*"),
    "R40": (
        "a probe's source is an idle address of the VPC, given to nobody",
        f"{VBR}::*_r40_*",
        f"{VSWITCH}::*_r40_*",
    ),
    "R41": ("a probe's destination is the far end of the line", f"{VBR}::*_r41_*"),
    "R42": ("no two health checks have one source", f"{VBR}::*_r42_*"),
    "R48": ("a leg of a group without a health check is warned about (D24)", f"{TABLE}::*_r48_*"),
    "R49": ("three routing methods, the groups for routes of a VPC to VBRs", f"{TABLE}::*_r49_*"),
    "R50": ("active_standby: two different router interfaces", f"{TABLE}::*_r50_*", "netns/test_legs::*_r50_*"),
    "R51": (
        "load_balance: two to four, weights of 1 to 255 that are equal",
        f"{TABLE}::*_r51_*",
        "netns/test_legs::*_r51_*",
    ),
    "R52": ("every member of a group leads to a VBR", f"{TABLE}::*_r52_*"),
    "R54": (
        "a drill cuts the leg that carries traffic, and the outage is what did not come",
        f"{ACCEPT}_plan::*_r54_*",
        f"{ACCEPT}_judge::*_r54_*",
        "lab/standby-circuits",
    ),
    "R57": ("the system table is there without being written", f"{VSWITCH}::*_r57_*"),
    "R58": ("10 route tables, the system table included", f"{TABLE}::*_r58_*"),
    "R59": (
        "a vSwitch uses one table of its VPC, system unless it says so",
        f"{VSWITCH}::*_r59_*",
        f"{TABLES}::*_r59_*",
        "lab/route-tables",
    ),
    "R60": ("40 custom routes of a table", f"{TABLE}::*_r60_*"),
    "R61": ("system routes are never written, and nobody's default", f"{TABLE}::*_r61_*", "lab/route-tables"),
    "R62": ("custom routes go over system routes", f"{TABLE}::*_r62_*", f"{TABLES}::*_r62_*", "lab/route-tables"),
    "R63": (
        "the longest prefix decides; one route for a prefix",
        f"{TABLE}::*_r63_*",
        f"{TABLES}::*_r63_*",
        "lab/route-tables",
    ),
    "R64": ("a bare address means /32", f"{TABLE}::*_r64_*", "lab/route-tables"),
    "R65": ("next hops are of known types and of the route's own router", f"{TABLE}::*_r65_*"),
    "R66": ("an instance as next hop forwards", f"{TABLE}::*_r66_*", f"{TABLES}::*_r66_*", "lab/route-tables"),
    "R67": ("each VPC routes the other's CIDR to its own end", f"{LINKS}::*_r67_*"),
    "R68": ("VPN gateways come later, and are refused as such (D24)", f"{TABLE}::*_r68_*"),
    "R69": ("names and descriptions keep to their form", f"{VPC}::*_r69_*"),
    "R70": ("routes have a status; the publish column comes later (D24)", f"{TABLE}::*_r70_*"),
    "R71": ("a region may be without custom route tables", f"{VPC}::*_r71_*"),
    "R72": ("a route that is missing in one direction is warned about", f"{PEERING}::*_r72_*"),
    "R73": ("VPCs have private CIDRs", f"{VPC}::*_r73_*"),
    "R74": ("2^n - 4 addresses can be used", f"{VSWITCH}::*_r74_*"),
    "R75": ("CIDRs do not change", f"{ADDRESSES}::*_r75_*", f"{LIFE}::*_r75_*"),
    "R76": ("a VPC larger than /16 with a data centre is warned about", f"{VPC}::*_r76_*"),
    "R78": ("vSwitches: /16 to /29, inside the VPC, apart from each other", f"{VSWITCH}::*_r78_*"),
    "R79": (
        "the first address and the last three are nobody's",
        f"{VSWITCH}::*_r79_*",
        f"{ADDRESSES}::*_r79_*",
        "lab/vpc-peering",
    ),
    "R80": ("vSwitches do not overlap those of peers, nor the data centre", f"{OVERLAP}::*_r80_*", f"{VBR}::*_r80_*"),
    "R81": ("one default VPC, a /16, of an account in a region; made by hand", f"{VPC}::*_r81_*"),
    "R82": ("nothing refers to a vSwitch that is not there", f"{VSWITCH}::*_r82_*"),
    "R83": ("vSwitches of a VPC reach each other, across zones too", f"{VSWITCH}::*_r83_*", "lab/vpc-peering"),
    "R84": ("no broadcast, no multicast", f"{VSWITCH}::*_r84_*", f"{TABLE}::*_r84_*", f"{PACKETS}::*_r84_*"),
    "R85": ("a new address is for a stopped instance", f"{ADDRESSES}::*_r85_*", f"{LIFE}::*_r85_*", "lab/route-tables"),
    "R86": ("RDS comes later, and is refused as such (D24)", f"{TABLE}::*_r86_*"),
    "R87": ("vSwitches have names and descriptions like all resources", f"{VPC}::*_r87_*"),
    "R88": (
        "VPCs that are not connected are isolated, CIDRs equal or not",
        f"{VPC}::*_r88_*",
        "lab/overlapping",
        "lab/three-hosts",
    ),
    "R89": ("the clouds' prefixes of ids are possible, not required (D23)", f"{VPC}::*_r89_*"),
    "R101": ("peering is not transitive", f"{PEERING}::*_r101_*", f"{LINKS}::*_r101_*", "lab/vpc-peering"),
    "R102": ("tencent refuses overlapping CIDRs of peers, and of peers elsewhere", f"{OVERLAP}::*_r102_*"),
    "R104": ("under tencent routes go with their connection", f"{TABLE}::*_r104_*"),
    "R105": ("under tencent 10 connections of a VPC", f"{PEERING}::*_r105_*"),
    "R106": (
        "a bandwidth is required across regions, within its quota, and changes without loss",
        f"{PEERING}::*_r106_*",
        f"{SHAPED}::*_r106_*",
    ),
    "R117": (
        "a flow from a VPC to a VBR has a twelfth of the bandwidth",
        f"{LIMITS}::*_r117_*",
        f"{SHAPED}::*_r117_*",
        "netns/test_rates::*_r117_*",
        "bpf/test_rates::*_r117_*",
    ),
    "R119": ("the other way only where that is asked for", f"{LIMITS}::*_r119_*", f"{SHAPED}::*_r119_*"),
    "R122": (
        "eight flows get two thirds of the line, twelve all of it",
        f"{SHAPED}::*_r122_*",
        f"{ACCEPT}_plan::*_r122_*",
    ),
    "R110": ("a second connection of the same VPCs is warned about", f"{PEERING}::*_r110_*"),
    "R132": ("queues and processors of a card", f"{VBR}::*_r132_*", "netns/test_device_queues::*_r132_*"),
    "R124": ("netperf's commands and ports; clients run in the instances", f"{ACCEPT}_plan::*_r124_*"),
    "R125": ("outbound, each instance has its servers from the first port on", f"{ACCEPT}_plan::*_r125_*"),
    "R126": ("the duration is -l, never -I", f"{ACCEPT}_plan::*_r126_*"),
    "R127": ("iperf3's commands and ports", f"{ACCEPT}_plan::*_r127_*"),
    "R128": ("packets a second are those that came", f"{ACCEPT}_parse::*_r128_*"),
    "R129": ("what netperf and iperf3 print is read as the sources read it", f"{ACCEPT}_parse::*_r129_*"),
    "R130": ("sizes, times, messages, rates, jitter and loss are kept", f"{ACCEPT}_parse::*_r130_*"),
    "R118": ("each 5-tuple has a rate of its own", "bpf/test_rates::*_r118_*"),
    "R134": ("a VBR routes the two halves of 100.64.0.0/10", f"{TABLE}::*_r134_*"),
    "R170": ("the receiver's interface, second by second, without the first and the last", f"{ACCEPT}_judge::*_r170_*"),
    "R167": (
        "status of both ends, what was ordered, since when, with -o json; rates both ways, and what limits held back",
        f"{LIFE}::*_r167_*",
        "unit/agent/test_session::*_r167_*",
        "unit/observe/test_top::*_r167_*",
        "netns/test_top::*_r167_*",
    ),
    "D2": (
        "with all legs down each is used as if up, but for those that drop",
        "unit/agent/test_legs::*_d2_*",
        "netns/test_legs::*_d2_*",
    ),
    "D4": (
        "a flow is the 5-tuple, or the 3-tuple where there are no ports and of fragments; 50 ms of queue",
        f"{PEERING}::*_d4_*",
        f"{SHAPED}::*_d4_*",
        "netns/test_driver_shaper::*_d4_*",
        "bpf/test_rates::*_d4_*",
        "netns/test_rates::*_d4_*",
    ),
    "D5": (
        "each direction at the initiator's bandwidth, by the host that sends",
        f"{PEERING}::*_d5_*",
        f"{LIMITS}::*_d5_*",
    ),
    "D6": ("quotas have defaults that the file changes", f"{TABLE}::*_d6_*", f"{PEERING}::*_d6_*"),
    "D7": ("states are spelled as in R4, and each bad one has a reason", f"{LIFE}::*_d7_*", f"{PEERING}::*_d7_*"),
    "D8": ("routes to a connection that is gone: refused, or under tencent left out", f"{TABLE}::*_d8_*"),
    "D10": ("overlaps of vSwitches and CIDRs, of both ends and of peers elsewhere", f"{OVERLAP}::*_d10_*"),
    "D11": ("misprints of the sources are refused with a hint", f"{VPC}::*_d11_*", f"{VBR}::*_d11_*"),
    "D12": (
        "transit links have no addresses, and nobody else uses theirs",
        f"{LINKS}::*_d12_*",
        f"{TABLE}::*_d12_*",
        f"{VBR}::*_d12_*",
    ),
    "D13": ("ids that are safe in a path, each of one resource", f"{VPC}::*_d13_*", f"{VSWITCH}::*_d13_*"),
    "D16": (
        "what came in by a router interface leaves by a local port",
        f"{LINKS}::*_d16_*",
        f"{VBR}::*_d16_*",
        "lab/vpc-peering",
    ),
    "D17": (
        "one router is one step of the TTL, and each host's part of a VPC is one",
        f"{HOSTS}::*_d17_*",
        "lab/vpc-peering",
        "lab/three-hosts",
    ),
    "D18": ("which overlaps are refused and which warned about", f"{OVERLAP}::*_d18_*", f"{VBR}::*_d18_*"),
    "D19": (
        "a cap is a part of the connection's bandwidth, else of the line's, else there is none",
        f"{LIMITS}::*_d19_*",
    ),
    "D20": ("a line's subnet is a /30 or a /31, others with a warning", f"{VBR}::*_d20_*"),
    "D21": ("one probe source, or one for each host that probes", f"{VBR}::*_d21_*", "lab/failover-hosts"),
    "D22": ("what cannot change is held against what is remembered", f"{LIFE}::*_d22_*"),
    "D23": ("prefixes of ids are never required", f"{VPC}::*_d23_*"),
    "D24": ("what is not there yet is refused as coming later", f"{TABLE}::*_d24_*"),
}

NOT_SHOWN: Mapping[str, str] = {
    "R77": "The classic network comes later (`classic_instances`): there is nothing yet that could meet 10.0.0.0/8.",
    "D9": "Learned routes come with BGP and CEN: until then every route is static.",
    "D14": "It says what is not done: nothing waits for a minute, so there is nothing to see.",
    "D15": "Prices come with accounting: there is no pricing.yaml yet.",
}


def expand(text: str) -> list[str]:
    """``R1-R3 D5`` to R1, R2, R3, D5."""
    rules = []
    for part in text.split():
        first, _, last = part.partition("-")
        rules += [f"{first[0]}{number}" for number in range(int(first[1:]), int((last or first)[1:]) + 1)]
    return rules


@cache
def all_tests() -> tuple[str, ...]:
    """Every test as ``folder/file::name``, read off the files: nothing is imported."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        where = path.relative_to(ROOT / "tests").with_suffix("").as_posix()
        names = (node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))
        found += [f"{where}::{name}" for name in names if name.startswith("test_")]
    return tuple(found)


def carries(test: str, rule: str) -> bool:
    """Whether a test's name has a rule's number among its words."""
    return rule.lower() in test.partition("::")[2].split("_")


def names_rule(topology: str, rule: str) -> bool:
    """Whether the flows of a lab topology say which rule they are for."""
    path = ROOT / "lab" / "topologies" / topology / "lab.yaml"
    return path.is_file() and re.search(rf"\b{rule}\b", path.read_text()) is not None


def missing(rule: str, places: Iterable[str]) -> Iterator[str]:
    """What is wrong with the places of a row."""
    places = tuple(places)
    if not places:
        yield f"{rule}: is shown nowhere"
    for place in places:
        if place.startswith("lab/"):
            if not names_rule(place.removeprefix("lab/"), rule):
                yield f"{rule}: no flow of {place} names it"
        elif not any(fnmatchcase(test, place) and carries(test, rule) for test in all_tests()):
            yield f"{rule}: no test {place} carries its number"


@pytest.mark.parametrize("rule", SHOWN)
def test_a_rule_is_shown_where_the_table_says(rule: str) -> None:
    assert list(missing(rule, SHOWN[rule][1:])) == []


def test_every_rule_of_the_issue_has_one_row() -> None:
    assert sorted([*SHOWN, *NOT_SHOWN]) == sorted(expand(RULES))


def test_every_row_says_what_it_means() -> None:
    assert [rule for rule, (meaning, *_) in SHOWN.items() if len(meaning) < 10] == []
    assert [rule for rule, reason in NOT_SHOWN.items() if not reason.endswith(".") or len(reason) < 20] == []


def rules_in_messages() -> set[str]:
    """Every number that a message of the configuration may carry."""
    files = [*(ROOT / "dataplane" / "config").rglob("*.py"), ROOT / "dataplane" / "compile" / "lifecycle.py"]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text())))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if re.fullmatch(r"[RD][0-9]+", text)}


def test_every_number_in_a_message_has_a_test() -> None:
    numbers = rules_in_messages()
    assert {"R78", "D18", "R85"} <= numbers
    assert [rule for rule in sorted(numbers) if not any(carries(test, rule) for test in all_tests())] == []


@pytest.mark.parametrize(
    ("rule", "places", "wrong"),
    [
        ("R999", ("unit/config/*::*",), "R999: no test unit/config/*::* carries its number"),
        ("R99", ("lab/vpc-peering",), "R99: no flow of lab/vpc-peering names it"),
        ("R88", ("lab/nowhere",), "R88: no flow of lab/nowhere names it"),
        ("R1", (f"{PEERING}::*_r110_*",), f"R1: no test {PEERING}::*_r110_* carries its number"),
        ("R10", ("lab/vpc-peering",), "R10: no flow of lab/vpc-peering names it"),
        ("R78", (), "R78: is shown nowhere"),
    ],
)
def test_the_table_can_be_wrong(rule: str, places: tuple[str, ...], wrong: str) -> None:
    assert list(missing(rule, places)) == [wrong]
