"""Real packets through what the driver made: gateways, groups, and flips that happen in place."""

import re
from dataclasses import replace
from ipaddress import IPv4Network

from dataplane.model import names
from dataplane.model.kernel import KernelRoute, Nexthop, NexthopGroup, Veth
from dataplane.plan.action import Action, Verb
from tests.netns.network import is_arp, listening_everywhere
from tests.netns.objects import ROUTER_A, ROUTER_B, SYSTEM, World, default_rules, inside, peering, run

GROUP = names.group_number(1)


def _reaches(ping: str, target: str = "192.168.2.10") -> bool:
    return inside("dp-i-ecs-1", ping, "-c1", "-W1", target).returncode == 0


def _built(world: World) -> None:
    world.create(peering())
    doomed = [*default_rules(ROUTER_A), *default_rules(ROUTER_B)]
    assert all(outcome.error is None for outcome in world.driver.perform([Action(Verb.DELETE, r) for r in doomed]))


def test_ping_through_two_routers_and_nobody_asks_for_a_mac(world: World, ping: str) -> None:
    """kernel.md, sections 1 and 3: through the group, TTL down by two, no ARP and no proxy delay before the first."""
    _built(world)
    with listening_everywhere() as frames:
        done = inside("dp-i-ecs-1", ping, "-c1", "-W1", "192.168.2.10")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ttl=62" in done.stdout
    assert not any(is_arp(frame) for seen in frames.values() for frame in seen)
    with listening_everywhere() as frames:
        inside("dp-i-ecs-1", ping, "-c1", "-W1", "192.168.1.77")
    assert any(is_arp(frame) for seen in frames.values() for frame in seen), "the listener sees ARP where there is some"


def test_gateway_answers_arp_at_once(world: World, ping: str) -> None:
    """kernel.md, section 1: without the permanent neighbour the gateway is resolved, and not after a random delay."""
    _built(world)
    run("ip", "-n", "dp-i-ecs-1", "neigh", "del", "192.168.1.253", "dev", "eth0")
    done = inside("dp-i-ecs-1", ping, "-c1", "-W1", "192.168.1.253")
    milliseconds = re.search(r"time=([0-9.]+) ms", done.stdout)
    assert milliseconds is not None, done.stdout + done.stderr
    assert float(milliseconds.group(1)) < 450


def test_unassigned_address_is_unreachable_and_the_gateway_says_so(world: World, ping: str) -> None:
    """kernel.md, sections 1 and 2: the error comes from this vSwitch's gateway, not from 192.0.0.8."""
    _built(world)
    done = inside("dp-i-ecs-1", ping, "-c1", "-W1", "203.0.113.9")
    assert done.returncode == 1
    assert "From 192.168.1.253" in done.stdout
    assert "Unreachable" in done.stdout


def test_nexthop_becomes_blackhole_in_place_and_back(world: World, ping: str) -> None:
    """kernel.md, section 3: suspend and activate are one message each; the route by it is not touched."""
    _built(world)
    route = KernelRoute(ROUTER_A, SYSTEM, IPv4Network("192.168.2.10/32"), nexthop=3)
    leg = Nexthop(ROUTER_A, 3, "dpr21", names.TRANSIT_NEIGHBOUR)
    hole = Nexthop(ROUTER_A, 3)
    world.create([leg, route])
    assert _reaches(ping)
    assert world.do(Verb.CHANGE, hole, leg).error is None
    assert world.seen()[leg.key] == hole
    assert world.seen()[route.key] == route  # the kernel shows it as a blackhole route; to us it is the same route
    assert not _reaches(ping)
    assert world.do(Verb.CHANGE, leg, hole).error is None
    assert world.seen()[leg.key] == leg
    assert _reaches(ping)


def test_group_is_replaced_in_place(world: World, ping: str) -> None:
    """kernel.md, section 3: a member leaves and comes back; traffic goes on through the other one."""
    _built(world)
    both = NexthopGroup(ROUTER_A, GROUP, ((1, 1), (2, 1)))
    one = replace(both, members=((2, 1),))
    heavy = replace(both, members=((1, 1), (2, 255)))
    for before, after in ((both, one), (one, heavy), (heavy, both)):
        assert world.do(Verb.CHANGE, after, before).error is None
        assert world.seen()[both.key] == after
        assert _reaches(ping)


def test_lost_group_member_moves_its_flows_only(world: World) -> None:
    """kernel.md, section 3: of 256 buckets those of the lost member move, those of the other stay where they were."""
    _built(world)
    assert _buckets() == {1: 128, 2: 128}
    before = _bucket_list()
    both = NexthopGroup(ROUTER_A, GROUP, ((1, 1), (2, 1)))
    world.do(Verb.CHANGE, replace(both, members=((2, 1),)), both)
    assert _buckets() == {2: 256}
    world.do(Verb.CHANGE, both, replace(both, members=((2, 1),)))
    after = _bucket_list()
    assert _buckets() == {1: 128, 2: 128}
    assert len(before) == len(after) == 256


def _bucket_list() -> list[int]:
    shown = run("ip", "-n", ROUTER_A, "nexthop", "bucket", "show", "id", str(GROUP))
    return [int(found) for found in re.findall(r" nhid ([0-9]+)", shown)]


def _buckets() -> dict[int, int]:
    found = _bucket_list()
    return {member: found.count(member) for member in set(found)}


def test_link_that_goes_down_is_seen_as_difference(world: World) -> None:
    """kernel.md, section 5: admin-down takes next hops and permanent neighbours, without events; observe shows it."""
    _built(world)
    desired = peering()
    run("ip", "-n", ROUTER_A, "link", "set", "dpr21", "down")
    seen = world.seen(desired)
    pair = next(item for item in desired if isinstance(item, Veth) and item.a is not None and item.a.ifname == "dpr21")
    assert pair.a is not None
    assert seen[pair.key] == replace(pair, a=replace(pair.a, up=False))
    assert ("nexthop", ROUTER_A, 1) not in seen
    assert ("neighbour", ROUTER_A, "dpr21", names.TRANSIT_NEIGHBOUR) not in seen
