"""The underlay filter on the real kernel: made, seen, mended, removed; what of others is in its way."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dataplane.errors import HostError
from dataplane.kernel import nft, underlay
from dataplane.kernel.underlay import Reason
from dataplane.model.kernel import (
    Admission,
    UnderlayFilter,
)
from dataplane.plan.action import Verb
from tests.netns.lines import converge
from tests.netns.objects import World, run
from tests.netns.underlay import (
    DEVICE,
    STRANGER,
    admission,
    cable,
    throw,
    tunnelled,
    underlay_filter,
)

KEY = underlay_filter().key


@pytest.fixture(autouse=True)
def laid(world: World) -> Iterator[None]:
    """A wire to the peer."""
    with cable():
        yield


def filter_in(world: World, desired: UnderlayFilter | None = None) -> UnderlayFilter | None:
    found = world.seen([desired] if desired is not None else []).get(KEY)
    assert found is None or isinstance(found, UnderlayFilter)
    return found


ADJACENT = underlay_filter(
    admission("10.0.0.0", "10.0.0.127"),
    admission("10.0.0.128", "10.0.0.255"),
    admission("10.0.1.0"),
    admission("10.0.1.1", "10.0.1.2"),
    admission("10.0.1.0", "10.0.1.255", vni=78),
    admission("0.0.0.0", "255.255.255.255", vni=16_777_215),
    admission("224.0.0.0", "255.255.255.255", vtep=IPv4Address("172.20.0.13")),
)
"""Ranges that touch each other, single addresses, everything, both ends of both spaces."""


@pytest.mark.parametrize("wanted", [underlay_filter(), ADJACENT, UnderlayFilter(DEVICE, frozenset())], ids=[1, 7, 0])
def test_what_is_written_is_read_back(world: World, wanted: UnderlayFilter) -> None:
    """Made twice, seen as asked for, without memory too; deleted twice, and nothing is left."""
    for _ in range(2):
        assert world.do(Verb.CREATE, wanted).error is None
        assert filter_in(world) == wanted
    assert converge(world, [wanted]) == []
    assert world.observe([wanted]).foreign == ()
    for _ in range(2):
        assert world.do(Verb.DELETE, wanted).error is None
        assert filter_in(world) is None
    assert run("nft", "list", "ruleset") == ""


@pytest.mark.parametrize("verb", [Verb.CREATE, Verb.CHANGE])
def test_a_change_is_one_transaction_that_keeps_the_counters(world: World, verb: Verb) -> None:
    """Other admissions, wider ones in the place of narrow ones, another device: by as little as differs."""
    before, after = underlay_filter(), ADJACENT
    wider = underlay_filter(admission("10.0.0.0", "10.0.1.255"))
    assert world.do(Verb.CREATE, before).error is None
    throw(b"x" * 20, source=STRANGER)
    handle = _handle()
    for wanted in (after, wider, after, replace(after, device="eth7"), before):
        assert world.do(verb, wanted).error is None
        assert filter_in(world) == wanted
        assert world.driver.underlay_drops() == {Reason.UNKNOWN_HOST.words: 1}
        assert _handle() == handle


def _handle() -> str:
    """The number of the table: another one for a table that was made anew."""
    return run("nft", "-a", "list", "table", "ip", nft.TABLE).splitlines()[0]


DAMAGE = {
    "table deleted": "delete table ip dataplane",
    "everything flushed": "flush ruleset",
    "rules flushed": "flush chain ip dataplane admit",
    "hook flushed": "flush chain ip dataplane input",
    "table asleep": "add table ip dataplane { flags dormant; }",
    "admission added": "add element ip dataplane accepted { 172.20.0.99 . 77 . 0-4294967295 }",
    "admissions flushed": "flush set ip dataplane accepted",
    "host added": "add element ip dataplane hosts { 172.20.0.99 }",
    "tunnel deleted": "delete element ip dataplane tunnels { 172.20.0.12 . 77 }",
    "rule inserted": "insert rule ip dataplane admit accept",
    "rule added before the hook": "insert rule ip dataplane input udp dport 4789 accept",
    "rule with our words": 'insert rule ip dataplane input accept comment "dataplane underlay"',
    "chain added": "add chain ip dataplane other { type filter hook input priority -400; }",
    "set added": "add set ip dataplane other { type ipv4_addr; }",
    "policy changed": "chain ip dataplane input { policy drop; }",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_by_hand_is_seen_and_mended(world: World, damage: str) -> None:
    """One round, and the table is what it was, word for word."""
    wanted = underlay_filter()
    converge(world, [wanted])
    before = run("nft", "list", "ruleset")
    nft.run(DAMAGE[damage])
    assert filter_in(world) != wanted
    ((action,),) = converge(world, [wanted], rounds=1)
    assert action.object == wanted
    assert run("nft", "list", "ruleset") == before


def test_replaced_rule_is_seen_and_mended(world: World) -> None:
    """The same place, another sense."""
    wanted = underlay_filter()
    converge(world, [wanted])
    listed = run("nft", "-a", "list", "chain", "ip", "dataplane", "admit").splitlines()
    handle = next(line.rpartition(" ")[2] for line in listed if "wrong_source" in line)
    nft.run(f"replace rule ip dataplane admit handle {handle} accept")
    assert filter_in(world) == replace(wanted, is_whole=False)
    converge(world, [wanted], rounds=1)


FOREIGN = {
    "no comment": "add table ip dataplane",
    "another comment": 'add table ip dataplane { comment "mine"; }',
    "with rules": "add table ip dataplane; add chain ip dataplane c; add rule ip dataplane c accept",
}


@pytest.mark.parametrize("table", FOREIGN)
def test_table_of_others_is_named_and_kept(world: World, table: str) -> None:
    """Of no concern to those who want no filter; otherwise a conflict, and the links wait."""
    nft.run(FOREIGN[table])
    try:
        before = run("nft", "list", "ruleset")
        assert world.observe([]).foreign == ()
        assert world.seen() == {}
        desired = tunnelled()
        (foreign,) = world.observe(desired).foreign
        assert foreign.key == KEY
        assert "nftables table `ip dataplane` on the host is not ours" in foreign.text
        for verb in (Verb.CREATE, Verb.CHANGE):
            outcome = world.do(verb, underlay_filter())
            assert outcome.is_conflict
            assert "not ours" in str(outcome.error)
        assert world.do(Verb.DELETE, underlay_filter()).error is None
        assert world.driver.underlay_drops() == {}
        assert run("nft", "list", "ruleset") == before
    finally:
        nft.run("delete table ip dataplane")


def test_other_tables_are_left_alone(world: World) -> None:
    """Ours is made and removed beside them."""
    nft.run("add table ip other; add chain ip other c { type filter hook input priority 0; }; add table inet dataplane")
    try:
        before = run("nft", "list", "ruleset")
        converge(world, [underlay_filter()])
        converge(world, [])
        assert run("nft", "list", "ruleset") == before
    finally:
        nft.run("delete table ip other; delete table inet dataplane")


def test_missing_tool_says_which_package(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of the filter alone; a host that wants none, and has none, does not need the tool."""
    monkeypatch.setattr(nft, "_PATH", "/nowhere")
    assert world.seen() == {}
    assert world.driver.underlay_drops() == {}
    outcome = world.do(Verb.CREATE, underlay_filter())
    assert not outcome.is_conflict
    assert "install the package nftables" in str(outcome.error)
    monkeypatch.undo()
    converge(world, [underlay_filter()])
    monkeypatch.setattr(nft, "_PATH", "/nowhere")
    with pytest.raises(HostError, match="install the package nftables"):
        world.seen()


def test_refusal_of_the_tool_is_told_in_its_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of the transaction is done."""
    bad = f"add table ip {nft.TABLE}\nadd rule ip {nft.TABLE} nowhere accept\n"
    monkeypatch.setattr(underlay, "script", lambda wanted, present: bad)
    outcome = world.do(Verb.CREATE, underlay_filter())
    assert "nft refuses: " in str(outcome.error)
    assert "No such file or directory" in str(outcome.error)
    assert not outcome.is_conflict
    assert run("nft", "list", "ruleset") == ""


def test_name_that_stands_for_several_devices_comes_into_no_rule(world: World) -> None:
    """It would let packets in by all of them."""
    for name in ("eth*", 'a"b', "a\\b"):
        assert "cannot stand in a rule" in str(world.do(Verb.CREATE, replace(underlay_filter(), device=name)).error)
    assert run("nft", "list", "ruleset") == ""


def test_ten_thousand_admissions(world: World) -> None:
    """Written, read back, and changed by a hundred; no time is measured."""
    hosts = [IPv4Address(f"172.20.{number // 200}.{1 + number % 200}") for number in range(50)]
    many = frozenset(
        Admission(
            hosts[number % 50],
            1 + number // 50 % 100,
            IPv4Address(167772160 + number * 256),
            IPv4Address(167772160 + number * 256 + (255 if number % 2 else 200)),
        )
        for number in range(10_000)
    )
    wanted = UnderlayFilter(DEVICE, many)
    assert world.do(Verb.CREATE, wanted).error is None
    assert filter_in(world) == wanted
    gone = frozenset(sorted(many)[::100])
    fewer = UnderlayFilter(DEVICE, many - gone)
    for item in (fewer, wanted):
        assert world.do(Verb.CHANGE, item).error is None
        assert filter_in(world) == item
