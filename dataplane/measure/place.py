"""A place that a measure enters: the open network namespace of an instance or node, and what its interface counts."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import IO

from dataplane.accept.ceiling import ETHERNET_BYTES
from dataplane.errors import HostError
from dataplane.kernel import libc, netns

# Bound to the namespace that the thread is in when it is opened; read again and again from anywhere.
_COUNTERS = "/proc/thread-self/net/dev"
_RECEIVED, _SENT = 0, 8
"""Columns of bytes; packets are the next."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where programs run.

    Args:
        id: of the instance or node.
        descriptor: its open network namespace.
    """

    id: str
    descriptor: int

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be there for the length of a block: this thread alone, and the processes that it starts."""
        home = netns.open_present()
        try:
            libc.setns(self.descriptor)
            try:
                yield
            finally:
                libc.setns(home)
        finally:
            os.close(home)


Places = Mapping[str, Place]
"""The id of an end -> its place."""


@contextmanager
def opened(references: Mapping[str, str]) -> Iterator[Places]:
    """The places of some ends, open for the length of a block.

    Args:
        references: id -> a name under /run/netns, or ``pid:N``.

    Raises:
        HostError: a namespace is not there.
    """
    with ExitStack() as stack:
        found = {}
        for id, reference in references.items():
            descriptor = netns.open_reference(reference)
            stack.callback(os.close, descriptor)
            found[id] = Place(id, descriptor)
        yield found


@dataclass(frozen=True, slots=True)
class Count:
    """What an interface has counted so far; bytes are those of IP packets."""

    packets: int
    bytes: int

    def __add__(self, other: "Count") -> "Count":
        return Count(self.packets + other.packets, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Counter:
    """The counters of the interface that has an address.

    Args:
        is_received: what comes in; else what goes out.
    """

    file: IO[str]
    ifname: str
    is_received: bool

    def read(self) -> Count:
        """The counters now.

        Raises:
            HostError: the interface is gone.
        """
        self.file.seek(0)
        for line in self.file.read().splitlines():
            name, colon, rest = line.partition(":")
            if colon and name.strip() == self.ifname:
                words = rest.split()
                column = _RECEIVED if self.is_received else _SENT
                packets = int(words[column + 1])
                return Count(packets, int(words[column]) - ETHERNET_BYTES * packets)
        raise HostError(f"the interface {self.ifname} went away while it was measured")


@contextmanager
def counters(wanted: Mapping[str, IPv4Address], places: Places, *, is_received: bool) -> Iterator[list[Counter]]:
    """The counters of the interfaces of some ends.

    Args:
        wanted: end id -> its address.

    Raises:
        HostError: an end has no interface with its address.
    """
    with ExitStack() as stack:
        found = []
        for id, address in wanted.items():
            with places[id].inside():
                file = stack.enter_context(open(_COUNTERS))  # noqa: PTH123 (it stays open)
                found.append(Counter(file, _interface_with(id, address), is_received))
        yield found


def _interface_with(id: str, address: IPv4Address) -> str:
    """The name of the interface with an address, in the namespace that the thread is in."""
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        for message in netlink.get_addr(address=str(address)):
            for link in netlink.get_links(message["index"]):
                return str(link.get_attr("IFLA_IFNAME"))
    raise HostError(f"{id} has no interface with {address}: is the network applied?")
