"""States of resources: what the configuration says, corrected by what the kernel really has."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dataplane.model.describe import describe
from dataplane.model.desired import Declared, Desired
from dataplane.model.kernel import KernelObject, Key
from dataplane.model.resource import NOWHERE, Origin, Resource
from dataplane.plan.action import Action, Verb
from dataplane.plan.planner import make_plan

MISSING = "Missing"
DEGRADED = "Degraded"


@dataclass(frozen=True, slots=True)
class ResourceState:
    """A resource, its state in the words of D7, why, and the kernel object behind it."""

    resource: Resource
    state: str
    reason: str
    kernel_object: str
    origin: Origin


def resource_states(
    desired: Desired, observed: Mapping[Key, KernelObject]
) -> tuple[tuple[ResourceState, ...], tuple[ResourceState, ...]]:
    """Every declared resource with its state, and those among them that differ from what the file asks for.

    A resource is *Missing* when none of its objects is there, *Degraded* when some are missing or differ.
    """
    faults = _faults(desired, observed)
    states = [_state(declared, faults.get(declared.resource)) for declared in desired.declared]
    named = {declared.resource for declared in desired.declared}
    states += [
        ResourceState(resource, *fault, "", _origin(desired, resource))
        for resource, fault in faults.items()
        if resource not in named
    ]
    return tuple(states), tuple(state for state in states if state.state in (MISSING, DEGRADED))


def _faults(desired: Desired, observed: Mapping[Key, KernelObject]) -> dict[Resource, tuple[str, str]]:
    """Resource -> state and reason, where an apply would have something to do for it."""
    total = Counter(wish.owner for wish in desired.wanted.values())
    by_owner: dict[Resource, list[Action]] = {}
    for action in make_plan(desired.wanted, observed).actions:
        by_owner.setdefault(_owner(action), []).append(action)
    faults: dict[Resource, tuple[str, str]] = {}
    for owner, actions in by_owner.items():
        absent = sum(action.verb is Verb.CREATE for action in actions)
        state = MISSING if absent and absent == total[owner] else DEGRADED
        faults[owner] = (state, _reason(actions))
    return faults


def _owner(action: Action) -> Resource:
    """Who asks for the object, or whose it was: what is too much counts against its VPC."""
    if action.owner is not None:
        return action.owner
    return Resource("vpc", min(action.units)) if action.units else Resource("host", "this host")


def _reason(actions: list[Action]) -> str:
    first = actions[0]
    words = {Verb.CREATE: "is missing", Verb.CHANGE: "differs", Verb.DELETE: "should not be there"}[first.verb]
    more = f" and {len(actions) - 1} more" if len(actions) > 1 else ""
    return f"{describe(first.object)} {words}{more}; `dataplane apply` mends it"


def _state(declared: Declared, fault: tuple[str, str] | None) -> ResourceState:
    state, reason = (declared.state, declared.reason) if fault is None else fault
    return ResourceState(declared.resource, state, reason, declared.kernel_object, declared.origin)


def _origin(desired: Desired, resource: Resource) -> Origin:
    return next((wish.origin for wish in desired.wanted.values() if wish.owner == resource), NOWHERE)
