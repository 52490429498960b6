"""VLAN links: the message that makes a real one, and which links of a dump are VLAN links of ours.

Pure but for the encoding: it computes on links, map entries and filters that were read elsewhere. A real one is a
sub-interface of kind ``vlan``. The stand-in is a veth with its far end in the host's namespace, where no other veth of
ours has an end.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dataplane.datapath.vlan import Line
from dataplane.kernel.link import Link
from dataplane.kernel.messages import CREATE, encode
from dataplane.kernel.ownership import is_our_ifindex, is_our_mark, leftover_mark
from dataplane.kernel.rtnetlink import RTM_NEWLINK, ifinfmsg, nla, nlmsg
from dataplane.kernel.veth import LinkView
from dataplane.model import names
from dataplane.model.kernel import Key, VlanLink, VlanMode

_KIND = "vlan"
_IFLA_IFNAME, _IFLA_LINK, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 5, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _IFLA_VLAN_ID = 1, 2, 1


class VlanMessage(nlmsg):
    """``struct ifinfomsg`` with what a VLAN sub-interface needs."""

    fields = ifinfmsg.fields
    nla_map = (
        (_IFLA_IFNAME, "IFLA_IFNAME", "asciiz"),
        (_IFLA_LINK, "IFLA_LINK", "uint32"),
        (_IFLA_LINKINFO, "IFLA_LINKINFO", "info"),
        (_IFLA_NET_NS_FD, "IFLA_NET_NS_FD", "uint32"),
    )

    class info(nla):
        """What kind of link it is."""

        nla_flags = 0x8000
        nla_map = ((_IFLA_INFO_KIND, "IFLA_INFO_KIND", "asciiz"), (_IFLA_INFO_DATA, "IFLA_INFO_DATA", "vlan"))

        class vlan(nla):
            """What only a VLAN has; its protocol is 802.1Q where nothing else is said."""

            nla_flags = 0x8000
            nla_map = ((_IFLA_VLAN_ID, "IFLA_VLAN_ID", "uint16"),)


def create_request(wanted: VlanLink, parent_ifindex: int, namespace_fd: int) -> bytearray:
    """The message that makes a sub-interface, down; to be sent in the parent's namespace.

    Args:
        namespace_fd: an open descriptor of the namespace that the link is born in.
    """
    data = {"attrs": [("IFLA_VLAN_ID", wanted.vlan)]}
    attrs = [
        ("IFLA_IFNAME", wanted.ifname),
        ("IFLA_LINK", parent_ifindex),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", _KIND), ("IFLA_INFO_DATA", data)]}),
        ("IFLA_NET_NS_FD", namespace_fd),
    ]
    return encode(VlanMessage, RTM_NEWLINK, CREATE, {"index": wanted.ifindex}, attrs)


@dataclass(frozen=True, slots=True)
class HostView:
    """The namespace of the parents.

    Args:
        links: every one in it, by ifindex.
        lines: where the stand-in sends the frames of each far end, by the far end's ifindex.
        attached: the devices whose filter of ours runs the present program.
        has_pins: programs or maps of the stand-in are pinned, needed or not.
    """

    links: Mapping[int, Link] = field(default_factory=dict)
    lines: Mapping[int, Line] = field(default_factory=dict)
    attached: frozenset[int] = frozenset()
    has_pins: bool = False

    def name_of(self, ifindex: int) -> str:
        """The name of a device; empty where it is gone."""
        found = self.links.get(ifindex)
        return found.ifname if found is not None else ""


@dataclass(slots=True)
class Found:
    """The VLAN links of ours, and the links that they consist of."""

    links: dict[Key, VlanLink] = field(default_factory=dict)
    ends: set[tuple[str, int]] = field(default_factory=set)

    def add(self, found: VlanLink, ends: Iterable[Link]) -> None:
        self.links[found.key] = found
        self.ends.update((end.namespace, end.ifindex) for end in ends)


def find(view: LinkView, host: HostView, desired: Mapping[Key, VlanLink]) -> Found:
    """Every VLAN link of ours. What is left of one, and nothing asks for, gets a mark that nothing desired has.

    A pair that lacks a mark at one end is none: it is a leftover of ``veth.pair``.
    """
    found = Found()
    for link in view.links:
        if link.kind == _KIND:
            _add_real(link, view, host, found)
    wanted_fars = {link.far_ifindex for link in desired.values()}
    for near, far in sorted(_pairs(view), key=lambda pair: (pair[1].ifindex not in wanted_fars, pair[1].ifindex)):
        seen = _stand_in(near, far, host, desired.get(("vlan", far.alias)))
        if seen.key not in found.links:
            found.add(seen, (near, far))
    for ifindex, line in host.lines.items():
        if ifindex not in host.links:
            found.add(_leftover(f"entry of #{ifindex}", ifindex, line, host), ())
    if host.has_pins and not found.links and not any(link.mode is VlanMode.TC for link in desired.values()):
        found.add(_leftover("program", 0, Line(0, 0), host), ())
    return found


def _add_real(link: Link, view: LinkView, host: HostView, found: Found) -> None:
    """A sub-interface: ours by its mark, or by its number where it was born and not yet marked."""
    is_in_ours = link.namespace in view.our_namespaces
    is_marked = is_our_mark(link.alias) and (is_in_ours or link.namespace == names.HOST)
    if not is_marked and not (is_in_ours and is_our_ifindex(link.ifindex)):
        return
    mark = link.alias
    if not is_our_mark(mark) or ("vlan", mark) in found.links:
        mark = leftover_mark([link.end], {link.ifindex: link.alias})
    parent = host.name_of(link.parent_ifindex)
    seen = VlanLink(mark, link.namespace, link.ifname, link.ifindex, parent, link.vlan, VlanMode.KERNEL, up=link.up)
    found.add(seen, [link])


def _pairs(view: LinkView) -> Iterator[tuple[Link, Link]]:
    """Near and far end of each marked veth that reaches from a namespace of ours into the host's."""
    nears = {link.ifindex: link for link in view.links if link.namespace in view.our_namespaces and link.kind == "veth"}
    for far in view.links:
        if far.namespace != names.HOST or far.kind != "veth" or not is_our_ifindex(far.ifindex):
            continue
        near = nears.get(far.peer_ifindex)
        if near is None or near.peer_ifindex != far.ifindex:
            continue
        if is_our_mark(far.alias) and near.alias == far.alias:
            yield near, far


def _stand_in(near: Link, far: Link, host: HostView, wanted: VlanLink | None) -> VlanLink:
    """One stand-in; of one whose entry is gone only what is wanted says which line it is for."""
    line = host.lines.get(far.ifindex, Line(0, 0))
    parent = host.links.get(line.parent)
    if parent is not None:
        ifname, vlan = parent.ifname, line.vlan
    else:
        ifname, vlan = (wanted.parent, wanted.vlan) if wanted is not None else ("", line.vlan)
    return VlanLink(
        mark=far.alias,
        namespace=near.namespace,
        ifname=near.ifname,
        ifindex=near.ifindex,
        parent=ifname,
        vlan=vlan,
        mode=VlanMode.TC,
        far_ifname=far.ifname,
        far_ifindex=far.ifindex,
        follows_parent=parent is not None and _follows(near, far, parent, host),
        up=near.up,
    )


def _follows(near: Link, far: Link, parent: Link, host: HostView) -> bool:
    """Whether the stand-in is what 8021q would make of it: MAC, MTU and carrier its parent's, frames on their way."""
    return (
        near.mac == parent.mac
        and near.mtu == far.mtu == parent.mtu
        and far.up == parent.has_carrier
        and {far.ifindex, parent.ifindex} <= host.attached
    )


def _leftover(what: str, far: int, line: Line, host: HostView) -> VlanLink:
    """What is left in the maps when a router's namespace was removed by hand; pins that a death left behind."""
    name = f"#{far}"
    return VlanLink(
        mark=f"leftover {what}",
        namespace=names.HOST,
        ifname=name,
        ifindex=far,
        parent=host.name_of(line.parent),
        vlan=line.vlan,
        mode=VlanMode.TC,
        far_ifname=name,
        far_ifindex=far,
        follows_parent=False,
    )


def in_the_way(strangers: Iterable[Link], host: HostView, desired: Mapping[Key, VlanLink]) -> dict[Key, str]:
    """Sub-interfaces of others that speak a VLAN that one of ours shall speak, on the same device."""
    lines = {(link.parent, link.vlan): link.key for link in desired.values() if link.mode is VlanMode.KERNEL}
    found: dict[Key, str] = {}
    for stranger in strangers:
        if stranger.kind != _KIND or stranger.namespace != names.HOST:
            continue
        parent = host.name_of(stranger.parent_ifindex)
        key = lines.get((parent, stranger.vlan))
        if key is not None:
            found[key] = (
                f"VLAN {stranger.vlan} of device {parent} is taken by interface {stranger.ifname} on the host, "
                f"which is not ours; remove it (ip link delete {stranger.ifname}), or change the VLAN"
            )
    return found
