"""Performing on veth pairs: born with each end in its namespace, then marked and brought up at both ends.

A pair has two namespaces, so one action is several visits; pairs of one stage share them. A crash between
birth and mark leaves a pair that ``veth.py`` shows as a leftover.
"""

import errno
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dataplane.kernel import link, veth
from dataplane.kernel.job import AT_ONCE, LinkJob, delete_together, links_here, open_namespaces, visit
from dataplane.kernel.link import Link
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.ownership import carries_mark
from dataplane.kernel.visits import Visits
from dataplane.kernel.wording import taken_sentence
from dataplane.model.kernel import Veth, VethEnd
from dataplane.plan.action import Action, Outcome, Verb

_TAKEN = {errno.EEXIST, errno.EBUSY}
"""The name, or the ifindex, is taken."""


@dataclass(slots=True, eq=False)
class _Job(LinkJob):
    """One action on one pair."""

    veth: Veth


def perform(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Carry out actions on veth pairs in order; runs of the same verb share their visits."""
    outcomes: list[Outcome] = []
    for verb, run in itertools.groupby(actions, key=lambda action: action.verb):
        jobs = [_Job(action, action.object) for action in run if isinstance(action.object, Veth)]
        if verb is Verb.DELETE:
            _delete(jobs, visits)
        elif verb is Verb.CHANGE:
            _change(jobs, visits)
        else:
            for start in range(0, len(jobs), AT_ONCE):
                _create(jobs[start : start + AT_ONCE], visits)
        outcomes += [job.outcome or Outcome(job.action) for job in jobs]
    return outcomes


def _create(jobs: Sequence[_Job], visits: Visits) -> None:
    """Birth of all pairs, then marks and admin states at all ends."""
    fds: dict[str, int] = {}
    try:
        open_namespaces(jobs, visits, lambda job: _both_ends(job.veth)[1].namespace, fds)
        taken: list[_Job] = []

        def bear(near: str, batch: Sequence[_Job], socket: NetlinkSocket) -> None:
            requests = []
            for job in batch:
                near_end, far_end = _both_ends(job.veth)
                requests.append(link.create_request(near_end, far_end, fds[far_end.namespace], job.veth.mtu))
            for job, refusal in zip(batch, socket.execute(requests), strict=True):
                if refusal is not None and refusal.code in _TAKEN:
                    taken.append(job)
                elif refusal is not None:
                    job.fail(refusal)

        visit(jobs, visits, lambda job: _both_ends(job.veth)[0].namespace, bear)
    finally:
        for fd in fds.values():
            os.close(fd)
    for job in taken:
        _resolve_taken(job, visits)
    _change(jobs, visits)


def _both_ends(pair: Veth) -> tuple[VethEnd, VethEnd]:
    """The ends of a pair that is to be made: it has both."""
    assert pair.a is not None
    assert pair.b is not None
    return pair.a, pair.b


def _resolve_taken(job: _Job, visits: Visits) -> None:
    """A name or an ifindex is taken: fine if it is by this very pair, otherwise say by what."""
    view = veth.LinkView()
    for end in job.veth.ends:
        if visits.go(end.namespace) is None:
            with NetlinkSocket() as socket:
                view.links += links_here(end.namespace, socket).values()
    present = veth.pair(view, {job.veth.key: job.veth}).get(job.veth.key)
    if isinstance(present, Veth) and _is_same_place(present, job.veth):
        return  # what may differ is set by the change that follows
    for end in job.veth.ends:
        for found in view.links:
            if found.namespace == end.namespace and (found.ifname == end.ifname or found.ifindex == end.ifindex):
                job.fail(*taken_sentence(found))
                return
    job.fail("its ifindex was taken by a link that is gone again; apply again")


def _is_same_place(present: Veth, wanted: Veth) -> bool:
    """Whether two pairs agree in what cannot be changed in place."""
    places = [[(end.namespace, end.ifname, end.ifindex) for end in pair.ends] for pair in (present, wanted)]
    return places[0] == places[1]


def _change(jobs: Sequence[_Job], visits: Visits) -> None:
    """Set mark, admin state, and what differs of MTU and MAC, at both ends."""
    for side in ("b", "a"):  # the router's end comes up last: by then the far end is ready

        def end_of(job: _Job, side: str = side) -> VethEnd:
            end = job.veth.a if side == "a" else job.veth.b
            assert end is not None
            return end

        def settle(
            _: str, batch: Sequence[_Job], socket: NetlinkSocket, end_of: Callable[[_Job], VethEnd] = end_of
        ) -> None:
            requests = [_set_request(job, end_of(job)) for job in batch]
            for job, refusal in zip(batch, socket.execute(requests), strict=True):
                if refusal is not None:
                    job.fail(refusal)

        visit(jobs, visits, lambda job, end_of=end_of: end_of(job).namespace, settle)  # type: ignore[misc]


def _set_request(job: _Job, end: VethEnd) -> bytearray:
    """The message that makes one end as desired. An equal MAC is not sent: setting it flushes neighbours."""
    before = job.action.before
    known = {seen.ifindex: seen for seen in before.ends} if isinstance(before, Veth) else {}
    seen = known.get(end.ifindex)
    return link.set_request(
        end.ifindex,
        job.veth.mark,
        up=end.up,
        mtu=job.veth.mtu if job.action.verb is Verb.CHANGE else None,
        mac_address=end.mac if seen is not None and seen.mac != end.mac else None,
    )


def _delete(jobs: Sequence[_Job], visits: Visits) -> None:
    """Delete pairs from whichever end is there; a pair without a reachable end is gone."""
    pending = list(jobs)
    for side in ("a", "b"):
        groups: dict[str, list[tuple[_Job, VethEnd]]] = {}
        for job in pending:
            end = job.veth.a if side == "a" else job.veth.b
            if end is not None:
                groups.setdefault(end.namespace, []).append((job, end))
        for reference, batch in groups.items():
            if visits.go(reference) is None:
                with NetlinkSocket() as socket:
                    done = _delete_here(reference, batch, socket)
                pending = [job for job in pending if job not in done]


def _delete_here(reference: str, batch: Sequence[tuple[_Job, VethEnd]], socket: NetlinkSocket) -> set[_Job]:
    """Delete the ends that are in this namespace. Returns the jobs that are settled by that."""
    links = links_here(reference, socket)
    there = [(job, links[end.ifindex]) for job, end in batch if _is_still(links.get(end.ifindex), job.veth.mark, end)]
    if not there:
        return set()
    refusal = delete_together([found.ifindex for _, found in there], links, socket)
    for job, _ in there:
        if refusal is not None and refusal.code != errno.ENODEV:
            job.fail(refusal)
    return {job for job, _ in there}


def _is_still(found: Link | None, mark: str, end: VethEnd) -> bool:
    """Whether a link is the one that the plan saw, so that nobody else's is ever deleted."""
    if found is None or found.ifname != end.ifname:
        return False
    return carries_mark(mark, found.ifindex, found.alias)
