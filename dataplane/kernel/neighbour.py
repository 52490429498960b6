"""Permanent neighbours: encode and read. Our mark is the neighbour's protocol (NDA_PROTOCOL)."""

import struct
from collections.abc import Mapping

from dataplane.kernel.attributes import address, attributes, mac, u8
from dataplane.kernel.messages import AF_INET, DUMP, FLAGS, Ifindexes, Seen, encode
from dataplane.kernel.netlink import Part
from dataplane.kernel.rtnetlink import NUD_PERMANENT, RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH, ndmsg, nlmsg
from dataplane.model import names
from dataplane.model.kernel import Neighbour
from dataplane.plan.action import Verb

_NDA_DST = 1
_NDA_LLADDR = 2
_NDA_PROTOCOL = 12
_FIXED = struct.Struct("=B3xiHBB")


class NeighbourMessage(nlmsg):
    """``struct ndmsg`` with the attributes that we use."""

    fields = ndmsg.fields
    nla_map = (
        (_NDA_DST, "NDA_DST", "ip4addr"),
        (_NDA_LLADDR, "NDA_LLADDR", "l2addr"),
        (_NDA_PROTOCOL, "NDA_PROTOCOL", "uint8"),
    )


DUMP_REQUEST = bytes(encode(NeighbourMessage, RTM_GETNEIGH, DUMP, {"family": AF_INET}))


def request(verb: Verb, item: Neighbour, ifindex_of: Ifindexes) -> bytearray:
    """The message that sets or deletes a permanent neighbour."""
    fields = {"family": AF_INET, "ifindex": ifindex_of(item.ifname), "state": NUD_PERMANENT}
    place = ("NDA_DST", str(item.address))
    if verb is Verb.DELETE:
        return encode(NeighbourMessage, RTM_DELNEIGH, FLAGS[verb], fields, [place])
    attrs = [place, ("NDA_LLADDR", item.mac), ("NDA_PROTOCOL", names.ROUTE_PROTOCOL)]
    return encode(NeighbourMessage, RTM_NEWNEIGH, FLAGS[verb], fields, attrs)


def read(namespace: str, ifnames: Mapping[int, str], part: Part) -> Seen | None:
    """A permanent neighbour out of a dump; what ARP learned, multicast and no-ARP entries are the kernel's own."""
    data, start, end = part
    _, ifindex, state, _, _ = _FIXED.unpack_from(data, start)
    if not state & NUD_PERMANENT:
        return None
    found = attributes(data, start + _FIXED.size, end)
    target = address(found.get(_NDA_DST))
    ifname = ifnames.get(ifindex)
    if target is None or ifname is None:
        return None
    item = Neighbour(namespace, ifname, target, mac(found.get(_NDA_LLADDR)))
    return Seen(item, u8(found.get(_NDA_PROTOCOL)) == names.ROUTE_PROTOCOL)
