"""Performing on the forwarder: its state loaded and written, its programs put under ports and taken off.

Owns the order of steps at a port: the program that is to stay is there before the one at the other hook goes, so that
no packet meets neither.
"""

import socket as sockets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from dataplane.datapath import forwarder
from dataplane.datapath.forwarder import Forwarder
from dataplane.errors import ConflictError, HostError, PermissionDenied
from dataplane.kernel import tc, xdp
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.visits import Visits
from dataplane.kernel.wording import failure_sentence
from dataplane.model import names
from dataplane.model.kernel import ForwarderState, PortProgram
from dataplane.plan.action import Action, Outcome, Verb


def perform_state(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Load, fill or remove: there is one state on a host."""
    visits.go_home()
    return [_outcome(action, partial(_settle, action)) for action in actions]


def _settle(action: Action) -> None:
    assert isinstance(action.object, ForwarderState)
    if action.verb is Verb.DELETE:
        forwarder.unload()
    else:
        forwarder.settle(action.object.forwarding)


def perform_programs(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Attach, exchange and detach, namespace by namespace."""
    visits.go_home()
    places: dict[str, list[Action]] = {}
    for action in actions:
        assert isinstance(action.object, PortProgram)
        places.setdefault(action.object.namespace, []).append(action)
    outcomes: dict[int, Outcome] = {}
    with forwarder.adopted() as present:
        # All devices first: a packet that a new program sends must find its way at the last port, too.
        _set_devices(places, present, visits)
        for namespace, batch in places.items():
            outcomes |= {id(outcome.action): outcome for outcome in _in_namespace(namespace, batch, present, visits)}
    return [outcomes[id(action)] for action in actions]


def _set_devices(places: Mapping[str, Sequence[Action]], present: Forwarder | None, visits: Visits) -> None:
    """Tell XDP the devices of its ports. One that is missing fails when its program is attached."""
    for namespace, batch in places.items():
        items = [action.object for action in batch if action.verb is not Verb.DELETE]
        ifnames = [item.ifname for item in items if isinstance(item, PortProgram) and item.needs_device]
        if not ifnames or present is None or visits.go(namespace) is not None:
            continue
        for ifname in ifnames:
            with suppress(OSError):
                ifindex = sockets.if_nametoindex(ifname)
                present.set_device(names.parse_port_ifindex(ifindex) or 0, ifindex)


def _in_namespace(
    namespace: str, batch: Sequence[Action], present: Forwarder | None, visits: Visits
) -> Iterator[Outcome]:
    stop = visits.go(namespace)
    if stop is not None:
        for action in batch:
            is_gone = action.verb is Verb.DELETE and stop.is_missing
            error = None if is_gone else failure_sentence(action, stop.text)
            yield Outcome(action, error, is_conflict=stop.is_conflict and not is_gone)
        return
    with NetlinkSocket() as socket:
        for action in batch:
            yield _outcome(action, partial(_at_port, action, present, socket))


def _at_port(action: Action, present: Forwarder | None, socket: NetlinkSocket) -> None:
    item = action.object
    assert isinstance(item, PortProgram)
    try:
        ifindex = sockets.if_nametoindex(item.ifname)
    except OSError:
        if action.verb is Verb.DELETE:
            return
        raise
    hooks = tc.Hooks(socket, tc.FORWARDER, keeps_clsact=True)
    if action.verb is Verb.DELETE:
        hooks.detach(ifindex, item.ifname)
        xdp.detach(socket, ifindex, item.ifname)
        return
    if present is None:
        raise HostError("the forwarder is not loaded; apply again")
    if item.hook == "tc":
        hooks.attach(ifindex, item.ifname, tc.Hook.INGRESS, present.program("tc"))
        xdp.detach(socket, ifindex, item.ifname)
        return
    xdp.attach(socket, ifindex, item.ifname, present.program("xdp"))
    hooks.detach(ifindex, item.ifname)


def _outcome(action: Action, step: Callable[[], None]) -> Outcome:
    """Carry a step out, and say what became of it."""
    try:
        step()
    except PermissionDenied:
        raise
    except ConflictError as error:
        return Outcome(action, failure_sentence(action, str(error)), is_conflict=True)
    except (HostError, OSError) as error:
        return Outcome(action, failure_sentence(action, str(error)))
    return Outcome(action)
