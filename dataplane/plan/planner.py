"""Compares desired and observed state: what to create, change and delete, in which order.

Pure: the same two states give the same plan, and equal states give an empty one.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from dataplane.model import names
from dataplane.model.desired import Wanted
from dataplane.model.kernel import (
    Address,
    DeviceQueues,
    KernelObject,
    Key,
    Namespace,
    Rule,
    Sysctl,
    Veth,
    VlanLink,
    VxlanLink,
    born_with,
    link_ends,
    provides,
)
from dataplane.model.resource import Resource
from dataplane.plan.action import Action, Verb
from dataplane.plan.cascade import lost_by_change, without_dependents
from dataplane.plan.stage import Stage, stage_of
from dataplane.plan.units import Units, units_by_namespace, units_of

Link = Veth | VlanLink | VxlanLink


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered differences.

    Args:
        stages: stage -> its actions, in the order of stages; no empty ones.
    """

    stages: Mapping[Stage, tuple[Action, ...]]

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions in order."""
        return tuple(action for actions in self.stages.values() for action in actions)


def make_plan(wanted: Mapping[Key, Wanted], observed: Mapping[Key, KernelObject]) -> Plan:
    """The actions that lead from what was observed to what is wanted."""
    # What was seen as it is desired is the desired object itself, so that this looks at no object twice.
    if len(wanted) == len(observed) and observed == {key: wish.object for key, wish in wanted.items()}:
        return Plan({})
    doomed = _doomed(wanted, observed)
    places = _Places.of(wanted)
    first = _first(doomed, places, wanted)
    last = {key: item for key, item in doomed.items() if key not in first}
    staying, shrunk = without_dependents(observed, first, last, wanted)
    by_namespace = units_by_namespace((*observed.values(), *(wish.object for wish in wanted.values())))
    actions = list(_makings(wanted, staying, shrunk | lost_by_change(wanted, staying)))
    actions += _deletions(wanted, staying, doomed, by_namespace)
    links = {key for item in staying.values() if isinstance(item, Link) for key in provides(item)}
    stages: dict[Stage, list[Action]] = {stage: [] for stage in Stage}
    for action in actions:
        item = action.object
        is_in_the_way = action.verb is Verb.DELETE and (item.key in first or places.are_blocked_by(item))
        stages[Stage.CLEAR if is_in_the_way else _stage(action, links)].append(action)
    return Plan({stage: tuple(actions) for stage, actions in stages.items() if actions})


def _stage(action: Action, links: Container[Key]) -> Stage:
    """The stage of an action. The rule of a port that only comes or goes is made before it and removed after it."""
    item = action.object
    if isinstance(item, Rule) and item.iif not in (None, "lo") and ("link", item.namespace, item.iif) not in links:
        return Stage.PORT_RULE_REMOVAL if action.verb is Verb.DELETE else Stage.PORT_RULE
    return stage_of(action)


def _doomed(wanted: Mapping[Key, Wanted], observed: Mapping[Key, KernelObject]) -> dict[Key, KernelObject]:
    """The namespaces and links that must go, and the links of such namespaces that must not die in their time."""
    doomed = {key: item for key, item in observed.items() if _must_go(item, wanted.get(key))}
    going = {item.name for item in doomed.values() if isinstance(item, Namespace)}
    inside = {
        key: item
        for key, item in observed.items()
        if isinstance(item, VlanLink | VxlanLink) and item.namespace in going
    }
    return doomed | inside


def _first(doomed: Mapping[Key, KernelObject], places: "_Places", wanted: Container[Key]) -> dict[Key, KernelObject]:
    """What of the doomed is deleted before anything is made: what is in the way, and the links that it would keep.

    A link that is made anew is in its own way, wherever it stood: there are not to be two of one mark.
    """
    blocking = {
        key: item
        for key, item in doomed.items()
        if places.are_blocked_by(item) or (isinstance(item, Link) and key in wanted)
    }
    cleared = {item.name for item in blocking.values() if isinstance(item, Namespace)}
    kept = {
        key: item
        for key, item in doomed.items()
        if isinstance(item, VlanLink | VxlanLink) and item.namespace in cleared
    }
    return blocking | kept


def _must_go(item: KernelObject, wish: Wanted | None) -> bool:
    """Whether a namespace or a link is unwanted, or differs in what can only be had by making it anew."""
    if isinstance(item, Namespace):
        return wish is None or wish.object != replace(item, up=True)
    if isinstance(item, Veth):
        return wish is None or not isinstance(wish.object, Veth) or _shape(wish.object) != _shape(item)
    if isinstance(item, VlanLink):
        return wish is None or not isinstance(wish.object, VlanLink) or _line(wish.object) != _line(item)
    if isinstance(item, VxlanLink):
        return wish is None or not isinstance(wish.object, VxlanLink) or _tunnel(wish.object) != _tunnel(item)
    return False


def _line(link: VlanLink) -> VlanLink:
    """What of a VLAN link can only be had by making it anew."""
    return replace(link, follows_parent=True, up=True)


def _tunnel(link: VxlanLink) -> VxlanLink:
    """What of a VXLAN link can only be had by making it anew."""
    return replace(link, mac="", mtu=0, up=True)


def _shape(veth: Veth) -> tuple[tuple[str, str, int] | None, ...]:
    return tuple(None if end is None else (end.namespace, end.ifname, end.ifindex) for end in (veth.a, veth.b))


def _makings(
    wanted: Mapping[Key, Wanted], staying: Mapping[Key, KernelObject], lost: frozenset[Key]
) -> Iterable[Action]:
    for key, wish in wanted.items():
        before = staying.get(key)
        if before is not None and key not in lost and is_satisfied(wish.object, before):
            continue
        verb = Verb.CREATE if before is None else Verb.CHANGE
        yield Action(verb, wish.object, before, wish.owner, wish.origin, wish.units)
        if verb is Verb.CREATE:
            for rule in born_with(wish.object):
                yield Action(Verb.DELETE, rule, None, wish.owner, wish.origin, wish.units)


def is_satisfied(desired: KernelObject, observed: KernelObject) -> bool:
    """Whether an observed object is as desired; thresholds may be higher."""
    if isinstance(desired, Sysctl) and isinstance(observed, Sysctl):
        if desired.at_least and observed.value.isdigit():
            return int(observed.value) >= int(desired.value)
        return desired.value == observed.value
    return desired == observed


def _deletions(
    wanted: Mapping[Key, Wanted],
    staying: Mapping[Key, KernelObject],
    doomed: Mapping[Key, KernelObject],
    by_namespace: Mapping[str, Units],
) -> Iterable[Action]:
    deleted = {item.name for item in doomed.values() if isinstance(item, Namespace)}
    unwanted = {key: item for key, item in staying.items() if key not in wanted}
    # A namespace last: one that dies late would keep the VNI or the VLAN of a link in it.
    ordered = sorted(doomed.values(), key=lambda item: isinstance(item, Namespace))
    for item in (*ordered, *unwanted.values()):
        if isinstance(item, Sysctl | DeviceQueues):
            continue
        if isinstance(item, Veth) and all(end is not None and end.namespace in deleted for end in (item.a, item.b)):
            continue  # Goes with its namespaces; one by one would cost 20 ms each.
        yield Action(Verb.DELETE, item, owner=_owner(item), units=units_of(item, by_namespace))


def _owner(item: KernelObject) -> Resource | None:
    parsed = names.parse_mark(item.mark) if isinstance(item, Namespace | Link) else None
    return Resource(*parsed) if parsed else None


@dataclass(frozen=True, slots=True)
class _Places:
    """What will be made, by the places that it takes.

    Args:
        namespaces: names of wanted namespaces.
        links: (namespace, interface) of wanted link ends.
        ifindexes: of wanted link ends.
        lines: (device, VLAN) of wanted VLAN links.
        vnis: of wanted VXLAN links, each once on a host.
        addressed: (namespace, interface) of interfaces with a wanted address, except ``lo``.
    """

    namespaces: frozenset[str]
    links: frozenset[tuple[str, str]]
    ifindexes: frozenset[int]
    lines: frozenset[tuple[str, int]]
    vnis: frozenset[int]
    addressed: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, wanted: Mapping[Key, Wanted]) -> "_Places":
        objects = [wish.object for wish in wanted.values()]
        ends = [end for item in objects for end in link_ends(item)]
        addresses = [item for item in objects if isinstance(item, Address)]
        return cls(
            frozenset(item.name for item in objects if isinstance(item, Namespace)),
            frozenset((namespace, ifname) for namespace, ifname, _ in ends),
            frozenset(ifindex for _, _, ifindex in ends),
            frozenset((item.parent, item.vlan) for item in objects if isinstance(item, VlanLink)),
            frozenset(item.vni for item in objects if isinstance(item, VxlanLink)),
            frozenset((item.namespace, item.ifname) for item in addresses if item.ifname != "lo"),
        )

    def are_blocked_by(self, item: KernelObject) -> bool:
        """Whether something must be deleted before anything is made in its place."""
        if isinstance(item, Namespace):
            return item.name in self.namespaces
        if isinstance(item, VlanLink) and (item.parent, item.vlan) in self.lines:
            return True
        if isinstance(item, VxlanLink) and item.vni in self.vnis:
            return True
        if isinstance(item, Link):
            ends = link_ends(item)
            return any((namespace, name) in self.links or index in self.ifindexes for namespace, name, index in ends)
        # A new address would be a secondary of the old one, and deleting a primary takes its secondaries along.
        return isinstance(item, Address) and (item.namespace, item.ifname) in self.addressed
