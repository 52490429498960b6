"""States of resources: what the configuration says, corrected by what the kernel really has."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dataplane.model.describe import describe, namespace_of
from dataplane.model.desired import Declared, Desired
from dataplane.model.kernel import KernelObject, Key, link_ends
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
    detail: str = ""


def resource_states(
    desired: Desired, observed: Mapping[Key, KernelObject], absent: Collection[str] = ()
) -> tuple[tuple[ResourceState, ...], tuple[ResourceState, ...]]:
    """Every declared resource with its state, and those among them that differ from what the file asks for.

    A resource is *Missing* when none of its objects is there, *Degraded* when some are missing or differ.

    Args:
        absent: namespaces that others are to bring and that are not there.
    """
    faults = _faults(desired, observed, absent)
    states = [_state(declared, faults.get(declared.resource)) for declared in desired.declared]
    named = {declared.resource for declared in desired.declared}
    states += [
        ResourceState(resource, *fault, "", _origin(desired, resource))
        for resource, fault in faults.items()
        if resource not in named
    ]
    return tuple(states), tuple(state for state in states if state.state in (MISSING, DEGRADED))


def _faults(
    desired: Desired, observed: Mapping[Key, KernelObject], absent: Collection[str]
) -> dict[Resource, tuple[str, str]]:
    """Resource -> state and reason, where an apply would have something to do for it."""
    total = Counter(wish.owner for wish in desired.wanted.values())
    by_owner: dict[Resource, list[Action]] = {}
    for action in make_plan(desired.wanted, observed).actions:
        by_owner.setdefault(_owner(action), []).append(action)
    faults: dict[Resource, tuple[str, str]] = {}
    for owner, actions in by_owner.items():
        missing = sum(action.verb is Verb.CREATE for action in actions)
        state = MISSING if missing and missing == total[owner] else DEGRADED
        faults[owner] = (state, _reason(actions, absent))
    return faults


def _owner(action: Action) -> Resource:
    """Who asks for the object, or whose it was: what is too much counts against its VPC."""
    if action.owner is not None:
        return action.owner
    if not action.units:
        return Resource("host", "this host")
    kind, slash, name = min(action.units).partition("/")
    return Resource(kind, name) if slash else Resource("vpc", kind)


def _reason(actions: list[Action], absent: Collection[str]) -> str:
    awaited = sorted({spot for action in actions for spot in _spots(action.object) if spot in absent})
    if awaited:
        return f"there is no namespace {awaited[0]} to attach to; start it, then `dataplane apply`"
    first = actions[0]
    words = {Verb.CREATE: "is missing", Verb.CHANGE: "differs", Verb.DELETE: "should not be there"}[first.verb]
    more = f" and {len(actions) - 1} more" if len(actions) > 1 else ""
    return f"{describe(first.object)} {words}{more}; `dataplane apply` mends it"


def _spots(item: KernelObject) -> tuple[str, ...]:
    """The namespaces that an object touches."""
    ends = tuple(namespace for namespace, _, _ in link_ends(item))
    return ends or (namespace_of(item),)


def _state(declared: Declared, fault: tuple[str, str] | None) -> ResourceState:
    state, reason = (declared.state, declared.reason) if fault is None else fault
    return ResourceState(declared.resource, state, reason, declared.kernel_object, declared.origin, declared.detail)


def _origin(desired: Desired, resource: Resource) -> Origin:
    return next((wish.origin for wish in desired.wanted.values() if wish.owner == resource), NOWHERE)
