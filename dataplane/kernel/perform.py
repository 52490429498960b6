"""Performing one stage: actions grouped by namespace, many messages a send, one outcome per action.

Owns the grouping and the reading of answers. Objects of different namespaces never depend on each other
inside a stage; within a namespace the given order holds. No policy: it does what the action says.
"""

import errno
import itertools
import socket as sockets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dataplane.errors import ConflictError, DataplaneError, PermissionDenied
from dataplane.kernel import (
    address,
    fdb,
    link,
    neighbour,
    netns,
    nexthop,
    offload,
    perform_program,
    perform_shaper,
    perform_underlay,
    perform_veth,
    perform_vlan,
    perform_vxlan,
    queues,
    route,
    rule,
)
from dataplane.kernel.messages import Kind, Seen
from dataplane.kernel.netlink import NetlinkSocket, Refusal
from dataplane.kernel.sysctl import Procfs
from dataplane.kernel.visits import Stop, Visits
from dataplane.kernel.wording import failure_sentence, foreign_sentence
from dataplane.model.kernel import (
    Address,
    Classifier,
    DeviceQueues,
    FarEnd,
    FdbEntry,
    ForwarderState,
    KernelObject,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    PortProgram,
    Rule,
    Shaper,
    Sysctl,
    UnderlayFilter,
    Veth,
    VlanLink,
    VxlanLink,
)
from dataplane.plan.action import Action, Outcome, Verb

_KINDS: Mapping[type, Kind] = {
    Address: address,
    Neighbour: neighbour,
    FdbEntry: fdb,
    Nexthop: nexthop,
    NexthopGroup: nexthop,
    KernelRoute: route,
    Rule: rule,
}
_GONE = {errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENXIO}
"""What the kernel says about an object that is not there, by kind; deleting such a one is success."""

_TOGETHER: Mapping[type, Callable[[Sequence[Action], Visits], list[Outcome]]] = {
    DeviceQueues: queues.perform,
    UnderlayFilter: perform_underlay.perform,
    Veth: perform_veth.perform,
    VlanLink: perform_vlan.perform,
    VxlanLink: perform_vxlan.perform,
    ForwarderState: perform_program.perform_state,
    PortProgram: perform_program.perform_programs,
    FarEnd: offload.perform,
    Shaper: perform_shaper.perform,
    Classifier: perform_shaper.perform,
}
"""Who carries out the actions on a kind that does not live within one namespace."""


def perform(actions: Sequence[Action]) -> list[Outcome]:
    """Carry out actions in order.

    Raises:
        PermissionDenied: a privilege is missing in the middle (a container that allows half of it).
    """
    outcomes: list[Outcome] = []
    with Procfs() as procfs, netns.Journey() as journey:
        visits = Visits(journey)
        for kind, run in itertools.groupby(actions, key=_batch_of):
            batch = list(run)
            if kind is Namespace:
                outcomes += [_perform_namespace(action, visits) for action in batch]
            elif kind in _TOGETHER:
                outcomes += _TOGETHER[kind](batch, visits)
            else:
                outcomes += _perform_local(batch, visits, procfs)
    return outcomes


def _batch_of(action: Action) -> type:
    """What may be batched together: namespaces, each kind of link, and all that lives within one namespace."""
    kind = type(action.object)
    return kind if kind is Namespace or kind in _TOGETHER else object


def _perform_namespace(action: Action, visits: Visits) -> Outcome:
    """Create, mark again or delete one namespace."""
    item = action.object
    assert isinstance(item, Namespace)
    visits.go_home()
    visits.forget(item.name)
    try:
        if action.verb is Verb.DELETE:
            netns.delete(item.name)
        else:
            netns.create(item.name, item.mark)
    except PermissionDenied:
        raise
    except ConflictError as error:
        return Outcome(action, str(error), is_conflict=True)
    except (DataplaneError, OSError) as error:
        return Outcome(action, failure_sentence(action, str(error)))
    return Outcome(action)


def _perform_local(actions: Sequence[Action], visits: Visits, procfs: Procfs) -> list[Outcome]:
    """Objects that live within one namespace, namespace by namespace."""
    outcomes: dict[int, Outcome] = {}
    groups: dict[str, list[tuple[int, Action]]] = {}
    for index, action in enumerate(actions):
        assert not isinstance(action.object, (Namespace, Veth))
        groups.setdefault(action.object.namespace, []).append((index, action))
    for reference, group in groups.items():
        stop = visits.go(reference)
        if stop is not None:
            for index, action in group:
                outcomes[index] = _stopped(action, stop)
            continue
        with NetlinkSocket() as socket:
            visit = _Visit(reference, socket, procfs)
            for is_sysctl, run in itertools.groupby(group, key=lambda pair: isinstance(pair[1].object, Sysctl)):
                handle = visit.write_sysctls if is_sysctl else visit.send
                outcomes.update(handle(list(run)))
    return [outcomes[index] for index in range(len(actions))]


def _stopped(action: Action, stop: Stop) -> Outcome:
    """The outcome of an action in a namespace that cannot be entered; what was to be deleted there is gone."""
    if action.verb is Verb.DELETE and stop.is_missing:
        return Outcome(action)
    return Outcome(action, failure_sentence(action, stop.text), is_conflict=stop.is_conflict)


Numbered = list[tuple[int, Action]]


@dataclass(slots=True)
class _Visit:
    """One namespace, entered, while its share of a stage is carried out."""

    reference: str
    socket: NetlinkSocket
    procfs: Procfs
    _ifindexes: dict[str, int] = field(default_factory=dict)

    def ifindex_of(self, ifname: str) -> int:
        """The index of an interface here; OSError where there is none."""
        if ifname not in self._ifindexes:
            self._ifindexes[ifname] = sockets.if_nametoindex(ifname)
        return self._ifindexes[ifname]

    def write_sysctls(self, actions: Numbered) -> Iterator[tuple[int, Outcome]]:
        """Set sysctls one by one; they go with their namespace, so that deleting one is nothing."""
        with self.procfs.tree() as tree:
            for index, action in actions:
                assert isinstance(action.object, Sysctl)
                problem = None if action.verb is Verb.DELETE else tree.write(action.object)
                yield index, Outcome(action, failure_sentence(action, problem) if problem else None)

    def send(self, actions: Numbered) -> Iterator[tuple[int, Outcome]]:
        """Send everything else at once and read the answers."""
        sent: Numbered = []
        requests: list[bytearray] = []
        for index, action in actions:
            try:
                requests.append(self._encode(action, action.verb))
                sent.append((index, action))
            except OSError:
                yield index, self._missing_interface(action)
        for (index, action), refusal in zip(sent, self.socket.execute(requests), strict=True):
            yield index, self._outcome(action, refusal)

    def _encode(self, action: Action, verb: Verb) -> bytearray:
        return _KINDS[type(action.object)].request(verb, action.object, self.ifindex_of)

    def _missing_interface(self, action: Action) -> Outcome:
        if action.verb is Verb.DELETE:
            return Outcome(action)
        ifname = getattr(action.object, "ifname", None)
        return Outcome(action, failure_sentence(action, f"there is no interface {ifname} here"))

    def _outcome(self, action: Action, refusal: Refusal | None) -> Outcome:
        """What an answer means for the action."""
        if refusal is None or (action.verb is Verb.DELETE and refusal.code in _GONE):
            return Outcome(action)
        if action.verb is Verb.CREATE and refusal.code == errno.EEXIST:
            return self._resolve_existing(action, refusal)
        if action.verb is Verb.DELETE and self._look_up(action.object) is None:
            return Outcome(action)  # as a route by a next hop that is gone, and took it along: EINVAL
        return Outcome(action, failure_sentence(action, refusal))

    def _resolve_existing(self, action: Action, refusal: Refusal) -> Outcome:
        """Something is there already: ours and equal is fine, ours and different is replaced, another's is a conflict.

        What carries no mark and is no fixed object either (a neighbour that ARP learned) is replaced, too.
        """
        present = self._look_up(action.object)
        if present is not None and not present.is_ours:
            return Outcome(action, failure_sentence(action, foreign_sentence(present.item)), is_conflict=True)
        if present is not None and present.item == action.object:
            return Outcome(action)
        if isinstance(action.object, Rule):
            return Outcome(action, failure_sentence(action, refusal))
        (refused,) = self.socket.execute([self._encode(action, Verb.CHANGE)])
        return Outcome(action, None if refused is None else failure_sentence(action, refused))

    def _look_up(self, wanted: KernelObject) -> Seen | None:
        """The object of the same key that is here now; a foreign one only where there is none of ours."""
        kind = _KINDS[type(wanted)]
        links = (link.read(self.reference, part) for part in self.socket.dump(link.DUMP_REQUEST))
        ifnames = {found.ifindex: found.ifname for found in links}
        matches = []
        for part in self.socket.dump(kind.DUMP_REQUEST):
            seen = kind.read(self.reference, ifnames, part)
            if seen is not None and seen.item.key == wanted.key:
                matches.append(seen)
        return max(matches, key=lambda seen: seen.is_ours, default=None)
