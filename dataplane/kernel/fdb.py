"""Forwarding entries of VXLAN links: encode and read. Which host a MAC is behind.

The VXLAN driver keeps no mark on an entry. So every entry of a link of ours is judged ours: a strange one would carry
packets to a strange host, and has to be seen and taken away. Links of others are never looked at.
"""

import struct
from collections.abc import Mapping
from ipaddress import IPv4Address

from dataplane.kernel.attributes import address, attributes, mac
from dataplane.kernel.messages import DUMP, FLAGS, Ifindexes, Seen, encode
from dataplane.kernel.netlink import Part
from dataplane.kernel.rtnetlink import NUD_NOARP, NUD_PERMANENT, RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH, ndmsg, nlmsg
from dataplane.model.vxlan import FdbEntry
from dataplane.plan.action import Verb

_AF_BRIDGE = 7
_NTF_SELF = 2  # the link's own table, not that of a bridge above it
_NDA_DST, _NDA_LLADDR, _NDA_PORT, _NDA_VNI, _NDA_IFINDEX, _NDA_NH_ID = 1, 2, 6, 7, 8, 13
_ELSEWHERE = (_NDA_PORT, _NDA_VNI, _NDA_IFINDEX, _NDA_NH_ID)
"""What shows only where an entry leaves by another port, VNI, device or next hop than its link."""
_NOWHERE = IPv4Address("0.0.0.0")
_IPV4_BYTES = 4
_FIXED = struct.Struct("=B3xiHBB")


class FdbMessage(nlmsg):
    """``struct ndmsg`` with the attributes that we use."""

    fields = ndmsg.fields
    nla_map = ((_NDA_DST, "NDA_DST", "ip4addr"), (_NDA_LLADDR, "NDA_LLADDR", "l2addr"))


DUMP_REQUEST = bytes(encode(FdbMessage, RTM_GETNEIGH, DUMP, {"family": _AF_BRIDGE}))


def request(verb: Verb, item: FdbEntry, ifindex_of: Ifindexes) -> bytearray:
    """The message that sets or deletes an entry. Without a destination it deletes all that the MAC has."""
    fields = {
        "family": _AF_BRIDGE,
        "ifindex": ifindex_of(item.ifname),
        "state": NUD_PERMANENT | NUD_NOARP,
        "flags": _NTF_SELF,
    }
    place = ("NDA_LLADDR", item.mac)
    if verb is Verb.DELETE:
        return encode(FdbMessage, RTM_DELNEIGH, FLAGS[verb], fields, [place])
    return encode(FdbMessage, RTM_NEWNEIGH, FLAGS[verb], fields, [place, ("NDA_DST", str(item.vtep))])


def read(namespace: str, ifnames: Mapping[int, str], part: Part) -> Seen | None:
    """An entry out of a dump.

    Args:
        ifnames: the names of the VXLAN links that count, by ifindex.
    """
    data, start, end = part
    _, ifindex, state, flags, _ = _FIXED.unpack_from(data, start)
    ifname = ifnames.get(ifindex)
    if ifname is None or not flags & _NTF_SELF:
        return None
    found = attributes(data, start + _FIXED.size, end)
    target = found.get(_NDA_DST, b"")
    is_plain = state & NUD_PERMANENT and len(target) == _IPV4_BYTES and not any(one in found for one in _ELSEWHERE)
    vtep = address(target) if is_plain else None
    return Seen(FdbEntry(namespace, ifname, mac(found.get(_NDA_LLADDR)), vtep or _NOWHERE), is_ours=True)
