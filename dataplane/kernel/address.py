"""Addresses on interfaces: encode and read. Our mark is the address protocol (IFA_PROTO, Linux 5.18)."""

import struct
from collections.abc import Mapping

from dataplane.kernel.attributes import attributes, interface_address, u8
from dataplane.kernel.messages import AF_INET, DUMP, FLAGS, Ifindexes, Seen, encode
from dataplane.kernel.netlink import Part
from dataplane.kernel.rtnetlink import RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR, ifaddrmsg, nlmsg
from dataplane.model import names
from dataplane.model.kernel import Address
from dataplane.plan.action import Verb

_IFA_LOCAL = 2
_IFA_PROTO = 11
_FIXED = struct.Struct("=BBBBI")


class AddressMessage(nlmsg):
    """``struct ifaddrmsg`` with the attributes that we use."""

    fields = ifaddrmsg.fields
    nla_map = ((1, "IFA_ADDRESS", "ip4addr"), (_IFA_LOCAL, "IFA_LOCAL", "ip4addr"), (_IFA_PROTO, "IFA_PROTO", "uint8"))


DUMP_REQUEST = bytes(encode(AddressMessage, RTM_GETADDR, DUMP, {"family": AF_INET}))


def request(verb: Verb, item: Address, ifindex_of: Ifindexes) -> bytearray:
    """The message that adds or deletes an address."""
    kind = RTM_DELADDR if verb is Verb.DELETE else RTM_NEWADDR
    fields = {"family": AF_INET, "prefixlen": item.address.network.prefixlen, "index": ifindex_of(item.ifname)}
    text = str(item.address.ip)
    marks = [] if verb is Verb.DELETE else [("IFA_PROTO", names.ROUTE_PROTOCOL)]
    return encode(AddressMessage, kind, FLAGS[verb], fields, [("IFA_LOCAL", text), ("IFA_ADDRESS", text), *marks])


def read(namespace: str, ifnames: Mapping[int, str], part: Part) -> Seen | None:
    """An address out of a dump."""
    data, start, end = part
    _, length, _, _, ifindex = _FIXED.unpack_from(data, start)
    found = attributes(data, start + _FIXED.size, end)
    local = found.get(_IFA_LOCAL)
    ifname = ifnames.get(ifindex)
    if local is None or ifname is None:
        return None
    item = Address(namespace, ifname, interface_address(local, length))
    return Seen(item, u8(found.get(_IFA_PROTO)) == names.ROUTE_PROTOCOL)
