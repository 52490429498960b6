"""The underlay filter as text for `nft`, and out of what `nft` prints: pure, on records written by hand."""

import json
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dataplane.kernel import nft, underlay
from dataplane.kernel.underlay import Reason
from dataplane.model.kernel import Admission, UnderlayFilter

TWO = frozenset(
    {
        Admission(IPv4Address("172.20.0.12"), 77, IPv4Address("10.0.1.0"), IPv4Address("10.0.1.255")),
        Admission(IPv4Address("172.20.0.13"), 78, IPv4Address("10.0.2.1"), IPv4Address("10.0.2.1")),
    }
)
FILTER = UnderlayFilter("eth0", TWO)


def printed(elements: dict[str, list[object]] | None = None) -> list[dict[str, dict[str, object]]]:
    """What `nft` 1.0.6 prints of a whole table."""
    sets = {
        "accepted": [
            {"concat": ["172.20.0.12", 77, {"range": [0x0A000100, 0x0A0001FF]}]},
            {"concat": ["172.20.0.13", 78, 0x0A000201]},
        ],
        "hosts": ["172.20.0.12", "172.20.0.13"],
        "tunnels": [{"concat": ["172.20.0.12", 77]}, {"concat": ["172.20.0.13", 78]}],
    } | (elements or {})
    hook = {"name": "input", "type": "filter", "hook": "input", "prio": -300, "policy": "accept"}
    records: list[dict[str, dict[str, object]]] = [{"metainfo": {}}, {"table": {"name": "dataplane"}}]
    records += [{"counter": {"name": reason.counter, "packets": 0}} for reason in Reason]
    records += [{"set": {"name": name, "elem": found}} for name, found in sets.items()]
    records += [{"chain": {"name": "admit"}}, {"chain": hook}]
    device = {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}
    for chain, texts in underlay.rules("eth0").items():
        for text in texts:
            about = [device] if "iifname" in text else [{"accept": None}]
            records.append({"rule": {"chain": chain, "comment": underlay._digest(text), "expr": about}})
    return json.loads(json.dumps(records))  # type: ignore[no-any-return]


def test_a_whole_table_is_read() -> None:
    assert underlay.parse(printed()).as_filter() == FILTER


@pytest.mark.parametrize("number", range(len(printed())))
def test_whatever_is_missing_in_a_table_shows(number: int) -> None:
    """Each record left out, but for the two that are about the tool and the table itself."""
    records = printed()
    kind = next(iter(records.pop(number)))
    assert (underlay.parse(records).as_filter() == FILTER) == (kind in ("metainfo", "table"))


@pytest.mark.parametrize("number", range(len(printed())))
def test_whatever_is_twice_in_a_table_shows(number: int) -> None:
    """Each record once more under another name, and each rule once more."""
    records = printed()
    ((kind, value),) = records[number].items()
    records.append({kind: value | ({} if kind == "rule" else {"name": "other"})})
    assert (underlay.parse(records).as_filter() == FILTER) == (kind in ("metainfo", "table"))


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("hosts", {"elem": {"val": "172.20.0.99", "timeout": 5}}),
        ("hosts", {"range": ["172.20.0.1", "172.20.0.9"]}),
        ("hosts", "172.20.0.99"),
        ("tunnels", {"concat": ["172.20.0.12", 99]}),
        ("accepted", {"concat": [{"prefix": {"addr": "172.20.0.0", "len": 24}}, 77, 1]}),
        ("accepted", {"concat": ["172.20.0.12", {"range": [1, 99]}, 1]}),
        ("accepted", {"concat": ["172.20.0.99", 77, 1]}),
    ],
    ids=str,
)
def test_every_strange_element_shows(name: str, element: object) -> None:
    """One with a time limit, one that is wider than ours are, one more."""
    present = next(record["set"]["elem"] for record in printed() if record.get("set", {}).get("name") == name)
    assert isinstance(present, list)
    assert underlay.parse(printed({name: [*present, element]})).as_filter() != FILTER


def test_a_filter_that_is_whole_changes_by_what_differs() -> None:
    """One admission goes and one comes; its host stays known for the other one."""
    present = underlay.parse(printed())
    more = Admission(IPv4Address("172.20.0.12"), 79, IPv4Address("10.0.3.0"), IPv4Address("10.0.3.1"))
    gone = next(one for one in TWO if one.vni == 78)
    assert underlay.script(replace(FILTER, admissions=TWO - {gone} | {more}), present).splitlines() == [
        "delete element ip dataplane accepted { 172.20.0.13 . 78 . 167772673 }",
        "add element ip dataplane accepted { 172.20.0.12 . 79 . 167772928-167772929 }",
        "delete element ip dataplane hosts { 172.20.0.13 }",
        "delete element ip dataplane tunnels { 172.20.0.13 . 78 }",
        "add element ip dataplane tunnels { 172.20.0.12 . 79 }",
    ]
    assert underlay.script(FILTER, present) == "\n"


def test_another_device_changes_the_rules_and_no_element() -> None:
    lines = underlay.script(replace(FILTER, device="eth1"), underlay.parse(printed())).splitlines()
    assert lines[0] == "flush chain ip dataplane admit"
    assert 'iifname != "eth1" counter name wrong_device drop' in lines[1]
    assert not [line for line in lines if "element" in line]


def test_a_filter_that_is_not_whole_is_made_anew_in_one_transaction() -> None:
    present = underlay.parse(printed()[:-1])
    assert underlay.script(FILTER, present) == underlay.script(FILTER, None)
    assert underlay.script(FILTER, None).startswith("add table ip dataplane\ndelete table ip dataplane\n")


def test_the_only_rule_that_accepts_asks_for_everything() -> None:
    """P7: port, flag, kind, sender, VNI and source; every other rule leads there or drops, and the last one drops."""
    hook, chain = underlay.rules("eth0")["input"], underlay.rules("eth0")["admit"]
    assert hook == ("udp dport 4789 jump admit",)
    (accepting,) = (rule for rule in chain if rule.endswith(" accept"))
    assert accepting == (
        "@th,64,8 & 0x08 == 0x08 @th,224,16 == 0x0800 ip saddr . @th,96,24 . @th,336,32 @accepted accept"
    )
    assert all(rule.endswith(" drop") for rule in chain if rule != accepting)
    assert chain.index(accepting) == 1
    assert chain[-1] == "counter name malformed drop"


@pytest.mark.parametrize(
    ("name", "is_plain"),
    [("eth0", True), ("enp1s0f0.100", True), ("a-b_c", True), ("eth*", False), ('e"', False), ("e\\", False)],
)
def test_only_names_that_stand_for_themselves_come_into_a_rule(name: str, is_plain: bool) -> None:
    """A star stands for many devices; a quotation mark ends the name."""
    assert underlay.is_plain_device(name) == is_plain


def test_drops_are_told_by_their_reason() -> None:
    records = [{"counter": {"name": "wrong_vni", "packets": 3}}, {"counter": {"name": "malformed", "packets": 0}}]
    assert underlay.drops(records) == {Reason.WRONG_VNI.words: 3}
    assert underlay.drops([{"counter": {"name": "of somebody", "packets": 3}}]) == {}


@pytest.mark.parametrize(
    ("userdata", "comment"),
    [
        (b"\x00\x05mine\x00", "mine"),
        (b"\x07\x02ab\x00\x05mine\x00", "mine"),
        (b"", ""),
        (b"\x07\x02ab", ""),
        (b"\x00", ""),
        (b"\x00\x09mi", "mi"),
    ],
)
def test_comment_of_a_table_is_found_among_its_records(userdata: bytes, comment: str) -> None:
    assert nft.comment_in(userdata) == comment
