"""Pairing of veth ends: pure, on links written by hand."""

from dataclasses import replace

import pytest

from dataplane.kernel.link import Link
from dataplane.kernel.ownership import carries_mark
from dataplane.kernel.veth import LinkView, pair
from dataplane.model import names
from dataplane.model.kernel import Key, Veth, VethEnd

MARK = "dataplane instance/ecs-1"
NEAR, FAR = names.port_ifindex(1), names.port_ifindex(2)
ROUTER_END = Link("dp-vpc-a", NEAR, "dpi1", "veth", MARK, "02:00:00:00:00:01", 1500, True, FAR)
INSTANCE_END = Link("dp-i-ecs-1", FAR, "eth0", "veth", MARK, "02:00:00:00:00:02", 1500, True, NEAR)
WANTED = Veth(MARK, ROUTER_END.end, INSTANCE_END.end, 1500)
DESIRED: dict[Key, Veth] = {WANTED.key: WANTED}


def _pairs(*links: Link, desired: dict[Key, Veth] = DESIRED) -> list[Veth]:
    view = LinkView(list(links), {"dp-vpc-a", "dp-i-ecs-1"}, {"dp-vpc-a"})
    found = pair(view, desired)
    assert all(key == veth.key for key, veth in found.items())
    return list(found.values())


@pytest.mark.parametrize("desired", [DESIRED, {}], ids=["desired", "forgotten"])
@pytest.mark.parametrize("order", [1, -1])
def test_ends_are_paired_and_the_routers_is_a(desired: dict[Key, Veth], order: int) -> None:
    """In whatever order they are read, and whether or not the configuration still has the pair."""
    assert _pairs(*(ROUTER_END, INSTANCE_END)[::order], desired=desired) == [WANTED]


def test_desired_says_which_end_is_a() -> None:
    """Between two routers only the configuration knows."""
    other = replace(INSTANCE_END, namespace="dp-vpc-b", ifname="dpr2")
    wanted = Veth(MARK, other.end, ROUTER_END.end, 1500)
    assert _pairs(ROUTER_END, other, desired={wanted.key: wanted}) == [wanted]


@pytest.mark.parametrize("lost", ["a", "b"])
def test_missing_end_is_none(lost: str) -> None:
    """The end that is out of sight is the one that is missing, and the other keeps its place."""
    seen = INSTANCE_END if lost == "a" else ROUTER_END
    assert _pairs(seen) == [replace(WANTED, **{lost: None})]
    assert _pairs(seen, desired={}) == [replace(WANTED, **{lost: None})]


def test_peer_that_points_elsewhere_is_no_partner() -> None:
    """Two ends are a pair only if each names the other."""
    stray = replace(INSTANCE_END, peer_ifindex=77)
    assert len(_pairs(ROUTER_END, stray)) == 2


@pytest.mark.parametrize("aliases", [("", ""), (MARK, ""), ("", MARK), (MARK, "dataplane instance/other")])
def test_ends_that_do_not_agree_are_a_leftover(aliases: tuple[str, str]) -> None:
    """Neither the desired pair nor any other; a deletion recognises each end by what stood there."""
    near, far = replace(ROUTER_END, alias=aliases[0]), replace(INSTANCE_END, alias=aliases[1])
    (leftover,) = _pairs(near, far)
    assert leftover.key not in DESIRED
    assert names.parse_mark(leftover.mark) is None
    for end in (near, far):
        assert carries_mark(leftover.mark, end.ifindex, end.alias)
        assert not carries_mark(leftover.mark, end.ifindex, "dataplane instance/new")
        assert not carries_mark(leftover.mark, end.ifindex + 10, end.alias)


def test_second_pair_of_a_mark_is_a_leftover() -> None:
    """Keys stay unique, and nothing is overlooked."""
    third, fourth = names.port_ifindex(3), names.port_ifindex(4)
    copy = (
        replace(ROUTER_END, ifindex=third, ifname="dpi3", peer_ifindex=fourth),
        replace(INSTANCE_END, ifindex=fourth, ifname="eth1", peer_ifindex=third),
    )
    first, second = _pairs(ROUTER_END, INSTANCE_END, *copy)
    assert first == WANTED
    assert {end.ifindex for end in second.ends} == {third, fourth}
    assert names.parse_mark(second.mark) is None


def test_links_of_others_are_nobodys_pairs() -> None:
    """Kernel-chosen numbers, other kinds, and unmarked veths in namespaces of others."""
    strangers = [
        replace(ROUTER_END, ifindex=5, peer_ifindex=6, alias=""),
        replace(ROUTER_END, kind="vxlan", peer_ifindex=0),
        replace(ROUTER_END, namespace="web", alias="", peer_ifindex=9),
    ]
    assert _pairs(*strangers) == []


def test_far_end_in_an_attached_namespace_without_mark_belongs_to_the_pair() -> None:
    """A crash before the mark of an attached end: the end of ours leads to it."""
    unmarked = replace(INSTANCE_END, namespace="web", alias="")
    (leftover,) = _pairs(ROUTER_END, unmarked)
    assert {end.namespace for end in leftover.ends} == {"dp-vpc-a", "web"}


def test_wrong_mtu_of_either_end_shows() -> None:
    """The end that differs from what is desired is the one that counts."""
    for wrong in ((1450, 1500), (1500, 1450), (9000, 1500), (1500, 9000)):
        links = (replace(ROUTER_END, mtu=wrong[0]), replace(INSTANCE_END, mtu=wrong[1]))
        (seen,) = _pairs(*links)
        assert seen.mtu != WANTED.mtu


def test_admin_state_is_per_end() -> None:
    """Down at one end is a difference of that end."""
    (seen,) = _pairs(replace(ROUTER_END, up=False), INSTANCE_END)
    assert isinstance(seen.a, VethEnd)
    assert not seen.a.up
    assert seen.b == WANTED.b
