"""VXLAN links: the message that makes one, and which links of a dump are VXLAN links of ours.

Pure but for the encoding: it computes on links that were read elsewhere. A link is in a router's namespace and its UDP
socket in the host's; nothing is learned and nothing is flooded (kernel.md, section 5).
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from dataplane.kernel.attributes import address, attributes, u32
from dataplane.kernel.link import Link
from dataplane.kernel.messages import CREATE, encode
from dataplane.kernel.ownership import is_our_ifindex, is_our_mark, leftover_mark
from dataplane.kernel.rtnetlink import RTM_NEWLINK, ifinfmsg, nla, nlmsg
from dataplane.kernel.veth import LinkView
from dataplane.kernel.vlan import HostView
from dataplane.model import names
from dataplane.model.kernel import Key
from dataplane.model.vxlan import VxlanLink

KIND = "vxlan"
NOWHERE = IPv4Address("0.0.0.0")

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_ID, _GROUP, _LINK, _LOCAL, _TTL, _LEARNING, _PROXY, _RSC, _L2MISS, _L3MISS = 1, 2, 3, 4, 5, 7, 11, 12, 13, 14
_PORT, _GROUP6, _LOCAL6, _UDP_CSUM, _GBP, _COLLECT_METADATA, _GPE, _TTL_INHERIT = 15, 16, 17, 18, 23, 25, 27, 28
_DF, _VNIFILTER = 29, 30
_TTL_HOPS = 64
_DF_SET = 1
_PORT_BYTES = struct.pack("!H", names.VXLAN_PORT)
_SET = {_PORT: _PORT_BYTES, _TTL: bytes([_TTL_HOPS]), _DF: bytes([_DF_SET])}
"""What every link of ours has."""
_UNSET = (
    *(_GROUP, _GROUP6, _LOCAL6, _LEARNING, _PROXY, _RSC, _L2MISS, _L3MISS, _UDP_CSUM),
    *(_COLLECT_METADATA, _TTL_INHERIT, _VNIFILTER),
)
"""What none of ours has: shown as zeros, or not at all, by the age of the kernel."""
_FLAGS = (_GBP, _GPE)
"""What none of ours has, either, and what is shown without a value where it is set."""


class VxlanMessage(nlmsg):
    """``struct ifinfomsg`` with what a VXLAN link needs."""

    fields = ifinfmsg.fields
    nla_map = (
        (_IFLA_ADDRESS, "IFLA_ADDRESS", "l2addr"),
        (_IFLA_IFNAME, "IFLA_IFNAME", "asciiz"),
        (_IFLA_MTU, "IFLA_MTU", "uint32"),
        (_IFLA_LINKINFO, "IFLA_LINKINFO", "info"),
        (_IFLA_NET_NS_FD, "IFLA_NET_NS_FD", "uint32"),
    )

    class info(nla):
        """What kind of link it is."""

        nla_flags = 0x8000
        nla_map = ((_IFLA_INFO_KIND, "IFLA_INFO_KIND", "asciiz"), (_IFLA_INFO_DATA, "IFLA_INFO_DATA", "vxlan"))

        class vxlan(nla):
            """What only a VXLAN link has."""

            nla_flags = 0x8000
            nla_map = (
                (_ID, "IFLA_VXLAN_ID", "uint32"),
                (_LINK, "IFLA_VXLAN_LINK", "uint32"),
                (_LOCAL, "IFLA_VXLAN_LOCAL", "ip4addr"),
                (_TTL, "IFLA_VXLAN_TTL", "uint8"),
                (_LEARNING, "IFLA_VXLAN_LEARNING", "uint8"),
                (_PORT, "IFLA_VXLAN_PORT", "be16"),
                (_UDP_CSUM, "IFLA_VXLAN_UDP_CSUM", "uint8"),
                (_DF, "IFLA_VXLAN_DF", "uint8"),
            )


def create_request(wanted: VxlanLink, device_ifindex: int, namespace_fd: int) -> bytearray:
    """The message that makes a link, down; to be sent in the host's namespace, where its socket will be.

    No multicast group and no default destination: the kernel makes no all-zero entry then, so that nothing is flooded.
    DF, because a fragment of an outer packet that is lost takes the whole inner one along; the MTU leaves room.

    Args:
        namespace_fd: an open descriptor of the namespace that the link is born in.
    """
    data = [
        ("IFLA_VXLAN_ID", wanted.vni),
        ("IFLA_VXLAN_LINK", device_ifindex),
        ("IFLA_VXLAN_LOCAL", str(wanted.local)),
        ("IFLA_VXLAN_TTL", _TTL_HOPS),
        ("IFLA_VXLAN_LEARNING", 0),
        ("IFLA_VXLAN_PORT", names.VXLAN_PORT),
        ("IFLA_VXLAN_UDP_CSUM", 0),  # RFC 7348, section 5: it should be zero
        ("IFLA_VXLAN_DF", _DF_SET),
    ]
    attrs = [
        ("IFLA_ADDRESS", wanted.mac),
        ("IFLA_IFNAME", wanted.ifname),
        ("IFLA_MTU", wanted.mtu),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", KIND), ("IFLA_INFO_DATA", {"attrs": data})]}),
        ("IFLA_NET_NS_FD", namespace_fd),
    ]
    return encode(VxlanMessage, RTM_NEWLINK, CREATE, {"index": wanted.ifindex}, attrs)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What only a VXLAN link has.

    Args:
        device: ifindex of the underlay device; 0 where there is none.
        has_our_port: it listens where ours listen, so that its VNI cannot be had twice.
        is_static: it has no parameter that ours would not have.
    """

    vni: int
    local: IPv4Address
    device: int
    has_our_port: bool
    is_static: bool


def parameters(link: Link) -> Parameters:
    """The parameters of a link of this kind."""
    found = attributes(link.parameters, 0, len(link.parameters))
    is_as_made = all(found.get(number) == value for number, value in _SET.items())
    is_bare = not any(any(found.get(number, b"")) for number in _UNSET) and not any(flag in found for flag in _FLAGS)
    return Parameters(
        vni=u32(found.get(_ID)) or 0,
        local=address(found.get(_LOCAL)) or NOWHERE,
        device=u32(found.get(_LINK)) or 0,
        has_our_port=found.get(_PORT) == _PORT_BYTES,
        is_static=is_as_made and is_bare,
    )


def has_vni(link: Link, vni: int) -> bool:
    """Whether a link keeps ours from having this VNI: it has it, on the port that ours listen on."""
    if link.kind != KIND:
        return False
    given = parameters(link)
    return given.vni == vni and given.has_our_port


@dataclass(slots=True)
class Found:
    """The VXLAN links of ours, and where they are."""

    links: dict[Key, VxlanLink] = field(default_factory=dict)
    ends: set[tuple[str, int]] = field(default_factory=set)


def is_ours(link: Link, our_namespaces: Iterable[str]) -> bool:
    """Whether a link is one of ours: by its mark, or by its number where it was born and not yet marked."""
    if link.kind != KIND:
        return False
    is_in_ours = link.namespace in our_namespaces
    if is_our_mark(link.alias):
        return is_in_ours or link.namespace == names.HOST
    return is_in_ours and is_our_ifindex(link.ifindex)


def find(view: LinkView, host: HostView, home_numbers: Mapping[str, int]) -> Found:
    """Every VXLAN link of ours. One without a mark, and the second one of a mark, get one that nothing desired has.

    Args:
        home_numbers: namespace -> the number that it has for the host's namespace.
    """
    found = Found()
    for link in view.links:
        if not is_ours(link, view.our_namespaces):
            continue
        seen = _seen(link, host, home_numbers)
        if not is_our_mark(seen.mark) or seen.key in found.links:
            mark = leftover_mark([link.end], {link.ifindex: link.alias})
            seen = _seen(link, host, home_numbers, mark)
        found.links[seen.key] = seen
        found.ends.add((link.namespace, link.ifindex))
    return found


def _seen(link: Link, host: HostView, home_numbers: Mapping[str, int], mark: str | None = None) -> VxlanLink:
    given = parameters(link)
    home = home_numbers.get(link.namespace)
    is_at_home = home is not None and link.lower_namespace == home
    return VxlanLink(
        mark=link.alias if mark is None else mark,
        namespace=link.namespace,
        ifname=link.ifname,
        ifindex=link.ifindex,
        mac=link.mac,
        vni=given.vni,
        local=given.local,
        device=host.name_of(given.device) if is_at_home else "",
        mtu=link.mtu,
        is_static=given.is_static and is_at_home,
        up=link.up,
    )


def in_the_way(strangers: Iterable[Link], desired: Mapping[Key, VxlanLink]) -> dict[Key, str]:
    """VXLAN links of others on the host that have a VNI which one of ours shall have."""
    found: dict[Key, str] = {}
    for stranger in strangers:
        if stranger.kind != KIND or stranger.namespace != names.HOST:
            continue
        for wanted in desired.values():
            if has_vni(stranger, wanted.vni):
                found[wanted.key] = (
                    f"VNI {wanted.vni} is taken by interface {stranger.ifname} on the host, which is not ours; remove "
                    f"it (ip link delete {stranger.ifname}), or give this network another `vni:`"
                )
    return found
