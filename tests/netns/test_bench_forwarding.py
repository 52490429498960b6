"""What the group ``forwarding`` of scripts/bench rests on: packets count only where they arrived. Seen red here."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lab.bench import legs, live, networks, worlds
from lab.bench.live import Live
from lab.bench.loads import Load
from lab.bench.worlds import ONE, THREE, Way, World

ROOT = Path(__file__).parents[2]
PACKETS = 10_000


@pytest.fixture(scope="module", params=["off", "tc", "xdp"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[World, Live]]:
    """A network with receivers at both ends."""
    hook = request.param
    with ExitStack() as stack:
        world = stack.enter_context(worlds.made(networks.forwarding(hook, networks.prefixes(20)), ROOT))
        programs = stack.enter_context(live.loaded())
        for way in (ONE, THREE):
            with world.inside(way.destination):
                link = programs.receive(world.device(way.destination)["ifindex"], is_xdp=hook == "xdp")
                stack.callback(os.close, link)
        yield world, programs


def share(place: tuple[World, Live], way: Way, target: bytes) -> float:
    world, programs = place
    programs.aim(target)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        with world.inside(way.router):
            return programs.send(world.start(way, world.program), PACKETS, 1, way.routers).delivered
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize("way", [ONE, THREE], ids=lambda way: way.router)
def test_all_arrive(place: tuple[World, Live], way: Way) -> None:
    assert share(place, way, way.destination_ip.packed) == 1
    assert share(place, ONE, networks.prefixes(20)[7][3].packed) == 1


@pytest.mark.parametrize("way", [ONE, THREE], ids=lambda way: way.router)
def test_lost_ones_do_not_count(place: tuple[World, Live], way: Way) -> None:
    """Without a route, from a false source, and with a TTL that says that they took another way."""
    assert share(place, way, bytes([203, 0, 113, 1])) == 0
    assert share(place, replace(way, routers=2), way.destination_ip.packed) == 0
    assert share(place, replace(way, source_ip=way.destination_ip), way.destination_ip.packed) == 0


@pytest.mark.parametrize(("hook", "is_grouped"), [("off", False), ("tc", False), ("tc", True), ("xdp", True)])
def test_routes_beyond_the_file(hook: str, is_grouped: bool) -> None:
    """They carry packets as those of the file do, by legs of a group too; the ceiling sends to one place whatever is
    asked for, also where there is no route."""
    many = networks.prefixes(40)
    load = Load(many[0], many[:30], hook == "off", is_grouped, has_ceiling=hook == "xdp")
    with ExitStack() as stack:
        world = stack.enter_context(worlds.made(networks.forwarding(hook, many[:1]), ROOT, load))
        programs = stack.enter_context(live.loaded())
        with world.inside(ONE.destination):
            link = programs.receive(world.device(ONE.destination)["ifindex"], is_xdp=hook == "xdp")
            stack.callback(os.close, link)
        found = [share((world, programs), ONE, prefix[1].packed) for prefix in (many[0], many[29], many[35])]
        assert found == [1, 1, 0]
        if world.ceiling is not None:
            constant = replace(world, program=world.ceiling)
            assert share((constant, programs), ONE, many[35][1].packed) == 1


def test_flows_of_legs_that_stay_are_seen_to_move() -> None:
    """In the kernel's plain group, and in no other."""
    strays = {(one.name, one.count): one.strays for one in legs.counted()}
    assert {what for what, count in strays.items() if count} == {(legs.PLAIN, 3), (legs.PLAIN, 4)}
