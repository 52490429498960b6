"""Sysctls: what a namespace inherits is seen and set right, thresholds are only raised, the host is left alone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.errors import PermissionDenied
from dataplane.kernel import libc, netns, sysctl
from dataplane.model import names
from dataplane.model.kernel import Namespace, Sysctl
from dataplane.plan.action import Verb
from tests.netns.objects import ROUTER_A, World, by_key, gateway, instance, peering, router

POLLUTION = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "2",
    "net/ipv4/conf/default/rp_filter": "2",
    "net/ipv4/conf/default/proxy_arp": "1",
}


def test_inherited_settings_are_seen_and_overridden(world: World) -> None:
    """kernel.md, section 1: Docker's ip_forward=1, systemd's rp_filter=2, as a namespace of a polluted host is born."""
    desired = [item for item in router(ROUTER_A) if isinstance(item, (Namespace, Sysctl))]
    desired = [
        replace(item, value="0") if getattr(item, "name", "") == "net/ipv4/ip_forward" else item for item in desired
    ]
    world.create(desired[:1])
    _write(ROUTER_A, POLLUTION)
    seen = world.seen(desired)
    for name, value in POLLUTION.items():
        found = seen["sysctl", ROUTER_A, name]
        assert isinstance(found, Sysctl)
        assert found.value == value
    world.create(desired)
    assert by_key(desired).items() <= world.seen(desired).items()


def test_new_links_take_our_defaults(world: World) -> None:
    """The defaults are set before the links are made: a port is born without the host's rp_filter and proxy_arp."""
    desired = router(ROUTER_A)
    world.create(desired[:1])
    _write(ROUTER_A, POLLUTION)
    world.create([*desired, *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10)])
    wanted = Sysctl(ROUTER_A, "net/ipv4/conf/dpi1/rp_filter", "0", ifname="dpi1")
    assert world.seen([wanted])[wanted.key] == wanted


def test_host_is_only_read_unless_asked(world: World) -> None:
    """The first namespace's own settings are nobody's business but its own."""
    before = {name: Path("/proc/sys", name).read_text() for name in POLLUTION}
    world.create(peering())
    assert {name: Path("/proc/sys", name).read_text() for name in POLLUTION} == before


def test_threshold_is_raised_and_never_lowered(world: World) -> None:
    """`at_least`: a higher value is satisfied, and comes back as desired; a lower one is raised."""
    name = "net/core/somaxconn"  # a threshold of the network namespace, as good as any
    path = Path("/proc/sys", name)
    path.write_text("5000")
    wanted = Sysctl(names.HOST, name, "6000", at_least=True)
    assert world.seen([wanted])[wanted.key] == replace(wanted, value="5000")
    assert world.do(Verb.CHANGE, wanted).error is None
    assert path.read_text().strip() == "6000"
    lower = replace(wanted, value="5500")
    assert world.seen([lower])[lower.key] == lower
    assert world.do(Verb.CHANGE, lower).error is None
    assert path.read_text().strip() == "6000"


def test_threshold_of_the_machine_is_satisfied_where_it_cannot_be_seen(world: World) -> None:
    """kernel.md, section 1: gc_thresh is there in the machine's first namespace only; a lab's host does without."""
    wanted = Sysctl(names.HOST, "net/ipv4/neigh/default/gc_thresh3", "65536", at_least=True)
    assert not Path("/proc/sys", wanted.name).exists()
    assert world.seen([wanted])[wanted.key] == wanted
    assert world.do(Verb.CREATE, wanted).error is None


def test_missing_setting_of_a_missing_interface_is_not_satisfied(world: World) -> None:
    """An IPv6 switch of a port that is still to be made must not count as done."""
    world.create(router(ROUTER_A))
    wanted = Sysctl(ROUTER_A, "net/ipv6/conf/dpi1/disable_ipv6", "1", ifname="dpi1")
    assert wanted.key not in world.seen([wanted])
    outcome = world.do(Verb.CREATE, wanted)
    assert outcome.error is not None
    assert "dpi1" in outcome.error


def test_kernel_without_ipv6_is_satisfied(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No net/ipv6 at all: there is nothing to switch off."""
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    monkeypatch.setattr(libc, "open_filesystem", lambda _: os.open(tmp_path, os.O_PATH))
    wanted = Sysctl(names.HOST, "net/ipv6/conf/all/disable_ipv6", "1")
    assert world.seen([wanted])[wanted.key] == wanted
    assert world.do(Verb.CREATE, wanted).error is None


def test_drift_is_seen_and_mended_where_no_procfs_can_be_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that may not mount: /proc itself is read and written."""

    def refuse(_: str) -> int:
        raise PermissionDenied("making a proc is not permitted")

    monkeypatch.setattr(libc, "open_filesystem", refuse)
    _drift_is_seen_and_mended(world)


def test_drift_is_seen_in_each_of_many_namespaces(world: World) -> None:
    """More of them than visits to one procfs, each with a value of its own: none is taken for another."""
    _drift_is_seen_and_mended(world)


def _drift_is_seen_and_mended(world: World) -> None:
    names_of_many = [f"dp-i-{number}" for number in range(sysctl._VISITS_PER_PROCFS * 2 + 3)]
    spaces = [Namespace(name, names.mark("instance", name)) for name in names_of_many]
    settings = [Sysctl(name, "net/ipv4/ip_default_ttl", str(64)) for name in names_of_many]
    world.create([*spaces, *settings])
    for ttl, name in enumerate(names_of_many, start=65):
        _write(name, {"net/ipv4/ip_default_ttl": str(ttl)})
    seen = world.seen([*spaces, *settings])
    for ttl, wanted in enumerate(settings, start=65):
        assert seen[wanted.key] == replace(wanted, value=str(ttl))
    for wanted in settings:
        assert world.do(Verb.CHANGE, wanted).error is None
    assert by_key([*spaces, *settings]).items() <= world.seen([*spaces, *settings]).items()


def test_refused_value_is_an_error_with_the_value(world: World) -> None:
    """The kernel's no to a value names the value."""
    world.create(router(ROUTER_A))
    outcome = world.do(Verb.CREATE, Sysctl(ROUTER_A, "net/ipv4/ip_forward", "perhaps"))
    assert outcome.error is not None
    assert "'perhaps'" in outcome.error


def _write(namespace: str, values: dict[str, str]) -> None:
    with netns.entered(namespace):
        for name, value in values.items():
            Path("/proc/sys", name).write_text(value)
