"""The forwarder under every port of this host's routers (design, section 5): at tc, unless the file says otherwise.

Runs after all passes, since its state is the desired kernel objects once more, in the form of maps. It belongs to no
unit: where it cannot be had, the kernel forwards and isolates just as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dataplane.compile.forwarding import compile_forwarding
from dataplane.compile.hook import line_doors, port_hooks
from dataplane.config import InvalidConfig, Loaded, Problem
from dataplane.model import names
from dataplane.model.desired import Declared, Desired, Wanted
from dataplane.model.forwarding import FibKind, Forwarding, Learned, PortKind
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook
from dataplane.model.kernel import (
    FarEnd,
    ForwarderState,
    KernelObject,
    Key,
    NexthopGroup,
    PortProgram,
    Veth,
    VlanLink,
)
from dataplane.model.resource import NOWHERE, Origin, Resource

RESOURCE = Resource("forwarder", "this host")
MAX_XDP_MTU_BYTES = 3506
"""Of a veth with a program in native mode: a frame has to fit into one page (veth_xdp_set)."""
_TENANTS = (PortKind.INSTANCE, PortKind.SERVICE)


def with_forwarder(desired: Desired, loaded: Loaded, facts: HostFacts) -> Desired:
    """Add the forwarder's state and its programs to a desired state, as ``datapath.hook`` says.

    Raises:
        InvalidConfig: the file insists on a hook, and this host cannot have the forwarder.
    """
    hook = loaded.network.datapath.hook
    if hook == "off":
        return desired
    if facts.forwarder_lacks and hook == "auto":
        return replace(desired, notes=(*desired.notes, f"the kernel forwards, without eBPF: {facts.forwarder_lacks}"))
    if facts.forwarder_lacks:
        raise InvalidConfig((_problem(loaded, facts),))
    state = compile_forwarding(desired, _learned(desired, facts))
    settings = loaded.network.datapath
    state = replace(state, flow_table=settings.flow_table, fib=FibKind(settings.fib))
    if not state.ports:
        return desired
    origin = loaded.origin("datapath", "hook")
    wanted = dict(desired.wanted)
    veths = [wish.object for wish in wanted.values() if isinstance(wish.object, Veth)]
    is_xdp = hook == "xdp" and all(veth.mtu <= MAX_XDP_MTU_BYTES for veth in veths)
    for item in forwarder_objects(state, veths if is_xdp else None):
        wanted[item.key] = Wanted(item, RESOURCE, origin, frozenset())
    declared = (*desired.declared, _declared(state, "xdp" if is_xdp else "tc", origin))
    if hook == "xdp" and not is_xdp:
        note = (
            f"datapath.hook is tc, not xdp: an XDP program takes no MTU above {MAX_XDP_MTU_BYTES}, and a link has one"
        )
        desired = replace(desired, notes=(*desired.notes, note))
    return replace(desired, wanted=wanted, declared=declared, book=state.book, used=state.used)


def following(desired: Desired, present: Mapping[Key, KernelObject]) -> dict[Key, Wanted]:
    """The forwarder's part of a desired state, for a kernel that is not as the file says.

    Where a unit was taken back, or waits for something, the fast path is to go the ways that the slow one has.
    """
    nobody = frozenset[str]()
    known = {names.group_number(number) for (kind, _), number in desired.book.numbers.items() if kind == "group"}
    there = {
        key: Wanted(item, RESOURCE, NOWHERE, nobody)
        for key, item in present.items()
        # A group of a number that nobody knows any more says nothing about its members' order.
        if not isinstance(item, NexthopGroup) or item.id in known
    }
    programs = (wish.object for wish in desired.wanted.values() if isinstance(wish.object, PortProgram))
    is_xdp = any(program.hook == "xdp" for program in programs)
    veths = [wish.object for wish in there.values() if isinstance(wish.object, Veth)]
    wished = [wish.object.forwarding for wish in desired.wanted.values() if isinstance(wish.object, ForwarderState)]
    state = compile_forwarding(replace(desired, wanted=there))
    state = replace(state, flow_table=wished[0].flow_table, fib=wished[0].fib) if wished else state
    objects = forwarder_objects(state, veths if is_xdp else None)
    return {item.key: Wanted(item, RESOURCE, NOWHERE, nobody) for item in objects}


def forwarder_objects(state: Forwarding, veths: Iterable[Veth] | None) -> tuple[KernelObject, ...]:
    """The state, a program under each of its ports, and what XDP needs of far ends; the book is the desired state's.

    Args:
        veths: of the network, where XDP is asked for.
    """
    alone = replace(state, book=IdBook(), used=frozenset())
    hooks = port_hooks(state, "tc" if veths is None else "xdp")
    doors = [state.ports[door] for door in sorted(line_doors(state))] if veths is not None else []
    before = {door.far for door in doors}
    programs = (
        PortProgram(port.namespace, port.ifname, hooks[port.id], is_target=port.id in before)
        for port in state.ports.values()
    )
    tenants = {(port.namespace, port.ifname) for port in state.ports.values() if port.kind in _TENANTS}
    far_ends = [
        FarEnd(veth.b.namespace, veth.b.ifname)
        for veth in veths or ()
        if veth.a is not None and veth.b is not None and (veth.a.namespace, veth.a.ifname) in tenants
    ]
    far_ends += [FarEnd(door.namespace, door.ifname) for door in doors]
    return (ForwarderState(alone), *far_ends, *programs)


def _learned(desired: Desired, facts: HostFacts) -> Learned:
    """What lines have from their card."""
    items = (wish.object for wish in desired.wanted.values())
    lines = [item for item in items if isinstance(item, VlanLink) and item.parent in facts.devices]
    return Learned({(line.namespace, line.ifname): facts.devices[line.parent] for line in lines})


def _declared(state: Forwarding, hook: str, origin: Origin) -> Declared:
    detail = f"hook {hook}, {len(state.ports):,} ports, {state.routes:,} routes"
    return Declared(RESOURCE, origin, "Active", "", "programs and maps below /run/dataplane/bpf", detail=detail)


def _problem(loaded: Loaded, facts: HostFacts) -> Problem:
    hook = loaded.network.datapath.hook
    return Problem(
        severity="error",
        origin=loaded.origin("datapath", "hook"),
        path="datapath.hook",
        message=f"{hook} is asked for, and this host cannot have the forwarder: {facts.forwarder_lacks}",
        remedy="or write `hook: auto`, with which the kernel forwards",
    )
