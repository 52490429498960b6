"""Legs that are down: the kernel's groups and the forwarder's take the same ones, whatever is down (R50, R51, D2).

Both sides are read back here from what the compiler made, each in its own terms: the kernel's places by the interface
that they lead to, the forwarder's buckets by the states of their legs.
"""

import random
from collections import Counter
from itertools import product

import pytest

from dataplane.compile.adopt import adopted_book
from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarding import compile_forwarding
from dataplane.compile.leg import GroupName
from dataplane.config.network import Network
from dataplane.model import names
from dataplane.model.buckets import bucket_orders
from dataplane.model.desired import Desired
from dataplane.model.forwarding import Forwarding, Group, LegState
from dataplane.model.ids import IdBook
from dataplane.model.kernel import ForwarderState, KernelRoute, Nexthop, NexthopGroup, Veth
from dataplane.model.leg import Cause, LegVerdict, LegVerdicts, LegWord
from dataplane.plan.action import Verb
from dataplane.plan.planner import make_plan
from tests.fakes.circuits import Circuits
from tests.fakes.networks import TWO_CIRCUITS, network
from tests.fakes.random_networks import Choices, plain_network, text_of

AT = "2026-01-01T00:00:00+00:00"


def saying(*down: str, cause: Cause = "hand", state: LegWord = "down") -> LegVerdicts:
    return LegVerdicts({(leg, cause): LegVerdict(state, cause, AT) for leg in down})


def compiled(circuits: Circuits, down: frozenset[int] = frozenset(), book: IdBook | None = None) -> Desired:
    verdicts = saying(*(circuits.legs[n] for n in down))
    return compile_network(network(circuits.text), book or IdBook(), {}, verdicts=verdicts)


def kernel_uses(desired: Desired, group: NexthopGroup, declared: Network) -> list[str]:
    """The router interface behind each member of the kernel's group; empty text for a blackhole."""
    behind = {}
    for wish in desired.wanted.values():
        if isinstance(wish.object, Veth):
            for end in wish.object.ends:
                behind[end.namespace, end.ifname] = end.ifindex - names.IFINDEX_BASE
    ports = {number: name for (kind, name), number in desired.book.numbers.items() if kind == "port"}
    found = []
    for number, weight in group.members:
        assert weight == 1
        place = desired.wanted["nexthop", group.namespace, number].object
        assert isinstance(place, Nexthop)
        if place.ifname is None:
            found.append("")
            continue
        _, connection, role = ports[behind[group.namespace, place.ifname]].split("/")
        found.append(getattr(declared.peering_connections[connection], role).router_interface)
    return found


def forwarder_uses(state: Forwarding, group: Group) -> list[str]:
    """The router interface that each bucket takes, as the C says it: the first up, else the first down."""
    found = []
    for order in bucket_orders(group):
        best = ""
        for wanted in (0, 1):
            for place in order:
                member = group.members[place]
                if int(state.legs[member.leg]) == wanted and not best:
                    best = state.leg_names[member.leg]
        found.append(best)
    return found


def both(desired: Desired, declared: Network) -> list[tuple[GroupName, list[str], list[str]]]:
    """Of every group, what the kernel's members and the forwarder's buckets lead to."""
    state = compile_forwarding(desired)
    groups = {number: name for (kind, name), number in desired.book.numbers.items() if kind == "group"}
    found = []
    for wish in desired.wanted.values():
        if isinstance(wish.object, NexthopGroup):
            number = names.parse_group_number(wish.object.id)
            assert number is not None
            if number not in state.groups:
                continue  # a table that no port looks up
            fast = forwarder_uses(state, state.groups[number])
            found.append((GroupName.of(groups[number]), kernel_uses(desired, wish.object, declared), fast))
    return found


CASES = [
    Circuits(count, mode, frozenset(suspended), frozenset(dropping))
    for count, mode in ((2, "active_standby"), (2, "load_balance"), (3, "load_balance"), (4, "load_balance"))
    for suspended in ((), (0,), (1,), tuple(range(count)))
    for dropping in ((), (0,), (count - 1,), tuple(range(count)))
]


@pytest.mark.parametrize("circuits", CASES, ids=repr)
def test_both_paths_take_the_same_legs_whatever_is_down(circuits: Circuits) -> None:
    """All states of all legs: also with nobody left, and with legs that are not even a last resort (D2)."""
    loaded = network(circuits.text).network
    for bits in product((False, True), repeat=circuits.count):
        down = frozenset(n for n, is_down in enumerate(bits) if is_down)
        ((name, slow, fast),) = both(compiled(circuits, down), loaded)
        assert set(slow) == set(fast), (bits, slow, Counter(fast))
        forwarding = [n for n in range(circuits.count) if n not in circuits.suspended]
        up = [n for n in forwarding if n not in down]
        expected = up or [n for n in forwarding if n not in circuits.dropping]
        if name.mode == "active_standby":
            expected = expected[:1]
        assert set(slow) == ({circuits.legs[n] for n in expected} or {""})
        shares = Counter(slow)
        assert len(set(shares.values())) == 1, "the kernel shares evenly (R51)"


@pytest.mark.parametrize("seed", range(60))
def test_both_paths_take_the_same_legs_of_random_networks(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(3):
        text = text_of(plain_network(Choices().again(chance, 1.0), {})) if seed % 2 else circuits_of(chance).text
        loaded = network(text)
        interfaces = list(loaded.network.router_interfaces)
        down = saying(*(leg for leg in interfaces if chance.random() < 0.5))
        for _, slow, fast in both(compile_network(loaded, IdBook(), {}, verdicts=down), loaded.network):
            assert set(slow) == set(fast)


def circuits_of(chance: random.Random) -> Circuits:
    count = chance.randint(2, 4)
    some = [frozenset(n for n in range(count) if chance.random() < 0.3) for _ in range(2)]
    return Circuits(count, chance.choice(["load_balance", "active_standby"]) if count == 2 else "load_balance", *some)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_r51_a_flip_changes_the_places_of_the_leg_and_nothing_else(count: int) -> None:
    """And back again: no group, no route, no rule; the flows of the others keep their places."""
    circuits = Circuits(count)
    before = compiled(circuits)
    after = compiled(circuits, frozenset({0}), before.book)
    there = {key: wish.object for key, wish in before.wanted.items()}
    planned = make_plan(after.wanted, there).actions
    actions = [action for action in planned if not isinstance(action.object, ForwarderState)]
    assert len(planned) == len(actions) + 1, "and one store in the fast path"
    assert {type(action.object) for action in actions} == {Nexthop}
    assert {action.verb for action in actions} == {Verb.CHANGE}
    assert len(actions) == {2: 1, 3: 2, 4: 6}[count]
    assert all(names.parse_group_number(action.object.key[2]) for action in actions)
    (group,) = [item for item in there.values() if isinstance(item, NexthopGroup)]
    declared = network(circuits.text).network
    was, now = kernel_uses(before, group, declared), kernel_uses(after, group, declared)
    moved = [new for old, new in zip(was, now, strict=True) if old != new]
    kept = [old for old, new in zip(was, now, strict=True) if old == new]
    assert "ri-a0" not in kept and set(moved) == set(circuits.legs[1:])
    assert len(set(Counter(moved).values())) == 1, "those who stay share the load of the one that goes"
    assert compiled(circuits, book=after.book).wanted == before.wanted


def test_an_agent_without_memory_numbers_legs_and_groups_beside_those_that_are_there() -> None:
    """Places have numbers far above those of legs, which are dense: a leg's is its place in the map."""
    there = [wish.object for wish in compiled(Circuits(4)).wanted.values()]
    floor = adopted_book(there).floor
    legs = [item.id for item in there if isinstance(item, Nexthop) and names.parse_group_number(item.id) is None]
    assert (floor["leg"], floor["group"]) == (max(legs), 1) == (8, 1)
    places = [item for item in there if isinstance(item, Nexthop) and item.id not in legs]
    assert len(places) == 24 and adopted_book(places).floor["group"] == 1
    ids = {names.place_number(group, place) for group in range(1, 40) for place in range(names.PLACES)}
    assert len(ids) == 39 * names.PLACES
    assert {names.parse_group_number(number) for number in ids} == set(range(1, 40))
    assert names.parse_group_number(names.group_number(7)) == 7


def test_r49_general_routing_has_no_other_leg_and_changes_nothing() -> None:
    circuits = Circuits(2)
    before = compiled(circuits)
    after = compiled(circuits, frozenset({0}), before.book)
    routes = [
        {key: wish.object for key, wish in one.wanted.items() if isinstance(wish.object, KernelRoute)}
        for one in (before, after)
    ]
    assert routes[0] == routes[1]
    leg = before.book.numbers["leg", "ri-a0"]
    assert before.wanted["nexthop", "dp-vpc-vpc-a", leg].object == after.wanted["nexthop", "dp-vpc-vpc-a", leg].object
    declared = {str(item.resource): (item.state, item.reason) for item in after.declared}
    assert declared["route vpc-a/system/10.9.0.0/16"] == ("Available", "")
    states = compile_forwarding(after).legs
    assert {compile_forwarding(after).leg_names[leg]: state for leg, state in states.items() if state} == {
        "ri-a0": LegState.DOWN
    }


def test_d1_a_verdict_of_health_counts_and_the_hand_wins() -> None:
    verdicts = saying("ri-a1", cause="health")
    assert verdicts.is_down("ri-a1") and not verdicts.is_down("ri-a2")
    forced = verdicts.saying("ri-a1", LegVerdict("up", "hand", AT))
    assert not forced.is_down("ri-a1")
    assert forced.without("ri-a1", "hand") == verdicts
    assert forced.saying("ri-a1", LegVerdict("up", "hand", "later")) is forced, "since when stays"
    assert forced.keep(["ri-a2"]) == LegVerdicts()


def test_the_words_of_a_leg_that_is_down() -> None:
    """In the notes, at the connection, at its health check; and loudly where all legs are (D2)."""
    one = compile_network(network(TWO_CIRCUITS), IdBook(), {}, verdicts=saying("ri-a1"))
    declared = {str(item.resource): item for item in one.declared}
    since = f"ri-a1 is down by hand since {AT}"
    assert f"leg {since}: `dataplane datapath leg ri-a1 auto` takes that back" in one.notes
    assert (declared["peering_connection pcx-1"].state, declared["peering_connection pcx-1"].reason) == (
        "Active",
        f"leg {since}",
    )
    assert declared["health_check pcx-1"].reason == f"its leg {since}"
    all_down = compile_network(network(TWO_CIRCUITS), IdBook(), {}, verdicts=saying("ri-a1", "ri-a2"))
    assert any("are down: ri-a1 is used as if it were up (D2)" in note for note in all_down.notes)
    dropping = TWO_CIRCUITS.replace("destination: 10.10.10.2}", "destination: 10.10.10.2, on_all_down: drop}").replace(
        "destination: 10.10.11.2}", "destination: 10.10.11.2, on_all_down: drop}"
    )
    none = compile_network(network(dropping), IdBook(), {}, verdicts=saying("ri-a1", "ri-a2"))
    assert any("its traffic is dropped: on_all_down is drop (D2)" in note for note in none.notes)
    (route,) = [item for item in none.declared if str(item.resource).startswith("route vpc-a/system/172.16")]
    assert route.state == "Blackhole" and since in route.reason
