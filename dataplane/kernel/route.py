"""Kernel routes: encode and read. Our mark is the route's protocol (rtm_protocol)."""

import struct
from collections.abc import Mapping

from dataplane.kernel.attributes import address, attributes, prefix, u32
from dataplane.kernel.messages import AF_INET, DUMP, FLAGS, Attributes, Ifindexes, Seen, encode
from dataplane.kernel.netlink import Part
from dataplane.kernel.rtnetlink import (
    RT_SCOPE_LINK,
    RT_SCOPE_NOWHERE,
    RT_SCOPE_UNIVERSE,
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    RTNH_F_ONLINK,
    nlmsg,
    rtmsg,
)
from dataplane.model import names
from dataplane.model.kernel import KernelRoute, RouteType
from dataplane.plan.action import Verb

_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_TABLE, _RTA_NH_ID = 1, 4, 5, 6, 7, 15, 30
_TABLE_LOCAL = 255
UNUSED_TABLES = frozenset({253, 254})
"""Default and main: in a router no rule leads there."""
_TABLE_COMPAT = 252  # in the one-byte field, for tables above 255
_PROTOCOL_KERNEL = 2
_TYPES = {RouteType.UNICAST: 1, RouteType.BLACKHOLE: 6, RouteType.UNREACHABLE: 7, RouteType.PROHIBIT: 8}
_TYPE_NAMES = {number: name for name, number in _TYPES.items()}
_FIXED = struct.Struct("=BBBBBBBBI")


class RouteMessage(nlmsg):
    """``struct rtmsg`` with the attributes that we use."""

    fields = rtmsg.fields
    nla_map = (
        (_RTA_DST, "RTA_DST", "ip4addr"),
        (_RTA_OIF, "RTA_OIF", "uint32"),
        (_RTA_GATEWAY, "RTA_GATEWAY", "ip4addr"),
        (_RTA_PRIORITY, "RTA_PRIORITY", "uint32"),
        (_RTA_PREFSRC, "RTA_PREFSRC", "ip4addr"),
        (_RTA_TABLE, "RTA_TABLE", "uint32"),
        (_RTA_NH_ID, "RTA_NH_ID", "uint32"),
    )


DUMP_REQUEST = bytes(encode(RouteMessage, RTM_GETROUTE, DUMP, {"family": AF_INET}))


def request(verb: Verb, item: KernelRoute, ifindex_of: Ifindexes) -> bytearray:
    """The message that adds, replaces or deletes a route.

    A deletion names the protocol, and the type or the next hop: the kernel takes a metric of 0 for "any", and the route
    that closes the table (``unreachable default``, the highest metric) must not go in place of a default that is gone.
    """
    fields = {
        "family": AF_INET,
        "dst_len": item.destination.prefixlen,
        "table": item.table if item.table < 256 else _TABLE_COMPAT,
        "proto": names.ROUTE_PROTOCOL,
        "type": _TYPES[item.type],
        "scope": RT_SCOPE_NOWHERE,
    }
    attrs: Attributes = [("RTA_TABLE", item.table)]
    if item.destination.prefixlen:
        attrs.append(("RTA_DST", str(item.destination.network_address)))
    if item.metric:
        attrs.append(("RTA_PRIORITY", item.metric))
    if verb is Verb.DELETE:
        if item.nexthop is not None:
            fields["type"] = 0  # the kernel knows such a route by what its next hop is at the moment
            attrs.append(("RTA_NH_ID", item.nexthop))
        return encode(RouteMessage, RTM_DELROUTE, FLAGS[verb], fields, attrs)
    fields["scope"] = RT_SCOPE_LINK if item.ifname is not None and item.via is None else RT_SCOPE_UNIVERSE
    fields["flags"] = RTNH_F_ONLINK if item.via is not None else 0
    return encode(RouteMessage, RTM_NEWROUTE, FLAGS[verb], fields, attrs + _way(item, ifindex_of))


def _way(item: KernelRoute, ifindex_of: Ifindexes) -> Attributes:
    """Where the route leads, and from which address the router speaks about it."""
    attrs: Attributes = []
    if item.nexthop is not None:
        attrs.append(("RTA_NH_ID", item.nexthop))
    if item.ifname is not None:
        attrs.append(("RTA_OIF", ifindex_of(item.ifname)))
    if item.via is not None:
        attrs.append(("RTA_GATEWAY", str(item.via)))
    if item.source is not None:
        attrs.append(("RTA_PREFSRC", str(item.source)))
    return attrs


def read(namespace: str, ifnames: Mapping[int, str], part: Part) -> Seen | None:
    """A route out of a dump; None for what the kernel adds by itself (local table, connected routes)."""
    data, start, end = part
    _, length, _, _, table, protocol, _, kind, _ = _FIXED.unpack_from(data, start)
    if table == _TABLE_LOCAL or protocol == _PROTOCOL_KERNEL or kind not in _TYPE_NAMES:
        return None
    found = attributes(data, start + _FIXED.size, end)
    nexthop = u32(found.get(_RTA_NH_ID))
    # A route by a next-hop object is dumped with what that object is now: its device, its members, even blackhole.
    is_direct = nexthop is None and _TYPE_NAMES[kind] is RouteType.UNICAST
    item = KernelRoute(
        namespace=namespace,
        table=u32(found.get(_RTA_TABLE)) or table,
        destination=prefix(found.get(_RTA_DST), length),
        type=_TYPE_NAMES[kind] if nexthop is None else RouteType.UNICAST,
        nexthop=nexthop,
        ifname=ifnames.get(u32(found.get(_RTA_OIF)) or 0) if is_direct else None,
        via=address(found.get(_RTA_GATEWAY)) if is_direct else None,
        source=address(found.get(_RTA_PREFSRC)),
        metric=u32(found.get(_RTA_PRIORITY)) or 0,
    )
    return Seen(item, protocol == names.ROUTE_PROTOCOL)
