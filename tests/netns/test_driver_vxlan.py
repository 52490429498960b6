"""VXLAN links and their forwarding entries: made, seen, mended, removed; what a crash leaves, what is in the way."""

import contextlib
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from dataplane.kernel import perform_vxlan
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.model import names
from dataplane.model.kernel import FdbEntry, KernelObject, Namespace, Neighbour, UnderlayFilter, VxlanLink
from dataplane.plan.action import Verb
from tests.netns.lines import converge
from tests.netns.objects import ROUTER_A, ROUTER_B, World, by_key, open_files, router, run
from tests.netns.underlay import (
    DEVICE,
    FAR_MAC,
    FDB,
    HERE,
    IN_ROUTER,
    LINK,
    STRANGER,
    THERE,
    VNI,
    laid,
    made,
    shown,
    tunnel,
    tunnelled,
    underlay_filter,
)

__all__ = ["laid", "made"]  # fixtures


def test_second_observation_equals_what_is_desired(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """Made once, then nothing is left to do, in `ip`'s words too: nothing learned, nothing flooded."""
    world, desired, wanted = made
    assert by_key(desired).items() <= world.seen(desired).items()
    assert converge(world, desired) == []
    words = shown()
    assert f"vxlan id {VNI} local {HERE} " in words
    assert all(one in words for one in (" nolearning ", " dstport 4789 ", " ttl 64 ", " noudpcsum ", " mtu 1450 "))
    assert "df set" in words
    assert f"alias {wanted.mark}" in words
    assert run(*FDB, "show", "dev", LINK).split() == f"{FAR_MAC} dst {THERE} link-netnsid 0 self permanent".split()
    assert world.observe(desired).foreign == ()


def test_is_recognised_without_memory(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """Nothing desired: links, entries and filter are seen as they were made."""
    world, desired, _ = made
    kinds = VxlanLink | FdbEntry | UnderlayFilter
    assert by_key(item for item in desired if isinstance(item, kinds)).items() <= world.seen().items()


def test_creating_and_deleting_twice_is_fine(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """An action that was done already is success; a deleted link takes its entries along."""
    world, desired, wanted = made
    entry = next(item for item in desired if isinstance(item, FdbEntry))
    for item in (wanted, entry):
        assert world.do(Verb.CREATE, item).error is None
    assert by_key(desired).items() <= world.seen(desired).items()
    for item in (entry, entry, wanted, wanted, entry):
        assert world.do(Verb.DELETE, item).error is None
    assert shown() == ""
    assert not [item for item in world.seen().values() if isinstance(item, VxlanLink | FdbEntry)]


IN_PLACE = {
    "MTU": (*IN_ROUTER, "link", "set", "dev", LINK, "mtu", "1400"),
    "MAC": (*IN_ROUTER, "link", "set", "dev", LINK, "address", "02:00:00:00:99:01"),
    "down": (*IN_ROUTER, "link", "set", "dev", LINK, "down"),
    "entry deleted": (*FDB, "del", FAR_MAC, "dev", LINK, "self"),
    "entry leads to a stranger": (*FDB, "replace", FAR_MAC, "dev", LINK, "dst", str(STRANGER), "self"),
    "entry leads to another port": (*FDB, "replace", FAR_MAC, "dev", LINK, "dst", str(THERE), "port", "4790", "self"),
    "entry leads into another VNI": (*FDB, "replace", FAR_MAC, "dev", LINK, "dst", str(THERE), "vni", "78", "self"),
    "strange entry": (*FDB, "add", "02:00:00:00:99:02", "dev", LINK, "dst", str(STRANGER), "self"),
    "flooding": (*FDB, "append", "00:00:00:00:00:00", "dev", LINK, "dst", str(STRANGER), "self"),
    "flooding to two": (
        "sh",
        "-c",
        f"for to in {STRANGER} {THERE}; do "
        f"bridge -n {ROUTER_A} fdb append 00:00:00:00:00:00 dev {LINK} dst $to self; done",
    ),
}


@pytest.mark.parametrize("damage", IN_PLACE)
def test_damage_is_seen_and_mended_in_place(made: tuple[World, list[KernelObject], VxlanLink], damage: str) -> None:
    """Whatever is changed by hand: one round, no new link, then as if nothing had been."""
    world, desired, wanted = made
    before = shown()
    run(*IN_PLACE[damage])
    (actions,) = converge(world, desired, rounds=1)
    assert not [action for action in actions if action.object == wanted and action.verb is not Verb.CHANGE]
    assert by_key(desired).items() <= world.seen(desired).items()
    assert shown() == before
    assert run(*FDB, "show", "dev", LINK).split()[:3] == [FAR_MAC, "dst", str(THERE)]
    assert len(run(*FDB, "show", "dev", LINK).splitlines()) == 1


def _again(*words: str) -> str:
    """A shell line that makes the link again by hand, marked as ours."""
    given = " ".join(words) or f"id {VNI} local {HERE} dev {DEVICE} dstport 4789 nolearning ttl 64 df set noudpcsum"
    return (
        f"ip -n {ROUTER_A} link del {LINK}; ip link add {LINK} index {names.port_ifindex(7)} netns {ROUTER_A} "
        f"type vxlan {given}; ip -n {ROUTER_A} link set {LINK} alias '{tunnel().mark}' up"
    )


ANEW = {
    "deleted": f"ip -n {ROUTER_A} link del {LINK}",
    "renamed": f"ip -n {ROUTER_A} link set {LINK} down; ip -n {ROUTER_A} link set {LINK} name other",
    "moved to the host": f"ip -n {ROUTER_A} link set {LINK} netns 1",
    "learning": f"ip -n {ROUTER_A} link set {LINK} type vxlan id {VNI} learning",
    "other VNI": _again(f"id 99 local {HERE} dev {DEVICE} dstport 4789 nolearning ttl 64 df set noudpcsum"),
    "other port": _again(f"id {VNI} local {HERE} dev {DEVICE} dstport 8472 nolearning ttl 64 df set noudpcsum"),
    "other source": _again(f"id {VNI} local {STRANGER} dev {DEVICE} dstport 4789 nolearning ttl 64 df set noudpcsum"),
    "no device": _again(f"id {VNI} local {HERE} dstport 4789 nolearning ttl 64 df set noudpcsum"),
    "fragments": _again(f"id {VNI} local {HERE} dev {DEVICE} dstport 4789 nolearning ttl 64 noudpcsum"),
    "other TTL": _again(f"id {VNI} local {HERE} dev {DEVICE} dstport 4789 nolearning ttl 1 df set noudpcsum"),
    "checksums": _again(f"id {VNI} local {HERE} dev {DEVICE} dstport 4789 nolearning ttl 64 df set udpcsum"),
    "a default destination": _again(
        f"id {VNI} remote {STRANGER} local {HERE} dev {DEVICE} dstport 4789 nolearning ttl 64 df set noudpcsum"
    ),
    "policy groups": _again(f"id {VNI} local {HERE} dev {DEVICE} dstport 4789 nolearning ttl 64 df set noudpcsum gbp"),
    "answers ARP": _again(f"id {VNI} local {HERE} dev {DEVICE} dstport 4789 nolearning ttl 64 df set noudpcsum proxy"),
    "socket in the router": (
        f"ip -n {ROUTER_A} link del {LINK}; "
        f"ip -n {ROUTER_A} link add decoy index $(cat /sys/class/net/{DEVICE}/ifindex) type bridge; "
        f"ip -n {ROUTER_A} link add {LINK} index {names.port_ifindex(7)} type vxlan "
        f"id {VNI} local {HERE} dev decoy dstport 4789 nolearning ttl 64 df set noudpcsum; "
        f"ip -n {ROUTER_A} link set {LINK} alias '{tunnel().mark}' up"
    ),
}


@pytest.mark.parametrize("damage", ANEW)
def test_what_cannot_be_mended_in_place_is_made_anew(
    made: tuple[World, list[KernelObject], VxlanLink], damage: str
) -> None:
    """One round, with all that hangs on the link, and nothing else is left of it."""
    world, desired, wanted = made
    if damage == "moved to the host":
        world.foreign_namespace("via")  # `ip` knows the host by no name, but by the process that lives in it
    command = ANEW[damage].replace("netns 1", "netns $PPID")
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert world.seen(desired).get(wanted.key) != wanted
    (actions,) = converge(world, desired, rounds=1)
    assert [action.verb for action in actions if isinstance(action.object, VxlanLink)][-1] is Verb.CREATE
    assert by_key(desired).items() <= world.seen(desired).items()
    assert len(shown().split("vxlan id")) == 2
    assert run("ip", "-d", "link", "show", "type", "vxlan") == ""


def test_link_made_by_hand_exactly_as_ours_is_ours(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """The damages above differ in what their names say, and in nothing else: this one needs no new link."""
    world, desired, wanted = made
    subprocess.run(["sh", "-c", _again()], check=True, capture_output=True)
    (actions,) = converge(world, desired, rounds=1)
    assert [action.verb for action in actions if isinstance(action.object, VxlanLink)] == [Verb.CHANGE]  # the MAC
    assert world.seen(desired)[wanted.key] == wanted


def test_two_routers_have_two_vnis_and_exchange_them(world: World) -> None:
    """Unique on the host: both links go before either is made."""
    first, second = tunnel(), tunnel(8, 78, ROUTER_B)
    desired = [*tunnelled(link=first), *tunnelled(link=second)]
    converge(world, desired, rounds=1)
    assert converge(world, desired) == []
    changes = {first: replace(first, vni=78), second: replace(second, vni=VNI)}
    exchanged = [changes.get(item, item) if isinstance(item, VxlanLink) else item for item in desired]
    (actions,) = converge(world, exchanged, rounds=1)
    links = [action.verb for action in actions if isinstance(action.object, VxlanLink)]
    assert links == [Verb.DELETE, Verb.DELETE, Verb.CREATE, Verb.CREATE]


def test_vni_goes_over_to_another_router_in_one_round(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """The old link goes first, although its router stays."""
    world, _, _ = made
    desired = [*router(ROUTER_A), *tunnelled(link=tunnel(9, VNI, ROUTER_B))]
    converge(world, desired, rounds=1)
    assert shown() == ""


def test_vni_is_free_although_the_namespace_dies_late(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """kernel.md, section 5: a process keeps the router's namespace; its name and VNI are used again at once."""
    world, desired, wanted = made
    sleeper = subprocess.Popen(["ip", "netns", "exec", ROUTER_A, "sh", "-c", "echo in; exec sleep 60"], stdout=-1)
    assert sleeper.stdout is not None
    try:
        assert sleeper.stdout.readline() == b"in\n"
        remade = [
            replace(item, mark=names.mark("vpc", "other")) if isinstance(item, Namespace) else item for item in desired
        ]
        converge(world, remade, rounds=1)
        assert world.seen(remade)[wanted.key] == wanted
        without = [item for item in desired if isinstance(item, UnderlayFilter)]
        converge(world, without, rounds=1)
        converge(world, [*without, *tunnelled(link=tunnel(9, VNI, ROUTER_B))], rounds=1)
    finally:
        sleeper.kill()
        sleeper.wait()
        sleeper.stdout.close()


def test_new_mac_writes_the_neighbours_again(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """The kernel flushes them, permanent ones too: one round is enough all the same. An equal one flushes nothing."""
    world, desired, wanted = made
    changed = [replace(item, mac="02:00:00:00:00:99") if item == wanted else item for item in desired]
    (actions,) = converge(world, changed, rounds=1)
    assert {type(action.object) for action in actions} == {VxlanLink, Neighbour}
    assert world.do(Verb.CHANGE, replace(wanted, mac="02:00:00:00:00:99", mtu=1400)).error is None
    neighbours = by_key(item for item in desired if isinstance(item, Neighbour))
    assert neighbours.items() <= world.seen(desired).items()


def test_link_that_was_born_and_not_marked_is_a_leftover(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between birth and mark: it differs from all that is desired, and goes first."""
    desired = tunnelled()
    world.create(item for item in desired if isinstance(item, Namespace | UnderlayFilter))
    monkeypatch.setattr(perform_vxlan, "_settle", lambda jobs, visits: None)
    assert world.do(Verb.CREATE, tunnel()).error is None
    monkeypatch.undo()
    (leftover,) = (item for item in world.seen(desired).values() if isinstance(item, VxlanLink))
    assert leftover.key != tunnel().key
    assert world.observe(desired).foreign == ()
    assert world.do(Verb.CREATE, tunnel(vni=78)).error is not None
    converge(world, desired, rounds=1)
    assert world.do(Verb.DELETE, leftover).error is None  # it comes late, and does not hit the good link
    assert world.seen(desired)[tunnel().key] == tunnel()


class Killed(BaseException):
    """The process dies here."""


def test_a_crash_at_any_step_is_finished_or_undone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead before each writing call of making and of removing: the next plan leads to all or to nothing."""
    desired, bare = tunnelled(), [*router(ROUTER_A), underlay_filter()]
    original, steps = NetlinkSocket.execute, {Verb.CREATE: 0, Verb.DELETE: 0}
    for verb in steps:
        for number in range(1, 10):
            converge(world, bare if verb is Verb.CREATE else desired)
            calls = 0

            def dying(opened: NetlinkSocket, requests: Sequence[bytearray], number: int = number) -> list[object]:
                nonlocal calls
                calls += 1
                if calls == number:
                    raise Killed
                return list(original(opened, requests))

            with monkeypatch.context() as patch, contextlib.suppress(Killed):
                patch.setattr(NetlinkSocket, "execute", dying)
                world.do(verb, tunnel())
            steps[verb] = max(steps[verb], calls)
            converge(world, desired if number % 2 else bare)
    assert steps == {Verb.CREATE: 3, Verb.DELETE: 1}


def test_many_links_of_one_router_are_made_and_deleted_together(world: World) -> None:
    """As next-hop tunnels are; each with entries of its own."""
    links = [
        tunnel(20 + number, 1000 + number, mark=names.mark("next_hop_tunnel", f"ecs-{number}")) for number in range(150)
    ]
    entries = [FdbEntry(ROUTER_A, link.ifname, FAR_MAC, THERE) for link in links]
    desired = [*router(ROUTER_A), underlay_filter(), *links, *entries]
    converge(world, desired, rounds=1)
    assert converge(world, desired) == []
    converge(world, desired[: -len(links) - len(entries)], rounds=1)
    assert shown() == ""


def test_entries_of_a_link_to_several_hosts(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """A VPC's tunnel reaches each host by a MAC of its own; one host more is one entry and one neighbour more."""
    world, desired, _ = made
    other = IPv4Address("172.20.0.13")
    more = [FdbEntry(ROUTER_A, LINK, "02:00:00:00:01:02", other), Neighbour(ROUTER_A, LINK, other, "02:00:00:00:01:02")]
    ((first, second),) = converge(world, [*desired, *more], rounds=1)
    assert {first.object, second.object} == set(more)
    ((first, second),) = converge(world, desired, rounds=1)
    assert {first.object, second.object} == set(more)


def test_many_rounds_leave_no_descriptor_open(made: tuple[World, list[KernelObject], VxlanLink]) -> None:
    """Making, refusing, looking, removing."""
    world, desired, wanted = made
    before = open_files()
    for _ in range(10):
        world.observe(desired)
        world.do(Verb.CHANGE, wanted)
        world.do(Verb.DELETE, wanted)
        world.do(Verb.CREATE, wanted)
        world.do(Verb.CREATE, replace(wanted, device="missing"))
        world.do(Verb.CREATE, replace(wanted, namespace="dp-vpc-missing"))
    assert open_files() == before
