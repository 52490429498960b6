"""Performing on VXLAN links: born in the router's namespace with the socket in the host's, marked, brought up, deleted.

A crash between birth and mark leaves a link that ``vxlan.py`` shows as a leftover.
"""

import errno
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from dataplane.kernel import link, vxlan
from dataplane.kernel.job import AT_ONCE, LinkJob, delete_together, links_here, open_namespaces, pending, visit
from dataplane.kernel.link import Link
from dataplane.kernel.netlink import NetlinkSocket, Refusal
from dataplane.kernel.ownership import carries_mark
from dataplane.kernel.visits import Visits
from dataplane.kernel.wording import taken_sentence
from dataplane.model import names
from dataplane.model.vxlan import VxlanLink
from dataplane.plan.action import Action, Outcome, Verb

_TAKEN = {errno.EEXIST, errno.EBUSY}
"""The name, the ifindex, or the VNI is taken."""


@dataclass(slots=True, eq=False)
class _Job(LinkJob):
    """One action on one link.

    Args:
        device: the underlay device as it is in the host's namespace.
    """

    link: VxlanLink
    device: Link | None = None


def perform(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Carry out actions on VXLAN links in order; runs of the same verb share their visits."""
    outcomes: list[Outcome] = []
    for verb, run in itertools.groupby(actions, key=lambda action: action.verb):
        jobs = [_Job(action, action.object) for action in run if isinstance(action.object, VxlanLink)]
        if verb is Verb.DELETE:
            _delete(jobs, visits)
        else:
            _find_devices(jobs, visits)
            for start in range(0, len(jobs), AT_ONCE):
                batch = jobs[start : start + AT_ONCE]
                if verb is Verb.CREATE:
                    _create(batch, visits)
                _settle(batch, visits)
        outcomes += [job.outcome or Outcome(job.action) for job in jobs]
    return outcomes


def _find_devices(jobs: Sequence[_Job], visits: Visits) -> None:
    """Give each job its underlay device; one that is missing or down is waited for, one that is too narrow is not."""
    visits.go_home()
    with NetlinkSocket() as socket:
        by_name = {found.ifname: found for found in links_here(names.HOST, socket).values()}
    for job in jobs:
        wanted = job.link
        job.device = device = by_name.get(wanted.device)
        if device is None:
            job.fail(
                f"there is no device {wanted.device} on the host; connect it, or change `device:` of the host, and "
                "apply again",
                is_conflict=True,
            )
        elif not device.up:
            job.fail(
                f"the underlay device {device.ifname} is down; bring it up (ip link set {device.ifname} up), then "
                "apply again",
                is_conflict=True,
            )
        elif device.mtu < wanted.mtu + names.VXLAN_OVERHEAD_BYTES:
            job.fail(
                f"an MTU of {wanted.mtu} inside needs {wanted.mtu + names.VXLAN_OVERHEAD_BYTES} on the underlay device "
                f"{device.ifname}, which has {device.mtu} (VXLAN takes {names.VXLAN_OVERHEAD_BYTES}); raise it there, "
                f"or set `mtu: {device.mtu}` at the host"
            )


def _create(jobs: Sequence[_Job], visits: Visits) -> None:
    """Birth of all links, by requests from the host's namespace."""
    fds: dict[str, int] = {}
    try:
        open_namespaces(pending(jobs), visits, lambda job: job.link.namespace, fds)
        born = pending(jobs)
        visits.go_home()
        requests = []
        for job in born:
            assert job.device is not None
            requests.append(vxlan.create_request(job.link, job.device.ifindex, fds[job.link.namespace]))
        with NetlinkSocket() as socket:
            answers = list(zip(born, socket.execute(requests), strict=True))
    finally:
        for fd in fds.values():
            os.close(fd)
    for job, refusal in answers:
        if refusal is not None and refusal.code in _TAKEN:
            _resolve_taken(job, refusal, visits)
        elif refusal is not None:
            job.fail(refusal)


def _resolve_taken(job: _Job, refusal: Refusal, visits: Visits) -> None:
    """Something is there: fine if it is this very link, otherwise say what it is."""
    wanted = job.link
    if visits.go(wanted.namespace) is None:
        with NetlinkSocket() as socket:
            here = links_here(wanted.namespace, socket)
            home = visits.home_number(socket)
        for found in here.values():
            if found.ifname == wanted.ifname or found.ifindex == wanted.ifindex:
                if not _is_this(found, job, home):
                    job.fail(*taken_sentence(found))
                return
    visits.go_home()
    with NetlinkSocket() as socket:
        host = links_here(names.HOST, socket)
    for found in host.values():
        if vxlan.has_vni(found, wanted.vni):
            job.fail(*taken_sentence(found, f"VNI {wanted.vni} is taken: "))
            return
    job.fail(
        f"VNI {wanted.vni} is taken by a VXLAN link in a namespace that we do not look into ({refusal}); remove it "
        "(ip -all netns exec ip -d link show type vxlan finds it), or give this network another `vni:`",
        is_conflict=True,
    )


def _is_this(found: Link, job: _Job, home: int | None) -> bool:
    """Whether a link is the one that is wanted, in all that cannot be changed in place."""
    if found.kind != vxlan.KIND or job.device is None or found.alias not in ("", job.link.mark):
        return False
    given, wanted = vxlan.parameters(found), job.link
    return (
        (found.ifname, found.ifindex, given.vni) == (wanted.ifname, wanted.ifindex, wanted.vni)
        and (given.local, given.device, given.is_static) == (wanted.local, job.device.ifindex, True)
        and found.lower_namespace == home
    )


def _settle(jobs: Sequence[_Job], visits: Visits) -> None:
    """Set mark, MTU and MAC first, then the admin state."""

    def handle(reference: str, batch: Sequence[_Job], socket: NetlinkSocket) -> None:
        here = links_here(reference, socket)
        marks = [_mark_request(job, here.get(job.link.ifindex)) for job in batch]
        for job, refusal in zip(batch, socket.execute(marks), strict=True):
            if refusal is not None:
                job.fail(refusal)
        marked = pending(batch)
        states = [link.set_request(job.link.ifindex, job.link.mark, up=job.link.up) for job in marked]
        for job, refusal in zip(marked, socket.execute(states), strict=True):
            if refusal is not None and refusal.code == errno.EADDRINUSE:
                job.fail(
                    f"UDP port {names.VXLAN_PORT} of the host is used by something else; find it (ss -lunp, "
                    "ip -d link show type vxlan) and stop it",
                    is_conflict=True,
                )
            elif refusal is not None:
                job.fail(refusal)

    visit(jobs, visits, lambda job: job.link.namespace, handle)


def _mark_request(job: _Job, seen: Link | None) -> bytearray:
    """The message that marks a link. An equal MAC is not sent: setting it flushes neighbours."""
    wanted = job.link
    is_equal = seen is None or seen.mac == wanted.mac
    return link.set_request(wanted.ifindex, wanted.mark, mtu=wanted.mtu, mac_address=None if is_equal else wanted.mac)


def _delete(jobs: Sequence[_Job], visits: Visits) -> None:
    """Delete links, each only where it is still the one that the plan saw; gone, or its namespace gone, is fine."""
    groups: dict[str, list[_Job]] = {}
    for job in jobs:
        groups.setdefault(job.link.namespace, []).append(job)
    for reference, batch in groups.items():
        if visits.go(reference) is not None:
            continue
        with NetlinkSocket() as socket:
            here = links_here(reference, socket)
            there = [job for job in batch if _is_still(here.get(job.link.ifindex), job.link)]
            if not there:
                continue
            refusal = delete_together([job.link.ifindex for job in there], here, socket)
        for job in there:
            if refusal is not None and refusal.code != errno.ENODEV:
                job.fail(refusal)


def _is_still(found: Link | None, seen: VxlanLink) -> bool:
    """Whether a link is the one that the plan saw, so that nobody else's is ever deleted."""
    return found is not None and found.kind == vxlan.KIND and carries_mark(seen.mark, found.ifindex, found.alias)
