"""Policy rules: encode and read. Our mark is the rule's protocol (FRA_PROTOCOL).

In a router's namespace the kernel's own rules for ``main`` and ``default`` count as ours: they are
removed there, since a table of ours that is left must never fall through (kernel.md, section 2).
"""

import struct
from collections.abc import Mapping

from dataplane.kernel.attributes import attributes, prefix, text, u8, u32
from dataplane.kernel.messages import AF_INET, DUMP, FLAGS, Attributes, Ifindexes, Seen, encode
from dataplane.kernel.netlink import Part
from dataplane.kernel.rtnetlink import FR_ACT_TO_TBL, RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE, fibmsg, nlmsg
from dataplane.model import names
from dataplane.model.kernel import Rule
from dataplane.plan.action import Verb

_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE, _FRA_PROTOCOL = 1, 2, 3, 6, 15, 21
_FRA_FLOW, _FRA_SUPPRESS_PREFIXLEN = 11, 14
_KNOWN = {_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE, _FRA_PROTOCOL, _FRA_SUPPRESS_PREFIXLEN}
_LOCAL_PRIORITY = 0
_DEFAULT_RULES = ((32766, 254), (32767, 253))
_NOT_SUPPRESSED = 0xFFFFFFFF
_FIXED = struct.Struct("=BBBBBBBBI")


class RuleMessage(nlmsg):
    """``struct fib_rule_hdr`` with the attributes that we use."""

    fields = fibmsg.fields
    nla_map = (
        (_FRA_DST, "FRA_DST", "ip4addr"),
        (_FRA_SRC, "FRA_SRC", "ip4addr"),
        (_FRA_IIFNAME, "FRA_IIFNAME", "asciiz"),
        (_FRA_PRIORITY, "FRA_PRIORITY", "uint32"),
        (_FRA_TABLE, "FRA_TABLE", "uint32"),
        (_FRA_PROTOCOL, "FRA_PROTOCOL", "uint8"),
    )


DUMP_REQUEST = bytes(encode(RuleMessage, RTM_GETRULE, DUMP, {"family": AF_INET}))


def request(verb: Verb, item: Rule, ifindex_of: Ifindexes) -> bytearray:
    """The message that adds or deletes a rule.

    The kernel deletes the first rule that has what is named, be it more specific than asked for. All rules of one
    priority name the same things (kernel.md, section 2), so the first is the one.
    """
    del ifindex_of  # rules name interfaces by their name
    fields = {
        "family": AF_INET,
        "dst_len": item.destination.prefixlen if item.destination else 0,
        "src_len": item.source.prefixlen if item.source else 0,
        "action": FR_ACT_TO_TBL,
    }
    attrs: Attributes = [("FRA_PRIORITY", item.priority), ("FRA_TABLE", item.table)]
    if item.iif is not None:
        attrs.append(("FRA_IIFNAME", item.iif))
    if item.source is not None:
        attrs.append(("FRA_SRC", str(item.source.network_address)))
    if item.destination is not None:
        attrs.append(("FRA_DST", str(item.destination.network_address)))
    if verb is Verb.DELETE and is_default(item):
        return encode(RuleMessage, RTM_DELRULE, FLAGS[verb], fields, attrs)
    attrs.append(("FRA_PROTOCOL", names.ROUTE_PROTOCOL))  # the kernel keeps an equal rule of another's apart by this
    if verb is Verb.DELETE:
        return encode(RuleMessage, RTM_DELRULE, FLAGS[verb], fields, attrs)
    return encode(RuleMessage, RTM_NEWRULE, FLAGS[Verb.CREATE], fields, attrs)


def read(namespace: str, ifnames: Mapping[int, str], part: Part) -> Seen | None:
    """A rule out of a dump; None for the rule of the local table.

    One that we could not have made (a mark, a type of service, no look-up but a blackhole) is foreign whatever its
    protocol says. It has no table here, so that it can never be taken for the rule of ours that it resembles.
    """
    del ifnames
    data, start, end = part
    _, dst_len, src_len, tos, _, _, _, action, flags = _FIXED.unpack_from(data, start)
    found = attributes(data, start + _FIXED.size, end)
    priority = u32(found.get(_FRA_PRIORITY)) or _LOCAL_PRIORITY
    suppressed = u32(found.get(_FRA_SUPPRESS_PREFIXLEN))
    is_plain = action == FR_ACT_TO_TBL and not tos and not flags & 0x2 and suppressed in (None, _NOT_SUPPRESSED)
    if priority == _LOCAL_PRIORITY:
        return None
    could_be_ours = is_plain and found.keys() <= _KNOWN
    item = Rule(
        namespace=namespace,
        priority=priority,
        table=(u32(found.get(_FRA_TABLE)) or 0) if could_be_ours else 0,
        iif=text(found.get(_FRA_IIFNAME)) or None,
        source=prefix(found.get(_FRA_SRC), src_len) if src_len else None,
        destination=prefix(found.get(_FRA_DST), dst_len) if dst_len else None,
    )
    return Seen(item, could_be_ours and u8(found.get(_FRA_PROTOCOL)) == names.ROUTE_PROTOCOL)


def is_default(item: Rule) -> bool:
    """Whether this is one of the two rules that the kernel puts into every new namespace, besides the local one."""
    return (item.priority, item.table) in _DEFAULT_RULES and (item.iif, item.source, item.destination) == (None,) * 3
