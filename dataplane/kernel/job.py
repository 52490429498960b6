"""Actions on links on their way to their outcomes: what performing on veths, VLAN and VXLAN links shares.

Owns the visits: one for all that has something to do in a namespace. Must never know what kind of link it is.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dataplane.kernel import link, netns
from dataplane.kernel.link import Link
from dataplane.kernel.netlink import NetlinkSocket, Refusal
from dataplane.kernel.visits import Stop, Visits
from dataplane.kernel.wording import failure_sentence
from dataplane.plan.action import Action, Outcome

AT_ONCE = 128
"""Each link keeps a descriptor of its namespace open while it is born; limits are 1024 at the least."""

_FIRST_GROUP = 0x6470
"""Where the search for an unused link group begins; any number but 0, the group of all other links."""


@dataclass(slots=True, eq=False)
class LinkJob:
    """One action on one link, until it has an outcome."""

    action: Action
    outcome: Outcome | None = field(default=None, kw_only=True)

    def fail(self, cause: Refusal | str, is_conflict: bool = False) -> None:
        self.outcome = Outcome(self.action, failure_sentence(self.action, cause), is_conflict)


Job = TypeVar("Job", bound=LinkJob)


def pending(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that have no outcome yet."""
    return [job for job in jobs if job.outcome is None]


def links_here(reference: str, socket: NetlinkSocket) -> dict[int, Link]:
    """The links of the namespace that a socket belongs to, by ifindex."""
    found = (link.read(reference, part) for part in socket.dump(link.DUMP_REQUEST))
    return {one.ifindex: one for one in found}


def open_namespaces(
    jobs: Sequence[Job], visits: Visits, namespace_of: Callable[[Job], str], fds: dict[str, int]
) -> None:
    """Check and open the namespaces in which links will be born; a job whose cannot be entered fails.

    Args:
        fds: namespace -> descriptor, filled here; the caller closes them.
    """
    stops: dict[str, Stop] = {}
    for job in jobs:
        where = namespace_of(job)
        if where not in fds and where not in stops:
            stop = visits.go(where)
            if stop is None:
                fds[where] = netns.open_present()
            else:
                stops[where] = stop
        if where in stops:
            job.fail(stops[where].text, stops[where].is_conflict)


def visit(
    jobs: Sequence[Job],
    visits: Visits,
    namespace_of: Callable[[Job], str],
    handle: Callable[[str, Sequence[Job], NetlinkSocket], None],
) -> None:
    """Enter each namespace once for all the jobs that have something to do there and have not failed."""
    groups: dict[str, list[Job]] = {}
    for job in pending(jobs):
        groups.setdefault(namespace_of(job), []).append(job)
    for reference, batch in groups.items():
        stop = visits.go(reference)
        if stop is not None:
            for job in batch:
                job.fail(stop.text, stop.is_conflict)
            continue
        with NetlinkSocket() as socket:
            handle(reference, batch, socket)


def delete_together(ifindexes: Sequence[int], here: Mapping[int, Link], socket: NetlinkSocket) -> Refusal | None:
    """Delete links of the present namespace, all with one message that takes time.

    Args:
        here: all links of the namespace.
    """
    used = {found.group for found in here.values()}
    free_group = next(number for number in itertools.count(_FIRST_GROUP) if number not in used)
    *_, refusal = socket.execute(link.delete_requests(ifindexes, free_group))
    return refusal
