"""What another verdict on a leg changes in a desired state: places of groups, and a leg in the forwarder's state. Pure.

Owns the short way from a flip to what is to be written: traffic waits for it, and a whole compilation takes longer with
every instance of the host. Must never come to anything else than the compiler does with the same verdicts, but for what
is shown of resources, which nobody waits for: the round that follows a flip compiles everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dataplane.compile.context import Compilation
from dataplane.compile.leg import group_of, leg_states
from dataplane.config import Loaded
from dataplane.config.placement import Placement
from dataplane.model.desired import Desired, Wanted
from dataplane.model.forwarding import Forwarding, LegState
from dataplane.model.host import HostFacts
from dataplane.model.ids import Numbering
from dataplane.model.kernel import ForwarderState, KernelObject, Key
from dataplane.model.leg import LegVerdicts
from dataplane.model.program import FORWARDER_STATE_KEY


@dataclass(frozen=True, slots=True)
class Flipped:
    """A desired state with other verdicts.

    Args:
        desired: as the compiler would make it, but for what is shown of resources.
        before, after: of both, the objects of the kernel that a flip can change. The forwarder's state is not among
            them: whoever flips a leg has stored that there already.
    """

    desired: Desired
    before: Mapping[Key, KernelObject]
    after: Mapping[Key, Wanted]


def flipped(desired: Desired, loaded: Loaded, here: str, verdicts: LegVerdicts) -> Flipped:
    """A desired state with other verdicts.

    Args:
        desired: as it was compiled from ``loaded``, for the host ``here``.
        verdicts: what is said of legs from now on.
    """
    states = leg_states(loaded.network, verdicts)
    before = _places(desired, loaded, here, desired.verdicts, desired.leg_states)
    after = _places(desired, loaded, here, verdicts, states)
    wanted = {key: wish for key, wish in desired.wanted.items() if key not in before} | after
    state = wanted.get(FORWARDER_STATE_KEY)
    if state is not None and isinstance(state.object, ForwarderState):
        wanted[FORWARDER_STATE_KEY] = replace(state, object=_told(state.object, states))
    changed = replace(desired, wanted=wanted, verdicts=verdicts, leg_states=states)
    return Flipped(changed, {key: wish.object for key, wish in before.items()}, after)


def _places(
    desired: Desired, loaded: Loaded, here: str, verdicts: LegVerdicts, states: Mapping[str, LegState]
) -> dict[Key, Wanted]:
    """The places and groups of this host as some verdicts make them, with who asks for them."""
    c = Compilation(
        loaded,
        Numbering(desired.book),
        desired.addresses,
        HostFacts(),
        Placement(loaded.network, here),
        verdicts,
        states,
    )
    found: dict[Key, Wanted] = {}
    for vpc_id, vpc in c.vpcs():
        for table in vpc.route_tables.values():
            for route in table.routes:
                objects = group_of(c, vpc_id, route.next_hop)
                known = next((desired.wanted[item.key] for item in objects if item.key in desired.wanted), None)
                if known is not None:
                    found |= {item.key: _asked(desired, known, item) for item in objects}
    return found


def _asked(desired: Desired, like: Wanted, item: KernelObject) -> Wanted:
    """An object as it is asked for; one that was not there before is asked for by whoever wants its group."""
    return replace(desired.wanted.get(item.key, like), object=item)


def _told(item: ForwarderState, states: Mapping[str, LegState]) -> ForwarderState:
    """The forwarder's state with the legs as they are now; what the file says of a leg (GONE) stays."""
    forwarding: Forwarding = item.forwarding
    legs = {
        leg: state if state is LegState.GONE else states.get(forwarding.leg_names[leg], LegState.UP)
        for leg, state in forwarding.legs.items()
    }
    return ForwarderState(replace(forwarding, legs=legs))
