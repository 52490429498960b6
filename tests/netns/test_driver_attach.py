"""Instances in namespaces that others made: found by name or by process, changed only where it is ours."""

from ipaddress import IPv4Interface, IPv4Network

import pytest

from dataplane.errors import HostError
from dataplane.kernel import netns
from dataplane.model import names
from dataplane.model.kernel import Address, KernelObject, KernelRoute, Veth
from dataplane.plan.action import Action, Verb
from tests.netns.objects import (
    ROUTER_A,
    World,
    by_key,
    default_rules,
    gateway,
    inside,
    instance,
    process_in_namespace,
    router,
    run,
)


def _desired(reference: str) -> list[KernelObject]:
    return [*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10, namespace=reference)]


def _check_round_trip(world: World, desired: list[KernelObject]) -> None:
    world.create(desired)
    observation = world.observe(desired)
    assert dict(observation.objects) == by_key([*desired, *default_rules(ROUTER_A)])
    assert observation.foreign == ()


def test_attach_to_a_process(world: World, ping: str) -> None:
    """`pid:N`: the namespace of a container that has no name; packets reach the gateway."""
    with process_in_namespace() as pid:
        reference = names.pid_reference(pid)
        _check_round_trip(world, _desired(reference))
        assert inside(reference, ping, "-c1", "-W1", "192.168.1.253").returncode == 0


def test_attach_to_a_named_namespace(world: World, ping: str) -> None:
    """A name without our prefix: what was there before stays, and is not reported."""
    world.foreign_namespace("web")
    run("ip", "-n", "web", "addr", "add", "10.0.0.1/8", "dev", "lo")
    _check_round_trip(world, _desired("web"))
    assert inside("web", ping, "-c1", "-W1", "192.168.1.253").returncode == 0
    assert "10.0.0.1/8" in run("ip", "-n", "web", "addr")


def test_foreign_default_route_of_a_container_is_in_the_way(world: World) -> None:
    """A container with a network of its own keeps its default route; ours is a conflict that names it."""
    world.foreign_namespace("web")
    run("ip", "-n", "web", "link", "set", "lo", "up")
    run("ip", "-n", "web", "route", "add", "default", "dev", "lo")
    desired = _desired("web")
    wanted = next(item for item in desired if isinstance(item, KernelRoute) and item.namespace == "web")
    outcomes = world.driver.perform([Action(Verb.CREATE, item) for item in desired])
    assert [outcome.action.object for outcome in outcomes if outcome.is_conflict] == [wanted]
    observation = world.observe(desired)
    assert [foreign.key for foreign in observation.foreign] == [wanted.key]
    assert "web: route default dev lo table main is not ours" in observation.foreign[0].text
    assert "default dev lo" in run("ip", "-n", "web", "route")


def test_our_old_address_in_an_attached_namespace_is_seen(world: World) -> None:
    """After an instance's address changed in the file, the old one shows as ours, so that it goes."""
    world.foreign_namespace("web")
    desired = _desired("web")
    world.create(desired)
    old = next(item for item in desired if isinstance(item, Address) and item.namespace == "web")
    rest = [item for item in desired if item is not old]
    assert world.seen(rest)[old.key] == old


def test_pair_in_a_namespace_that_is_no_longer_named_shows_one_end(world: World) -> None:
    """The attachment left the file: the router's end is enough to see the pair and to delete it."""
    world.foreign_namespace("web")
    desired = _desired("web")
    world.create(desired)
    pair = next(item for item in desired if isinstance(item, Veth))
    seen = world.seen(router(ROUTER_A))[pair.key]
    assert isinstance(seen, Veth)
    assert (seen.a, seen.b) == (pair.a, None)
    assert world.do(Verb.DELETE, seen).error is None
    assert "eth0" not in run("ip", "-n", "web", "link")


def test_process_that_ended_is_named(world: World) -> None:
    """Attaching to what is not there: one sentence per action, and the rest is done."""
    with process_in_namespace() as pid:
        reference = names.pid_reference(pid)
    desired = _desired(reference)
    outcomes = world.driver.perform([Action(Verb.CREATE, item) for item in desired])
    errors = {outcome.action.object: outcome.error for outcome in outcomes if outcome.error}
    inside_it = [item for item in desired if isinstance(item, Veth) or getattr(item, "namespace", "") == reference]
    assert all(f"process {pid} does not run" in errors[item] for item in inside_it)
    assert ("address", ROUTER_A, "lo", IPv4Interface("192.168.1.253/32")) in world.seen(desired)
    assert world.observe(desired).foreign == ()


def test_file_that_is_no_namespace_is_refused() -> None:
    """A reference by name to a plain file, or to nothing, is one sentence."""
    (netns.NETNS_DIRECTORY / "plain").touch()
    try:
        with pytest.raises(HostError, match="is no network namespace"), netns.entered("plain"):
            pass
        with pytest.raises(HostError, match="there is no namespace nothing"), netns.entered("nothing"):
            pass
    finally:
        (netns.NETNS_DIRECTORY / "plain").unlink()


def test_two_references_to_one_namespace(world: World) -> None:
    """A namespace with a name and a process in it: the pair shows under the reference that was asked for."""
    with process_in_namespace() as pid:
        run("ip", "netns", "attach", "web", str(pid))
        try:
            other = KernelRoute("web", 254, IPv4Network("203.0.113.0/24"), ifname="lo")
            desired = [*_desired(names.pid_reference(pid))]
            world.create(desired)
            pair = next(item for item in desired if isinstance(item, Veth))
            assert world.seen([*desired, other])[pair.key] == pair
        finally:
            run("ip", "netns", "delete", "web")
