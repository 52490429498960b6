"""VLAN links where the kernel has no 8021q: a veth, two programs, an entry in their maps.

Owns the order of steps. A link is in sight of a restarted agent from its birth to the last step of its deletion, so
that a crash anywhere leaves something that is finished or removed. Fail closed: no end comes up before its frames have
a way, and none that is going keeps its entry.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dataplane.datapath import vlan as datapath
from dataplane.datapath.vlan import Line, VlanProgram
from dataplane.errors import ConflictError, HostError, PermissionDenied
from dataplane.kernel import link, netns
from dataplane.kernel.job import links_here, pending
from dataplane.kernel.link import Link
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.ownership import carries_mark, is_our_mark
from dataplane.kernel.sysctl import SysctlTree
from dataplane.kernel.tc import Hook, Hooks
from dataplane.kernel.visits import Visits
from dataplane.kernel.vlan import HostView
from dataplane.kernel.vlan_job import Job, explain_taken
from dataplane.model import names
from dataplane.model.kernel import Sysctl, VethEnd

_TAKEN = {errno.EEXIST, errno.EBUSY}


def read_host(socket: NetlinkSocket) -> HostView:
    """The host's links, and how far the stand-in is in place; the thread is at home, where the socket belongs."""
    links = links_here(names.HOST, socket)
    with datapath.adopted() as program:
        if program is None:
            return HostView(links, has_pins=datapath.has_pins())
        lines = program.lines()
        hooks = Hooks(socket)
        pop, push, guard = (program.program_id(name) for name in (datapath.POP, datapath.PUSH, datapath.GUARD))
        wanted = {(line.parent, Hook.INGRESS): pop for line in lines.values()}
        wanted |= {(far, Hook.INGRESS): push for far in lines} | {(far, Hook.EGRESS): guard for far in lines}
        bare = {
            one for (one, hook), number in wanted.items() if one not in links or hooks.attached(one, hook) != number
        }
        attached = {one for one, _ in wanted} - bare
        return HostView(links, lines, frozenset(attached), datapath.has_pins())


def settle(jobs: Sequence[Job], visits: Visits, is_birth: bool) -> None:
    """Make the links where there are none yet, and bring them in line with their parents."""
    if not jobs:
        return
    visits.go_home()
    try:
        with datapath.loaded() as program:
            if is_birth:
                for job in jobs:
                    _bear(job, visits)
            for job in pending(jobs):
                _mark(job, visits)
            visits.go_home()
            with NetlinkSocket() as socket:
                for job in pending(jobs):
                    _connect(job, program, Hooks(socket))
    except PermissionDenied:
        raise
    except (HostError, OSError) as error:
        for job in pending(jobs):
            job.fail(str(error))
    for job in pending(jobs):
        _follow(job, visits)


def _far(job: Job) -> VethEnd:
    """The far end as it shall be; its own MAC never appears on the line."""
    wanted = job.link
    assert wanted.far_ifname is not None
    assert wanted.far_ifindex is not None
    mac = names.mac_address("far", wanted.mark)
    return VethEnd(names.HOST, wanted.far_ifname, wanted.far_ifindex, mac, job.parent.has_carrier)


@contextmanager
def _inside(job: Job, visits: Visits) -> Iterator[NetlinkSocket | None]:
    """The router's namespace, entered; None where it cannot be, and the job has failed."""
    stop = visits.go(job.link.namespace)
    if stop is not None:
        job.fail(stop.text, stop.is_conflict)
        yield None
        return
    with NetlinkSocket() as socket:
        yield socket


def _bear(job: Job, visits: Visits) -> None:
    """Make the pair, each end in its namespace, both down."""
    near = VethEnd(job.link.namespace, job.link.ifname, job.link.ifindex, job.parent.mac)
    with _inside(job, visits) as socket:
        if socket is None:
            return
        fd = netns.open_present()
    try:
        visits.go_home()
        with NetlinkSocket() as home:
            (refusal,) = home.execute([link.create_request(_far(job), near, fd, job.parent.mtu)])
    finally:
        os.close(fd)
    if refusal is not None and refusal.code in _TAKEN:
        _resolve_taken(job, visits)
    elif refusal is not None:
        job.fail(refusal)


def _resolve_taken(job: Job, visits: Visits) -> None:
    """A name or a number is taken: fine if it is by this very link, otherwise say by what."""
    far = _far(job)
    found: list[Link] = []
    with NetlinkSocket() as socket:
        found += _at(links_here(names.HOST, socket), far.ifname, far.ifindex)
    with _inside(job, visits) as inside:
        if inside is None:
            return
        found += _at(links_here(job.link.namespace, inside), job.link.ifname, job.link.ifindex)
    if len(found) == 2:
        first, second = found
        places = [(one.ifname, one.ifindex, one.alias in ("", job.link.mark)) for one in found]
        wanted = [(far.ifname, far.ifindex, True), (job.link.ifname, job.link.ifindex, True)]
        if places == wanted and (first.peer_ifindex, second.peer_ifindex) == (second.ifindex, first.ifindex):
            return
    if found:
        explain_taken(job, found[0])
    else:
        job.fail("its ifindex was taken by a link that is gone again; apply again")


def _at(links: dict[int, Link], ifname: str, ifindex: int) -> list[Link]:
    return [one for one in links.values() if one.ifname == ifname or one.ifindex == ifindex]


def _mark(job: Job, visits: Visits) -> None:
    """The mark at both ends; until then the pair is a leftover that the next plan deletes."""
    visits.go_home()
    with NetlinkSocket() as home:
        (refusal,) = home.execute([link.set_request(_far(job).ifindex, job.link.mark)])
    if refusal is not None:
        job.fail(refusal)
        return
    with _inside(job, visits) as socket:
        if socket is None:
            return
        (refusal,) = socket.execute([link.set_request(job.link.ifindex, job.link.mark)])
    if refusal is not None:
        job.fail(refusal)


def _connect(job: Job, program: VlanProgram, hooks: Hooks) -> None:
    """Entries first, then the programs that read them."""
    far = _far(job)
    try:
        program.enter(far.ifindex, Line(job.parent.ifindex, job.link.vlan))
        hooks.attach(far.ifindex, far.ifname, Hook.EGRESS, program.program(datapath.GUARD))
        hooks.attach(far.ifindex, far.ifname, Hook.INGRESS, program.program(datapath.PUSH))
        hooks.attach(job.parent.ifindex, job.parent.ifname, Hook.INGRESS, program.program(datapath.POP))
    except ConflictError as error:
        job.fail(str(error), is_conflict=True)
    except PermissionDenied:
        raise
    except (HostError, OSError) as error:
        job.fail(str(error))


def _follow(job: Job, visits: Visits) -> None:
    """MAC, MTU and carrier of the parent. The far end comes last: with it the near end gets its carrier."""
    parent, far = job.parent, _far(job)
    with _inside(job, visits) as socket:
        if socket is None:
            return
        part = socket.get(link.get_request(job.link.ifindex))
        # An equal MAC is not sent: setting it flushes neighbours.
        is_equal = part is not None and link.read(job.link.namespace, part).mac == parent.mac
        request = link.set_request(
            job.link.ifindex, job.link.mark, job.link.up, parent.mtu, None if is_equal else parent.mac
        )
        (refusal,) = socket.execute([request])
    if refusal is None:
        visits.go_home()
        with (
            SysctlTree() as tree
        ):  # or the host's IPv6 makes itself at home on the far end (the guard drops its frames)
            tree.write(Sysctl(names.HOST, f"net/ipv6/conf/{far.ifname}/disable_ipv6", "1", ifname=far.ifname))
        with NetlinkSocket() as home:
            (refusal,) = home.execute([link.set_request(far.ifindex, job.link.mark, far.up, parent.mtu)])
    if refusal is not None:
        job.fail(refusal)


def delete(jobs: Sequence[Job], visits: Visits) -> None:
    """Take entries and programs away, then the links, then what nothing needs any more."""
    if not jobs:
        return
    visits.go_home()
    fars = {job.link.far_ifindex for job in jobs if job.link.far_ifindex is not None}
    with NetlinkSocket() as socket:
        host = links_here(names.HOST, socket)
        is_last = False
        try:
            with datapath.adopted() as program:
                left = _forget(fars, program) if program is not None else {}
            is_last = not left
            _release({line.parent for line in left.values()}, host, Hooks(socket))
        except PermissionDenied:
            raise
        except (HostError, OSError) as error:
            for job in jobs:
                job.fail(str(error))
        _delete_links(pending(jobs), host, socket)
    if is_last and not any(job.outcome for job in jobs):
        datapath.unload()


def _forget(fars: set[int], program: VlanProgram) -> dict[int, Line]:
    """Take far ends out of the maps; what stays in them."""
    for far in fars:
        program.forget(far)
    return program.lines()


def _release(used: set[int], host: dict[int, Link], hooks: Hooks) -> None:
    """Detach our program from every parent that no line uses any more, whoever left it there."""
    for ifindex in hooks.holders():
        # A far end carries our mark, and its program goes with it.
        if ifindex in host and ifindex not in used and not is_our_mark(host[ifindex].alias):
            hooks.detach(ifindex, host[ifindex].ifname)


def _delete_links(jobs: Sequence[Job], host: dict[int, Link], socket: NetlinkSocket) -> None:
    """Delete the far ends, which take the near ones along; each only where it is still the one that the plan saw."""
    for job in jobs:
        found = host.get(job.link.far_ifindex or 0)
        if found is None or found.ifname != job.link.far_ifname:
            continue
        if not carries_mark(job.link.mark, found.ifindex, found.alias):
            continue
        (refusal,) = socket.execute(link.delete_requests([found.ifindex], 0))
        if refusal is not None and refusal.code != errno.ENODEV:
            job.fail(refusal)
