"""Sentences about what is in the way and about what the kernel said no to.

Owns no state and makes no calls.
"""

from dataplane.kernel.link import Link
from dataplane.kernel.netlink import Refusal
from dataplane.kernel.ownership import is_our_ifindex, is_our_mark
from dataplane.model import names
from dataplane.model.describe import describe
from dataplane.model.kernel import KernelObject
from dataplane.plan.action import Action

_OUR_LINK_KINDS = frozenset({"veth", "vlan", "vxlan"})


def place(reference: str) -> str:
    """A namespace as a person calls it."""
    if reference == names.HOST:
        return "on the host"
    pid = names.parse_pid_reference(reference)
    return f"in the namespace of process {pid}" if pid is not None else f"in namespace {reference}"


def foreign_sentence(item: KernelObject) -> str:
    """The sentence about an object in our place that does not carry our mark."""
    return f"{describe(item)} is not ours and stands where ours belongs; remove it, or change the configuration"


def stray_sentence(item: KernelObject) -> str:
    """The sentence about an object in a router of ours that is not in our place, and sends packets its own way."""
    return f"{describe(item)} is not ours and decides where packets of this router go; remove it"


def taken_sentence(found: Link, why: str = "") -> tuple[str, bool]:
    """The sentence about a link that has a name or a number of ours, and whether it is somebody else's.

    Args:
        why: what of ours it has, where that is neither name nor ifindex; a beginning of the sentence.
    """
    what = f"{why}interface {found.ifname} (ifindex {found.ifindex}) {place(found.namespace)}"
    if is_our_mark(found.alias) or (found.kind in _OUR_LINK_KINDS and is_our_ifindex(found.ifindex)):
        return f"{what} of ours ({found.alias or 'half made'}) is still there; apply again", False
    return f"{what} is not ours; rename or remove it", True


def failure_sentence(action: Action, cause: Refusal | str) -> str:
    """The sentence about an action that failed.

    Args:
        cause: the kernel's refusal, or our own words.
    """
    asked_by = f" (asked for by {action.owner})" if action.owner is not None else ""
    return f"cannot {action.verb.value} {describe(action.object)}{asked_by}: {cause}"
