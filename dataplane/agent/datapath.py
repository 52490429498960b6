"""The forwarder's state for the network that was applied here, or for files alone, and its program to try it on.

Owns where the state comes from. Nothing here attaches, writes to a pinned map, or changes the host.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from dataplane.agent.store import FILE_NAME, State, Store
from dataplane.agent.watch import Watch, forwarding_of
from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarding import compile_forwarding
from dataplane.compile.hook import port_hooks
from dataplane.config import Loaded, Network, load_sources
from dataplane.errors import HostError
from dataplane.model import names
from dataplane.model.desired import Desired
from dataplane.model.forwarding import Forwarding, Learned, Port, PortKind
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook
from dataplane.model.path import Packet
from dataplane.model.simulation import Hook
from dataplane.model.traffic import NamedTraffic, named
from dataplane.observe.simulation import Journey, travel
from dataplane.observe.top import Top

_LINE_MTU = 1500


def offline(loaded: Loaded, here: str = "") -> tuple[Desired, Forwarding]:
    """What files alone say, as they would be applied to an empty host. Needs no root.

    Args:
        here: the id of the host that asks; empty where the files name no hosts.

    Raises:
        InvalidConfig: an instance cannot have an address (R79).
    """
    return _with_lines(compile_network(loaded, IdBook(), {}, here=here))


def applied(state_dir: Path) -> tuple[Desired, Forwarding]:
    """What was applied here last.

    Raises:
        HostError: nothing was.
    """
    from dataplane.kernel.driver import KernelDriver  # Late: offline does without pyroute2.

    return _with_lines(_compiled(Store(state_dir).load(), KernelDriver().facts())[1])


def counted(state_dir: Path) -> tuple[Network, NamedTraffic]:
    """What the forwarder has counted since its maps were made, with the network that was applied here last.

    Raises:
        HostError: nothing was applied, or there is no forwarder under it.
    """
    watch = watched(state_dir)
    return watch.network, named(watch.driver.traffic(), watch.state)


def watched(state_dir: Path) -> Watch:
    """The network that was applied here last, to look at what is flowing in it.

    Raises:
        HostError: nothing was applied, or there is no forwarder under it.
    """
    from dataplane.kernel.driver import KernelDriver  # Late, as above.

    state = Store(state_dir).load()
    if not state.applied.sources:
        raise HostError("nothing is applied on this host, so that nothing flows: `dataplane apply FILE` first")
    driver = KernelDriver()
    loaded, desired = _compiled(state, driver.facts())
    return Watch(loaded.network, forwarding_of(desired), driver)


def watching(state_dir: Path, seconds: float, most: int, connection: str) -> Iterator[Top]:
    """What flows in the network that was applied here last, interval by interval; another apply makes it look anew.

    Args:
        most: flows, at most.
        connection: only of this one; empty: of all.

    Raises:
        HostError: as ``watched``.
        UnknownError: there is no such connection.
    """
    while True:
        mark, watch = _mark(state_dir), watched(state_dir)
        watch.need_connection(connection)
        before = watch.look()
        while True:
            time.sleep(seconds)
            if _mark(state_dir) != mark:
                break
            after = watch.look()
            yield watch.top(before, after, most, connection)
            before = after


def _mark(state_dir: Path) -> int:
    """Another one whenever the state has been saved."""
    file = state_dir / FILE_NAME
    return file.stat().st_mtime_ns if file.exists() else 0


def _compiled(state: State, facts: HostFacts) -> tuple[Loaded, Desired]:
    """The network that was applied last."""
    if not state.applied.sources:
        raise HostError("nothing is applied on this host: name files with --offline, or apply them first")
    loaded = load_sources(state.applied.sources)
    addresses, here = state.memory.addresses(), state.applied.host
    return loaded, compile_network(loaded, state.book, addresses, facts, here, state.legs)


def _with_lines(desired: Desired) -> tuple[Desired, Forwarding]:
    """The state with a MAC made up for what only the line's card knows."""
    links = {}
    for port in compile_forwarding(desired).ports.values():
        if port.kind is PortKind.LINE:
            links[port.namespace, port.ifname] = (names.mac_address("line", port.name), _LINE_MTU)
    return desired, compile_forwarding(desired, Learned(links))


def simulate(state: Forwarding, hook: Hook, port: Port, packet: Packet) -> Journey:
    """Let the real program decide on a packet that comes in by a port (``BPF_PROG_TEST_RUN``).

    Raises:
        HostError: the program cannot be compiled or loaded here.
        PermissionDenied: CAP_BPF, CAP_NET_ADMIN or CAP_SYS_ADMIN is missing.
    """
    from dataplane.datapath.simulate import simulator

    hooks = port_hooks(state, hook)
    with simulator(state) as there:
        # At XDP, the router of a line goes on at tc, as it does under real ports.
        return travel(state, lambda _, at, frame: there.run(hooks[at], at, frame), hook, port, packet)
