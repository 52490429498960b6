"""VLAN links by the stand-in: made, seen, brought in line with their parent, removed, and what a crash leaves."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from dataplane.datapath import bpffs, loader, vlan
from dataplane.errors import HostError
from dataplane.kernel import netns, tc
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.model.kernel import KernelObject, Namespace, VlanLink
from dataplane.plan.action import Verb
from tests.netns.lines import (
    IDC,
    IDC_PARENT,
    OTHER,
    PARENT,
    ROUTER,
    cable,
    converge,
    line,
    mac_of,
    router,
)
from tests.netns.objects import World, open_files, run

FAR = "dpw2"


@pytest.fixture
def laid() -> Iterator[None]:
    """A cable."""
    with cable():
        yield


@pytest.fixture
def made(world: World, laid: None) -> tuple[World, list[KernelObject], VlanLink]:
    """A router and its line."""
    wanted = line()
    desired = [*router(), wanted]
    converge(world, desired)
    return world, desired, wanted


def lines_in_maps() -> dict[int, vlan.Line]:
    with vlan.adopted() as program:
        return program.lines() if program is not None else {}


def filters(ifname: str, hook: str = "ingress") -> str:
    return run("tc", "filter", "show", "dev", ifname, hook)


def nothing_is_left() -> bool:
    """No link, filter, clsact, map entry or pin of ours."""
    links = run("ip", "-o", "link", "show")
    pins = list(bpffs.folder().iterdir()) if bpffs.folder().exists() else []
    return "dpw" not in links and tc.VLAN.name not in filters(PARENT) and not pins and not lines_in_maps()


def has_carrier(namespace: str, ifname: str) -> bool:
    return "LOWER_UP" in run("ip", "-n", namespace, "-o", "link", "show", "dev", ifname).split(">")[0]


def test_second_observation_equals_what_is_desired(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """Made once, then nothing is left to do: same MAC and MTU as the parent, marked at both ends."""
    world, desired, wanted = made
    assert world.seen(desired)[wanted.key] == wanted
    assert converge(world, desired) == []
    with netns.entered(ROUTER):
        near = mac_of(wanted.ifname)
    assert near == mac_of(PARENT)
    assert f"alias {wanted.mark}" in run("ip", "link", "show", "dev", FAR)
    assert world.observe(desired).foreign == ()


def test_is_recognised_without_memory(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """Nothing desired: parent and VLAN come from the maps, and the link is seen as it was made."""
    world, _, wanted = made
    assert world.seen()[wanted.key] == wanted


@pytest.mark.parametrize(
    "damage",
    [
        ("ip", "link", "set", "dev", PARENT, "address", "02:00:00:00:99:01"),
        ("ip", "link", "set", "dev", PARENT, "mtu", "1400"),
        ("ip", "link", "set", "dev", FAR, "down"),
        ("tc", "filter", "delete", "dev", PARENT, "ingress"),
        ("tc", "qdisc", "delete", "dev", FAR, "clsact"),
        ("tc", "filter", "delete", "dev", FAR, "egress"),
        ("ip", "-n", ROUTER, "link", "set", "dev", "dpv1", "mtu", "1300"),
        ("ip", "-n", ROUTER, "link", "set", "dev", "dpv1", "address", "02:00:00:00:99:02"),
        ("ip", "-n", IDC, "link", "set", "dev", IDC_PARENT, "down"),
    ],
    ids=" ".join,
)
def test_damage_shows_and_is_repaired_in_place(
    made: tuple[World, list[KernelObject], VlanLink], damage: Sequence[str]
) -> None:
    """Whatever is changed by hand: one change, no new link, then nothing to do."""
    world, desired, wanted = made
    run(*damage)
    assert world.seen(desired)[wanted.key] == replace(wanted, follows_parent=False)
    ((action,),) = converge(world, desired)
    assert action.verb is Verb.CHANGE
    assert world.seen(desired)[wanted.key] == wanted


@pytest.mark.parametrize("spoil", ["far", "way", "pins"])
def test_entries_that_are_gone_are_entered_again(made: tuple[World, list[KernelObject], VlanLink], spoil: str) -> None:
    """Out of either map, or the pins removed altogether."""
    world, desired, wanted = made
    assert wanted.far_ifindex is not None
    if spoil == "pins":
        vlan.unload()
    else:
        with vlan.adopted() as program:
            assert program is not None
            if spoil == "far":
                program.forget(wanted.far_ifindex)
            else:
                program._forget_ways_to(wanted.far_ifindex, keep=None)
    assert world.seen(desired)[wanted.key] == replace(wanted, follows_parent=False)
    ((action,),) = converge(world, desired)
    assert action.verb is Verb.CHANGE


def test_near_end_set_down_is_set_up(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """The admin state is desired state."""
    world, desired, wanted = made
    run("ip", "-n", ROUTER, "link", "set", "dev", "dpv1", "down")
    assert world.seen(desired)[wanted.key] == replace(wanted, up=False)
    converge(world, desired)


@pytest.mark.parametrize("where", [("ip",), ("ip", "-n", IDC)], ids=["parent down", "far side down"])
def test_a_lost_carrier_is_passed_on(made: tuple[World, list[KernelObject], VlanLink], where: Sequence[str]) -> None:
    """The near end loses its carrier after the change, and has it again after the next one."""
    world, desired, wanted = made
    device = PARENT if where == ("ip",) else IDC_PARENT
    assert has_carrier(ROUTER, wanted.ifname)
    run(*where, "link", "set", "dev", device, "down")
    converge(world, desired)
    assert not has_carrier(ROUTER, wanted.ifname)
    assert converge(world, desired) == []
    run(*where, "link", "set", "dev", device, "up")
    converge(world, desired)
    assert has_carrier(ROUTER, wanted.ifname)


def test_a_parent_that_is_replaced_gets_the_link(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """The device is unplugged, and another one comes under its name: a conflict until then, a change afterwards."""
    world, desired, wanted = made
    run("ip", "link", "delete", "dev", PARENT)
    assert world.seen(desired)[wanted.key] == replace(wanted, follows_parent=False)
    outcome = world.do(Verb.CHANGE, wanted)
    assert outcome.is_conflict
    assert f"there is no device {PARENT} on the host; connect it" in str(outcome.error)
    run("ip", "link", "add", "name", PARENT, "type", "veth", "peer", "name", "up1", "netns", IDC)
    run("ip", "link", "set", "dev", PARENT, "up")
    converge(world, desired)
    assert world.seen(desired)[wanted.key] == wanted


def test_another_vlan_is_another_link(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """A changed VLAN id: deleted and made anew in one plan."""
    world, desired, wanted = made
    changed = [replace(item, vlan=1001) if item is wanted else item for item in desired]
    (actions,) = converge(world, changed)
    assert [action.verb for action in actions] == [Verb.DELETE, Verb.CREATE]
    assert [one.vlan for one in lines_in_maps().values()] == [1001]


def test_deletion_leaves_nothing(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """Both ends, entries, filters, clsact, pins; a second deletion is fine."""
    world, _, wanted = made
    assert not nothing_is_left()
    assert world.do(Verb.DELETE, wanted).error is None
    assert nothing_is_left()
    assert "clsact" not in run("tc", "qdisc", "show", "dev", PARENT)
    assert world.do(Verb.DELETE, wanted).error is None


def test_deletion_of_one_keeps_the_other(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """Two VLANs on one device: the filter stays until the last one goes."""
    world, desired, wanted = made
    second = line(3, 1001, OTHER)
    everything = [*desired, *router(OTHER), second]
    converge(world, everything)
    assert converge(world, everything) == []
    assert world.do(Verb.DELETE, wanted).error is None
    assert world.seen(everything)[second.key] == second
    assert tc.VLAN.name in filters(PARENT)
    assert world.do(Verb.DELETE, second).error is None
    assert nothing_is_left()


def test_filters_of_others_stay(world: World, laid: None) -> None:
    """A clsact that was there before us, with filters before and after ours and on egress, is as it was."""
    run("tc", "qdisc", "add", "dev", PARENT, "clsact")
    for hook, preference in (("ingress", "5"), ("ingress", "49152"), ("egress", "7")):
        run("tc", "filter", "add", "dev", PARENT, hook, "pref", preference, "u32", "match", "u32", "0", "0")
    before = filters(PARENT) + filters(PARENT, "egress")
    wanted = line()
    world.create([*router(), wanted])
    assert tc.VLAN.name in filters(PARENT)
    assert world.do(Verb.DELETE, wanted).error is None
    assert filters(PARENT) + filters(PARENT, "egress") == before


def test_an_empty_clsact_of_others_stays(world: World, laid: None) -> None:
    """The handle of our filter remembers that it was there first, for an agent without memory too."""
    run("tc", "qdisc", "add", "dev", PARENT, "clsact")
    wanted = line()
    world.create([*router(), wanted])
    assert world.do(Verb.CHANGE, wanted).error is None
    assert world.do(Verb.DELETE, wanted).error is None
    assert "clsact" in run("tc", "qdisc", "show", "dev", PARENT)


def test_a_clsact_that_others_use_meanwhile_stays(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """We made it, somebody put a filter into it."""
    world, _, wanted = made
    run("tc", "filter", "add", "dev", PARENT, "egress", "pref", "7", "u32", "match", "u32", "0", "0")
    assert world.do(Verb.DELETE, wanted).error is None
    assert "u32" in filters(PARENT, "egress")


def test_a_filter_of_others_with_our_priority_is_a_conflict(world: World, laid: None) -> None:
    """It is named, and it stays."""
    run("tc", "qdisc", "add", "dev", PARENT, "clsact")
    run("tc", "filter", "add", "dev", PARENT, "ingress", "pref", str(tc.VLAN.priority), "u32", "match", "u32", "0", "0")
    before = filters(PARENT)
    world.create(router())
    outcome = world.do(Verb.CREATE, line())
    assert outcome.is_conflict
    assert f"device {PARENT} has a filter with priority 219" in str(outcome.error)
    assert filters(PARENT) == before


@pytest.mark.parametrize("name", [FAR, "dpv1"])
def test_a_foreign_link_of_that_name_is_a_conflict(world: World, laid: None, name: str) -> None:
    """At either end: observed as foreign, refused when acting, and never touched."""
    wanted = line()
    world.create(router())
    where = [] if name == FAR else ["-n", ROUTER]
    run("ip", *where, "link", "add", "name", name, "type", "bridge")
    desired = [*router(), wanted]
    (foreign,) = world.observe(desired).foreign
    assert foreign.key == wanted.key
    assert name in foreign.text
    outcome = world.do(Verb.CREATE, wanted)
    assert outcome.is_conflict
    assert f"interface {name}" in str(outcome.error)
    run("ip", *where, "link", "delete", "dev", name)
    converge(world, desired)


class Killed(BaseException):
    """The process dies here."""


def _dying_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Die before the writing call of this number; how many there were."""
    calls = 0

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            nonlocal calls
            calls += 1
            if calls == number:
                raise Killed
            return original(*arguments)

        return call

    monkeypatch.setattr(NetlinkSocket, "execute", counted(NetlinkSocket.execute))
    monkeypatch.setattr(vlan.libbpf, "update", counted(vlan.libbpf.update))
    monkeypatch.setattr(vlan.libbpf, "delete", counted(vlan.libbpf.delete))
    return lambda: calls


def test_a_crash_at_any_step_is_finished_or_undone(world: World, laid: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead before each writing call of making and of removing: the next plan leads to all or to nothing."""
    wanted = line()
    desired = [*router(), wanted]
    steps = {Verb.CREATE: 0, Verb.DELETE: 0}
    monkeypatch.setattr(vlan, "unload", lambda: None)  # or every round compiles
    monkeypatch.setattr(vlan, "has_pins", lambda: False)
    for verb in steps:
        for number in range(1, 30):
            converge(world, desired[:2] if verb is Verb.CREATE else desired)
            with monkeypatch.context() as patch:
                calls = _dying_at(number, patch)
                try:
                    world.do(verb, wanted)
                except Killed:
                    pass
                else:
                    break
            converge(world, desired if number % 2 else desired[:2])
        steps[verb] = calls()
    monkeypatch.undo()
    converge(world, desired)
    converge(world, desired[:2])
    assert nothing_is_left()
    assert steps[Verb.CREATE] >= 10
    assert steps[Verb.DELETE] >= 4


def test_what_a_removed_namespace_leaves_in_the_maps_is_cleaned(
    made: tuple[World, list[KernelObject], VlanLink],
) -> None:
    """Somebody removed the router by hand, and the configuration lost it: the entry shows, and its deletion cleans."""
    world, _, wanted = made
    run("ip", "netns", "delete", ROUTER)
    deadline = time.monotonic() + 5
    while FAR in run("ip", "-o", "link", "show") and time.monotonic() < deadline:
        time.sleep(0.02)
    (leftover,) = world.seen().values()
    assert isinstance(leftover, VlanLink)
    assert (leftover.parent, leftover.vlan) == (PARENT, wanted.vlan)
    assert world.do(Verb.DELETE, leftover).error is None
    assert nothing_is_left()


def test_the_program_is_adopted_by_its_hash(
    made: tuple[World, list[KernelObject], VlanLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line compiles nothing. (No time is measured: in an emulated machine it would say nothing.)"""
    world, _, _ = made
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("compiled again"))
    with vlan.loaded() as program:
        first = program.program_id(vlan.POP)
    world.create([Namespace(OTHER, "dataplane vbr/vbr-2"), line(3, 1001, OTHER)])
    with vlan.loaded() as program:
        assert program.program_id(vlan.POP) == first


def test_another_version_takes_over_in_place(
    made: tuple[World, list[KernelObject], VlanLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed source is another program: the link shows as not in line, one change later it runs the new one."""
    world, desired, wanted = made
    old, source = loader.directory(vlan.SPEC), vlan.SPEC.source
    monkeypatch.setattr(loader.ProgramSpec, "source", property(lambda _: source + "\n/* another version */\n"))
    assert world.seen(desired)[wanted.key] == replace(wanted, follows_parent=False)
    ((action,),) = converge(world, desired)
    assert action.verb is Verb.CHANGE
    assert not old.exists() and world.do(Verb.DELETE, wanted).error is None
    assert nothing_is_left()


SPOILED = {
    "ebpf/vlan.c does not compile: Failed to compile": "this is no C",
    "ebpf/vlan.c does not compile: it has no map dp_vlan": "int vlan_pop(struct __sk_buff *skb) { return 0; }",
    "the kernel refuses the program vlan_guard: Permission denied": vlan.SPEC.source.replace(
        "    if (skb->mark ==", "    *(volatile int *)0 = 0;\n    if (skb->mark =="
    ),
}


@pytest.mark.parametrize("sentence", SPOILED)
def test_a_program_that_does_not_load_is_one_failure(
    world: World, laid: None, monkeypatch: pytest.MonkeyPatch, sentence: str
) -> None:
    """With the compiler's or the verifier's words; nothing half pinned stays."""
    monkeypatch.setattr(loader.ProgramSpec, "source", property(lambda _: SPOILED[sentence]))
    world.create(router())
    outcome = world.do(Verb.CREATE, line())
    assert sentence in str(outcome.error) and not outcome.is_conflict
    assert nothing_is_left()


def test_a_changed_layout_is_refused(world: World, laid: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """C and Python disagree about a field: nothing is pinned."""
    source = vlan.SPEC.source.replace("__u16 vlan;\n    __u16 zero;", "__u16 zero;\n    __u16 vlan;")
    monkeypatch.setattr(loader.ProgramSpec, "source", property(lambda _: source))
    with pytest.raises(HostError, match=r"the key of map dp_vlan is .* in C and .* in Python"):
        loader.load(vlan.SPEC)
    assert nothing_is_left()


def test_many_rounds_leave_no_descriptor_open(made: tuple[World, list[KernelObject], VlanLink]) -> None:
    """Making, bringing in line, looking, removing."""
    world, desired, wanted = made
    before = open_files()
    for _ in range(50):
        world.observe(desired)
        world.do(Verb.CHANGE, wanted)
    for _ in range(3):
        world.do(Verb.DELETE, wanted)
        world.do(Verb.CREATE, wanted)
        world.do(Verb.CREATE, replace(wanted, parent="missing"))
    assert open_files() == before
