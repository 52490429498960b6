"""Performing on VLAN links: which mode does what, and the links that the kernel's 8021q makes.

A link has two namespaces, its router's and the host's, where its parent is. The stand-in is ``perform_vlan_tc.py``.
"""

import errno
import itertools
import os
from collections.abc import Sequence

from dataplane.kernel import link, netns, perform_vlan_tc, vlan
from dataplane.kernel.job import links_here, pending
from dataplane.kernel.netlink import NetlinkSocket, Refusal
from dataplane.kernel.ownership import carries_mark
from dataplane.kernel.visits import Visits
from dataplane.kernel.vlan_job import Job, explain_taken, find_parents
from dataplane.model import names
from dataplane.model.kernel import VlanLink, VlanMode
from dataplane.plan.action import Action, Outcome, Verb

_TAKEN = {errno.EEXIST, errno.EBUSY}
"""The name, the ifindex, or the VLAN on the parent is taken."""


def perform(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Carry out actions on VLAN links in order; runs of the same verb share their visits."""
    outcomes: list[Outcome] = []
    for verb, run in itertools.groupby(actions, key=lambda action: action.verb):
        jobs = [Job(action, action.object) for action in run if isinstance(action.object, VlanLink)]
        real = [job for job in jobs if job.link.mode is VlanMode.KERNEL]
        stand_ins = [job for job in jobs if job.link.mode is VlanMode.TC]
        if verb is Verb.DELETE:
            _delete(real, visits)
            perform_vlan_tc.delete(stand_ins, visits)
        else:
            visits.go_home()
            with NetlinkSocket() as socket:
                find_parents(jobs, list(links_here(names.HOST, socket).values()))
            _settle(real, visits, is_birth=verb is Verb.CREATE)
            perform_vlan_tc.settle(pending(stand_ins), visits, is_birth=verb is Verb.CREATE)
        outcomes += [job.outcome or Outcome(job.action) for job in jobs]
    return outcomes


def _settle(jobs: Sequence[Job], visits: Visits, is_birth: bool) -> None:
    """Birth where there is none yet, then mark and admin state. MAC and carrier are the kernel's affair."""
    for job in pending(jobs):
        if is_birth:
            _bear(job, visits)
        if job.outcome is None:
            _raise(job, visits)


def _bear(job: Job, visits: Visits) -> None:
    """Make one sub-interface from the host's namespace, born in the router's."""
    stop = visits.go(job.link.namespace)
    if stop is not None:
        job.fail(stop.text, stop.is_conflict)
        return
    fd = netns.open_present()
    try:
        visits.go_home()
        with NetlinkSocket() as socket:
            (refusal,) = socket.execute([vlan.create_request(job.link, job.parent.ifindex, fd)])
    finally:
        os.close(fd)
    if refusal is not None and refusal.code in _TAKEN:
        _resolve_taken(job, refusal, visits)
    elif refusal is not None:
        job.fail(refusal)


def _resolve_taken(job: Job, refusal: Refusal, visits: Visits) -> None:
    """Something is there: fine if it is this very link, otherwise say what it is."""
    wanted = job.link
    if visits.go(wanted.namespace) is None:
        with NetlinkSocket() as socket:
            here = links_here(wanted.namespace, socket)
        for found in here.values():
            if found.ifname == wanted.ifname or found.ifindex == wanted.ifindex:
                line = (found.kind, found.ifname, found.ifindex, found.parent_ifindex, found.vlan)
                if line != ("vlan", wanted.ifname, wanted.ifindex, job.parent.ifindex, wanted.vlan):
                    explain_taken(job, found)
                return
    visits.go_home()
    with NetlinkSocket() as socket:
        host = links_here(names.HOST, socket)
    for found in host.values():
        if found.kind == "vlan" and (found.parent_ifindex, found.vlan) == (job.parent.ifindex, wanted.vlan):
            explain_taken(job, found)
            return
    job.fail(
        f"VLAN {wanted.vlan} of device {wanted.parent} is taken by a link in a namespace that we do not look into "
        f"({refusal}); remove it (ip -all netns exec ip -d link show type vlan finds it)",
        is_conflict=True,
    )


def _raise(job: Job, visits: Visits) -> None:
    """Set mark and admin state."""
    stop = visits.go(job.link.namespace)
    if stop is not None:
        job.fail(stop.text, stop.is_conflict)
        return
    with NetlinkSocket() as socket:
        (marked,) = socket.execute([link.set_request(job.link.ifindex, job.link.mark)])
        (raised,) = socket.execute([link.set_request(job.link.ifindex, job.link.mark, up=job.link.up)])
    if marked is not None:
        job.fail(marked)
    elif raised is not None and raised.code == errno.ENETDOWN:
        parent = job.link.parent
        job.fail(f"device {parent} is down; bring it up (ip link set {parent} up), then apply again", is_conflict=True)
    elif raised is not None:
        job.fail(raised)


def _delete(jobs: Sequence[Job], visits: Visits) -> None:
    """Delete sub-interfaces, each only where it is still the one that the plan saw; gone is fine."""
    for job in jobs:
        if visits.go(job.link.namespace) is not None:
            continue
        with NetlinkSocket() as socket:
            found = links_here(job.link.namespace, socket).get(job.link.ifindex)
            if found is None or found.kind != "vlan" or not carries_mark(job.link.mark, found.ifindex, found.alias):
                continue
            (refusal,) = socket.execute(link.delete_requests([found.ifindex], 0))
        if refusal is not None and refusal.code != errno.ENODEV:
            job.fail(refusal)
