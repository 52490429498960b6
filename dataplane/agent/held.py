"""A round's wishes without what will not be made this time: the forwarder goes the ways that are left meanwhile.

Pure. Without it every round would first tell the forwarder of everything that is asked for, and then take back what is
not there: two writes a round, for as long as a foreign object stands in the way.
"""

from collections.abc import Container, Mapping

from dataplane.compile.forwarder import following
from dataplane.model.desired import Desired, Wanted
from dataplane.model.kernel import FarEnd, ForwarderState, KernelObject, Key, PortProgram, provides
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.plan.action import Verb
from dataplane.plan.planner import Plan

FORWARDER = (ForwarderState, PortProgram, FarEnd)
"""The kinds of objects that follow all the others."""


def wanted_without(
    desired: Desired, observed: Mapping[Key, KernelObject], plan: Plan, lacking: Container[Key]
) -> Mapping[Key, Wanted]:
    """The wishes of a desired state, with a forwarder that is asked only for what will be there.

    Args:
        plan: from the observed to the desired state.
        lacking: keys of objects that are left alone this time, or are expected to fail; so is what needs them.

    Returns:
        The desired state's own wishes, the very object, where nothing is different.
    """
    if FORWARDER_STATE_KEY not in desired.wanted or FORWARDER_STATE_KEY in lacking:
        return desired.wanted
    missing = _with_dependents(plan, lacking)
    if not missing:
        return desired.wanted
    there = {key: wish.object for key, wish in desired.wanted.items() if key not in missing}
    there |= {key: item for key, item in observed.items() if key in missing}
    wanted = {key: wish for key, wish in desired.wanted.items() if not isinstance(wish.object, FORWARDER)}
    return wanted | following(desired, there)


def _with_dependents(plan: Plan, lacking: Container[Key]) -> set[Key]:
    """What the plan makes or changes, and will not be there; references come behind what they refer to."""
    missing: set[Key] = set()
    for action in plan.actions:
        if action.verb is Verb.DELETE:
            continue
        if action.object.key in lacking or any(need in missing for need in action.object.needs()):
            missing.update(provides(action.object))
    return missing
