"""What a person must hear of legs that are down: who says so, and what groups do about it (D2 wants it said loudly)."""

from collections.abc import Iterator

from dataplane.compile.context import Compilation
from dataplane.compile.leg import GroupName, groups_of
from dataplane.compile.peering import why_not_forwarding
from dataplane.model.forwarding import LegState


def leg_notes(c: Compilation) -> Iterator[str]:
    """A sentence for each leg of this host's groups that is down, and one for each group whose legs are all down."""
    groups = list(groups_of(c.network, (vpc_id for vpc_id, _ in c.vpcs())))
    grouped = {leg for group in groups for leg in group.router_interfaces}
    for leg in c.verdicts.down():
        verdict = c.verdicts.of(leg)
        if leg in grouped and verdict is not None:
            back = f": `dataplane datapath leg {leg} auto` takes that back" if verdict.cause == "hand" else ""
            yield f"leg {leg} is {verdict.words}{back}"
    yield from (note for group in groups if (note := _all_down(c, group)))


def _all_down(c: Compilation, group: GroupName) -> str:
    """What a group does whose legs are down, all that the file lets forward; empty for any other."""
    forwarding = [leg for leg in group.router_interfaces if not _is_gone(c, leg)]
    if not forwarding or any(leg not in c.leg_states for leg in forwarding):
        return ""
    which = f"all legs of {group.vpc}'s {group.mode} group ({', '.join(forwarding)}) are down"
    used = [leg for leg in forwarding if c.leg_states[leg] is LegState.DOWN]
    if not used:
        return f"{which}, and its traffic is dropped: on_all_down is drop (D2)"
    if group.mode == "active_standby":
        return f"{which}: {used[0]} is used as if it were up (D2)"
    return f"{which}: {', '.join(used)} used as if up (D2)"


def _is_gone(c: Compilation, leg: str) -> bool:
    connection = c.network.router_interfaces[leg].connection
    return bool(why_not_forwarding(c.network.peering_connections[connection]))
