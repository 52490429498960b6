"""Reading and performing shapers and classifiers in routers' namespaces.

A discipline that is not ours at a port of ours is named and left alone: whoever put it there decides, and the limit is
not held there until it is gone.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dataplane.errors import HostError
from dataplane.kernel import classifier, htb, nf_tables, nft
from dataplane.kernel.job import links_here
from dataplane.kernel.link import Link
from dataplane.kernel.netlink import NetlinkError, NetlinkSocket
from dataplane.kernel.ownership import is_our_ifindex
from dataplane.kernel.visits import Visits
from dataplane.kernel.wording import failure_sentence, place
from dataplane.model.kernel import Classifier, KernelObject, Key, Shaper
from dataplane.plan.action import Action, Outcome, Verb

_NOT_CLASSFUL = frozenset({"", "noqueue", "noop"})


def observe(
    socket: NetlinkSocket, namespace: str, links: Iterable[Link], wanted: Mapping[Key, KernelObject]
) -> Iterator[Shaper | Classifier | tuple[Key, str]]:
    """What limits there are in a router's namespace, which the thread and the socket are in.

    Yields:
        An object of ours; or the key of a wanted one and a sentence about what stands in its place.
    """
    for link in links:
        if link.qdisc in _NOT_CLASSFUL or not is_our_ifindex(link.ifindex):
            continue
        key: Key = ("shaper", namespace, link.ifname)
        root = _root(socket, link.ifindex)
        if root is not None and root.is_ours:
            wish = wanted.get(key)
            classes = _classes(socket, link.ifindex)
            shaper = wish if isinstance(wish, Shaper) else None
            yield htb.as_shaper(namespace, link.ifname, root, classes, shaper)
        elif root is not None and root.is_foreign and key in wanted:
            yield key, _foreign_discipline(namespace, link.ifname, root)
    found, is_foreign = classifier.observe(namespace)
    if found is not None:
        yield found
    elif is_foreign and ("classifier", namespace) in wanted:
        yield ("classifier", namespace), _foreign_table(namespace)


def _root(socket: NetlinkSocket, ifindex: int) -> htb.Root | None:
    """The discipline of a port; None where it has none that anybody put there."""
    try:
        part = socket.get(htb.root_query(ifindex))
    except NetlinkError:
        return None  # the kernel shows no default one
    return htb.read_root(part) if part is not None else None


def _classes(socket: NetlinkSocket, ifindex: int) -> dict[int, htb.Class]:
    read = (htb.read_class(part) for part in socket.dump(htb.classes_query(ifindex)))
    return dict(one for one in read if one is not None)


def _foreign_discipline(namespace: str, ifname: str, root: htb.Root) -> str:
    return (
        f"the queueing discipline {root.kind} {root.handle >> 16:x}: of {ifname} {place(namespace)} is not ours and "
        f"stands where the shaper of this connection belongs; remove it (tc qdisc del dev {ifname} root)"
    )


def _foreign_table(namespace: str) -> str:
    return (
        f"the nftables table `ip {nft.TABLE}` {place(namespace)} is not ours and stands where the classifier belongs; "
        f"rename it, or remove it (nft delete table ip {nft.TABLE})"
    )


def perform(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Carry out actions, namespace by namespace."""
    outcomes: list[Outcome] = []
    for namespace, group in itertools.groupby(actions, key=_namespace_of):
        batch = list(group)
        stop = visits.go(namespace)
        if stop is None:
            with NetlinkSocket() as socket:
                ifindexes = {one.ifname: one.ifindex for one in links_here(namespace, socket).values()}
                outcomes += [_attempt(action, socket, ifindexes) for action in batch]
            continue
        for action in batch:
            is_gone = action.verb is Verb.DELETE and stop.is_missing
            error = None if is_gone else failure_sentence(action, stop.text)
            outcomes.append(Outcome(action, error, is_conflict=stop.is_conflict and not is_gone))
    return outcomes


def _namespace_of(action: Action) -> str:
    assert isinstance(action.object, Shaper | Classifier)
    return action.object.namespace


def _attempt(action: Action, socket: NetlinkSocket, ifindexes: Mapping[str, int]) -> Outcome:
    item = action.object
    try:
        if isinstance(item, Classifier):
            return _classify(action, item)
        assert isinstance(item, Shaper)
        ifindex = ifindexes.get(item.ifname)
        if ifindex is None:
            words = None if action.verb is Verb.DELETE else f"there is no interface {item.ifname} here"
            return Outcome(action, failure_sentence(action, words) if words else None)
        return _shape(action, item, socket, ifindex)
    except HostError as error:
        return Outcome(action, failure_sentence(action, str(error)))


def _shape(action: Action, wanted: Shaper, socket: NetlinkSocket, ifindex: int) -> Outcome:
    root = _root(socket, ifindex)
    is_ours = root is not None and root.is_ours
    if root is not None and root.is_foreign and action.verb is not Verb.DELETE:
        words = _foreign_discipline(wanted.namespace, wanted.ifname, root)
        return Outcome(action, failure_sentence(action, words), is_conflict=True)
    if root is not None and is_ours and (action.verb is Verb.DELETE or not root.is_as_made):
        (refusal,) = socket.execute([htb.removal_request(ifindex)])
        if refusal is not None:
            return Outcome(action, failure_sentence(action, refusal))
        is_ours = False
    if action.verb is Verb.DELETE:
        return Outcome(action)
    present = _classes(socket, ifindex) if is_ours else {}
    requests = list(htb.tree_requests(ifindex, wanted, present, has_root=is_ours))
    refusals = [one for one in socket.execute(requests) if one is not None]
    return Outcome(action, failure_sentence(action, refusals[0]) if refusals else None)


def _classify(action: Action, wanted: Classifier) -> Outcome:
    present, is_foreign = classifier.observe(wanted.namespace)
    if action.verb is Verb.DELETE:
        requests = list(classifier.removal_requests()) if present is not None else []
    elif is_foreign:
        return Outcome(action, failure_sentence(action, _foreign_table(wanted.namespace)), is_conflict=True)
    else:
        requests = list(classifier.requests(wanted, present))
    refusal = nf_tables.transaction(requests) if requests else None
    return Outcome(action, failure_sentence(action, refusal) if refusal is not None else None)
