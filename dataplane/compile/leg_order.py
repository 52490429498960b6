"""What a person asks of a leg, checked against the file: is it a leg of a group, and does a healthy one stay beside it.

Pure. Whoever asks brings the verdicts along; what follows from them is the compiler's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dataplane.compile.leg import GroupName, groups_of, leg_states
from dataplane.compile.peering import why_not_forwarding
from dataplane.config import Loaded
from dataplane.config.placement import Placement
from dataplane.errors import ConflictError, UnknownError
from dataplane.model.forwarding import LegState
from dataplane.model.leg import LegVerdict, LegVerdicts

LegWish = Literal["up", "down", "auto"]


@dataclass(frozen=True, slots=True)
class LegGroup:
    """A group of this host, and its legs with what it may do with each (``LegState``), in order of preference."""

    name: GroupName
    states: dict[str, LegState]

    @property
    def has_healthy(self) -> bool:
        """Whether a leg of it is up, and not just used for want of a better one (D2)."""
        return LegState.UP in self.states.values()

    @property
    def used(self) -> tuple[str, ...]:
        """The legs that carry its traffic."""
        for state in (LegState.UP, LegState.DOWN):
            found = [leg for leg, one in self.states.items() if one is state]
            if found:
                return tuple(found[:1] if self.name.mode == "active_standby" else found)
        return ()


def leg_groups(loaded: Loaded, here: str, verdicts: LegVerdicts) -> tuple[LegGroup, ...]:
    """The groups of this host.

    Args:
        here: the id of this host; empty where the file names no hosts.
    """
    network, placement = loaded.network, Placement(loaded.network, here)
    vpc_ids = (vpc_id for vpc_id in network.vpcs if here in placement.hosts_of_vpc(vpc_id))
    down = leg_states(network, verdicts)

    def state(leg: str) -> LegState:
        connection = network.peering_connections[network.router_interfaces[leg].connection]
        return LegState.GONE if why_not_forwarding(connection) else down.get(leg, LegState.UP)

    return tuple(
        LegGroup(name, {leg: state(leg) for leg in name.router_interfaces}) for name in groups_of(network, vpc_ids)
    )


def granted(
    loaded: Loaded, here: str, verdicts: LegVerdicts, leg: str, wish: LegWish, now: str, *, is_forced: bool = False
) -> tuple[LegVerdicts, tuple[LegGroup, ...]]:
    """The verdicts once a wish is granted, and what the groups of the leg do then.

    Args:
        now: UTC, ISO 8601.
        is_forced: also where no healthy leg is left to a group.

    Raises:
        UnknownError: no group of this host has the leg.
        ConflictError: it is a group's last healthy leg.
    """
    before = leg_groups(loaded, here, verdicts)
    unknown = why_unknown(loaded, here, leg, before)
    if unknown:
        raise UnknownError(unknown)
    said = verdicts.without(leg, "hand") if wish == "auto" else verdicts.saying(leg, LegVerdict(wish, "hand", now))
    after = leg_groups(loaded, here, said)
    last = why_last(leg, before, after) if wish == "down" and not is_forced else ""
    if last:
        raise ConflictError(last)
    return said, tuple(group for group in after if leg in group.states)


def why_unknown(loaded: Loaded, here: str, leg: str, groups: Iterable[LegGroup]) -> str:
    """Why a leg cannot be spoken of; empty where it can."""
    grouped = sorted({member for group in groups for member in group.states})
    if leg in grouped:
        return ""
    there_are = (
        f"the legs of this host's groups are {', '.join(grouped)}" if grouped else "no route here has several legs"
    )
    interface = loaded.network.router_interfaces.get(leg)
    if interface is None:
        return f"there is no router interface {leg}: {there_are}"
    if interface.vbr is not None:
        return f"{leg} belongs to vbr {interface.vbr}, whose routes have one leg each (R28): {there_are}"
    return (
        f"no group of this host has the leg {leg}, and general routing has no other way: "
        f"up or down changes nothing there (R49); {there_are}"
    )


def why_last(leg: str, before: Iterable[LegGroup], after: Iterable[LegGroup]) -> str:
    """Which groups would be left without a healthy leg by a wish; empty where each keeps one, or had none."""
    lost = [two.name for one, two in zip(before, after, strict=True) if one.has_healthy and not two.has_healthy]
    if not lost:
        return ""
    which = " and ".join(f"{name.vpc}'s {name.mode} group {'+'.join(name.router_interfaces)}" for name in lost)
    return f"{leg} is the last healthy leg of {which}; --force takes it down all the same (D2 says what happens then)"
