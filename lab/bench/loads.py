"""What an applied network is given beyond its file: more routes than a file holds, groups, a ceiling to be measured by.

It runs in the network's own sandbox, after its apply, and uses the product's driver for what the product does.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Network

from dataplane.agent.store import Store
from dataplane.cli.context import DEFAULT_STATE
from dataplane.compile.compiler import compile_network
from dataplane.config import load_sources
from dataplane.datapath import forwarding_maps, libbpf, loader
from dataplane.kernel import netns
from dataplane.kernel.driver import KernelDriver
from dataplane.model.forwarding import Forwarding, Group, GroupMode, Hop, Leaf, LeafKind, LegState, Member
from dataplane.model.kernel import ForwarderState, KernelObject, KernelRoute, PortProgram
from dataplane.model.limit import Limit
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.model.shaper import FORWARDER_LEAVES
from dataplane.plan.action import Action, Verb
from lab.bench.model import BenchError
from lab.bench.peer import line

_NEVER_REACHED = 10**12
"""Bits a second."""
_LOOKUP = "leaf = fib_lookup(table, destination);"
"""What the ceiling does without (``ebpf/lib/walk.h``)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to give a network.

    Args:
        first: a destination that its file has a route for; all get the same next hop.
        destinations: routes of that kind, all of them.
        in_kernel: into the kernel's table, too, for variants in which the kernel looks them up.
        is_grouped: each leads to a group of two legs (ECMP).
        has_ceiling: also load the forwarder with a constant next hop in the place of its look-up.
    """

    first: IPv4Network
    destinations: Sequence[IPv4Network]
    in_kernel: bool
    is_grouped: bool = False
    has_ceiling: bool = False


def give(load: Load) -> int | None:
    """Carry it out.

    Returns:
        The ceiling's program for XDP, where one is wanted.

    Raises:
        BenchError: something refuses.
    """
    state = Store(DEFAULT_STATE).load()
    wanted = compile_network(load_sources(state.applied.sources), state.book, {}).wanted
    objects = [wish.object for wish in wanted.values()]
    has_more = len(load.destinations) > 1
    if has_more and load.in_kernel:
        _give_kernel(objects, load)
    if FORWARDER_STATE_KEY not in wanted:
        return None
    forwarder = wanted[FORWARDER_STATE_KEY].object
    assert isinstance(forwarder, ForwarderState)
    if has_more or load.is_grouped:
        _perform([replace(forwarder, forwarding=_with_routes(forwarder.forwarding, load))])
        _perform(item for item in objects if isinstance(item, PortProgram))
    return _ceiling(forwarder.forwarding, load.first) if load.has_ceiling else None


def _perform(objects: Iterable[KernelObject]) -> None:
    for outcome in KernelDriver().perform([Action(Verb.CHANGE, item) for item in objects]):
        if outcome.error is not None:
            raise BenchError(outcome.error)


def _give_kernel(objects: Iterable[KernelObject], load: Load) -> None:
    """The same route for all destinations, by one ``ip -batch``; those of the file are replaced by themselves."""
    found = [item for item in objects if isinstance(item, KernelRoute) and item.destination == load.first]
    (route,) = [item for item in found if item.ifname is not None]
    template = line(route).replace("route add", "route replace", 1)
    before, _, after = template.partition(str(load.first))
    text = "".join(f"{before}{destination}{after}\n" for destination in load.destinations)
    command = ["ip", "-n", route.namespace, "-batch", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"`ip -batch` refuses routes: {done.stderr[-500:]}")


def _with_routes(state: Forwarding, load: Load) -> Forwarding:
    """Every table that leads the first destination to a next hop has all of them."""
    for number, table in state.tables.items():
        leaf = table.routes.get(load.first)
        if leaf is not None and leaf.kind is LeafKind.HOP:
            if load.is_grouped:
                state, leaf = _grouped(state, state.hops[leaf.value])
            routes = {**table.routes, **dict.fromkeys(load.destinations, leaf)}
            return replace(state, tables={**state.tables, number: replace(table, routes=routes)})
    raise BenchError(f"the forwarder has no route to {load.first}")


def _grouped(state: Forwarding, hop: Hop) -> tuple[Forwarding, Leaf]:
    """A group whose two legs both lead where a next hop leads: packets are hashed, given a leg, and counted there.

    Both have a cap for each flow that none comes near to, so that each packet is charged to a bucket of its own (T2).
    """
    first_hop, first_leg, group = max(state.hops) + 1, max(state.legs, default=0) + 1, max(state.groups, default=0) + 1
    legs = (first_leg, first_leg + 1)
    hops = {first_hop + place: replace(hop, id=first_hop + place, leg=leg) for place, leg in enumerate(legs)}
    members = tuple(Member(hop.id, hop.leg) for hop in hops.values())
    found = Group(group, "", GroupMode.LOAD_BALANCE, members)
    changed = replace(
        state,
        hops={**state.hops, **hops},
        groups={**state.groups, group: found},
        legs={**state.legs, **dict.fromkeys(legs, LegState.UP)},
        limits=dict.fromkeys(legs, Limit(flow=_NEVER_REACHED, bandwidth=0, leaves=FORWARDER_LEAVES)),
    )
    return changed, Leaf(LeafKind.GROUP, group)


def _ceiling(state: Forwarding, destination: IPv4Network) -> int:
    """Our own program with a constant next hop, with maps of its own; the descriptor of its XDP entry, which keeps all.

    Raises:
        BenchError: the source has no such look-up any more.
    """
    leaves = (table.routes.get(destination) for table in state.tables.values())
    (hop,) = {leaf.value for leaf in leaves if leaf is not None and leaf.kind is LeafKind.HOP}
    sizes = forwarding_maps.Sizes.of(state)
    spec = forwarding_maps.spec(sizes)
    constant = f"leaf = {Leaf(LeafKind.HOP, hop).number}u;"
    if spec.source.count(_LOOKUP) != 1:
        raise BenchError(f"ebpf/lib/walk.h has no `{_LOOKUP}` any more: mend lab/bench/loads.py")

    class Constant(loader.ProgramSpec):
        @property
        def source(self) -> str:
            return spec.source.replace(_LOOKUP, constant)

    parts = {part.name: getattr(spec, part.name) for part in fields(spec)}
    with ExitStack() as stack:
        fds = stack.enter_context(loader.tried(Constant(**parts)))
        for name, entries in forwarding_maps.entries(state, sizes).items():
            if not name.startswith("dp_fib"):
                libbpf.update_batch(fds[name], entries.keys, entries.values, entries.count)
        for place, ports in _ports(state):
            with netns.entered(place):
                for port, ifindex in ports:
                    libbpf.update(fds["dp_tx"], port.to_bytes(4, "little"), ifindex.to_bytes(4, "little"))
        return os.dup(fds[forwarding_maps.XDP])


def _ports(state: Forwarding) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Namespace -> ids and devices of its ports."""
    places = {port.namespace for port in state.ports.values()}
    for place in sorted(places):
        yield place, [(port.id, port.ifindex) for port in state.ports.values() if port.namespace == place]
