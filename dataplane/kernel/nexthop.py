"""Next-hop objects and resilient groups: encode and read. Our mark is the object's protocol (nh_protocol).

Their messages are declared here after <linux/nexthop.h> (kernel.md, section 3).
"""

import struct
from collections.abc import Mapping

from dataplane.kernel.attributes import address, attributes, u32
from dataplane.kernel.messages import AF_INET, DUMP, FLAGS, Attributes, Ifindexes, Seen, encode
from dataplane.kernel.netlink import Part
from dataplane.kernel.rtnetlink import nla, nlmsg
from dataplane.model import names
from dataplane.model.kernel import Nexthop, NexthopGroup
from dataplane.plan.action import Verb

RTM_NEWNEXTHOP = 104
RTM_DELNEXTHOP = 105
RTM_GETNEXTHOP = 106

_NHA_ID, _NHA_GROUP, _NHA_GROUP_TYPE, _NHA_BLACKHOLE, _NHA_OIF, _NHA_GATEWAY, _NHA_RES_GROUP = 1, 2, 3, 4, 5, 6, 12
_NHA_RES_GROUP_BUCKETS = 1
_GROUP_TYPE_RESILIENT = 1
_RTNH_F_ONLINK = 4
_FIXED = struct.Struct("=BBBBI")
_MEMBER = struct.Struct("=IBBH")  # struct nexthop_grp: the second byte after the id has more of the weight since 6.12
_U16 = struct.Struct("=H")


class NexthopMessage(nlmsg):
    """``struct nhmsg`` and the NHA_ attributes."""

    fields = (("family", "B"), ("scope", "B"), ("protocol", "B"), ("resvd", "B"), ("flags", "I"))
    nla_map = (
        (_NHA_ID, "NHA_ID", "uint32"),
        (_NHA_GROUP, "NHA_GROUP", "cdata"),
        (_NHA_GROUP_TYPE, "NHA_GROUP_TYPE", "uint16"),
        (_NHA_BLACKHOLE, "NHA_BLACKHOLE", "flag"),
        (_NHA_OIF, "NHA_OIF", "uint32"),
        (_NHA_GATEWAY, "NHA_GATEWAY", "ip4addr"),
        (_NHA_RES_GROUP, "NHA_RES_GROUP", "res_group"),
    )

    class res_group(nla):
        """How a resilient group moves flows."""

        nla_flags = 0x8000
        nla_map = (
            (_NHA_RES_GROUP_BUCKETS, "NHA_RES_GROUP_BUCKETS", "uint16"),
            (2, "NHA_RES_GROUP_IDLE_TIMER", "uint32"),
            (3, "NHA_RES_GROUP_UNBALANCED_TIMER", "uint32"),
        )


DUMP_REQUEST = bytes(encode(NexthopMessage, RTM_GETNEXTHOP, DUMP, {}))


def request(verb: Verb, item: Nexthop | NexthopGroup, ifindex_of: Ifindexes) -> bytearray:
    """The message that makes, replaces or deletes a next hop or a group.

    A blackhole is replaced by a real next hop, and back, in place: suspend and activate are one message.
    """
    if verb is Verb.DELETE:
        return encode(NexthopMessage, RTM_DELNEXTHOP, FLAGS[verb], {}, [("NHA_ID", item.id)])
    fields = {"protocol": names.ROUTE_PROTOCOL}
    attrs: Attributes = [("NHA_ID", item.id)]
    if isinstance(item, NexthopGroup):
        attrs += _group_attributes(item)
    elif item.ifname is None:
        fields["family"] = AF_INET
        attrs.append(("NHA_BLACKHOLE", None))
    else:
        fields |= {"family": AF_INET, "flags": _RTNH_F_ONLINK}
        attrs.append(("NHA_OIF", ifindex_of(item.ifname)))
        if item.via is not None:
            attrs.append(("NHA_GATEWAY", str(item.via)))
    return encode(NexthopMessage, RTM_NEWNEXTHOP, FLAGS[verb], fields, attrs)


def _group_attributes(group: NexthopGroup) -> Attributes:
    """A resilient group that moves the flows of a lost member at once, and no others (both timers 0)."""
    members = b"".join(_MEMBER.pack(member, weight - 1, 0, 0) for member, weight in group.members)
    timers = [
        ("NHA_RES_GROUP_BUCKETS", group.buckets),
        ("NHA_RES_GROUP_IDLE_TIMER", 0),
        ("NHA_RES_GROUP_UNBALANCED_TIMER", 0),
    ]
    return [
        ("NHA_GROUP", members),
        ("NHA_GROUP_TYPE", _GROUP_TYPE_RESILIENT),
        ("NHA_RES_GROUP", {"attrs": timers}),
    ]


def read(namespace: str, ifnames: Mapping[int, str], part: Part) -> Seen | None:
    """A next hop or a group out of a dump."""
    data, start, end = part
    _, _, protocol, _, _ = _FIXED.unpack_from(data, start)
    found = attributes(data, start + _FIXED.size, end)
    identifier = u32(found.get(_NHA_ID)) or 0
    item: Nexthop | NexthopGroup
    if _NHA_GROUP in found:
        item = _read_group(namespace, identifier, found)
    elif _NHA_BLACKHOLE in found:
        item = Nexthop(namespace, identifier)
    else:
        ifname = ifnames.get(u32(found.get(_NHA_OIF)) or 0)
        item = Nexthop(namespace, identifier, ifname, address(found.get(_NHA_GATEWAY)))
    return Seen(item, protocol == names.ROUTE_PROTOCOL)


def _read_group(namespace: str, identifier: int, found: Mapping[int, bytes]) -> NexthopGroup:
    """A group; one that is not resilient has no buckets, and so equals none that we ask for."""
    packed = found[_NHA_GROUP]
    members = sorted((member, weight + 1) for member, weight, _, _ in _MEMBER.iter_unpack(packed))
    nested = found.get(_NHA_RES_GROUP, b"")
    buckets = attributes(nested, 0, len(nested)).get(_NHA_RES_GROUP_BUCKETS)
    count = int(_U16.unpack_from(buckets)[0]) if buckets else 0
    return NexthopGroup(namespace, identifier, tuple(members), count)
