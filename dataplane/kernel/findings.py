"""What is desired, arranged for looking things up while reading, and what was found.

Owns how findings of one process become another one's: what is as desired goes as its number among the wishes, since
that is nearly all of it. Must never read anything.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from dataplane.kernel.veth import LinkView
from dataplane.model.kernel import (
    Address,
    KernelObject,
    Key,
    Namespace,
    Nexthop,
    NexthopGroup,
    Rule,
    Sysctl,
    Veth,
    VlanLink,
    VxlanLink,
)


@dataclass(slots=True)
class Wanted:
    """What is desired, arranged for looking things up while reading."""

    by_key: dict[Key, KernelObject] = field(default_factory=dict)
    veths: dict[Key, Veth] = field(default_factory=dict)
    vlans: dict[Key, VlanLink] = field(default_factory=dict)
    vxlans: dict[Key, VxlanLink] = field(default_factory=dict)
    sysctls: dict[str, list[tuple[Key, Sysctl]]] = field(default_factory=lambda: defaultdict(list))
    addresses: dict[tuple[str, object], Key] = field(default_factory=dict)
    references: set[str] = field(default_factory=set)
    with_router_kinds: set[str] = field(default_factory=set)
    _keys: list[Key] = field(default_factory=list)
    _numbers: dict[Key, int] = field(default_factory=dict)

    def keys(self) -> list[Key]:
        """Of all wishes; the place of one is its number."""
        self._keys = self._keys or list(self.by_key)
        return self._keys

    def numbers(self) -> dict[Key, int]:
        """The number of each wish, by its key."""
        self._numbers = self._numbers or {key: number for number, key in enumerate(self.by_key)}
        return self._numbers

    @classmethod
    def of(cls, desired: Iterable[KernelObject]) -> "Wanted":
        wanted = cls()
        for item in desired:
            key = item.key
            wanted.by_key[key] = item
            match item:
                case Veth():
                    wanted.veths[key] = item
                    wanted.references.update(end.namespace for end in item.ends)
                case VlanLink():
                    wanted.vlans[key] = item
                    wanted.references.add(item.namespace)
                case VxlanLink():
                    wanted.vxlans[key] = item
                    wanted.references.add(item.namespace)
                case Sysctl():
                    wanted.sysctls[item.namespace].append((key, item))
                    wanted.references.add(item.namespace)
                case Namespace():
                    pass
                case _:
                    wanted.references.add(item.namespace)
                    if isinstance(item, Address):
                        wanted.addresses[item.namespace, item.address.ip] = key
                    if isinstance(item, (Rule, Nexthop, NexthopGroup)):
                        wanted.with_router_kinds.add(item.namespace)
        return wanted


@dataclass(slots=True)
class Findings:
    """What was found in some namespaces.

    Args:
        objects: those of ours.
        foreign: what others have put in our way, in words.
        view: the links.
        home_numbers: namespace -> the number that it has for the one that we came from, where VXLAN links ask.
    """

    objects: dict[Key, KernelObject] = field(default_factory=dict)
    foreign: dict[Key, str] = field(default_factory=dict)
    view: LinkView = field(default_factory=LinkView)
    home_numbers: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Findings") -> None:
        """Those of other namespaces, which come after the ones that are here."""
        self.objects |= other.objects
        self.foreign |= other.foreign
        self.home_numbers |= other.home_numbers
        self.view.links += other.view.links
        self.view.our_namespaces |= other.view.our_namespaces
        self.view.routers |= other.view.routers

    def packed(self, wanted: Wanted) -> "Packed":
        """For the other process, which has the same wishes."""
        wishes, numbers = wanted.by_key, wanted.numbers()
        entries = [numbers[key] if wishes.get(key) is item else item for key, item in self.objects.items()]
        return entries, self.foreign, self.view, self.home_numbers

    @classmethod
    def unpacked(cls, packed: "Packed", wanted: Wanted) -> "Findings":
        """What the other process has found."""
        entries, foreign, view, home_numbers = packed
        wishes, keys = wanted.by_key, wanted.keys()
        objects: dict[Key, KernelObject] = {}
        for entry in entries:
            if isinstance(entry, int):
                objects[keys[entry]] = wishes[keys[entry]]
            else:
                objects[entry.key] = entry
        return cls(objects, foreign, view, home_numbers)


Packed = tuple[list[int | KernelObject], dict[Key, str], LinkView, dict[str, int]]
"""Findings on their way to another process."""
