"""Classifiers on a device: clsact and eBPF filters, encoded, read, attached and detached.

Our mark is the filter's name together with its priority. Must never change a filter without it, nor a clsact that was
there before us or that others use.
"""

import errno
import struct
from dataclasses import dataclass
from enum import IntEnum

from dataplane.errors import ConflictError, HostError
from dataplane.kernel.attributes import attributes, text, u32
from dataplane.kernel.messages import CREATE, DO, DUMP, encode
from dataplane.kernel.netlink import NLM_F_CREATE, NetlinkSocket, Part, Refusal
from dataplane.kernel.rtnetlink import nla, nlmsg


@dataclass(frozen=True, slots=True)
class FilterMark:
    """By which a filter is known as ours, and as whose: its name together with its priority."""

    name: str
    priority: int


VLAN = FilterMark("dataplane_vlan", 219)
FORWARDER = FilterMark("dataplane_forwarder", 220)
"""Priorities: before those of others that carry the kernel's own numbers, which begin at 49152."""

_FOUND_CLSACT = 1
_MADE_CLSACT = 2
"""The filter's handle, which is ours to choose, remembers for the next agent whether clsact was there before us."""

_RTM_NEWQDISC, _RTM_DELQDISC, _RTM_GETQDISC = 36, 37, 38
_RTM_NEWTFILTER, _RTM_DELTFILTER, _RTM_GETTFILTER = 44, 45, 46
_CLSACT = 0xFFFFFFF1
_CLSACT_HANDLE = 0xFFFF0000
_INGRESS_KINDS = {"clsact", "ingress"}
_ETH_P_ALL = struct.unpack("=H", struct.pack("!H", 3))[0]
_DIRECT_ACTION = 1
_TCA_KIND, _TCA_OPTIONS = 1, 2
_TCA_BPF_FD, _TCA_BPF_NAME, _TCA_BPF_FLAGS, _TCA_BPF_ID = 6, 7, 8, 11
_FIXED = struct.Struct("=BxxxiIII")
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.EINVAL})
"""What the kernel says about a filter or a clsact that is not there."""


class Hook(IntEnum):
    """Where on a device a filter sits: what it receives, what it sends."""

    INGRESS = 0xFFFFFFF2
    EGRESS = 0xFFFFFFF3


class TcMessage(nlmsg):
    """``struct tcmsg`` with the attributes that we use."""

    fields = (
        ("family", "B"),
        ("pad1", "B"),
        ("pad2", "H"),
        ("index", "i"),
        ("handle", "I"),
        ("parent", "I"),
        ("info", "I"),
    )
    nla_map = ((_TCA_KIND, "TCA_KIND", "asciiz"), (_TCA_OPTIONS, "TCA_OPTIONS", "bpf"))

    class bpf(nla):
        """What only an eBPF classifier has."""

        nla_flags = 0x8000
        nla_map = (
            (_TCA_BPF_FD, "TCA_BPF_FD", "uint32"),
            (_TCA_BPF_NAME, "TCA_BPF_NAME", "asciiz"),
            (_TCA_BPF_FLAGS, "TCA_BPF_FLAGS", "uint32"),
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as the kernel shows it.

    Args:
        program_id: of an eBPF filter; 0 for others.
    """

    handle: int
    priority: int
    kind: str
    name: str
    program_id: int

    def carries(self, mark: FilterMark) -> bool:
        """Whether it is the one of a feature of ours."""
        return self.kind == "bpf" and FilterMark(self.name, self.priority) == mark


def clsact_request(ifindex: int) -> bytearray:
    """The message that gives a device its place for filters."""
    fields = {"index": ifindex, "handle": _CLSACT_HANDLE, "parent": _CLSACT}
    return encode(TcMessage, _RTM_NEWQDISC, CREATE, fields, [("TCA_KIND", "clsact")])


def clsact_removal_request(ifindex: int) -> bytearray:
    """The message that takes it away, with all filters in it."""
    return encode(TcMessage, _RTM_DELQDISC, DO, {"index": ifindex, "handle": _CLSACT_HANDLE, "parent": _CLSACT})


def attach_request(ifindex: int, hook: Hook, program_fd: int, handle: int, mark: FilterMark = VLAN) -> bytearray:
    """The message that attaches a program to a device, or exchanges the one of this handle in place."""
    options = {
        "attrs": [("TCA_BPF_FD", program_fd), ("TCA_BPF_NAME", mark.name), ("TCA_BPF_FLAGS", _DIRECT_ACTION)],
    }
    attrs = [("TCA_KIND", "bpf"), ("TCA_OPTIONS", options)]
    return encode(TcMessage, _RTM_NEWTFILTER, DO | NLM_F_CREATE, _place(ifindex, hook, handle, mark), attrs)


def detach_request(ifindex: int, hook: Hook, handle: int, mark: FilterMark = VLAN) -> bytearray:
    """The message that removes our filter."""
    return encode(TcMessage, _RTM_DELTFILTER, DO, _place(ifindex, hook, handle, mark), [("TCA_KIND", "bpf")])


def _place(ifindex: int, hook: Hook, handle: int, mark: FilterMark) -> dict[str, int]:
    return {"index": ifindex, "handle": handle, "parent": hook, "info": mark.priority << 16 | _ETH_P_ALL}


def read_filter(part: Part) -> Filter:
    """A filter out of a dump."""
    data, start, end = part
    _, _, handle, _, info = _FIXED.unpack_from(data, start)
    found = attributes(data, start + _FIXED.size, end)
    nested = found.get(_TCA_OPTIONS, b"")
    options = attributes(nested, 0, len(nested))
    return Filter(
        handle=handle,
        priority=info >> 16,
        kind=text(found.get(_TCA_KIND)),
        name=text(options.get(_TCA_BPF_NAME)),
        program_id=u32(options.get(_TCA_BPF_ID)) or 0,
    )


class Hooks:
    """The filters on devices of the namespace that a socket belongs to.

    Args:
        mark: which of ours they are.
        keeps_clsact: a clsact stays when the filter goes, for links of ours, with which it goes itself: to make or to
            remove one takes the device out of service for a moment (qdisc_graft), and packets are lost.

    Raises:
        HostError: the kernel does not answer, or lacks clsact.
    """

    def __init__(self, socket: NetlinkSocket, mark: FilterMark = VLAN, *, keeps_clsact: bool = False) -> None:
        self._socket = socket
        self._mark = mark
        self._keeps_clsact = keeps_clsact

    def attached(self, ifindex: int, hook: Hook) -> int:
        """The number of the program that our filter on a device runs; 0 where there is no filter of ours."""
        ours = self._ours(ifindex, hook)
        return ours.program_id if ours is not None else 0

    def attach(self, ifindex: int, ifname: str, hook: Hook, program_fd: int) -> None:
        """Attach a program, or exchange the one that is attached, without a frame that meets neither.

        Raises:
            ConflictError: a filter of somebody else has our priority.
            HostError: the kernel refuses.
        """
        found = self._filters(ifindex, hook)
        others = [one for one in found if one.priority == self._mark.priority and not one.carries(self._mark)]
        ours = next((one for one in found if one.carries(self._mark)), None)
        if others and ours is None:
            raise ConflictError(
                f"device {ifname} has a filter with priority {self._mark.priority} on its {hook.name.lower()} that is "
                f"not ours ({others[0].kind} {others[0].name or 'without a name'}); "
                "give it another priority (tc filter), then apply again"
            )
        handle = ours.handle if ours is not None else self._prepare(ifindex, ifname)
        self._do(attach_request(ifindex, hook, program_fd, handle, self._mark), f"attach a program to {ifname}")

    def _prepare(self, ifindex: int, ifname: str) -> int:
        """Make clsact unless the device has it; the handle that says which."""
        (refusal,) = self._socket.execute([clsact_request(ifindex)])
        if refusal is None:
            return _MADE_CLSACT
        if refusal.code != errno.EEXIST:
            raise HostError(f"cannot prepare {ifname} for programs (clsact): {refusal}")
        return _FOUND_CLSACT

    def detach(self, ifindex: int, ifname: str) -> None:
        """Remove our filter from a device's ingress, and clsact where we made it and nothing else is in it.

        Absent is fine. Both go in one message, so that no crash leaves a clsact of ours that nobody knows any more.
        """
        found = [*self._filters(ifindex, Hook.INGRESS), *self._filters(ifindex, Hook.EGRESS)]
        ours = self._ours(ifindex, Hook.INGRESS)
        if ours is None:
            return
        if ours.handle == _MADE_CLSACT and len(found) == 1 and not self._keeps_clsact:
            request = clsact_removal_request(ifindex)
        else:
            request = detach_request(ifindex, Hook.INGRESS, ours.handle, self._mark)
        self._do(request, f"detach our program from {ifname}", _GONE)

    def holders(self) -> list[int]:
        """The devices that have a filter of ours at their ingress, by ifindex."""
        return sorted(self.programs())

    def programs(self) -> dict[int, int]:
        """Device -> the number of the program that our filter at its ingress runs; only those with one."""
        request = encode(TcMessage, _RTM_GETQDISC, DUMP, {})
        devices = set()
        for data, start, end in self._socket.dump(bytes(request)):
            _, ifindex, _, _, _ = _FIXED.unpack_from(data, start)
            kind = text(attributes(data, start + _FIXED.size, end).get(_TCA_KIND))
            if kind in _INGRESS_KINDS:
                devices.add(ifindex)
        found = {ifindex: self.attached(ifindex, Hook.INGRESS) for ifindex in devices}
        return {ifindex: program for ifindex, program in found.items() if program}

    def _ours(self, ifindex: int, hook: Hook) -> Filter | None:
        return next((one for one in self._filters(ifindex, hook) if one.carries(self._mark)), None)

    def _filters(self, ifindex: int, hook: Hook) -> list[Filter]:
        """The filters at one hook of a device; none where it has no clsact. Heads of priorities are left out."""
        request = encode(TcMessage, _RTM_GETTFILTER, DUMP, {"index": ifindex, "parent": hook})
        found = (read_filter(part) for part in self._socket.dump(bytes(request)))
        return [one for one in found if one.handle]

    def _do(self, request: bytearray, what: str, fine: frozenset[int] = frozenset()) -> None:
        refusal: Refusal | None
        (refusal,) = self._socket.execute([request])
        if refusal is not None and refusal.code not in fine:
            raise HostError(f"cannot {what}: {refusal}")
