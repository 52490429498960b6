"""The forwarder as it is found: its state in the maps, its programs under the ports of a namespace.

Reads only. A program is ours by the filter's name and priority (``tc.py``); at XDP by its own name, on a port of ours.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dataplane.datapath import forwarder, libbpf
from dataplane.kernel import link, netns, tc
from dataplane.kernel.link import Link
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.model import names
from dataplane.model.forwarding import Forwarding
from dataplane.model.kernel import ForwarderState, KernelObject, PortProgram
from dataplane.model.simulation import Hook


@dataclass(frozen=True, slots=True)
class View:
    """What ports are compared with.

    Args:
        found: what there is of the forwarder; None where there is nothing.
        state: what is wanted of it; None where nothing is.
        wanted: the programs that are wanted, by namespace and interface.
    """

    found: forwarder.Found | None = None
    state: ForwarderState | None = None
    wanted: Mapping[tuple[str, str], PortProgram] = field(default_factory=dict)

    def observed_state(self) -> ForwarderState | None:
        """The state as it is."""
        if self.found is None:
            return None
        forwarding = self.state.forwarding if self.state is not None else Forwarding()
        return ForwarderState(forwarding, self.found.differs, self.found.is_loss)


def look(desired: Iterable[KernelObject]) -> View:
    """Read the forwarder of the namespace that the thread is in: that of the command."""
    wanted: dict[tuple[str, str], PortProgram] = {}
    state: ForwarderState | None = None
    for item in desired:
        if isinstance(item, PortProgram):
            wanted[item.namespace, item.ifname] = item
        elif isinstance(item, ForwarderState):
            state = item
    if state is None:
        return View(forwarder.look(None), None, wanted)
    known = {place for place, wish in wanted.items() if wish.needs_device}
    ports = [port.id for port in state.forwarding.ports.values() if (port.namespace, port.ifname) in known]
    return View(forwarder.look(state.forwarding, ports), state, wanted)


def read(socket: NetlinkSocket, namespace: str, links: Iterable[Link], view: View) -> Iterator[PortProgram]:
    """The programs of ours in a router's namespace that a socket belongs to."""
    attached = tc.Hooks(socket, tc.FORWARDER).programs()
    current = view.found.programs if view.found is not None else {}
    devices = view.found.devices if view.found is not None else frozenset()
    for one in links:
        present: dict[Hook, int] = {}
        if one.ifindex in attached:
            present["tc"] = attached[one.ifindex]
        if is_our_xdp(one.xdp_program):
            present["xdp"] = one.xdp_program
        if not present:
            continue
        wish = view.wanted.get((namespace, one.ifname))
        hook = wish.hook if wish is not None and wish.hook in present else next(iter(present))
        is_alone = present == {hook: current.get(hook)}
        is_target = wish is not None and wish.is_target
        seen = PortProgram(namespace, one.ifname, hook, is_alone, is_target)
        if seen.needs_device and names.parse_port_ifindex(one.ifindex) not in devices:
            seen = replace(seen, is_current=False)
        yield seen


def is_our_xdp(number: int) -> bool:
    """Whether an XDP program, by the kernel's number, is the forwarder of some version."""
    if not number:
        return False
    try:
        fd = libbpf.open_program(number)
    except FileNotFoundError:
        return False  # exchanged meanwhile
    try:
        return libbpf.program_name(fd) == forwarder.PROGRAMS["xdp"]
    finally:
        os.close(fd)


def hooks_at(places: Iterable[tuple[str, str]]) -> set[Hook]:
    """The hooks at which the forwarder sits under any of some interfaces (namespace and name)."""
    by_namespace: dict[str, set[str]] = {}
    for namespace, ifname in places:
        by_namespace.setdefault(namespace, set()).add(ifname)
    found: set[Hook] = set()
    for namespace, ifnames in by_namespace.items():
        with netns.Journey() as journey:
            journey.go(namespace)
            with NetlinkSocket() as socket:
                links = [link.read(namespace, part) for part in socket.dump(link.DUMP_REQUEST)]
                seen = read(socket, namespace, [one for one in links if one.ifname in ifnames], View())
                found |= {program.hook for program in seen}
    return found
