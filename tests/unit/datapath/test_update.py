"""What is written into the forwarder's maps: only what differs, in an order in which no packet is led astray."""

import random
import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from dataplane.compile.forwarding import compile_forwarding
from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath.forwarding_maps import Entries, Sizes
from dataplane.datapath.update import Content, NoRoomError, Update, update
from dataplane.model.forwarding import (
    Forwarding,
    Group,
    GroupMode,
    Hop,
    How,
    Leaf,
    LeafKind,
    LegState,
    Member,
    Port,
    PortKind,
    Table,
)
from tests.fakes.networks import PEERED, TWO_CIRCUITS, desired

SIZES = Sizes(64, 64, 16, 8, 16, 4)
MAC = "02:00:00:00:00:01"
OTHER_MAC = "02:00:00:00:00:02"
U32 = struct.Struct("=I")
GROUP_BYTES = 8 + 4 * (8 + 256)


def empty(sizes: Sizes = SIZES) -> Content:
    return Content(
        bytes(sizes.legs),
        (bytes(32),) * sizes.hops,
        (0,) * sizes.groups,
        (bytes(8 + sizes.members * 264),) * sizes.groups,
        {},
        (bytes(24),) * sizes.ports,
    )


def rows(entries: Entries) -> Iterator[tuple[bytes, bytes]]:
    if entries.count:
        key, value = len(entries.keys) // entries.count, len(entries.values) // entries.count
        for n in range(entries.count):
            yield entries.keys[n * key : (n + 1) * key], entries.values[n * value : (n + 1) * value]


def steps(content: Content, change: Update) -> Iterator[Content]:
    """The maps after each single write, in the order in which the kernel sees them."""
    for name, entries in change.writes:
        for key, value in rows(entries):
            content = _written(content, name, key, value)
            yield content
    for key in change.deletions:
        content = replace(content, routes={k: v for k, v in content.routes.items() if k != key})
        yield content


def _written(content: Content, name: str, key: bytes, value: bytes) -> Content:
    if name == "dp_fib":
        return replace(content, routes={**content.routes, key: value})
    (place,) = U32.unpack(key)
    if name == "dp_leg":
        return replace(content, legs=content.legs[:place] + value + content.legs[place + 1 :])
    field = {"dp_nexthop": "hops", "dp_group_slot": "groups", "dp_group": "slots", "dp_port": "ports"}[name]
    values = list(getattr(content, field))
    values[place] = U32.unpack(value)[0] if name == "dp_group" else value
    return replace(content, **{field: tuple(values)})


def applied(content: Content, state: Forwarding, sizes: Sizes = SIZES) -> Content:
    *_, last = (content, *steps(content, update(state, sizes, content)))
    return last


def network(mac: str = MAC, hop: int = 1, leg: LegState = LegState.UP) -> Forwarding:
    """A port, a table with a route by a next hop and one by a group of two."""
    other = Hop(hop + 1, How.PEER, 2, 1_000_002, OTHER_MAC, MAC, 1500, leg=2)
    table = Table(
        7,
        "dp-vpc-a",
        "vpc-a/system",
        {
            IPv4Network("10.0.0.0/8"): Leaf(LeafKind.HOP, hop),
            IPv4Network("10.1.0.0/16"): Leaf(LeafKind.GROUP, 1),
            IPv4Network("0.0.0.0/0"): Leaf(LeafKind.PASS, 15),
        },
    )
    group = Group(1, "dp-vpc-a", GroupMode.LOAD_BALANCE, (Member(hop, 1), Member(hop + 1, 2)))
    port = Port(1, 1_000_001, "dp-vpc-a", "dpi1", PortKind.INSTANCE, "instance/a", 7, MAC)
    return Forwarding(
        {1: port},
        {7: table},
        {hop: Hop(hop, How.PEER, 1, 1_000_001, mac, MAC, 1500, leg=1), hop + 1: other},
        {1: group},
        {1: leg, 2: LegState.UP},
        {1: "ri-1", 2: "ri-2"},
    )


def led_to(content: Content, destination: str) -> set[bytes]:
    """The next hops' values that packets to an address could be given, by the longest prefix; each must be whole."""
    best = max(
        (key for key in content.routes if IPv4Network(destination).subnet_of(prefix_of(key))),
        key=lambda key: prefix_of(key).prefixlen,
    )
    leaf = Leaf.of(U32.unpack(content.routes[best])[0])
    assert leaf is not None
    if leaf.kind is LeafKind.HOP:
        return {content.hops[leaf.value]}
    if leaf.kind is LeafKind.GROUP:
        group = content.groups[content.slots[leaf.value]]
        (count,) = U32.unpack_from(group)
        return {content.hops[U32.unpack_from(group, 8 + 8 * n)[0]] for n in range(count)}
    return set()


def chosen(content: Content, group: int) -> set[int]:
    """How packets of each bucket of a group leave, as the program chooses (lib/group.h): numbers of ``How``."""
    value = content.groups[content.slots[group]]
    (count,) = U32.unpack_from(value)
    members = [struct.unpack_from("=II", value, 8 + 8 * n) for n in range(count)]
    found = set()
    for bucket in range(256):
        order = [members[value[8 + 8 * 4 + 4 * bucket + n]] for n in range(count)]
        hop = next((hop for hop, leg in order if content.legs[leg] == LegState.UP), 0)
        found.add(int.from_bytes(content.hops[hop][18:20], "little"))
    return found


def prefix_of(key: bytes) -> IPv4Network:
    return IPv4Network((key[8:12], U32.unpack_from(key)[0] - 32))


def test_a_second_time_nothing_is_written() -> None:
    content = applied(empty(), network())
    again = update(network(), SIZES, content)
    assert again.is_empty
    assert again.words == ()


def test_the_words_count_what_differs() -> None:
    assert update(network(), SIZES, empty()).words == ("2 next hops", "1 group", "3 routes", "1 port")


def test_a_changed_next_hop_is_a_fresh_slot_and_no_packet_meets_half_of_it() -> None:
    """After every single write, packets get the whole old next hop or the whole new one."""
    content = applied(empty(), network())
    old, new = led_to(content, "10.2.0.1/32"), led_to(applied(empty(), network(OTHER_MAC)), "10.2.0.1/32")
    assert old != new
    seen = [led_to(step, "10.2.0.1/32") for step in steps(content, update(network(OTHER_MAC), SIZES, content))]
    assert all(one in (old, new) for one in seen)
    assert seen[-1] == new
    members = [led_to(step, "10.1.0.1/32") for step in steps(content, update(network(OTHER_MAC), SIZES, content))]
    assert all(bytes(32) not in one for one in members)


def test_the_checker_above_sees_a_value_written_in_place() -> None:
    """Red once: the slot that the route leads to is overwritten byte by byte."""
    content = applied(empty(), network())
    old, new = led_to(content, "10.2.0.1/32"), led_to(applied(empty(), network(OTHER_MAC)), "10.2.0.1/32")
    (torn,) = old
    half = replace(content, hops=tuple(bytes(16) + torn[16:] if one == torn else one for one in content.hops))
    assert led_to(half, "10.2.0.1/32") not in (old, new)


@pytest.mark.parametrize("mode", [GroupMode.LOAD_BALANCE, GroupMode.ACTIVE_STANDBY])
def test_r15_a_leg_that_goes_or_comes_takes_no_packet_into_a_blackhole(mode: GroupMode) -> None:
    """After every single write, each bucket of the group leads to a next hop that forwards."""
    active = network()
    active = replace(active, groups={1: replace(active.groups[1], mode=mode)})
    gone = replace(
        active, hops={**active.hops, 1: Hop(1, How.BLACKHOLE, leg=1)}, legs={**active.legs, 1: LegState.GONE}
    )
    content = applied(empty(), active)
    for state in (gone, active, gone, active):
        change = update(state, SIZES, content)
        assert not change.is_empty
        for step in steps(content, change):
            assert chosen(step, 1) == {How.PEER}
        content = applied(content, state)


def test_other_ids_of_the_same_network_are_no_difference() -> None:
    """A lost state file gives next hops other numbers; their slots are known by what is in them."""
    content = applied(empty(), network())
    assert update(network(hop=9), SIZES, content).is_empty


def test_slots_come_free_and_are_used_again() -> None:
    """A hundred changes in maps of sixteen slots."""
    content = applied(empty(), network())
    for turn in range(100):
        content = applied(content, network(f"02:00:00:00:01:{turn:02x}"))
        assert update(network(f"02:00:00:00:01:{turn:02x}"), SIZES, content).is_empty


def test_what_is_gone_is_taken_out_routes_last() -> None:
    content = applied(empty(), network())
    change = update(Forwarding(), SIZES, content)
    assert len(change.deletions) == 3
    assert change.is_replacing
    left = list(steps(content, change))[-1]
    assert (left.routes, set(left.slots), set(left.ports)) == ({}, {0}, {bytes(24)})


def test_new_routes_are_in_before_old_ones_go() -> None:
    """A /8 that becomes two /9: at no moment is an address without a route."""
    halves = network()
    table = halves.tables[7]
    leaf = table.routes[IPv4Network("10.0.0.0/8")]
    routes = {IPv4Network("10.0.0.0/9"): leaf, IPv4Network("10.128.0.0/9"): leaf}
    halves = replace(halves, tables={7: replace(table, routes=routes)})
    content = applied(empty(), network())
    for step in steps(content, update(halves, SIZES, content)):
        assert led_to(step, "10.200.0.1/32")


@pytest.mark.parametrize(
    ("in_the_map", "wanted", "written"),
    [
        (LegState.UP, LegState.UP, None),
        (LegState.DOWN, LegState.DOWN, None),
        (LegState.GONE, LegState.GONE, None),
        (LegState.UP, LegState.DOWN, "first"),
        (LegState.DOWN, LegState.DROPPED, "first"),
        (LegState.DOWN, LegState.GONE, "first"),
        (LegState.DOWN, LegState.UP, "after its groups"),
        (LegState.GONE, LegState.DOWN, "after its groups"),
        (LegState.DROPPED, LegState.UP, "after its groups"),
        (LegState.GONE, LegState.UP, "after its groups"),
        (9, LegState.UP, "after its groups"),
    ],
)
def test_d3_the_map_follows_the_verdicts_that_are_remembered(
    in_the_map: int, wanted: LegState, written: str | None
) -> None:
    """Make before break: what gets worse is written before all else, what gets better once its groups lead to it."""
    content = applied(empty(), network())
    content = replace(content, legs=content.legs[:1] + bytes([in_the_map]) + content.legs[2:])
    change = update(network(leg=wanted), SIZES, content)
    found = [(place, dict(rows(entries))) for place, (name, entries) in enumerate(change.writes) if name == "dp_leg"]
    names = [name for name, _ in change.writes]
    places = {"first": 0, "after its groups": names.index("dp_group") + 1}
    expected = {} if written is None else {places[written]: {U32.pack(1): bytes([wanted])}}
    assert {place: row for place, row in found if row} == expected
    assert change.is_loss == (written == "first")


def test_a_leg_that_goes_with_anything_else_is_no_mere_loss() -> None:
    content = applied(empty(), network())
    assert update(network(leg=LegState.DOWN), SIZES, content).is_loss
    assert not update(network(leg=LegState.DOWN, mac=OTHER_MAC), SIZES, content).is_loss
    assert not update(network(), SIZES, content).is_loss


def test_a_leg_that_nobody_has_is_up_for_whoever_gets_its_number() -> None:
    content = replace(applied(empty(), network()), legs=bytes(9) + bytes([LegState.DOWN]) + bytes(6))
    change = update(network(), SIZES, content)
    assert [dict(rows(entries)) for _, entries in change.writes if entries.count] == [{U32.pack(9): b"\0"}]


@pytest.mark.parametrize(
    "sizes",
    [
        replace(SIZES, ports=1),
        replace(SIZES, routes=2),
        replace(SIZES, hops=2),
        replace(SIZES, groups=1),
        replace(SIZES, legs=2),
        replace(SIZES, members=1),
    ],
    ids=["ports", "routes", "hops", "groups", "legs", "members"],
)
def test_a_map_that_is_too_small_is_said_before_anything_is_written(sizes: Sizes) -> None:
    with pytest.raises(NoRoomError):
        update(network(), sizes, empty(sizes))


def test_old_and_new_must_have_room_together() -> None:
    """Two slots free of three: a change of both next hops has none left."""
    sizes = replace(SIZES, hops=4)
    content = applied(empty(sizes), network(), sizes)
    assert not update(network(OTHER_MAC), sizes, content).is_empty
    both = network(OTHER_MAC)
    both = replace(both, hops={number: replace(hop, mtu=1400) for number, hop in both.hops.items()})
    with pytest.raises(NoRoomError, match="dp_nexthop"):
        update(both, sizes, content)


def test_from_any_network_to_any_other_what_is_in_the_maps_is_that_network() -> None:
    """Whole configurations, one after the other in one set of maps: as if each had been written into empty ones."""
    suspended = PEERED.replace("vpc: vpc-1}", "vpc: vpc-1, state: suspended}", 1)
    texts = [PEERED, TWO_CIRCUITS, PEERED.replace("192.168.1.10", "192.168.1.20"), suspended]
    states = [compile_forwarding(desired(text)) for text in texts]
    sizes = Sizes(256, 1024, 128, 32, 64, 4)
    chance = random.Random(5)
    content = empty(sizes)
    for _ in range(30):
        state = chance.choice(states)
        content = applied(content, state, sizes)
        assert update(state, sizes, content).is_empty
        fresh = applied(empty(sizes), state, sizes)
        assert content.routes.keys() == fresh.routes.keys()
        assert content.ports == fresh.ports
        keys = [maps.fib_key(table.id, prefix) for table in state.tables.values() for prefix in table.routes]
        assert [whole(content, key) for key in keys] == [whole(fresh, key) for key in keys]


def whole(content: Content, key: bytes) -> object:
    """What a route says, with the contents of what it leads to in the place of slots."""
    leaf = Leaf.of(U32.unpack(content.routes[key])[0])
    assert leaf is not None
    if leaf.kind is LeafKind.HOP:
        return content.hops[leaf.value]
    if leaf.kind is LeafKind.GROUP:
        group = content.groups[content.slots[leaf.value]]
        (count,) = U32.unpack_from(group)
        members = [content.hops[U32.unpack_from(group, 8 + 8 * n)[0]] for n in range(count)]
        return (count, members, group[8 + 8 * 4 :])
    return leaf
