"""VXLAN links that cannot be had: a VNI, a name, a number or a port is taken, the device is missing or too narrow."""

import socket

import pytest

from dataplane.model import names
from dataplane.model.kernel import KernelObject, Namespace, UnderlayFilter, VxlanLink
from dataplane.plan.action import Verb
from tests.netns.lines import converge
from tests.netns.objects import ROUTER_A, World, router, run
from tests.netns.underlay import (
    DEVICE,
    IN_ROUTER,
    LINK,
    STRANGER,
    VNI,
    laid,
    made,
    shown,
    texts,
    tunnel,
    tunnelled,
)

__all__ = ["laid", "made"]  # fixtures


def test_link_that_was_moved_out_of_sight_is_a_conflict(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """Its VNI is in use, in a namespace of somebody else: named as far as it can be, and not touched."""
    world, desired, wanted = made
    world.foreign_namespace("elsewhere")
    run(*IN_ROUTER, "link", "set", "dev", LINK, "netns", "elsewhere")
    assert wanted.key not in world.seen(desired)
    outcome = world.do(Verb.CREATE, wanted)
    assert outcome.is_conflict
    assert f"VNI {VNI} is taken by a VXLAN link in a namespace that we do not look into" in str(outcome.error)
    assert LINK in shown("elsewhere")
    run("ip", "-n", "elsewhere", "link", "delete", "dev", LINK)
    converge(world, desired, rounds=1)


def test_foreign_link_on_the_host_with_our_vni_is_named_and_kept(world: World) -> None:
    """Seen before anything is done, and when it is tried; one that listens elsewhere is in nobody's way."""
    desired = tunnelled()
    world.create(item for item in desired if isinstance(item, Namespace | UnderlayFilter))
    run("ip", "link", "add", "vx0", "type", "vxlan", "id", str(VNI), "dev", DEVICE, "dstport", "8472")
    assert texts(world, desired) == {}
    run("ip", "link", "add", "vx1", "type", "vxlan", "id", str(VNI), "dev", DEVICE, "dstport", "4789")
    try:
        before = run("ip", "-d", "link", "show", "type", "vxlan")
        assert list(texts(world, desired)) == [tunnel().key]
        assert (
            f"VNI {VNI} is taken by interface vx1 on the host, which is not ours" in texts(world, desired)[tunnel().key]
        )
        outcome = world.do(Verb.CREATE, tunnel())
        assert outcome.is_conflict
        assert f"VNI {VNI} is taken: interface vx1" in str(outcome.error)
        assert world.do(Verb.DELETE, tunnel()).error is None
        assert run("ip", "-d", "link", "show", "type", "vxlan") == before
    finally:
        for name in ("vx0", "vx1"):
            run("ip", "link", "delete", "dev", name)
    converge(world, desired)


@pytest.mark.parametrize("clash", ["name", "ifindex"])
def test_foreign_link_in_our_place_is_named_and_kept(world: World, clash: str) -> None:
    """In the router: by its name, or by its number."""
    desired = tunnelled()
    world.create(item for item in desired if isinstance(item, Namespace | UnderlayFilter))
    taken = [LINK, "index", "77"] if clash == "name" else ["other", "index", str(names.port_ifindex(7))]
    run(*IN_ROUTER, "link", "add", "name", *taken, "type", "bridge")
    assert list(texts(world, desired)) == [tunnel().key]
    outcome = world.do(Verb.CREATE, tunnel())
    assert outcome.is_conflict
    assert f"interface {taken[0]} " in str(outcome.error)
    assert world.do(Verb.DELETE, tunnel()).error is None
    assert taken[0] in run(*IN_ROUTER, "link", "show", "type", "bridge")


def test_foreign_vxlan_link_in_a_router_is_not_looked_at(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """Neither it nor its entries are ours."""
    world, desired, _ = made
    run(*IN_ROUTER, "link", "add", "vx0", "type", "vxlan", "id", "5", "dstport", "4789", "remote", str(STRANGER))
    assert converge(world, desired) == []
    assert "vx0" in shown()


def test_underlay_device_that_is_missing_or_down_is_waited_for(world: World) -> None:
    """A conflict that says what to do; once it is there, all is made."""
    desired = tunnelled()
    world.create(item for item in desired if isinstance(item, Namespace | UnderlayFilter))
    outcome = world.do(Verb.CREATE, tunnel(device="eth7"))
    assert outcome.is_conflict
    assert "there is no device eth7 on the host; connect it" in str(outcome.error)
    run("ip", "link", "set", "dev", DEVICE, "down")
    outcome = world.do(Verb.CREATE, tunnel())
    assert outcome.is_conflict
    assert f"the underlay device {DEVICE} is down; bring it up" in str(outcome.error)
    run("ip", "link", "set", "dev", DEVICE, "up")
    converge(world, desired, rounds=1)


def test_underlay_device_that_is_too_narrow_is_a_failure(world: World) -> None:
    """kernel.md, section 6: VXLAN takes 50 bytes; neither at birth nor by a change does the MTU become another one."""
    desired = tunnelled()
    world.create(item for item in desired if isinstance(item, Namespace | UnderlayFilter))
    outcome = world.do(Verb.CREATE, tunnel(mtu=1451))
    assert not outcome.is_conflict
    assert f"an MTU of 1451 inside needs 1501 on the underlay device {DEVICE}, which has 1500" in str(outcome.error)
    assert shown() == ""
    assert world.do(Verb.CREATE, tunnel()).error is None
    assert "needs 1501" in str(world.do(Verb.CHANGE, tunnel(mtu=1451), tunnel()).error)
    assert world.seen(desired)[tunnel().key] == tunnel()


def test_device_that_goes_takes_the_link_and_gives_it_back(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """The card is unplugged; the one that comes under its name carries the tunnel again."""
    world, desired, wanted = made
    run("ip", "link", "delete", "dev", DEVICE)
    assert wanted.key not in world.seen(desired)
    run("ip", "link", "add", "name", DEVICE, "type", "veth", "peer", "name", "up1", "netns", "peer")
    run("ip", "link", "set", "dev", DEVICE, "up")
    converge(world, desired, rounds=1)


def test_port_that_somebody_else_listens_on_is_a_conflict(world: World) -> None:
    """A program, or a link of others that takes all VNIs: the port is named."""
    desired = tunnelled()
    world.create(item for item in desired if isinstance(item, Namespace | UnderlayFilter))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", names.VXLAN_PORT))
        outcome = world.do(Verb.CREATE, tunnel())
    assert outcome.is_conflict
    assert "UDP port 4789 of the host is used by something else" in str(outcome.error)
    converge(world, desired, rounds=1)


def test_another_link_under_a_known_number_is_not_deleted(world: World) -> None:
    """Between plan and deletion the link was replaced by somebody's: number alone is no identity."""
    world.create(router(ROUTER_A))
    run(
        *IN_ROUTER, "link", "add", LINK, "index", str(names.port_ifindex(7)), "type", "vxlan", "id", "5", "dstport", "0"
    )
    run(*IN_ROUTER, "link", "set", LINK, "alias", "mine")
    assert world.do(Verb.DELETE, tunnel()).error is None
    assert LINK in shown()
