"""Shapers as messages: an HTB tree on a port, encoded and read.

It is ours by its handle (``model/shaper.py``), on a port of ours. Must never replace a queueing discipline of another
handle. A changed rate is written over the old one, so that no queue is reset and no packet lost.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dataplane.kernel.attributes import attributes, text
from dataplane.kernel.messages import CHANGE, CREATE, DO, DUMP, encode
from dataplane.kernel.netlink import Part
from dataplane.kernel.rtnetlink import nla, nlmsg
from dataplane.model.shaper import FIRST_LEAF, HANDLE, ROOT_CLASS, Shaper

KIND = "htb"

UNLIMITED = 100_000_000_000
"""The rate of what has none, in bit/s: HTB knows no class without."""

_RTM_NEWQDISC, _RTM_DELQDISC, _RTM_GETQDISC = 36, 37, 38
_RTM_NEWTCLASS, _RTM_DELTCLASS, _RTM_GETTCLASS = 40, 41, 42
_ROOT = 0xFFFFFFFF
_NLM_F_ECHO = 0x008
"""Without it the kernel tells the answer to nobody but listeners (``qdisc_notify``)."""
_TCA_KIND, _TCA_OPTIONS = 1, 2
_TCA_HTB_PARMS, _TCA_HTB_INIT, _TCA_HTB_DIRECT_QLEN, _TCA_HTB_RATE64, _TCA_HTB_CEIL64 = 1, 2, 5, 6, 7
_FIXED = struct.Struct("=BxxxiIII")
_INIT = struct.Struct("=IIIII")
_PARAMETERS = struct.Struct("=BBHhHIBBHhHIIIIII")
_QUEUE = struct.Struct("=I")
_HANDLE_OFFSET, _PLACE = 24, struct.Struct("=II")

_VERSION = 3
_RATE_TO_QUANTUM = 10
_DEFAULT_CLASS = 0
"""What has no class of ours as its priority (ARP, probes) is sent at once."""
_DIRECT_PACKETS = 1000
_ETHERNET = 1
_MOST_32_BITS = (1 << 32) - 1
_TICK_NS = 64

_BURST_TICKS = 5_000_000 // _TICK_NS
"""What a class may send at once, as 5 ms of its rate: a timer that is late by less costs no rate."""
_QUEUE_NS = 50_000_000
"""What a leaf holds at most, as time at its rate (D4)."""
_LEAST_QUEUE_BYTES = 70_000
"""A packet of 64 KB, which the card is to cut up, counts with the headers of all its parts."""
_QUANTUM_BYTES = 70_000
"""What a leaf may send in its turn; of a larger packet it would send one in every turn, and shares would be packets."""
_SMALLEST_RATE = 1_000
"""Of a leaf by itself, in bytes/s; all else is borrowed from the root, in turns."""
_WIRE_BYTES, _IP_BYTES = 1514, 1500
"""HTB counts the Ethernet header, a limit does not: exact for full packets, and a few percent strict for small ones."""
_FIRST_QUEUE = 0x1000


class TreeMessage(nlmsg):
    """``struct tcmsg`` with the attributes of HTB."""

    fields = (
        ("family", "B"),
        ("pad", "3x"),
        ("index", "i"),
        ("handle", "I"),
        ("parent", "I"),
        ("info", "I"),
    )
    nla_map = ((_TCA_KIND, "TCA_KIND", "asciiz"), (_TCA_OPTIONS, "TCA_OPTIONS", "htb"))

    class htb(nla):
        """Of the tree itself, or of one class."""

        nla_flags = 0x8000
        nla_map = (
            (_TCA_HTB_PARMS, "TCA_HTB_PARMS", "cdata"),
            (_TCA_HTB_INIT, "TCA_HTB_INIT", "cdata"),
            (_TCA_HTB_DIRECT_QLEN, "TCA_HTB_DIRECT_QLEN", "uint32"),
            (_TCA_HTB_RATE64, "TCA_HTB_RATE64", "uint64"),
            (_TCA_HTB_CEIL64, "TCA_HTB_CEIL64", "uint64"),
        )


class QueueMessage(nlmsg):
    """``struct tcmsg`` with the options of bfifo, which are no attributes."""

    fields = TreeMessage.fields
    nla_map = ((_TCA_KIND, "TCA_KIND", "asciiz"), (_TCA_OPTIONS, "TCA_OPTIONS", "cdata"))


@dataclass(frozen=True, slots=True)
class Class:
    """A class of a tree.

    Args:
        parent: its handle.
        rate: what it has by itself, in bytes/s as HTB counts them.
        ceil: what it may have, likewise.
        queue: the handle of its queue; 0 where it has none of its own.
    """

    parent: int
    rate: int
    ceil: int
    queue: int = 0
    burst_ticks: int = _BURST_TICKS
    ceil_burst_ticks: int = _BURST_TICKS
    quantum: int = _QUANTUM_BYTES
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Root:
    """The queueing discipline of a port.

    Args:
        is_as_made: its options are those that we give it.
    """

    kind: str
    handle: int
    is_as_made: bool

    @property
    def is_ours(self) -> bool:
        return self.kind == KIND and self.handle == HANDLE

    @property
    def is_foreign(self) -> bool:
        """Whether somebody has put it there; what a port is born with has no handle."""
        return bool(self.handle) and not self.is_ours


def bytes_per_second(bits: int) -> int:
    """A limit as HTB counts: 0 is unlimited."""
    return max((bits or UNLIMITED) * _WIRE_BYTES // (_IP_BYTES * 8), _SMALLEST_RATE)


def _bits(counted: int) -> int:
    """Back again, for what is shown: of those that are counted alike, the roundest; 0 where there is no limit."""
    least = -(-counted * 8 * _IP_BYTES // _WIRE_BYTES)
    most = ((counted + 1) * 8 * _IP_BYTES - 1) // _WIRE_BYTES
    powers = (10**exponent for exponent in range(12, -1, -1))
    bits = next(number for power in powers if (number := most - most % power) >= least)
    return 0 if bits >= UNLIMITED else bits


def root_class(shaper: Shaper) -> Class:
    """The class that all leaves borrow from."""
    rate = bytes_per_second(shaper.bandwidth)
    return Class(HANDLE, rate, rate)


def leaf_class(shaper: Shaper, leaf: int = 0) -> Class:
    """A leaf: hardly a rate of its own, so that all are served in turns."""
    ceil = bytes_per_second(shaper.flow or shaper.bandwidth)
    return Class(ROOT_CLASS, _SMALLEST_RATE, ceil, (_FIRST_QUEUE + leaf) << 16)


def queue_bytes(shaper: Shaper) -> int:
    """What the queue of a leaf holds."""
    return min(max(leaf_class(shaper).ceil * _QUEUE_NS // 1_000_000_000, _LEAST_QUEUE_BYTES), _MOST_32_BITS)


def tree_requests(ifindex: int, shaper: Shaper, present: Mapping[int, Class], *, has_root: bool) -> Iterator[bytearray]:
    """The messages that make a tree, or make the one that is there as it should be.

    Queues come before rates: a tree whose rates are right is right as a whole, since nobody reads the queues.

    Args:
        present: the classes that are there, by handle.
        has_root: the discipline itself is there.
    """
    if not has_root:
        yield _root_request(ifindex)
    leaves = range(shaper.leaves)
    queue, leaf = _queue_request(ifindex, shaper), _class_request(ifindex, FIRST_LEAF, leaf_class(shaper))
    root = _class_request(ifindex, ROOT_CLASS, root_class(shaper))
    known = [number for number in leaves if FIRST_LEAF + number in present]
    yield from (_placed(queue, (_FIRST_QUEUE + number) << 16, FIRST_LEAF + number) for number in known)
    yield root
    for number in leaves:
        yield _placed(leaf, FIRST_LEAF + number, ROOT_CLASS)
        if FIRST_LEAF + number not in present:
            yield _placed(queue, (_FIRST_QUEUE + number) << 16, FIRST_LEAF + number)
    wanted = {ROOT_CLASS, *(FIRST_LEAF + number for number in leaves)}
    for handle in sorted(present.keys() - wanted, reverse=True):
        yield encode(TreeMessage, _RTM_DELTCLASS, DO, {"index": ifindex, "handle": handle})


def removal_request(ifindex: int) -> bytearray:
    """The message that takes our tree away; the kernel refuses where the discipline has another handle."""
    return encode(TreeMessage, _RTM_DELQDISC, DO, {"index": ifindex, "handle": HANDLE, "parent": _ROOT})


def root_query(ifindex: int) -> bytearray:
    """The message that asks what discipline a port has; of a default one the kernel says nothing but done."""
    return encode(TreeMessage, _RTM_GETQDISC, DO | _NLM_F_ECHO, {"index": ifindex, "parent": _ROOT})


def classes_query(ifindex: int) -> bytes:
    """The message that asks for all classes of a port."""
    return bytes(encode(TreeMessage, _RTM_GETTCLASS, DUMP, {"index": ifindex}))


def _root_request(ifindex: int) -> bytearray:
    options = {
        "attrs": [
            ("TCA_HTB_INIT", _INIT.pack(_VERSION, _RATE_TO_QUANTUM, _DEFAULT_CLASS, 0, 0)),
            ("TCA_HTB_DIRECT_QLEN", _DIRECT_PACKETS),
        ]
    }
    place = {"index": ifindex, "handle": HANDLE, "parent": _ROOT}
    return encode(TreeMessage, _RTM_NEWQDISC, CREATE, place, [("TCA_KIND", KIND), ("TCA_OPTIONS", options)])


def _class_request(ifindex: int, handle: int, made: Class) -> bytearray:
    rate, ceil = min(made.rate, _MOST_32_BITS), min(made.ceil, _MOST_32_BITS)
    parameters = _PARAMETERS.pack(
        *(0, _ETHERNET, 0, 0, 0, rate),
        *(0, _ETHERNET, 0, 0, 0, ceil),
        *(made.burst_ticks, made.ceil_burst_ticks, made.quantum, 0, made.priority),
    )
    options = [("TCA_HTB_PARMS", parameters), ("TCA_HTB_RATE64", made.rate), ("TCA_HTB_CEIL64", made.ceil)]
    attrs = [("TCA_KIND", KIND), ("TCA_OPTIONS", {"attrs": options})]
    return encode(
        TreeMessage, _RTM_NEWTCLASS, CHANGE, {"index": ifindex, "handle": handle, "parent": made.parent}, attrs
    )


def _queue_request(ifindex: int, shaper: Shaper) -> bytearray:
    place = {"index": ifindex, "handle": _FIRST_QUEUE << 16, "parent": FIRST_LEAF}
    attrs = [("TCA_KIND", "bfifo"), ("TCA_OPTIONS", _QUEUE.pack(queue_bytes(shaper)))]
    return encode(QueueMessage, _RTM_NEWQDISC, CHANGE, place, attrs)


def _placed(request: bytearray, handle: int, parent: int) -> bytearray:
    """The same message for another place: a thousand leaves differ in nothing else."""
    copy = bytearray(request)
    _PLACE.pack_into(copy, _HANDLE_OFFSET, handle, parent)
    return copy


def read_root(part: Part) -> Root:
    """A queueing discipline out of an answer."""
    data, start, end = part
    _, _, handle, _, _ = _FIXED.unpack_from(data, start)
    found = attributes(data, start + _FIXED.size, end)
    kind = text(found.get(_TCA_KIND))
    options = found.get(_TCA_OPTIONS, b"") if kind == KIND else b""
    init = attributes(options, 0, len(options)).get(_TCA_HTB_INIT, b"")
    is_as_made = len(init) == _INIT.size and _INIT.unpack(init)[2] == _DEFAULT_CLASS
    return Root(kind, handle, is_as_made)


def read_class(part: Part) -> tuple[int, Class] | None:
    """The handle of a class and what it is; None where it is of another kind."""
    data, start, end = part
    _, _, handle, parent, queue = _FIXED.unpack_from(data, start)
    found = attributes(data, start + _FIXED.size, end)
    options = attributes(nested := found.get(_TCA_OPTIONS, b""), 0, len(nested))
    parameters = options.get(_TCA_HTB_PARMS, b"")
    if len(parameters) != _PARAMETERS.size:
        return None
    *_, rate, _, _, _, _, _, ceil, burst, ceil_burst, quantum, _, priority = _PARAMETERS.unpack(parameters)
    rate = int.from_bytes(options.get(_TCA_HTB_RATE64, b""), "little") or rate
    ceil = int.from_bytes(options.get(_TCA_HTB_CEIL64, b""), "little") or ceil
    # The root of a tree says that its parent is the root of the device.
    parent = HANDLE if parent == _ROOT else parent
    return handle, Class(parent, rate, ceil, queue, burst, ceil_burst, quantum, priority)


def as_shaper(namespace: str, ifname: str, root: Root, classes: Mapping[int, Class], wanted: Shaper | None) -> Shaper:
    """What a tree of ours is in the model's words.

    Args:
        wanted: the shaper that should be there: a rate that HTB counts in bytes could be that of several limits.
    """
    if wanted is not None and root.is_as_made and _is_tree_of(wanted, classes):
        return wanted
    leaves = [one for handle, one in classes.items() if one.parent == ROOT_CLASS and handle >= FIRST_LEAF]
    top = classes.get(ROOT_CLASS)
    bandwidth = _bits(top.ceil) if top is not None else 0
    flow = _bits(leaves[0].ceil) if leaves and (top is None or leaves[0].ceil != top.ceil) else 0
    found = Shaper(namespace, ifname, bandwidth, flow, len(leaves))
    is_whole = wanted is None and root.is_as_made and bool(leaves) and _is_tree_of(found, classes)
    return Shaper(namespace, ifname, bandwidth, flow, len(leaves), is_whole=is_whole)


def _is_tree_of(shaper: Shaper, classes: Mapping[int, Class]) -> bool:
    if len(classes) != shaper.leaves + 1 or classes.get(ROOT_CLASS) != root_class(shaper):
        return False
    return all(classes.get(FIRST_LEAF + leaf) == leaf_class(shaper, leaf) for leaf in range(shaper.leaves))
