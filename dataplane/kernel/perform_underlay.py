"""Reading and performing the underlay filter in the host's namespace.

It is ours by the comment of its table; one without is never touched.
"""

from collections.abc import Sequence

from dataplane.errors import HostError, PermissionDenied
from dataplane.kernel import nft, underlay
from dataplane.kernel.ownership import UNDERLAY_MARK
from dataplane.kernel.underlay import Present
from dataplane.kernel.visits import Visits
from dataplane.kernel.wording import failure_sentence
from dataplane.model.vxlan import UnderlayFilter
from dataplane.plan.action import Action, Outcome, Verb

FOREIGN_SENTENCE = (
    f"the nftables table `ip {nft.TABLE}` on the host is not ours and stands where the underlay filter belongs; rename "
    f"it, or remove it (nft delete table ip {nft.TABLE})"
)


def observe() -> tuple[UnderlayFilter | None, bool]:
    """The filter of the host, and whether somebody else has a table in its place. The thread is at home."""
    head = nft.head()
    if head is None or head.comment != UNDERLAY_MARK:
        return None, head is not None
    try:
        return _present(head).as_filter(), False
    except HostError:
        if nft.head() is not None:
            raise
        return None, False  # gone meanwhile: the last command of a run that was killed


def drops() -> dict[str, int]:
    """Packets that the filter has dropped since it was made, by reason. The thread is at home."""
    head = nft.head()
    return {} if head is None or head.comment != UNDERLAY_MARK else underlay.drops(nft.counters())


def _present(head: nft.Head) -> Present:
    present = underlay.parse(nft.table())
    present.is_whole = present.is_whole and head.is_awake
    return present


def perform(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Carry out actions on the filter, one by one."""
    visits.go_home()
    outcomes = []
    for action in actions:
        assert isinstance(action.object, UnderlayFilter)
        try:
            outcomes.append(_perform(action, action.object))
        except PermissionDenied:
            raise
        except HostError as error:
            outcomes.append(Outcome(action, failure_sentence(action, str(error))))
    return outcomes


def _remove() -> None:
    """Take the table away; gone already is fine."""
    try:
        nft.run(underlay.removal())
    except HostError:
        if nft.head() is not None:
            raise


def _perform(action: Action, wanted: UnderlayFilter) -> Outcome:
    head = nft.head()
    is_ours = head is not None and head.comment == UNDERLAY_MARK
    if action.verb is Verb.DELETE:
        if is_ours:
            _remove()
        return Outcome(action)
    if head is not None and not is_ours:
        return Outcome(action, failure_sentence(action, FOREIGN_SENTENCE), is_conflict=True)
    if not underlay.is_plain_device(wanted.device):
        return Outcome(action, failure_sentence(action, "the name of the device cannot stand in a rule; rename it"))
    nft.run(underlay.script(wanted, None if head is None else _present(head)))
    return Outcome(action)
