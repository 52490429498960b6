"""One action on one VLAN link, from its parent to its outcome: what both modes of VLAN links share."""

from collections.abc import Sequence
from dataclasses import dataclass

from dataplane.kernel.job import LinkJob
from dataplane.kernel.link import Link
from dataplane.kernel.wording import taken_sentence
from dataplane.model.kernel import VlanLink

_ETHERNET_MAC = len("02:00:00:00:00:00")


@dataclass(slots=True, eq=False)
class Job(LinkJob):
    """One action on one VLAN link.

    Args:
        link: the object of the action.
        parent_link: its parent, as it is in the host's namespace; set by ``find_parents``.
    """

    link: VlanLink
    parent_link: Link | None = None

    @property
    def parent(self) -> Link:
        """The parent of a job that has not failed for lack of one."""
        assert self.parent_link is not None
        return self.parent_link


def find_parents(jobs: Sequence[Job], host: Sequence[Link]) -> None:
    """Give each job its parent; one without is a conflict that says what to bring."""
    by_name = {one.ifname: one for one in host}
    for job in jobs:
        job.parent_link = by_name.get(job.link.parent)
        if job.parent_link is None:
            job.fail(
                f"there is no device {job.link.parent} on the host; connect it, or change `device:` of the physical "
                "connection, and apply again",
                is_conflict=True,
            )
        elif len(job.parent.mac) != _ETHERNET_MAC:
            job.fail(f"device {job.link.parent} is no Ethernet device, so that it has no VLANs", is_conflict=True)


def explain_taken(job: Job, found: Link) -> None:
    """Fail a job because a link has its name or number: a leftover of ours, or somebody else's."""
    job.fail(*taken_sentence(found))
