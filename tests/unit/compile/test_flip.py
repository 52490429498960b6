"""A flip's short way: it comes to what the compiler comes to, and touches nothing but places (R50, R51, D2)."""

import random
from dataclasses import replace

import pytest

from dataplane.compile.compiler import compile_network
from dataplane.compile.flip import flipped
from dataplane.config import Loaded
from dataplane.model.desired import Desired
from dataplane.model.ids import IdBook
from dataplane.model.kernel import Nexthop, NexthopGroup
from dataplane.model.leg import CAUSES, LegVerdict, LegVerdicts, LegWord
from dataplane.plan.planner import make_plan
from tests.fakes.circuits import Circuits
from tests.fakes.networks import TWO_CIRCUITS, network
from tests.fakes.random_networks import Choices, plain_network, text_of

AT = "2026-01-01T00:00:00+00:00"
KINDS = (Nexthop, NexthopGroup)


def drawn(chance: random.Random, loaded: Loaded) -> LegVerdicts:
    """Verdicts on some legs, by hands and by health checks, up and down."""
    words: tuple[LegWord, ...] = ("up", "down", "down")
    legs = loaded.network.router_interfaces
    some = [(leg, cause) for leg in legs for cause in CAUSES if chance.random() < 0.5]
    return LegVerdicts({(leg, cause): LegVerdict(chance.choice(words), cause, AT) for leg, cause in some})


def compiled(loaded: Loaded, book: IdBook, verdicts: LegVerdicts) -> Desired:
    return compile_network(loaded, book, {}, verdicts=verdicts, is_probing=True)


def texts(chance: random.Random) -> str:
    """A network whose routes have several legs, mostly."""
    kind = chance.randrange(4)
    if kind == 0:
        return text_of(plain_network(Choices().again(chance, 1.0), {}))
    if kind == 1:
        return TWO_CIRCUITS
    count = chance.randint(2, 4)
    some = [frozenset(n for n in range(count) if chance.random() < 0.3) for _ in range(2)]
    return Circuits(count, "active_standby" if count == 2 and chance.random() < 0.5 else "load_balance", *some).text


@pytest.mark.parametrize("seed", range(60))
def test_it_comes_to_what_the_compiler_comes_to(seed: int) -> None:
    """From any verdicts to any others, several times in a row."""
    chance = random.Random(seed)
    loaded = network(texts(chance))
    state = compiled(loaded, IdBook(), drawn(chance, loaded))
    for _ in range(4):
        verdicts = drawn(chance, loaded)
        found = flipped(state, loaded, "", verdicts)
        whole = compiled(loaded, state.book, verdicts)
        assert dict(found.desired.wanted) == dict(whole.wanted)
        shown = {"declared": (), "notes": (), "used": frozenset(), "wanted": {}}
        assert replace(found.desired, **shown) == replace(whole, **shown)
        there = {key: wish.object for key, wish in state.wanted.items()}
        planned = (one for one in make_plan(whole.wanted, there).actions if isinstance(one.object, KINDS))
        short = make_plan(found.after, found.before).actions
        assert [(one.verb, one.object, one.before) for one in short] == [
            (one.verb, one.object, one.before) for one in planned
        ]
        state = found.desired


@pytest.mark.parametrize("count", [2, 3, 4])
def test_r51_one_leg_down_changes_its_places_and_no_group(count: int) -> None:
    loaded = network(Circuits(count).text)
    state = compiled(loaded, IdBook(), LegVerdicts())
    down = LegVerdicts({("ri-a0", "health"): LegVerdict("down", "health", AT)})
    found = flipped(state, loaded, "", down)
    actions = make_plan(found.after, found.before).actions
    assert [type(one.object) for one in actions] == [Nexthop] * {2: 1, 3: 2, 4: 6}[count]
    assert make_plan(found.after, {key: wish.object for key, wish in found.after.items()}).actions == ()
