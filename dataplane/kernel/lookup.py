"""Questions to the live kernel: where would this packet go, how are the links, and who else put rules and routes here.

Reads only, one namespace at a time. Must never decide what an answer means (``observe/why``).
"""

import errno
import struct
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import TypeVar

from dataplane.errors import HostError
from dataplane.kernel import libc, link, neighbour, netns, nexthop, route, rule
from dataplane.kernel.attributes import address, attributes, prefix, text, u32
from dataplane.kernel.messages import AF_INET, Attributes, Kind, encode
from dataplane.kernel.netlink import NLM_F_REQUEST, NetlinkError, NetlinkSocket, Part
from dataplane.kernel.rtnetlink import IFF_UP, NUD_FAILED, NUD_INCOMPLETE, RTM_GETROUTE, nlmsg, rtmsg
from dataplane.model.kernel import KernelObject
from dataplane.model.path import Answer, LinkState, NeighbourState, Packet

_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_TABLE = 1, 2, 3, 4, 5, 7, 15
_RTA_IP_PROTO, _RTA_SPORT, _RTA_DPORT = 27, 28, 29
_RTM_F_LOOKUP_TABLE, _RTM_F_FIB_MATCH = 0x1000, 0x2000
_TYPE_LOCAL = 2
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
_ROUTE = struct.Struct("=BBBBBBBBI")
_LINK = struct.Struct("=BxHiII")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_IFLA_IFNAME, _IFLA_MTU, _IFLA_CARRIER = 3, 4, 33
_Found = TypeVar("_Found")
_STRANGERS: tuple[Kind, ...] = (rule, route, nexthop)


class _Question(nlmsg):
    """``struct rtmsg`` with the attributes of a look-up."""

    fields = rtmsg.fields
    nla_map = (
        (_RTA_DST, "RTA_DST", "ip4addr"),
        (_RTA_SRC, "RTA_SRC", "ip4addr"),
        (_RTA_IIF, "RTA_IIF", "uint32"),
        (_RTA_IP_PROTO, "RTA_IP_PROTO", "uint8"),
        (_RTA_SPORT, "RTA_SPORT", "be16"),
        (_RTA_DPORT, "RTA_DPORT", "be16"),
    )


class KernelLookup:
    """The kernel of this host, asked about packets. For one thread; needs root."""

    def route(self, namespace: str, ingress: str | None, packet: Packet) -> Answer | None:
        """What a namespace's kernel would do with a packet: rules, routes, forwarding and source checks included.

        Args:
            namespace: a name under /run/netns, or ``pid:N``.
            ingress: the interface that the packet comes in by; None for one that is sent there.

        Returns:
            The answer; None where there is no such namespace or interface.

        Raises:
            PermissionDenied: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing.
        """
        return self._visit(namespace, lambda socket: _ask(socket, ingress, packet))

    def links(self, namespace: str) -> tuple[LinkState, ...]:
        """The interfaces of a namespace as they are now; none where there is no such namespace."""
        return self._visit(namespace, lambda socket: _links(namespace, socket)) or ()

    def neighbours(self, namespace: str) -> tuple[NeighbourState, ...]:
        """What ARP knows in a namespace, learned entries included."""
        return self._visit(namespace, lambda socket: _neighbours(namespace, socket)) or ()

    def strangers(self, namespace: str) -> tuple[KernelObject, ...]:
        """The rules, routes and next hops of a namespace that do not carry our mark."""
        return self._visit(namespace, lambda socket: _strangers(namespace, socket)) or ()

    @staticmethod
    def _visit(namespace: str, read: Callable[[NetlinkSocket], _Found]) -> _Found | None:
        libc.require_privileges()
        try:
            with netns.entered(namespace), NetlinkSocket() as socket:
                return read(socket)
        except NetlinkError:
            raise
        except HostError:
            return None  # there is no such namespace


def _ask(socket: NetlinkSocket, ingress: str | None, packet: Packet) -> Answer | None:
    ifnames = _ifnames(socket)
    iif = next((number for number, name in ifnames.items() if name == ingress), None)
    if ingress is not None and iif is None:
        return None
    try:
        part, match = _ask_twice(socket, iif, packet, with_source=True)
    except NetlinkError as error:
        if iif is None and error.refusal.code in (errno.EINVAL, errno.ENETUNREACH):
            # A sender with a raw socket may use addresses that are not its own, and a look-up may not.
            return _ask_without_source(socket, packet, ifnames)
        return Answer(refusal=errno.errorcode.get(error.refusal.code, str(error.refusal.code)))
    if part is None:
        return Answer(refusal="ENODEV")
    return _answer(part, match, ifnames)


def _ask_without_source(socket: NetlinkSocket, packet: Packet, ifnames: dict[int, str]) -> Answer:
    try:
        part, match = _ask_twice(socket, None, packet, with_source=False)
    except NetlinkError as error:
        return Answer(refusal=errno.errorcode.get(error.refusal.code, str(error.refusal.code)))
    return Answer(refusal="ENODEV") if part is None else _answer(part, match, ifnames)


def _ask_twice(
    socket: NetlinkSocket, iif: int | None, packet: Packet, *, with_source: bool
) -> tuple[Part | None, Part | None]:
    """The answer, and once more for the prefix that decided: the first has the destination itself in its place."""
    flags = (_RTM_F_LOOKUP_TABLE, _RTM_F_FIB_MATCH)
    part, match = (socket.get(_question(iif, packet, flag, with_source=with_source)) for flag in flags)
    return part, match


def _question(iif: int | None, packet: Packet, flags: int, *, with_source: bool) -> bytearray:
    fields = {"family": AF_INET, "dst_len": 32, "src_len": 32 if with_source else 0, "flags": flags}
    attrs: Attributes = [
        ("RTA_DST", str(packet.destination)),
        ("RTA_IP_PROTO", _PROTOCOLS[packet.protocol]),
    ]
    if with_source:
        attrs.append(("RTA_SRC", str(packet.source)))
    if iif is not None:
        attrs.append(("RTA_IIF", iif))
    if packet.protocol != "icmp":
        # The kernel takes a port of 0 for none, and then hashes without: as `why` without ports means it.
        attrs += [(name, port) for name, port in (("RTA_SPORT", packet.sport), ("RTA_DPORT", packet.dport)) if port]
    return encode(_Question, RTM_GETROUTE, NLM_F_REQUEST, fields, attrs)


def _answer(part: Part, match: Part | None, ifnames: dict[int, str]) -> Answer:
    data, start, end = part
    kind = _ROUTE.unpack_from(data, start)[7]
    found = attributes(data, start + _ROUTE.size, end)
    return Answer(
        is_local=kind == _TYPE_LOCAL,
        ifname=ifnames.get(u32(found.get(_RTA_OIF)) or 0),
        via=address(found.get(_RTA_GATEWAY)),
        table=u32(found.get(_RTA_TABLE)),
        destination=_prefix_of(match) if match is not None else None,
        source=address(found.get(_RTA_PREFSRC)),
    )


def _prefix_of(part: Part) -> IPv4Network:
    data, start, end = part
    length = _ROUTE.unpack_from(data, start)[1]
    return prefix(attributes(data, start + _ROUTE.size, end).get(_RTA_DST), length)


def _ifnames(socket: NetlinkSocket) -> dict[int, str]:
    found = (link.read("", part) for part in socket.dump(link.DUMP_REQUEST))
    return {one.ifindex: one.ifname for one in found}


def _links(namespace: str, socket: NetlinkSocket) -> tuple[LinkState, ...]:
    return tuple(_link(namespace, part) for part in socket.dump(link.DUMP_REQUEST))


def _link(namespace: str, part: Part) -> LinkState:
    data, start, end = part
    flags = _LINK.unpack_from(data, start)[3]
    found = attributes(data, start + _LINK.size, end)
    carrier = found.get(_IFLA_CARRIER)
    return LinkState(
        namespace=namespace,
        ifname=text(found.get(_IFLA_IFNAME)),
        is_up=bool(flags & IFF_UP),
        has_carrier=bool(carrier and carrier[0]),
        mtu_bytes=u32(found.get(_IFLA_MTU)) or 0,
    )


def _neighbours(namespace: str, socket: NetlinkSocket) -> tuple[NeighbourState, ...]:
    ifnames = _ifnames(socket)
    states = []
    for data, start, end in socket.dump(neighbour.DUMP_REQUEST):
        _, ifindex, state, _, _ = _NEIGHBOUR.unpack_from(data, start)
        target = address(attributes(data, start + _NEIGHBOUR.size, end).get(1))
        if target is not None and ifindex in ifnames:
            is_resolved = not state & (NUD_FAILED | NUD_INCOMPLETE)
            states.append(NeighbourState(namespace, ifnames[ifindex], target, is_resolved))
    return tuple(states)


def _strangers(namespace: str, socket: NetlinkSocket) -> tuple[KernelObject, ...]:
    ifnames = _ifnames(socket)
    seen = [kind.read(namespace, ifnames, part) for kind in _STRANGERS for part in socket.dump(kind.DUMP_REQUEST)]
    return tuple(found.item for found in seen if found is not None and not found.is_ours)
