"""Takes a failed unit back to how it was before the apply (P2): the same comparison, with the past as the wish."""

from collections.abc import Iterable, Mapping

from dataplane.model.desired import Wanted
from dataplane.model.kernel import KernelObject, Key, Veth, provides
from dataplane.model.resource import NOWHERE, Resource
from dataplane.plan.planner import Plan, make_plan
from dataplane.plan.units import units_by_namespace, units_of

_PAST = Resource("rollback", "the state before this apply")


def rollback_plan(
    wanted: Mapping[Key, Wanted],
    before: Mapping[Key, KernelObject],
    now: Mapping[Key, KernelObject],
    failed_units: Iterable[str],
) -> Plan:
    """The actions that put failed units back.

    Args:
        wanted: what the apply was to reach.
        before: what was observed before it.
        now: what is observed after it.
        failed_units: units to take back, with the connections that touch them.
    """
    failed = frozenset(failed_units)
    by_namespace = units_by_namespace((*before.values(), *now.values(), *(wish.object for wish in wanted.values())))

    def is_concerned(item: KernelObject) -> bool:
        return bool(units_of(item, by_namespace) & failed)

    past = {key: _wish(item) for key, item in before.items() if is_concerned(item) and not _is_broken(item)}
    present = {key: item for key, item in now.items() if is_concerned(item)}
    present |= _neighbours_of_links(past, present, now)
    kept = {key: _wish(item) for key, item in before.items() if key in present and key not in past}
    return make_plan(past | kept, present)


def _wish(item: KernelObject) -> Wanted:
    return Wanted(item, _PAST, NOWHERE, frozenset())


def _is_broken(item: KernelObject) -> bool:
    """A link that was found with one end only cannot be made so again."""
    return isinstance(item, Veth) and None in (item.a, item.b)


def _neighbours_of_links(
    past: Mapping[Key, Wanted], present: Mapping[Key, KernelObject], now: Mapping[Key, KernelObject]
) -> dict[Key, KernelObject]:
    """Objects of healthy units that hang on a link which is taken back, such as routes of the far VPC."""
    links = {
        key
        for item in present.values()
        if isinstance(item, Veth) and (item.key not in past or past[item.key].object != item)
        for key in provides(item)
    }
    found: dict[Key, KernelObject] = {}
    for key, item in sorted(now.items(), key=lambda pair: pair[0][0] == "route"):
        if key not in present and not isinstance(item, Veth) and links.intersection(item.needs()):
            found[key] = item
            links.update(provides(item))
    return found
