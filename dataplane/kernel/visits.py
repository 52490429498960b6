"""Entering namespaces while acting: each one of ours is checked for its mark before anything in it is changed.

Must never let an action into a namespace that has our name and not our mark.
"""

from dataclasses import dataclass

from dataplane.errors import HostError, PermissionDenied
from dataplane.kernel import netns
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.ownership import is_our_mark
from dataplane.model import names


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a namespace cannot be acted in.

    Args:
        text: one sentence.
        is_conflict: somebody else's thing stands there.
        is_missing: there is no such namespace.
    """

    text: str
    is_conflict: bool = False
    is_missing: bool = False


class Visits:
    """The namespaces of one stage: entered one after the other, checked once each."""

    def __init__(self, journey: netns.Journey) -> None:
        self._journey = journey
        self._checked: set[str] = set()

    def go_home(self) -> None:
        """Back to the namespace of the process."""
        self._journey.go_home()

    def home_number(self, socket: NetlinkSocket) -> int | None:
        """The number that the namespace of a socket has for that of the process; None where it has none."""
        return self._journey.home_number(socket)

    def forget(self, name: str) -> None:
        """Check this name again at its next visit, since it was created or deleted."""
        self._checked.discard(name)

    def go(self, reference: str) -> Stop | None:
        """Enter a namespace; None, or why the thread is not there.

        Raises:
            PermissionDenied: a privilege is missing.
        """
        try:
            self._journey.go(reference)
        except PermissionDenied:
            raise
        except netns.NotANamespaceError as error:
            is_ours = names.is_our_namespace_name(reference)
            return Stop(netns.foreign_sentence(reference) if is_ours else str(error), is_conflict=is_ours)
        except HostError as error:
            # What others are to bring (``attach:``) is waited for; what is missing of our own is a failure.
            return Stop(str(error), is_conflict=not names.is_our_namespace_name(reference), is_missing=True)
        if not names.is_our_namespace_name(reference) or reference in self._checked:
            return None
        with NetlinkSocket() as socket:
            if not is_our_mark(netns.read_mark(socket)):
                return Stop(netns.foreign_sentence(reference), is_conflict=True)
        self._checked.add(reference)
        return None
