"""Links: veth pairs born with each end in its own namespace, and what a dump says about a link.

Owns the messages. Which ends make a pair is decided in ``veth.py``, which links are VLANs of ours in ``vlan.py``, and
which are VXLAN links of ours in ``vxlan.py``.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dataplane.kernel.attributes import attributes, mac, text, u32
from dataplane.kernel.messages import CREATE, DO, DUMP, Attributes, encode
from dataplane.kernel.netlink import NLM_F_REQUEST, Part
from dataplane.kernel.rtnetlink import IFF_UP, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK, ifinfmsg, nla, nlmsg
from dataplane.model.kernel import Sysctl, VethEnd

LOOPBACK_IFINDEX = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_QDISC, _IFLA_LINKINFO = 1, 3, 4, 5, 6, 18
_IFLA_IFALIAS, _IFLA_GROUP, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 20, 27, 28, 29
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_VLAN_ID = 1
_IFLA_AF_SPEC, _AF_INET, _IFLA_INET_CONF = 26, 2, 1
_IFLA_LINK_NETNSID = 37
_IFLA_XDP, _IFLA_XDP_PROG_ID = 43, 4
_IFF_LOWER_UP = 1 << 16
_SKIP_STATS = 1 << 3  # RTEXT_FILTER_SKIP_STATS: half of a link's message, and nothing for us
_NLA_F_NESTED = 0x8000
_FIXED = struct.Struct("=BxHiII")
_U16 = struct.Struct("=H")
_SETTING = struct.Struct("=i")
_SETTINGS = {"forwarding": 1, "proxy_arp": 3, "send_redirects": 6, "rp_filter": 8}
"""``IPV4_DEVCONF_*`` of linux/ip.h."""
_PLAIN = (
    (_IFLA_ADDRESS, "IFLA_ADDRESS", "l2addr"),
    (_IFLA_IFNAME, "IFLA_IFNAME", "asciiz"),
    (_IFLA_MTU, "IFLA_MTU", "uint32"),
    (_IFLA_IFALIAS, "IFLA_IFALIAS", "string"),
    (_IFLA_GROUP, "IFLA_GROUP", "uint32"),
    (_IFLA_NET_NS_FD, "IFLA_NET_NS_FD", "uint32"),
    (_IFLA_EXT_MASK, "IFLA_EXT_MASK", "uint32"),
)


class LinkMessage(nlmsg):
    """``struct ifinfomsg`` with the attributes that we use."""

    fields = ifinfmsg.fields
    nla_map = (*_PLAIN, (_IFLA_LINKINFO, "IFLA_LINKINFO", "info"))

    class info(nla):
        """What kind of link it is."""

        nla_flags = _NLA_F_NESTED
        nla_map = ((_IFLA_INFO_KIND, "IFLA_INFO_KIND", "asciiz"), (_IFLA_INFO_DATA, "IFLA_INFO_DATA", "veth"))

        class veth(nla):
            """What only a veth has: the other end, as a message within the message."""

            nla_flags = _NLA_F_NESTED
            nla_map = ((_VETH_INFO_PEER, "VETH_INFO_PEER", "peer"),)

            class peer(nla):
                """The other end."""

                nla_flags = _NLA_F_NESTED
                fields = ifinfmsg.fields
                nla_map = _PLAIN


DUMP_REQUEST = bytes(encode(LinkMessage, RTM_GETLINK, DUMP, {}, [("IFLA_EXT_MASK", _SKIP_STATS)]))


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel shows it.

    Args:
        kind: ``veth``, ``vxlan``, ...; empty for a real card and for ``lo``.
        alias: where our mark stands.
        peer_ifindex: of a veth's other end, in whichever namespace that is; 0 for other links.
        mtu: in bytes.
        parent_ifindex: of the device that a VLAN sub-interface stands on; 0 for other links.
        vlan: the VLAN id of such a one; 0 for other links.
        has_carrier: it is up and hears the other side.
        group: of links that the kernel can delete together; 0 unless somebody sets it.
        parameters: of a VXLAN link, as the kernel encodes them; ``vxlan.py`` reads them.
        lower_namespace: the number that this namespace has for the one that a VXLAN link's socket is in; None where
            that is this namespace itself.
        xdp_program: the kernel's number of its XDP program; 0: none.
        qdisc: the kind of its queueing discipline.
        settings: what is below ``net/ipv4/conf`` of it, as the kernel keeps it; ``setting`` reads one.
    """

    namespace: str
    ifindex: int
    ifname: str
    kind: str
    alias: str
    mac: str
    mtu: int
    up: bool
    peer_ifindex: int = 0
    group: int = 0
    parent_ifindex: int = 0
    vlan: int = 0
    has_carrier: bool = False
    parameters: bytes = b""
    lower_namespace: int | None = None
    xdp_program: int = 0
    qdisc: str = ""
    settings: bytes = b""

    @property
    def end(self) -> VethEnd:
        """This link as the end of a veth."""
        return VethEnd(self.namespace, self.ifname, self.ifindex, self.mac, self.up)


def read(namespace: str, part: Part) -> Link:
    """A link out of a dump or a look-up."""
    data, start, end = part
    _, _, ifindex, flags, _ = _FIXED.unpack_from(data, start)
    found = attributes(data, start + _FIXED.size, end)
    nested = found.get(_IFLA_LINKINFO, b"")
    info = attributes(nested, 0, len(nested))
    kind = text(info.get(_IFLA_INFO_KIND))
    lower = u32(found.get(_IFLA_LINK)) or 0
    return Link(
        namespace=namespace,
        ifindex=ifindex,
        ifname=text(found.get(_IFLA_IFNAME)),
        kind=kind,
        alias=text(found.get(_IFLA_IFALIAS)),
        mac=mac(found.get(_IFLA_ADDRESS)),
        mtu=u32(found.get(_IFLA_MTU)) or 0,
        up=bool(flags & IFF_UP),
        peer_ifindex=lower if kind == "veth" else 0,
        group=u32(found.get(_IFLA_GROUP)) or 0,
        parent_ifindex=lower if kind == "vlan" else 0,
        vlan=_vlan_id(info.get(_IFLA_INFO_DATA, b"")) if kind == "vlan" else 0,
        has_carrier=bool(flags & _IFF_LOWER_UP),
        parameters=info.get(_IFLA_INFO_DATA, b"") if kind == "vxlan" else b"",
        lower_namespace=u32(found.get(_IFLA_LINK_NETNSID)) if kind == "vxlan" else None,
        xdp_program=_xdp_program(found.get(_IFLA_XDP, b"")),
        qdisc=text(found.get(_IFLA_QDISC)),
        settings=_ipv4_settings(found.get(_IFLA_AF_SPEC, b"")),
    )


def _ipv4_settings(data: bytes) -> bytes:
    """What IPv4 says of a link, among what all protocols say: a number for each ``IPV4_DEVCONF_*``, from 1 on."""
    found = attributes(data, 0, len(data)).get(_AF_INET, b"")
    return attributes(found, 0, len(found)).get(_IFLA_INET_CONF, b"")


def setting(settings: Mapping[str, bytes], wanted: Sysctl) -> str | None:
    """The value of an interface's sysctl, where a dump of links has told it: a file costs three times as much.

    Args:
        settings: interface -> ``Link.settings``.
    """
    conf, _, leaf = wanted.name.rpartition("/")
    number, told = _SETTINGS.get(leaf), settings.get(wanted.ifname or "", b"")
    if number is None or conf != f"net/ipv4/conf/{wanted.ifname}" or len(told) < number * _SETTING.size:
        return None
    return str(_SETTING.unpack_from(told, (number - 1) * _SETTING.size)[0])


def _xdp_program(data: bytes) -> int:
    """The number of the program among what is said about XDP."""
    return u32(attributes(data, 0, len(data)).get(_IFLA_XDP_PROG_ID)) or 0


def _vlan_id(data: bytes) -> int:
    """The VLAN id among the parameters of a sub-interface."""
    value = attributes(data, 0, len(data)).get(_IFLA_VLAN_ID)
    return int(_U16.unpack_from(value)[0]) if value else 0


def alias_in(part: Part) -> str:
    """The alias of a link out of a look-up, and nothing else of it."""
    data, start, end = part
    return text(attributes(data, start + _FIXED.size, end).get(_IFLA_IFALIAS))


def loopback_in(links: Iterable[Link]) -> Link | None:
    """``lo`` among the links of a namespace."""
    return next((found for found in links if found.ifindex == LOOPBACK_IFINDEX), None)


def get_request(ifindex: int) -> bytearray:
    """The message that looks a link up by its index."""
    return encode(LinkMessage, RTM_GETLINK, NLM_F_REQUEST, {"index": ifindex}, [("IFLA_EXT_MASK", _SKIP_STATS)])


def create_request(end: VethEnd, peer: VethEnd, peer_namespace_fd: int, mtu: int) -> bytearray:
    """The message that makes a veth pair, each end where it belongs, both down.

    The peer cannot be made with IFF_UP: it is registered before its other end exists, which the kernel calls ENOTCONN.

    Args:
        peer_namespace_fd: an open descriptor of the namespace that the peer is born in.
        mtu: of both ends, in bytes.
    """
    there: Attributes = [
        ("IFLA_IFNAME", peer.ifname),
        ("IFLA_ADDRESS", peer.mac),
        ("IFLA_MTU", mtu),
        ("IFLA_NET_NS_FD", peer_namespace_fd),
    ]
    data = {"attrs": [("VETH_INFO_PEER", {"index": peer.ifindex, "attrs": there})]}
    attrs: Attributes = [
        ("IFLA_IFNAME", end.ifname),
        ("IFLA_ADDRESS", end.mac),
        ("IFLA_MTU", mtu),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}),
    ]
    return encode(LinkMessage, RTM_NEWLINK, CREATE, {"index": end.ifindex}, attrs)


def set_request(
    ifindex: int, alias: str, up: bool | None = None, mtu: int | None = None, mac_address: str | None = None
) -> bytearray:
    """The message that sets a link's alias and, where given, its admin state, MTU (bytes) and MAC."""
    attrs: Attributes = [("IFLA_IFALIAS", alias)]
    if mtu is not None:
        attrs.append(("IFLA_MTU", mtu))
    if mac_address is not None:
        attrs.append(("IFLA_ADDRESS", mac_address))
    fields = {"index": ifindex}
    if up is not None:
        fields |= {"flags": IFF_UP if up else 0, "change": IFF_UP}
    return encode(LinkMessage, RTM_SETLINK, DO, fields, attrs)


def delete_requests(ifindexes: Sequence[int], free_group: int) -> list[bytearray]:
    """The messages that delete links; a veth takes its other end along.

    The kernel waits 20 ms for each message that deletes, so that several links are put into a group, which one message
    deletes as a whole.

    Args:
        free_group: a group number that no link of the namespace has.
    """
    if len(ifindexes) == 1:
        return [encode(LinkMessage, RTM_DELLINK, DO, {"index": ifindexes[0]})]
    together = [("IFLA_GROUP", free_group)]
    gather = [encode(LinkMessage, RTM_SETLINK, DO, {"index": ifindex}, together) for ifindex in ifindexes]
    return [*gather, encode(LinkMessage, RTM_DELLINK, DO, {}, together)]
