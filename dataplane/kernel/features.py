"""What this kernel can do, found out by trying it in a nameless namespace that vanishes with the attempt.

Owns the list of features that the product stands on, who needs each, and what brings it. Must never change
anything outside its scratch namespace. (The kernel may load a module of its own for an attempt, as for any use.)
"""

import errno
import os
import socket as sockets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from dataplane.datapath import vlan
from dataplane.errors import DataplaneError, PermissionDenied
from dataplane.kernel import address, classifier, htb, libc, link, messages, netns, nexthop, nf_tables, rule
from dataplane.kernel.netlink import NLM_F_REQUEST, NetlinkSocket, Refusal
from dataplane.kernel.rtnetlink import RTM_NEWLINK
from dataplane.model import names
from dataplane.model.kernel import Address, Classifier, Nexthop, NexthopGroup, Rule, Shaper, VethEnd
from dataplane.plan.action import Verb

_SCRATCH = ""
_VLAN_LOADED = Path("/proc/thread-self/net/vlan")
"""Is there in every namespace while 8021q is loaded."""
_NETLINK_NETFILTER = 12
_NEAR = VethEnd(_SCRATCH, "dpprobe1", names.port_ifindex(1), "02:00:00:00:00:01")
_FAR = VethEnd(_SCRATCH, "dpprobe2", names.port_ifindex(2), "02:00:00:00:00:02")
_LEG = Nexthop(_SCRATCH, 1, _NEAR.ifname, IPv4Address("169.254.0.1"))
_NOT_THERE = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}
_GET_NFTABLES_GENERATION = struct.pack("=IHHIIBBH", 20, (10 << 8) | 16, NLM_F_REQUEST, 0, 0, 0, 0, 0)
"""NFT_MSG_GETGEN of the nftables subsystem: asks for the number of the rule set, and changes nothing."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One ability of the kernel.

    Args:
        needed_by: which part of the product stands on it.
        remedy: the module, package or setting that brings it.
        is_required: whether every network needs it; the others only where ``needed_by`` is used.
    """

    name: str
    is_present: bool
    needed_by: str
    remedy: str
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class _Question:
    """A feature that is still to be tried; its answer is called inside the scratch namespace."""

    name: str
    answer: Callable[[NetlinkSocket], bool]
    needed_by: str
    remedy: str
    is_required: bool = True


def probe() -> tuple[Feature, ...]:
    """Try every feature; takes a few milliseconds.

    Raises:
        PermissionDenied: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing, so that nothing can be tried.
    """
    libc.require_privileges()
    with netns.Journey():
        if not _enter_scratch():
            return tuple(_feature(question, False) for question in _QUESTIONS)
        with NetlinkSocket() as socket:
            return tuple(_feature(question, _ask(question, socket)) for question in _QUESTIONS)


def has_8021q() -> bool:
    """Whether the kernel makes VLAN sub-interfaces, its module loaded on demand.

    Only where neither the module nor a stand-in is there is one made for a try, in a namespace of its own: an unchanged
    network is left without a single write.
    """
    libc.require_privileges()
    if _VLAN_LOADED.is_dir():
        return True
    if vlan.is_in_use():
        return False
    with netns.Journey():
        if not _enter_scratch():
            return False
        with NetlinkSocket() as socket:
            return _has_link_kind("vlan")(socket)


def limits_lack() -> str:
    """Why connections cannot be held to limits, as a sentence that says what to do; empty where they can. Takes 10 ms,
    most of it for a transaction of nf_tables, even one that is not finished.
    """
    libc.require_privileges()
    with netns.Journey():
        if not _enter_scratch():
            return "no scratch namespace could be made to try it"
        with NetlinkSocket() as socket:
            lacking = [question for question in _LIMITS if not _ask(question, socket)]
    return "; ".join(f"the kernel has no {question.name}: {question.remedy}" for question in lacking)


def _enter_scratch() -> bool:
    try:
        libc.unshare(libc.CLONE_NEWNET)
    except PermissionDenied:
        raise
    except OSError:
        return False
    return True


def _feature(question: _Question, is_present: bool) -> Feature:
    return Feature(question.name, is_present, question.needed_by, question.remedy, question.is_required)


def _ask(question: _Question, socket: NetlinkSocket) -> bool:
    """An attempt that fails in an unforeseen way counts as absent: doctor reports, it does not break."""
    try:
        return question.answer(socket)
    except (OSError, DataplaneError):
        return False


def _try(socket: NetlinkSocket, *requests: bytearray) -> list[Refusal]:
    """Send requests; the refusals among the answers, except for what an earlier question made already."""
    answers = socket.execute(requests)
    return [answer for answer in answers if answer is not None and answer.code != errno.EEXIST]


def _has_namespaces(_: NetlinkSocket) -> bool:
    return True  # the question is asked inside one


def _has_veth(socket: NetlinkSocket) -> bool:
    fd = netns.open_present()
    try:
        refused = _try(
            socket,
            link.create_request(_NEAR, _FAR, fd, 1500),
            link.set_request(_FAR.ifindex, "dataplane probe", up=True),
            link.set_request(_NEAR.ifindex, "dataplane probe", up=True),
        )
    finally:
        os.close(fd)
    return not refused


def _has_rules(socket: NetlinkSocket) -> bool:
    wanted = Rule(_SCRATCH, 100, names.table_number(1), iif="lo")
    return not _try(socket, rule.request(Verb.CREATE, wanted, sockets.if_nametoindex))


def _has_marked_addresses(socket: NetlinkSocket) -> bool:
    wanted = Address(_SCRATCH, _NEAR.ifname, IPv4Interface("192.0.2.1/32"))
    if _try(socket, address.request(Verb.CREATE, wanted, sockets.if_nametoindex)):
        return False
    ifnames = {_NEAR.ifindex: _NEAR.ifname}
    seen = (address.read(_SCRATCH, ifnames, part) for part in socket.dump(address.DUMP_REQUEST))
    return any(one is not None and one.is_ours and one.item == wanted for one in seen)


def _has_nexthops(socket: NetlinkSocket) -> bool:
    return not _try(socket, nexthop.request(Verb.CREATE, _LEG, sockets.if_nametoindex))


def _has_resilient_groups(socket: NetlinkSocket) -> bool:
    group = NexthopGroup(_SCRATCH, names.group_number(1), ((_LEG.id, 1),))
    return not _try(socket, nexthop.request(Verb.CREATE, group, sockets.if_nametoindex))


def _has_flow_hash(_: NetlinkSocket) -> bool:
    return Path("/proc/sys/net/ipv4/fib_multipath_hash_policy").exists()


def _has_link_kind(kind: str) -> Callable[[NetlinkSocket], bool]:
    """A link of a kind without its parameters: the kernel says EOPNOTSUPP only where it does not know the kind."""

    def answer(socket: NetlinkSocket) -> bool:
        attrs = [("IFLA_IFNAME", "dpprobe3"), ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind)]})]
        request = messages.encode(link.LinkMessage, RTM_NEWLINK, messages.CREATE, {}, attrs)
        return not any(refusal.code in _NOT_THERE for refusal in _try(socket, request))

    return answer


def _has_nftables(_: NetlinkSocket) -> bool:
    with NetlinkSocket(_NETLINK_NETFILTER) as netfilter:
        return netfilter.get(bytearray(_GET_NFTABLES_GENERATION)) is not None


def _has_htb(socket: NetlinkSocket) -> bool:
    wanted = Shaper(_SCRATCH, "lo", 1_000_000, 0, 1)
    return not _try(socket, *htb.tree_requests(link.LOOPBACK_IFINDEX, wanted, {}, has_root=False))


def _has_hash(_: NetlinkSocket) -> bool:
    wanted = Classifier(_SCRATCH, frozenset({"lo"}), 1)
    return nf_tables.transaction(list(classifier.requests(wanted, None)), is_rehearsal=True) is None


def _has_btf(_: NetlinkSocket) -> bool:
    return Path("/sys/kernel/btf/vmlinux").exists()


def _has_bpf_file_system(_: NetlinkSocket) -> bool:
    return "\tbpf\n" in Path("/proc/filesystems").read_text(encoding="ascii")


_KERNEL = "a distribution kernel has it (Debian: apt install linux-image-amd64); in a container, ask for the host's"

_LIMITS = (
    _Question("HTB", _has_htb, "limits of connections", "modprobe sch_htb (CONFIG_NET_SCH_HTB)", False),
    _Question("nftables hash", _has_hash, "limits of connections", "modprobe nft_hash (CONFIG_NFT_HASH)", False),
)

# In this order: later questions use what earlier ones made.
_QUESTIONS = (
    _Question("network namespaces", _has_namespaces, "every network", f"CONFIG_NET_NS; {_KERNEL}"),
    _Question("veth", _has_veth, "every instance and peering", f"modprobe veth (CONFIG_VETH); {_KERNEL}"),
    _Question("policy rules", _has_rules, "route tables", f"CONFIG_IP_MULTIPLE_TABLES; {_KERNEL}"),
    _Question(
        "marked addresses",
        _has_marked_addresses,
        "recognising what is ours",
        "IFA_PROTO, Linux 5.18 or later: Debian 12 or later has it",
    ),
    _Question("next-hop objects", _has_nexthops, "peering connections", "Linux 5.3 or later: Debian 12 has it"),
    _Question(
        "resilient next-hop groups",
        _has_resilient_groups,
        "load balancing and active/standby routes",
        "Linux 5.13 or later: Debian 12 or later has it",
    ),
    _Question("flow hash on ports", _has_flow_hash, "load balancing", f"CONFIG_IP_ROUTE_MULTIPATH; {_KERNEL}"),
    _Question("VXLAN", _has_link_kind("vxlan"), "networks of several hosts", "modprobe vxlan (CONFIG_VXLAN)", False),
    _Question(
        "802.1Q",
        _has_link_kind("vlan"),
        "VLANs of VBRs (tc programs stand in without it)",
        "modprobe 8021q (CONFIG_VLAN_8021Q)",
        False,
    ),
    _Question("nftables", _has_nftables, "NAT gateways", "modprobe nf_tables (CONFIG_NF_TABLES)", False),
    *_LIMITS,
    _Question(
        "BTF",
        _has_btf,
        "the forwarder",
        f"CONFIG_DEBUG_INFO_BTF; {_KERNEL}",
        False,
    ),
    _Question("BPF file system", _has_bpf_file_system, "the forwarder", f"CONFIG_BPF_SYSCALL; {_KERNEL}", False),
)
