"""The forwarder's own account of its packets: the counters of its ports, on every host of a lab.

Reads only. Which port a counter is of, and what lies at the port's far end, the kernel's links say, not the product.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dataplane.datapath import libbpf, loader
from dataplane.errors import HostError
from dataplane.kernel import link, program
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.model import names
from dataplane.model.forwarding import REASONS, Reason, Verdict
from lab.child import in_child
from lab.host import Host
from lab.model import HOST_NAMESPACE, ForwarderUse, Place, lab_name
from lab.syscalls import in_network

_NAME, _MAP = "datapath", "dp_reason"
_COUNT_BYTES = 16
"""Packets and bytes, of each processor."""
_PAUSE_S = 0.003
_PATIENCE_S = 1.0

Counts = Counter[tuple[Place, Reason]]


@dataclass(frozen=True, slots=True)
class _Book:
    """The counters of one host.

    Args:
        ports: port id -> where it is.
        hooks: where -> the hook of the forwarder there.
        descriptor: of the counters' map; None where there is none.
        unknown: what stands for a port that is not there.
    """

    host: str
    ports: Mapping[int, Place]
    hooks: Mapping[Place, str]
    descriptor: int | None
    unknown: Place

    def read(self) -> Counts:
        counts: Counts = Counter()
        size = _COUNT_BYTES * libbpf.possible_cpus()
        none = bytes(size)
        for key, data in libbpf.read_all(self.descriptor, 4, size) if self.descriptor is not None else ():
            if data != none:  # most are: the map has room for all reasons of all ports
                port, reason = divmod(int.from_bytes(key, sys.byteorder), REASONS)
                packets = sum(memoryview(data).cast("Q")[::2])
                counts[self.ports.get(port, self.unknown), Reason(reason)] += packets
        return counts


@dataclass(slots=True)
class Account:
    """The counters of all hosts.

    Args:
        books: of each host.
        far: interface -> the other end of its veth.
    """

    books: tuple[_Book, ...] = ()
    far: Mapping[Place, Place] = field(default_factory=dict)
    begun: Counts = field(default_factory=Counter)

    @property
    def hidden(self) -> frozenset[Place]:
        """The ports where a packet may come in before a sniffer sees it."""
        return frozenset(place for book in self.books for place, hook in book.hooks.items() if hook == "xdp")

    def read(self) -> Counts:
        """All counters as they stand."""
        return sum((book.read() for book in self.books), Counter())

    def settled(self) -> Counts:
        """The counters once they stand still: what earlier probes have left behind (a reset, say) is through."""
        deadline = time.monotonic() + _PATIENCE_S
        last = self.read()
        while time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
            now = self.read()
            if now == last:
                break
            last = now
        return last

    def passed_since(self, before: Counts) -> frozenset[Place]:
        """The ports that frames have come in by which the kernel did not get: its own are seen by sniffers."""
        risen = self.settled() - before
        return frozenset(place for place, reason in risen if reason.verdict is not Verdict.PASS)

    def used(self) -> tuple[ForwarderUse, ...]:
        """What each forwarder did since the account was opened."""
        uses = []
        for book in self.books:
            risen = book.read() - self.begun
            packets = sum(count for (_, reason), count in risen.items() if reason is Reason.FORWARDED)
            if book.hooks:
                uses.append(ForwarderUse(book.host, Counter(book.hooks.values()), packets))
        return tuple(uses)


@contextmanager
def opened_account(hosts: Sequence[Host], namespaces: Mapping[str, int]) -> Iterator[Account]:
    """The account of some hosts.

    Args:
        namespaces: of all of them, open, as ``lab_name`` calls them.

    Raises:
        HostError: the forwarder of a host cannot be told from remains of another one.
    """
    called = [host.name for host in hosts]
    books: list[_Book] = []
    far: dict[Place, Place] = {}
    try:
        for host in hosts:
            prefix = lab_name(host.name, "", called)
            own = {name: descriptor for name, descriptor in namespaces.items() if name.startswith(prefix)}
            ports, hooks, ends = _look(own)
            far |= ends
            unknown = (lab_name(host.name, HOST_NAMESPACE, called), "a port without an entry")
            books.append(_Book(host.name, ports, hooks, _open_counters(host), unknown))
        account = Account(tuple(books), far)
        account.begun = account.read()
        yield account
    finally:
        for book in books:
            if book.descriptor is not None:
                os.close(book.descriptor)


def _look(namespaces: Mapping[str, int]) -> tuple[dict[int, Place], dict[Place, str], dict[Place, Place]]:
    """Ports, hooks and far ends of one host, whose port numbers are its own."""
    ports: dict[int, Place] = {}
    hooks: dict[Place, str] = {}
    ends: dict[tuple[int, int], Place] = {}
    for name, descriptor in namespaces.items():
        with in_network(descriptor), NetlinkSocket() as socket:
            links = [link.read(name, part) for part in socket.dump(link.DUMP_REQUEST)]
            hooks |= {(name, found.ifname): found.hook for found in program.read(socket, name, links, program.View())}
        for one in links:
            port = names.parse_port_ifindex(one.ifindex)
            if port is not None:
                ports[port] = (name, one.ifname)
            if one.peer_ifindex and max(one.ifindex, one.peer_ifindex) > names.IFINDEX_BASE:
                ends[one.ifindex, one.peer_ifindex] = (name, one.ifname)
    # Of these veths one end has a number of ours, which the host has once: a pair of numbers is one link.
    return ports, hooks, {place: ends[b, a] for (a, b), place in ends.items() if (b, a) in ends}


def _open_counters(host: Host) -> int | None:
    def work() -> tuple[int, list[int]]:
        host.enter()
        folders = [folder for folder in loader.pins_named(_NAME) if (folder / _MAP).exists()]
        return len(folders), [libbpf.open_pinned(folder / _MAP) for folder in folders[:1]]

    number, descriptors = in_child(work)
    if number > 1:
        os.close(descriptors[0])
        raise HostError(f"host {host.name} has the pins of {number} forwarders: apply its network, which clears up")
    return descriptors[0] if descriptors else None
