"""The forwarder's state for the network that was applied here, or for files alone, and its program to try it on.

Owns where the state comes from. Nothing here attaches, writes to a pinned map, or changes the host.
"""

from pathlib import Path

from dataplane.agent.store import Store
from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarding import compile_forwarding
from dataplane.compile.hook import port_hooks
from dataplane.config import Loaded, load_sources
from dataplane.errors import HostError
from dataplane.model import names
from dataplane.model.desired import Desired
from dataplane.model.forwarding import Forwarding, Learned, Port, PortKind
from dataplane.model.ids import IdBook
from dataplane.model.path import Packet
from dataplane.model.simulation import Hook
from dataplane.observe.simulation import Journey, travel

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

    state = Store(state_dir).load()
    if not state.applied.sources:
        raise HostError("nothing is applied on this host: name files with --offline, or apply them first")
    loaded = load_sources(state.applied.sources)
    facts = KernelDriver().facts()
    addresses, here = state.memory.addresses(), state.applied.host
    return _with_lines(compile_network(loaded, state.book, addresses, facts, here, state.legs))


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
