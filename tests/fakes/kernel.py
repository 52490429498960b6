"""An in-memory kernel that executes actions with the kernel's own manners, and fails where it is told to.

It refuses what the real one refuses (a route through a missing next hop, a second object of one key, a
blackhole among several group members) and takes along what the real one takes along (objects on a deleted
link, routes whose preferred source is deleted, secondaries of a deleted primary).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dataplane.model.flow import FlowTable
from dataplane.model.host import HostFacts
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Key,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    Rule,
    Sysctl,
    Veth,
    VlanLink,
    VxlanLink,
    link_ends,
    provides,
)
from dataplane.model.observation import Foreign, Observation
from dataplane.model.traffic import Traffic
from dataplane.plan.action import Action, Outcome, Verb

Fault = Callable[[int, Action], str | None]
"""Called with the number of the operation and its action; a text makes it fail."""


class Killed(BaseException):
    """The process dies here."""


@dataclass
class FakeKernel:
    """A host.

    Args:
        foreign: keys that somebody else's objects occupy.
        namespaces: namespaces that exist without us, to attach to.
        dropped: what the underlay filter has counted, by reason.
        counted: what the forwarder has; so ``flow_table``.
        forwarder_lacks: why there can be none.
        limits_lack: why nobody can be held to limits.
    """

    objects: dict[Key, KernelObject] = field(default_factory=dict)
    foreign: dict[Key, str] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=lambda: {""})
    fault: Fault | None = None
    operations: int = 0
    has_8021q: bool = True
    forwarder_lacks: str = ""
    limits_lack: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    counted: Traffic = field(default_factory=Traffic)
    flow_table: FlowTable | None = None
    _provided: set[Key] | None = None

    def observe(self, desired: Iterable[KernelObject] = ()) -> Observation:
        seen = {key: item for key, item in self.objects.items() if not isinstance(item, Sysctl)}
        wished = list(desired)
        for item in wished:
            if isinstance(item, Sysctl) and self._is_there(item.needs()):
                seen[item.key] = self.objects.get(item.key, Sysctl(item.namespace, item.name, "default"))
        keys = {item.key for item in wished}
        foreign = tuple(Foreign(key, text) for key, text in self.foreign.items() if key in keys)
        return Observation(seen, foreign)

    def perform(self, actions: Sequence[Action]) -> list[Outcome]:
        return [self._perform(action) for action in actions]

    def facts(self, *, has_lines: bool = True, has_forwarder: bool = True, has_limits: bool = True) -> HostFacts:
        return HostFacts(has_8021q=self.has_8021q, forwarder_lacks=self.forwarder_lacks, limits_lack=self.limits_lack)

    def line_drops(self) -> dict[str, int]:
        return {}

    def traffic(self) -> Traffic:
        return self.counted

    def flows(self) -> FlowTable | None:
        return self.flow_table

    def underlay_drops(self) -> dict[str, int]:
        return self.dropped

    def residents(self, namespaces: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
        return {}

    def nameless(self, marks: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
        return {}

    def _perform(self, action: Action) -> Outcome:
        self.operations += 1
        error = self.fault(self.operations, action) if self.fault is not None else None
        if error is not None:
            return Outcome(action, error)
        if action.object.key in self.foreign:
            return Outcome(action, self.foreign[action.object.key], is_conflict=True)
        if action.verb is Verb.DELETE:
            self._delete(action.object)
            return Outcome(action)
        return Outcome(action, self._put(action))

    def _put(self, action: Action) -> str | None:
        item = action.object
        error = self._existence(action)
        if error is None:
            error = self._refusal(item)
        if error is None:
            self._store(action)
        return error

    def _existence(self, action: Action) -> str | None:
        item = action.object
        if action.verb is Verb.CREATE and item.key in self.objects and not isinstance(item, Sysctl):
            return f"EEXIST {item.key}"
        # NLM_F_CREATE | NLM_F_REPLACE makes what is not there; only links are addressed by their index.
        if (
            action.verb is Verb.CHANGE
            and item.key not in self.objects
            and isinstance(item, Veth | VxlanLink | Namespace)
        ):
            return f"ENOENT {item.key}"
        if not isinstance(item, Rule) and not self._is_there(item.needs()):
            return f"ENODEV {item}"
        return None

    def _store(self, action: Action) -> None:
        item = action.object
        self._flush(item, self.objects.get(item.key))
        self.objects[item.key] = item
        if self._provided is not None and action.verb is Verb.CREATE:
            self._provided.update(provides(item))
        else:
            self._provided = None
        if isinstance(item, Namespace) and item.mark.startswith(("dataplane vpc/", "dataplane vbr/")):
            for rule in (Rule(item.name, 32766, 254), Rule(item.name, 32767, 253)):
                self.objects[rule.key] = rule

    def _flush(self, item: KernelObject, before: KernelObject | None) -> None:
        """What the kernel drops or resets by itself when an object changes."""
        if isinstance(item, Veth) and isinstance(before, Veth):
            for end, was in zip(item.ends, before.ends, strict=True):
                if end.mac != was.mac:
                    self._drop(Neighbour, end.namespace, end.ifname)
        if isinstance(item, VxlanLink) and isinstance(before, VxlanLink) and item.mac != before.mac:
            self._drop(Neighbour, item.namespace, item.ifname)
        if isinstance(item, Sysctl) and item.name == "net/ipv4/ip_forward" and item != before:
            for other in self._of(Sysctl):
                if other.namespace == item.namespace and other.name.endswith("/forwarding"):
                    self.objects[other.key] = replace(other, value=item.value)
                elif other.namespace == item.namespace and other.name.endswith("/all/accept_redirects"):
                    self.objects[other.key] = replace(other, value="0" if item.value == "1" else "1")

    def _drop(self, kind: type, namespace: str, ifname: str) -> None:
        for other in self._of(kind):
            if (other.namespace, other.ifname) == (namespace, ifname):
                del self.objects[other.key]

    def _refusal(self, item: KernelObject) -> str | None:
        if isinstance(item, NexthopGroup) and len(item.members) > 1:
            blackholes = [member for member, _ in item.members if self._is_blackhole(item.namespace, member)]
            if blackholes:
                return "EINVAL Blackhole nexthop can not be used in a group with more than 1 path"
        if isinstance(item, Nexthop) and item.ifname is None and self._groups_of(item):
            return "EINVAL Blackhole nexthop can not be a member of a group with more than one path"
        if isinstance(item, KernelRoute) and item.source is not None:
            local = {other.address.ip for other in self._of(Address) if other.namespace == item.namespace}
            if item.source not in local:
                return "EINVAL Invalid prefsrc address"
        return self._taken(item)

    def _taken(self, item: KernelObject) -> str | None:
        for other in self._links() if link_ends(item) else ():
            if other.key == item.key:
                continue
            lines = [(link.parent, link.vlan) for link in (item, other) if isinstance(link, VlanLink)]
            if len(lines) == 2 and lines[0] == lines[1]:
                return f"EEXIST vlan {lines[0]}"
            vnis = [link.vni for link in (item, other) if isinstance(link, VxlanLink)]
            if len(vnis) == 2 and vnis[0] == vnis[1]:
                return f"EEXIST vni {vnis[0]}"
            for namespace, ifname, ifindex in link_ends(item):
                for its_namespace, its_ifname, its_ifindex in link_ends(other):
                    if (namespace, ifname) == (its_namespace, its_ifname) or ifindex == its_ifindex:
                        return f"EEXIST {ifname}"
        return None

    def _groups_of(self, nexthop: Nexthop) -> list[NexthopGroup]:
        return [
            group
            for group in self._of(NexthopGroup)
            if group.namespace == nexthop.namespace
            and len(group.members) > 1
            and nexthop.id in [member for member, _ in group.members]
        ]

    def _is_blackhole(self, namespace: str, nexthop: int) -> bool:
        found = self.objects.get(("nexthop", namespace, nexthop))
        return isinstance(found, Nexthop) and found.ifname is None

    def _links(self) -> list[Veth | VlanLink | VxlanLink]:
        return [*self._of(Veth), *self._of(VlanLink), *self._of(VxlanLink)]

    def _of(self, kind: type) -> list:
        return [item for item in self.objects.values() if isinstance(item, kind)]

    def _is_there(self, needs: Iterable[Key]) -> bool:
        if self._provided is None:
            self._provided = {key for item in self.objects.values() for key in provides(item)}
        for need in needs:
            if need[0] == "namespace" and need[1] in self.namespaces:
                continue
            if need[0] == "link" and need[2] in (None, "lo"):
                continue
            if need not in self._provided:
                return False
        return True

    def _delete(self, item: KernelObject) -> None:
        self._provided = None
        present = self.objects.pop(item.key, None)
        if present is None:
            return
        if isinstance(present, Address):
            self._address_gone(present)
        self._take_along(set(provides(present)))
        if isinstance(present, Namespace):
            for link in self._links():
                if any(namespace == present.name for namespace, _, _ in link_ends(link)):
                    self._delete(link)

    def _address_gone(self, address: Address) -> None:
        for other in self._of(Address):
            same_place = (other.namespace, other.ifname) == (address.namespace, address.ifname)
            if same_place and other.address.network == address.address.network:
                self.objects.pop(other.key)
        place = (address.namespace, address.ifname)
        if address.ifname != "lo" and place not in {(other.namespace, other.ifname) for other in self._of(Address)}:
            self._drop(Neighbour, *place)
            self._drop(KernelRoute, *place)
        for route in self._of(KernelRoute):
            if route.namespace == address.namespace and route.source == address.address.ip:
                self.objects.pop(route.key)

    def _take_along(self, gone: set[Key]) -> None:
        self._provided = None
        while True:
            lost = [item for item in self.objects.values() if self._hangs_on(item, gone)]
            if not lost:
                return
            for item in lost:
                del self.objects[item.key]
                gone.update(provides(item))

    @staticmethod
    def _hangs_on(item: KernelObject, gone: set[Key]) -> bool:
        if isinstance(item, (Veth, VlanLink, VxlanLink)):  # A union of types would be made at each call.
            return False
        needs = item.needs()[:1] if isinstance(item, Rule) else item.needs()
        return not gone.isdisjoint(needs)
