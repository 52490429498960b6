"""VLAN links by the kernel's own 8021q: made, seen, refused where somebody else is, removed. Skipped without it."""

from dataclasses import replace

import pytest

from dataplane.kernel import features, netns, perform_vlan
from dataplane.model.kernel import KernelObject, VlanLink, VlanMode
from dataplane.plan.action import Verb
from tests.netns.lines import PARENT, ROUTER, cable, converge, for_mode, line, mac_of, router
from tests.netns.objects import World, run


@pytest.fixture(autouse=True)
def needs_8021q() -> None:
    """This kernel must have it."""
    if not features.has_8021q():
        pytest.skip("this kernel has no 8021q")


def wanted_line() -> tuple[list[KernelObject], VlanLink]:
    link = for_mode(line(), VlanMode.KERNEL)
    return [*router(), link], link


def test_second_observation_equals_what_is_desired(world: World) -> None:
    """Born in the router's namespace with our number, marked, its MAC the parent's."""
    desired, link = wanted_line()
    with cable():
        converge(world, desired)
        assert world.seen(desired)[link.key] == link
        assert world.seen()[link.key] == link
        parent_mac = mac_of(PARENT)
        with netns.entered(ROUTER):
            assert mac_of(link.ifname) == parent_mac
        assert "vlan protocol 802.1Q id 1000" in run("ip", "-n", ROUTER, "-d", "link", "show", "dev", link.ifname)
        assert world.do(Verb.DELETE, link).error is None
        assert link.key not in world.seen(desired)


def test_another_vlan_is_another_link(world: World) -> None:
    """A changed VLAN id: deleted and made anew in one plan."""
    desired, link = wanted_line()
    with cable():
        converge(world, desired)
        converge(world, [replace(item, vlan=1001) if item is link else item for item in desired])
        assert "id 1001" in run("ip", "-n", ROUTER, "-d", "link", "show", "dev", link.ifname)


def test_a_foreign_sub_interface_of_that_vlan_is_a_conflict(world: World) -> None:
    """Observed as foreign, refused when acting, never touched."""
    desired, link = wanted_line()
    with cable():
        run("ip", "link", "add", "link", PARENT, "name", "eth1.1000", "type", "vlan", "id", "1000")
        world.create(desired[:2])
        (foreign,) = world.observe(desired).foreign
        assert foreign.key == link.key
        assert "eth1.1000" in foreign.text
        outcome = world.do(Verb.CREATE, link)
        assert outcome.is_conflict
        assert "eth1.1000" in str(outcome.error)
        assert "eth1.1000" in run("ip", "link", "show")


def test_a_parent_that_is_down_is_a_conflict(world: World) -> None:
    """The kernel sets no sub-interface up on it; the sentence says what to do, and then it works."""
    desired, link = wanted_line()
    with cable():
        converge(world, desired)
        run("ip", "link", "set", "dev", PARENT, "down")
        assert world.seen(desired)[link.key] == replace(link, up=False)
        outcome = world.do(Verb.CHANGE, link)
        assert outcome.is_conflict
        assert f"ip link set {PARENT} up" in str(outcome.error)
        run("ip", "link", "set", "dev", PARENT, "up")
        converge(world, desired)


def test_unmarked_residue_is_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between birth and mark."""
    desired, link = wanted_line()
    with cable():
        world.create(desired[:2])
        monkeypatch.setattr(perform_vlan, "_raise", lambda job, visits: None)
        world.create([link])
        monkeypatch.undo()
        assert link.key not in world.seen(desired)
        converge(world, desired)


def test_missing_parent_is_a_conflict(world: World) -> None:
    """One sentence that names the device."""
    desired, link = wanted_line()
    world.create(desired[:2])
    outcome = world.do(Verb.CREATE, link)
    assert outcome.is_conflict
    assert f"there is no device {PARENT} on the host" in str(outcome.error)
