"""Which links of a dump are VLAN links of ours: pure, on links written by hand."""

from dataclasses import replace

import pytest

from dataplane.datapath.vlan import Line
from dataplane.kernel import vlan
from dataplane.kernel.link import Link
from dataplane.kernel.veth import LinkView, pair
from dataplane.kernel.vlan import HostView, find, in_the_way
from dataplane.model import names
from dataplane.model.kernel import Key, VlanLink, VlanMode

MARK, VBR, MAC = "dataplane line/vbr-1", "dp-vbr-vbr-1", "02:00:00:00:00:aa"
NEAR, FAR = names.port_ifindex(1), names.port_ifindex(2)
ETH1 = Link("", 3, "eth1", "", "", MAC, 1500, True, has_carrier=True)
NEAR_END = Link(VBR, NEAR, "dpv1", "veth", MARK, MAC, 1500, True, FAR)
FAR_END = Link("", FAR, "dpw2", "veth", MARK, "02:00:00:00:00:bb", 1500, True, NEAR)
SUB = Link(VBR, NEAR, "dpv1", "vlan", MARK, MAC, 1500, True, parent_ifindex=3, vlan=1000)
STAND_IN = VlanLink(MARK, VBR, "dpv1", NEAR, "eth1", 1000, VlanMode.TC, "dpw2", FAR)
REAL = VlanLink(MARK, VBR, "dpv1", NEAR, "eth1", 1000, VlanMode.KERNEL)


def _look(*links: Link, desired: VlanLink | None = STAND_IN, **changes: object) -> dict[Key, VlanLink]:
    host = {one.ifindex: one for one in (ETH1, *links) if one.namespace == ""}
    state = replace(HostView(host, {FAR: Line(3, 1000)}, frozenset({3, FAR})), **changes)  # type: ignore[arg-type]
    view = LinkView(list(links), {VBR}, {VBR})
    return find(view, state, {desired.key: desired} if desired is not None else {}).links


@pytest.mark.parametrize("desired", [STAND_IN, None], ids=["desired", "forgotten"])
def test_stand_in_is_seen(desired: VlanLink | None) -> None:
    """Whether or not the configuration still has it."""
    assert list(_look(NEAR_END, FAR_END, desired=desired).values()) == [STAND_IN]


@pytest.mark.parametrize(
    ("near", "far", "changes"),
    [
        ({"mac": "02:00:00:00:00:cc"}, {}, {}),
        ({"mtu": 1400}, {}, {}),
        ({}, {"mtu": 1400}, {}),
        ({}, {"up": False}, {}),
        ({}, {}, {"attached": frozenset({3})}),
        ({}, {}, {"attached": frozenset({FAR})}),
        ({}, {}, {"lines": {}}),
        ({}, {}, {"lines": {FAR: Line(0, 1000)}}),
        ({}, {}, {"lines": {FAR: Line(77, 1000)}}),
    ],
)
def test_what_does_not_follow_the_parent_shows(
    near: dict[str, object], far: dict[str, object], changes: dict[str, object]
) -> None:
    """MAC, MTU, carrier, programs and entries; the line is still the one that is wanted, so that it is repaired."""
    links = (replace(NEAR_END, **near), replace(FAR_END, **far))
    assert list(_look(*links, **changes).values()) == [replace(STAND_IN, follows_parent=False)]


def test_carrier_is_the_parents() -> None:
    """A parent without carrier wants a far end that is down."""
    silent = {3: replace(ETH1, has_carrier=False), FAR: replace(FAR_END, up=False)}
    assert list(_look(NEAR_END, silent[FAR], links=silent).values()) == [STAND_IN]


def test_another_line_than_the_wanted_one_is_told_as_it_is() -> None:
    """An entry for another VLAN or another device: not this link, which is made anew."""
    wanted = replace(STAND_IN, vlan=1001)
    assert [one.vlan for one in _look(NEAR_END, FAR_END, desired=wanted).values()] == [1000]


@pytest.mark.parametrize("aliases", [("", ""), (MARK, ""), ("", MARK), (MARK, "dataplane line/other")])
def test_half_marked_pairs_are_left_to_the_veths(aliases: tuple[str, str]) -> None:
    """A crash between the two marks: no VLAN link, but a leftover that is deleted."""
    links = [replace(NEAR_END, alias=aliases[0]), replace(FAR_END, alias=aliases[1])]
    assert _look(*links, lines={}) == {}
    (leftover,) = pair(LinkView(links, {VBR}, {VBR}), {}).values()
    assert {end.namespace for end in leftover.ends} == {VBR, names.HOST}


def test_entry_without_a_link_is_a_leftover() -> None:
    """Its key is nobody's, so that the plan deletes it; its number clears the way for a new link."""
    ((key, found),) = _look().items()
    assert key != STAND_IN.key
    assert (found.parent, found.vlan, found.far_ifindex) == ("eth1", 1000, FAR)
    assert names.parse_mark(found.mark) is None


def test_second_stand_in_of_a_mark_is_left_to_the_veths() -> None:
    """The one with the wanted number is the link."""
    third, fourth = names.port_ifindex(3), names.port_ifindex(4)
    copy = (
        replace(NEAR_END, ifindex=third, ifname="dpv3", peer_ifindex=fourth),
        replace(FAR_END, ifindex=fourth, ifname="dpw4", peer_ifindex=third),
    )
    wanted = replace(STAND_IN, ifindex=third, ifname="dpv3", far_ifindex=fourth, far_ifname="dpw4")
    (found,) = _look(NEAR_END, FAR_END, *copy, desired=wanted).values()
    assert found.far_ifindex == fourth


def test_sub_interface_is_seen() -> None:
    """MAC and carrier are the kernel's affair."""
    assert list(_look(SUB, desired=REAL, lines={}).values()) == [REAL]
    assert list(_look(replace(SUB, up=False), desired=REAL, lines={}).values()) == [replace(REAL, up=False)]


def test_unmarked_sub_interface_with_a_number_of_ours_is_a_leftover() -> None:
    """A crash between birth and mark."""
    (found,) = _look(replace(SUB, alias=""), desired=REAL, lines={}).values()
    assert found.key != REAL.key
    assert names.parse_mark(found.mark) is None


def test_sub_interfaces_of_others_are_none() -> None:
    """On the host, or in a namespace of ours with a number that the kernel chose."""
    foreign = replace(SUB, alias="", ifindex=12)
    assert _look(foreign, replace(foreign, namespace=""), lines={}) == {}


def test_a_foreign_sub_interface_of_the_same_vlan_is_in_the_way() -> None:
    """It is named, with the command that removes it; another VLAN or device is not in the way."""
    foreign = replace(SUB, namespace="", ifindex=12, ifname="eth1.1000", alias="")
    host = HostView({3: ETH1, 12: foreign})
    (text,) = in_the_way([foreign], host, {REAL.key: REAL}).values()
    assert "VLAN 1000 of device eth1 is taken by interface eth1.1000" in text
    assert "ip link delete eth1.1000" in text
    assert in_the_way([replace(foreign, vlan=1001)], host, {REAL.key: REAL}) == {}
    assert in_the_way([replace(foreign, parent_ifindex=4)], host, {REAL.key: REAL}) == {}
    assert vlan.in_the_way([foreign], host, {STAND_IN.key: STAND_IN}) == {}
