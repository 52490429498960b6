"""What is not ours is named and never changed; only the resource that it stands in the way of waits."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from dataplane.errors import BugError, ConflictError
from dataplane.kernel import netns
from dataplane.model import names
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    RouteType,
    Rule,
    Sysctl,
    Veth,
)
from dataplane.plan.action import Action, Verb
from tests.netns.objects import ROUTER_A, SYSTEM, World, gateway, instance, router, run

VIA = names.TRANSIT_NEIGHBOUR


def _texts(world: World, desired: list[KernelObject]) -> dict[object, str]:
    return {foreign.key: foreign.text for foreign in world.observe(desired).foreign}


def _state(namespace: str) -> str:
    """All that `ip` shows of a namespace, to find that nothing changed."""
    what = (["addr"], ["rule"], ["route", "show", "table", "all"], ["neigh", "show", "nud", "permanent"], ["nexthop"])
    return "".join(run("ip", "-n", namespace, *words) for words in what)


def test_namespace_without_our_mark_is_foreign_and_untouched(world: World) -> None:
    """Name and mark together make a namespace ours: one of somebody else's under our name is left alone."""
    world.foreign_namespace(ROUTER_A)
    run("ip", "-n", ROUTER_A, "route", "add", "blackhole", "203.0.113.0/24")
    before = _state(ROUTER_A)
    desired = router(ROUTER_A)
    assert list(_texts(world, desired)) == [("namespace", ROUTER_A)]
    assert world.seen(desired) == {}
    actions = [Action(verb, item) for verb in Verb for item in desired]
    for outcome in world.driver.perform(actions):
        assert outcome.is_conflict, outcome
        assert outcome.error is not None
        assert f"/run/netns/{ROUTER_A} " in outcome.error
    assert _state(ROUTER_A) == before


def test_file_under_our_name_is_foreign(world: World) -> None:
    """A file with something in it is nobody's namespace, and not the residue of a crash either."""
    path = Path("/run/netns", ROUTER_A)
    path.write_text("notes")
    try:
        (outcome,) = world.driver.perform([Action(Verb.CREATE, router(ROUTER_A)[0])])
        assert outcome.is_conflict
        assert list(_texts(world, router(ROUTER_A))) == [("namespace", ROUTER_A)]
        with pytest.raises(ConflictError, match="does not carry our mark"):
            netns.delete(ROUTER_A)
        assert path.read_text() == "notes"
    finally:
        path.unlink()


def test_foreign_namespaces_elsewhere_are_not_even_looked_at(world: World) -> None:
    """A namespace with another name, whatever is in it, is of no concern unless something is attached to it."""
    world.foreign_namespace("web")
    run("ip", "-n", "web", "route", "add", "blackhole", "203.0.113.0/24", "proto", str(names.ROUTE_PROTOCOL))
    observation = world.observe()
    assert observation.objects == {}
    assert observation.foreign == ()


FOREIGN = {
    "route": (
        ["route", "add", "blackhole", "203.0.113.0/24", "table", str(SYSTEM)],
        KernelRoute(ROUTER_A, SYSTEM, IPv4Network("203.0.113.0/24"), RouteType.PROHIBIT),
    ),
    "rule": (
        ["rule", "add", "pref", "150", "iif", "lo", "lookup", str(SYSTEM)],
        Rule(ROUTER_A, 150, SYSTEM, iif="lo"),
    ),
    "nexthop": (["nexthop", "add", "id", "7", "blackhole"], Nexthop(ROUTER_A, 7, "dpi1", VIA)),
    "address": (["addr", "add", "192.0.2.1/32", "dev", "lo"], Address(ROUTER_A, "lo", IPv4Interface("192.0.2.1/32"))),
    "neighbour": (
        ["neigh", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:09", "dev", "dpi1", "nud", "permanent"],
        Neighbour(ROUTER_A, "dpi1", IPv4Address("192.0.2.9"), "02:00:00:00:00:08"),
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_object_in_our_place_is_named_and_kept(world: World, kind: str) -> None:
    """Of every kind: it is reported for its key, the creation is a conflict that names it, and it stays as it was."""
    command, wanted = FOREIGN[kind]
    desired = [*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10)]
    world.create(desired)
    assert _texts(world, [*desired, wanted]) == {}
    run("ip", "-n", ROUTER_A, *command)
    before = _state(ROUTER_A)
    texts = _texts(world, [*desired, wanted])
    assert list(texts) == [wanted.key]
    assert f"{ROUTER_A}: " in texts[wanted.key]
    assert "not ours" in texts[wanted.key]
    assert wanted.key not in world.seen([wanted])
    outcome = world.do(Verb.CREATE, wanted)
    if kind == "rule":  # the kernel keeps equal rules of two owners apart: ours is made, and goes alone
        assert world.seen()[wanted.key] == wanted
        assert world.do(Verb.DELETE, wanted).error is None
    else:
        assert outcome.is_conflict
        assert outcome.error is not None
        assert "not ours" in outcome.error
    assert _state(ROUTER_A) == before
    if kind not in ("route", "rule", "address"):  # those that decide for a whole router, wherever they stand
        assert _texts(world, desired) == {}  # of no concern to those who do not want its place


STRAYS = {
    "a rule before all of ours": (["rule", "add", "pref", "5", "lookup", "77"], True),
    "a rule that looks nothing up": (["rule", "add", "pref", "6", "blackhole"], True),
    "a rule for marked packets": (["rule", "add", "pref", "7", "fwmark", "1", "lookup", "77"], True),
    "a route in a table that rules lead to": (["route", "add", "blackhole", "0.0.0.0/1", "table", str(SYSTEM)], True),
    "a route in the main table, which no rule leads to": (["route", "add", "blackhole", "203.0.113.0/24"], False),
    "an address, which takes what is sent to it": (["addr", "add", "203.0.113.1/24", "dev", "lo"], True),
}


@pytest.mark.parametrize("stray", STRAYS)
def test_what_decides_beside_ours_in_a_router_is_named_and_kept(world: World, stray: str) -> None:
    """It stands in nobody's place and takes the packets all the same: said, so that `status` is not healthy."""
    command, is_said = STRAYS[stray]
    desired = [*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10)]
    world.create(desired)
    assert _texts(world, desired) == {}
    run("ip", "-n", ROUTER_A, *command)
    before = _state(ROUTER_A)
    texts = list(_texts(world, desired).values())
    assert len(texts) == is_said
    assert all("is not ours and decides" in text and ROUTER_A in text for text in texts)
    assert {item.key for item in desired} <= set(world.seen(desired))
    assert _state(ROUTER_A) == before


def test_address_with_another_mask_is_in_the_way(world: World) -> None:
    """The place of an address is the address, whatever its mask and interface."""
    world.create(router(ROUTER_A))
    run("ip", "-n", ROUTER_A, "addr", "add", "192.0.2.1/24", "dev", "lo")
    wanted = Address(ROUTER_A, "lo", IPv4Interface("192.0.2.1/32"))
    assert list(_texts(world, [wanted])) == [wanted.key]


@pytest.mark.parametrize("clash", ["name", "ifindex"])
def test_foreign_link_in_our_place(world: World, clash: str) -> None:
    """An interface that has our name, or our number, is named in the conflict; the pair is not made."""
    desired = [*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10)]
    pair = next(item for item in desired if isinstance(item, Veth))
    world.create(item for item in desired if isinstance(item, Namespace))
    taken = ["dpi1", "index", "77"] if clash == "name" else ["other", "index", str(names.port_ifindex(1))]
    run("ip", "-n", ROUTER_A, "link", "add", "name", *taken, "type", "bridge")
    texts = _texts(world, desired)
    assert list(texts) == [pair.key]
    assert f"interface {taken[0]} " in texts[pair.key]
    outcome = world.do(Verb.CREATE, pair)
    assert outcome.is_conflict
    assert outcome.error is not None
    assert f"interface {taken[0]} " in outcome.error
    assert pair.key not in world.seen(desired)
    assert taken[0] in run("ip", "-n", ROUTER_A, "link", "show", "type", "bridge")


def test_another_link_under_a_known_number_is_not_deleted(world: World) -> None:
    """Between plan and deletion the link was replaced by somebody's: number alone is no identity."""
    desired = [*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10)]
    pair = next(item for item in desired if isinstance(item, Veth))
    world.create(item for item in desired if isinstance(item, Namespace))
    run("ip", "-n", ROUTER_A, "link", "add", "dpi1", "index", str(names.port_ifindex(1)), "type", "veth", "peer", "x")
    run("ip", "-n", ROUTER_A, "link", "set", "dpi1", "alias", "mine")
    assert world.do(Verb.DELETE, pair).error is None
    assert "dpi1" in run("ip", "-n", ROUTER_A, "link", "show", "type", "veth")


def test_links_of_others_in_a_used_group_survive_a_deletion(world: World) -> None:
    """Several links are deleted as a group: its number is one that nobody's link has."""
    desired = [*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10), *instance(ROUTER_A, 11, 11)]
    world.create(desired)
    run("ip", "-n", ROUTER_A, "link", "add", "other", "type", "veth", "peer", "name", "other2")
    run("ip", "-n", ROUTER_A, "link", "set", "other", "group", str(0x6470))
    pairs = [item for item in desired if isinstance(item, Veth)]
    outcomes = world.driver.perform([Action(Verb.DELETE, pair) for pair in pairs])
    assert [outcome.error for outcome in outcomes] == [None, None]
    shown = run("ip", "-n", ROUTER_A, "link")
    assert "other" in shown
    assert "dpi" not in shown


def test_errors_carry_names(world: World) -> None:
    """Object, namespace, errno and the kernel's own words are all in the sentence; the others are done all the same."""
    world.create([*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10)])
    good = KernelRoute(ROUTER_A, SYSTEM, IPv4Network("203.0.113.0/24"), RouteType.BLACKHOLE)
    bad = replace(good, destination=IPv4Network("198.51.100.0/24"), type=RouteType.UNICAST, nexthop=4711)
    lost = replace(bad, nexthop=None, ifname="dpi99")
    gone = replace(good, namespace="dp-vpc-gone")
    outcomes = world.driver.perform([Action(Verb.CREATE, item) for item in (bad, lost, gone, good)])
    words = [outcome.error for outcome in outcomes]
    assert words[0] == (
        f"cannot create {ROUTER_A}: route 198.51.100.0/24 nhid 4711 table {SYSTEM}: EINVAL: Nexthop id does not exist"
    )
    assert words[1] is not None
    assert "dpi99" in words[1]
    assert words[2] is not None
    assert "there is no namespace dp-vpc-gone" in words[2]
    assert words[3] is None
    assert not any(outcome.is_conflict for outcome in outcomes)
    assert world.seen()[good.key] == good


def test_names_that_are_not_ours_reach_no_path(world: World) -> None:
    """Deletion unlinks a file: a name that was not checked is our own mistake, and nothing happens."""
    del world
    for name in ("web", "../etc/passwd", "dp-../x", "", ".."):
        with pytest.raises(BugError):
            netns.delete(name)


def test_unknown_sysctl_is_an_error_that_names_it(world: World) -> None:
    """A kernel that lacks a setting says so with the setting's name."""
    world.create(router(ROUTER_A))
    outcome = world.do(Verb.CREATE, Sysctl(ROUTER_A, "net/ipv4/no_such_thing", "1"))
    assert outcome.error is not None
    assert "net.ipv4.no_such_thing = 1" in outcome.error
    assert ROUTER_A in outcome.error
