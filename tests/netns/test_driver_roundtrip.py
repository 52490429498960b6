"""What is created is observed as it was asked for, for every kind: the second apply has nothing to do."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from dataplane.model import names
from dataplane.model.kernel import (
    Address,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    RouteType,
    Rule,
    Sysctl,
    Veth,
)
from dataplane.plan.action import Action, Verb
from tests.netns.objects import (
    ANY,
    ROUTER_A,
    ROUTER_B,
    SYSTEM,
    World,
    by_key,
    default_rules,
    inside,
    peering,
    run,
)


def test_second_observe_equals_desired(world: World) -> None:
    """kernel.md, sections 1 to 3: all kinds at once; only the kernel's own rules are more than asked for."""
    desired = peering()
    world.create(desired)
    extra = by_key([*default_rules(ROUTER_A), *default_rules(ROUTER_B)])
    observation = world.observe(desired)
    assert dict(observation.objects) == by_key(desired) | extra
    assert observation.foreign == ()


def test_without_desired_all_but_sysctls_is_seen(world: World) -> None:
    """A restarted agent with an empty memory recognises everything of ours (what is ours needs no configuration)."""
    desired = [item for item in peering() if not isinstance(item, Sysctl)]
    world.create(peering())
    seen = world.seen()
    pairs = {item.mark: {end.ifindex for end in item.ends} for item in seen.values() if isinstance(item, Veth)}
    wanted = {item.mark: {end.ifindex for end in item.ends} for item in desired if isinstance(item, Veth)}
    assert pairs == wanted
    assert by_key(desired).keys() <= seen.keys()


def test_creating_twice_is_fine(world: World) -> None:
    """An action that was done already (an interrupted apply) is success, for every kind."""
    desired = peering()
    world.create(desired)
    before = world.seen(desired)
    world.create(desired)
    assert world.seen(desired) == before


def test_deleting_everything_twice_is_fine(world: World) -> None:
    """Deletions in reverse leave nothing; deleting what is gone is success, for every kind."""
    desired = peering()
    world.create(desired)
    for _ in range(2):
        outcomes = world.driver.perform([Action(Verb.DELETE, item) for item in reversed(desired)])
        assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert world.seen() == {}


@pytest.mark.parametrize("kind", [Address, Neighbour, Nexthop, NexthopGroup, KernelRoute, Rule, Veth])
def test_deleting_one_kind_leaves_the_others(world: World, kind: type) -> None:
    """Only what is named goes (a veth takes its addresses, neighbours, routes and next hops along)."""
    desired = peering()
    world.create(desired)
    doomed = [item for item in desired if type(item) is kind]
    for verb in (Verb.DELETE, Verb.DELETE):
        outcomes = world.driver.perform([Action(verb, item) for item in doomed])
        assert [outcome.error for outcome in outcomes if outcome.error] == []
    seen = world.seen(desired)
    assert not by_key(doomed).keys() & seen.keys()
    takes_along = {
        Veth: (Sysctl, Address, Neighbour, Nexthop, NexthopGroup, KernelRoute),
        Address: (KernelRoute, Neighbour),  # routes from that address; with the last one all neighbours of the link
        Nexthop: (NexthopGroup, KernelRoute),
        NexthopGroup: (KernelRoute,),
    }.get(kind, ())
    staying = by_key(item for item in desired if type(item) is not kind and not isinstance(item, takes_along))
    assert staying.items() <= seen.items()


@pytest.mark.parametrize("route_type", [RouteType.UNREACHABLE, RouteType.BLACKHOLE, RouteType.PROHIBIT])
def test_route_types_and_their_replacement(world: World, route_type: RouteType) -> None:
    """kernel.md, section 2: a route's type is changed in place, and back."""
    world.create(peering())
    first = KernelRoute(ROUTER_A, SYSTEM, IPv4Network("203.0.113.0/24"), RouteType.UNICAST, nexthop=1)
    second = replace(first, type=route_type, nexthop=None)
    assert world.do(Verb.CREATE, first).error is None
    for before, after in ((first, second), (second, first)):
        assert world.do(Verb.CHANGE, after, before).error is None
        assert world.seen()[first.key] == after


def test_change_creates_what_vanished_meanwhile(world: World) -> None:
    """A link that went down took the route along between observe and perform: the change still ends as asked."""
    world.create(peering())
    wanted = KernelRoute(ROUTER_A, SYSTEM, IPv4Network("203.0.113.0/24"), RouteType.BLACKHOLE)
    assert world.do(Verb.CHANGE, wanted, replace(wanted, type=RouteType.PROHIBIT)).error is None
    assert world.seen()[wanted.key] == wanted


def test_closing_route_survives_the_deletion_of_an_absent_default(world: World) -> None:
    """kernel.md, section 2: the kernel reads metric 0 as any metric; the table must stay closed all the same."""
    world.create(peering())
    closing = KernelRoute(ROUTER_A, SYSTEM, ANY, RouteType.UNREACHABLE, metric=names.MAX_METRIC)
    absent = KernelRoute(ROUTER_A, SYSTEM, ANY, nexthop=1)
    for default in (absent, replace(absent, nexthop=None, type=RouteType.BLACKHOLE)):
        assert world.do(Verb.DELETE, default).error is None
        assert world.seen()[closing.key] == closing


def test_route_that_went_with_its_next_hop_is_gone(world: World) -> None:
    """The kernel takes a next hop's routes along, and then refuses to hear of them (EINVAL): deleted is deleted."""
    world.create(peering())
    leg = Nexthop(ROUTER_A, 3, "dpr21", names.TRANSIT_NEIGHBOUR)
    wanted = KernelRoute(ROUTER_A, SYSTEM, IPv4Network("203.0.113.0/24"), nexthop=3)
    world.create([leg, wanted])
    for item in (leg, wanted):
        assert world.do(Verb.DELETE, item).error is None


def test_veth_changes_in_place(world: World) -> None:
    """MTU, admin state and MAC of either end change without a new link."""
    desired = peering()
    world.create(desired)
    before = next(item for item in desired if isinstance(item, Veth))
    assert before.a is not None
    assert before.b is not None
    after = replace(
        before,
        mtu=1400,
        a=replace(before.a, up=False),
        b=replace(before.b, mac="02:aa:bb:cc:dd:ee"),
    )
    for old, new in ((before, after), (after, before)):
        assert world.do(Verb.CHANGE, new, old).error is None
        assert world.seen(desired)[before.key] == new


def test_equal_mac_is_not_set_again(world: World) -> None:
    """Setting a MAC, even the same one, flushes the neighbours of the link: a change of MTU must not."""
    desired = peering()
    world.create(desired)
    before = next(item for item in desired if isinstance(item, Veth))
    world.do(Verb.CHANGE, replace(before, mtu=1400), before)
    neighbours = by_key(item for item in desired if isinstance(item, Neighbour))
    assert neighbours.items() <= world.seen(desired).items()


def test_default_rules_of_a_router_go_and_stay_away(world: World) -> None:
    """kernel.md, section 2: rules 32766 and 32767 are shown as ours in a router, and can be deleted."""
    desired = peering()
    world.create(desired)
    outcomes = world.driver.perform([Action(Verb.DELETE, rule) for rule in default_rules(ROUTER_A)])
    assert [outcome.error for outcome in outcomes] == [None, None]
    seen = world.seen(desired)
    assert not by_key(default_rules(ROUTER_A)).keys() & seen.keys()
    assert by_key(default_rules(ROUTER_B)).keys() <= seen.keys()
    assert run("ip", "-n", ROUTER_A, "rule").splitlines() == [
        "0:\tfrom all lookup local",
        f"200:\tfrom all lookup {SYSTEM} proto {names.ROUTE_PROTOCOL}",
    ]


def test_rules_with_all_selectors(world: World) -> None:
    """kernel.md, sections 2 and 4: by ingress port, and by source and destination of a probe."""
    world.create(peering())
    rules = [
        Rule(ROUTER_A, 150, SYSTEM, iif="dpi1"),
        Rule(ROUTER_A, 150, SYSTEM, iif="dpi99"),
        Rule(ROUTER_A, 50, SYSTEM, "lo", IPv4Network("192.168.10.1/32"), IPv4Network("10.10.10.2/32")),
        Rule(ROUTER_A, 60, SYSTEM, None, IPv4Network("192.168.0.0/16")),
    ]
    world.create(rules)
    assert by_key(rules).items() <= world.seen().items()
    for rule in rules:
        assert world.do(Verb.DELETE, rule).error is None
    assert not by_key(rules).keys() & world.seen().keys()


def test_what_the_kernel_adds_by_itself_is_not_seen(world: World) -> None:
    """Connected and local routes, 127.0.0.1, ARP's neighbours, multicast: none of it is an object."""
    desired = peering()
    world.create(desired)
    inside("dp-i-ecs-1", "ping", "-c1", "-W1", "192.168.1.77")
    world.create([Address("dp-i-ecs-1", "eth0", IPv4Interface("10.7.0.1/24"))])
    seen = world.seen(desired)
    own = {item for item in seen.values() if getattr(item, "namespace", "") == "dp-i-ecs-1"}
    extra = own - {item for item in desired if not isinstance(item, (Namespace, Veth))}
    assert extra == {Address("dp-i-ecs-1", "eth0", IPv4Interface("10.7.0.1/24"))}


def test_learned_neighbour_is_replaced(world: World) -> None:
    """A neighbour that ARP found (or failed to find) first is no obstacle."""
    desired = peering()
    world.create(desired)
    wanted = Neighbour("dp-i-ecs-1", "eth0", IPv4Address("192.168.1.50"), "02:00:00:00:00:50")
    run(
        "ip",
        "-n",
        "dp-i-ecs-1",
        "neigh",
        "add",
        "192.168.1.50",
        "lladdr",
        "02:00:00:00:00:51",
        "dev",
        "eth0",
        "nud",
        "stale",
    )
    assert wanted.key not in world.seen([wanted])
    assert world.do(Verb.CREATE, wanted).error is None
    assert world.seen()[wanted.key] == wanted
