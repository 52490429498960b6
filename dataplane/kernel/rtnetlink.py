"""What our netlink messages are declared with: numbers and fixed headers of <linux/rtnetlink.h>, and two base classes.

A message is a class with ``fields``, the fixed header, and ``nla_map``, the attributes that we use: number, name, kind.
That is the form of pyroute2, whose own classes are not used: importing it takes 0.13 s, half of a small apply.
``messages.py`` turns declarations and values into bytes. Must never know what a message is for.
"""

Fields = tuple[tuple[str, str], ...]
"""Name and ``struct`` format of each field, in order; ``x`` is padding."""

NlaMap = tuple[tuple[int, str, str], ...]
"""Number, name and kind of each attribute; a kind is one of ``messages.py``, or a class within the class, by name."""


class nlmsg:
    """A message."""

    fields: Fields = ()
    nla_map: NlaMap = ()


class nla(nlmsg):
    """An attribute that has attributes in it."""

    nla_flags: int = 0


RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34

IFF_UP = 1
NUD_INCOMPLETE, NUD_FAILED, NUD_NOARP, NUD_PERMANENT = 0x01, 0x20, 0x40, 0x80
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_NOWHERE = 0, 253, 255
RTNH_F_ONLINK = 4
FR_ACT_TO_TBL = 1

_ROUTING: Fields = (("family", "B"), ("dst_len", "B"), ("src_len", "B"), ("tos", "B"), ("table", "B"))


class ifinfmsg(nlmsg):
    """``struct ifinfmsg``: of links."""

    fields = (("family", "B"), ("pad", "x"), ("ifi_type", "H"), ("index", "i"), ("flags", "I"), ("change", "I"))


class ndmsg(nlmsg):
    """``struct ndmsg``: of neighbours and forwarding entries."""

    fields = (("family", "B"), ("pad", "3x"), ("ifindex", "i"), ("state", "H"), ("flags", "B"), ("ndm_type", "B"))


class rtmsg(nlmsg):
    """``struct rtmsg``: of routes."""

    fields = (*_ROUTING, ("proto", "B"), ("scope", "B"), ("type", "B"), ("flags", "I"))


class fibmsg(nlmsg):
    """``struct fibmsg``: of rules."""

    fields = (*_ROUTING, ("res1", "B"), ("res2", "B"), ("action", "B"), ("flags", "I"))


class ifaddrmsg(nlmsg):
    """``struct ifaddrmsg``: of addresses."""

    fields = (("family", "B"), ("prefixlen", "B"), ("flags", "B"), ("scope", "B"), ("index", "I"))
