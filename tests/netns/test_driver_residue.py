"""What a crash between two kernel calls leaves is recognised, and either used or removed."""

from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.kernel import link, netns, perform_veth
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.model import names
from dataplane.model.kernel import KernelObject, Namespace, Veth
from dataplane.plan.action import Action, Verb
from tests.netns.objects import ROUTER_A, World, gateway, instance, router, run


def _base() -> tuple[list[KernelObject], Veth]:
    desired = [*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10)]
    return desired, next(item for item in desired if isinstance(item, Veth))


def test_empty_file_is_used_where_it_is_desired(world: World) -> None:
    """A crash between touch and mount: the file does not show, and creation makes the namespace over it."""
    Path("/run/netns", ROUTER_A).touch()
    desired = router(ROUTER_A)
    assert world.observe(desired).objects == {}
    assert world.observe(desired).foreign == ()
    world.create(desired)
    assert world.seen(desired)["namespace", ROUTER_A] == desired[0]


def test_empty_file_is_removed_where_it_is_not_desired(world: World) -> None:
    """The same file, after the configuration lost the VPC: it shows without a mark, and is deleted."""
    path = Path("/run/netns", ROUTER_A)
    path.touch()
    (residue,) = world.seen().values()
    assert residue == Namespace(ROUTER_A, "")
    assert world.do(Verb.DELETE, residue).error is None
    assert not path.exists()


def test_no_name_before_the_mark(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creation is atomic: at its mount the namespace carries its mark already; a failed one leaves nothing."""
    marks = []

    def spy(source: str, target: str, kind: str, flags: int) -> None:
        if target.endswith(ROUTER_A):
            with NetlinkSocket() as socket:
                marks.append(netns.read_mark(socket))
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(netns.libc, "mount", spy)
    namespace = router(ROUTER_A)[0]
    outcome = world.do(Verb.CREATE, namespace)
    assert outcome.error is not None
    assert "No space left" in outcome.error
    assert marks == [names.mark("vpc", "a")]
    assert not Path("/run/netns", ROUTER_A).exists()


@pytest.mark.parametrize("marked", [[], ["a"], ["b"]])
def test_half_made_veth_is_a_leftover_and_is_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch, marked: list[str]
) -> None:
    """A crash between birth and mark, or between the two marks: a pair of its own kind, that nothing desired equals."""
    desired, pair = _base()
    world.create(item for item in desired if isinstance(item, Namespace))
    monkeypatch.setattr(perform_veth, "_change", lambda jobs, visits: None)
    world.create([pair])
    monkeypatch.undo()
    for side in marked:
        end = pair.a if side == "a" else pair.b
        assert end is not None
        run("ip", "-n", end.namespace, "link", "set", end.ifname, "alias", pair.mark)
    seen = world.seen(desired)
    assert pair.key not in seen
    (leftover,) = (item for item in seen.values() if isinstance(item, Veth))
    assert {end.ifindex for end in leftover.ends} == {end.ifindex for end in pair.ends}
    assert world.observe(desired).foreign == ()
    refused = world.do(Verb.CREATE, pair)
    assert refused.error is not None
    assert "still there" in refused.error
    assert not refused.is_conflict
    assert world.do(Verb.DELETE, leftover).error is None
    world.create([pair])
    assert world.seen(desired)[pair.key] == pair


def test_leftover_that_was_finished_meanwhile_is_not_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion of a leftover that comes late does not hit the good pair of the same number."""
    desired, pair = _base()
    world.create(item for item in desired if isinstance(item, Namespace))
    monkeypatch.setattr(perform_veth, "_change", lambda jobs, visits: None)
    world.create([pair])
    monkeypatch.undo()
    (leftover,) = (item for item in world.seen(desired).values() if isinstance(item, Veth))
    world.do(Verb.DELETE, leftover)
    world.create([pair])
    assert world.do(Verb.DELETE, leftover).error is None
    assert world.seen(desired)[pair.key] == pair


def test_end_that_was_moved_away_shows_as_missing(world: World) -> None:
    """Somebody moved an instance's end into a namespace of his: the pair is broken, and goes from the other end."""
    desired, pair = _base()
    world.create(desired)
    world.foreign_namespace("elsewhere")
    run("ip", "-n", "dp-i-ecs-1", "link", "set", "eth0", "netns", "elsewhere")
    seen = world.seen(desired)[pair.key]
    assert isinstance(seen, Veth)
    assert (seen.a, seen.b) == (pair.a, None)
    assert world.do(Verb.DELETE, seen).error is None
    world.create([pair])
    assert world.seen(desired)[pair.key] == pair


def test_lost_router_end_shows_as_missing(world: World) -> None:
    """Only the instance's end is in sight: it is b, and the deletion works from there."""
    desired, pair = _base()
    world.create(desired)
    world.foreign_namespace("elsewhere")
    run("ip", "-n", ROUTER_A, "link", "set", "dpi1", "netns", "elsewhere")
    seen = world.seen(desired)[pair.key]
    assert isinstance(seen, Veth)
    assert seen.a is None
    assert seen.b is not None
    assert seen.b.namespace == "dp-i-ecs-1"
    assert world.do(Verb.DELETE, seen).error is None
    assert world.seen(desired).get(pair.key) is None


def test_unequal_mtu_shows(world: World) -> None:
    """Whichever end was changed by hand: the pair differs from what is desired."""
    desired, pair = _base()
    world.create(desired)
    for namespace, ifname in ((ROUTER_A, "dpi1"), ("dp-i-ecs-1", "eth0")):
        run("ip", "-n", namespace, "link", "set", ifname, "mtu", "1450")
        assert world.seen(desired)[pair.key] == replace(pair, mtu=1450)
        run("ip", "-n", namespace, "link", "set", ifname, "mtu", "1500")


def test_namespace_of_another_resource_is_marked_again(world: World) -> None:
    """A mark of ours that names another resource is still ours: creation corrects it."""
    world.create(router(ROUTER_A))
    with netns.entered(ROUTER_A), NetlinkSocket() as socket:
        assert socket.execute([link.set_request(1, names.mark("vpc", "old"))]) == [None]
    assert world.seen()["namespace", ROUTER_A] == Namespace(ROUTER_A, names.mark("vpc", "old"))
    world.create(router(ROUTER_A)[:1])
    assert world.seen()["namespace", ROUTER_A] == router(ROUTER_A)[0]


def test_ip_netns_sees_and_removes_our_namespaces(world: World) -> None:
    """They are named as `ip netns` names them, so that a person can look round and clean up with it."""
    world.create(router(ROUTER_A))
    assert ROUTER_A in run("ip", "netns", "list")
    run("ip", "netns", "delete", ROUTER_A)
    assert world.seen() == {}
    (outcome,) = world.driver.perform([Action(Verb.DELETE, router(ROUTER_A)[0])])
    assert outcome.error is None
