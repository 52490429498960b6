"""What has to be written into the forwarder's maps to get from what they hold to a state, and in which order.

Pure: bytes in, bytes out. Packets meet the maps at every moment in between, so that

- a next hop and a group (more than the 8 bytes that the kernel stores at once) are never overwritten while anything
  leads to them: what differs gets a free slot, and then one number is stored that leads there;
- what is led to is written before what leads to it, and routes are removed after all others are in.

Which slot a next hop has is known from the maps alone; a slot is free when no route and no member leads to it.
"""

import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath.fib import change as routing
from dataplane.datapath.fib.kept import Kept
from dataplane.datapath.forwarding_maps import Entries, Sizes
from dataplane.model.forwarding import Forwarding, Group, Leaf, LeafKind, LegState, Member, Table

_U32 = struct.Struct("=I")
_WORDS = {
    "dp_leg": "leg",
    "dp_nexthop": "next hop",
    "dp_group": "group",
    "dp_fib": "route",
    "dp_fib_table": "route table",
    "dp_port": "port",
    "dp_limit": "limit",
}


_BADNESS: Mapping[int, int] = {LegState.UP: 0, LegState.DOWN: 1, LegState.DROPPED: 2, LegState.GONE: 2}
"""How much less traffic a leg gets; what is no state at all is never used (``group_select``)."""


class NoRoomError(Exception):
    """A map is too small for what it holds together with what is to come."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is in the maps.

    Args:
        legs: one byte for each leg id.
        hops: values by slot.
        slots: group id -> slot; 0: none.
        groups: values by slot.
        routes: key -> value.
        ports: values by port id.
        limits: values by leg; none where nothing of limits is compiled in.
        fib: what a multibit FIB holds; then there are no ``routes``.
    """

    legs: bytes
    hops: tuple[bytes, ...]
    slots: tuple[int, ...]
    groups: tuple[bytes, ...]
    routes: Mapping[bytes, bytes]
    ports: tuple[bytes, ...]
    limits: tuple[bytes, ...] = ()
    fib: routing.Content | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Writes, in the order of its fields and of their items.

    Args:
        writes: maps and their entries.
        deletions: keys of routes.
        is_replacing: what led to a slot leads elsewhere then: the slot is free once no packet is on its way any more.
        fib: writes of a multibit FIB, in the place of those of ``dp_fib``.
    """

    writes: tuple[tuple[str, Entries], ...]
    deletions: tuple[bytes, ...] = ()
    is_replacing: bool = False
    fib: routing.Change = field(default_factory=routing.Change)

    @property
    def is_empty(self) -> bool:
        return self.fib.is_empty and not self.deletions and not any(entries.count for _, entries in self.writes)

    @property
    def is_loss(self) -> bool:
        """Whether nothing is written but legs that go."""
        return (
            self.fib.is_empty
            and not self.deletions
            and [bool(entries.count) for _, entries in self.writes] == [place == 0 for place in range(len(self.writes))]
        )

    @property
    def words(self) -> tuple[str, ...]:
        """What differs, for people: ``3 routes``."""
        counts = dict.fromkeys(_WORDS, 0)
        for name, entries in self.writes:
            if name in counts:
                counts[name] += entries.count
        counts["dp_fib"] += len(self.deletions)
        counts["dp_fib_table"] = len(self.fib.changed)
        return tuple(f"{count:,} {_WORDS[name]}{'' if count == 1 else 's'}" for name, count in counts.items() if count)


def update(state: Forwarding, sizes: Sizes, content: Content, kept: Kept | None = None) -> Update:
    """What leads from a content to a state.

    Args:
        kept: what was computed of a multibit FIB the last time.

    Raises:
        NoRoomError: a map is too small.
    """
    _check_ids(state, sizes)
    slot_of = _place_hops(_rows(_entries_of_hops(state, sizes)), content)
    placed = _with_slots(replace(state, tables={}) if sizes.fib is not None else state, slot_of)
    wanted = {name: _rows(entries) for name, entries in maps.entries(placed, sizes).items()}
    slots, groups = _place_groups(wanted["dp_group_slot"], content)
    hops = {key: value for key, value in wanted["dp_nexthop"].items() if content.hops[_int(key)] != value}
    routes = {key: value for key, value in wanted["dp_fib"].items() if content.routes.get(key) != value}
    if len(content.routes.keys() | wanted["dp_fib"].keys()) > sizes.routes:
        raise NoRoomError("dp_fib")
    gone = tuple(key for key in content.routes if key not in wanted["dp_fib"])
    lost, found = _legs(state, content)
    tables = _fib(state, sizes, content, slot_of, kept)
    writes = (
        ("dp_leg", lost),
        ("dp_nexthop", hops),
        ("dp_group_slot", groups),
        ("dp_group", slots),
        # A leg that comes back: its groups lead to its next hop only now, and before that to a blackhole.
        ("dp_leg", found),
        ("dp_fib", routes),
        ("dp_port", _changed(wanted["dp_port"], content.ports)),
        # Each number of a limit is right alone: a flow meets the old rate or the new one.
        ("dp_limit", _changed(wanted.get("dp_limit", {}), content.limits)),
    )
    is_replacing = bool(gone or slots) or any(key in content.routes for key in routes)
    return Update(tuple((name, _entries(rows)) for name, rows in writes), gone, is_replacing, tables)


def _check_ids(state: Forwarding, sizes: Sizes) -> None:
    """Whether every number has a place."""
    members = max((len(group.members) for group in state.groups.values()), default=0)
    highest = (
        (max(state.ports, default=0), sizes.ports),
        (max(state.legs, default=0), sizes.legs),
        (max(state.groups, default=0), sizes.groups),
        (members - 1, sizes.members),
    )
    if any(number >= room for number, room in highest):
        raise NoRoomError("dp_port, dp_leg or dp_group")
    if state.limits and maps.Sizes.of(state).flows != sizes.flows:
        raise NoRoomError("dp_flow")


def _fib(
    state: Forwarding, sizes: Sizes, content: Content, slot_of: Mapping[int, int], kept: Kept | None
) -> routing.Change:
    """The writes of a multibit FIB."""
    if sizes.fib is None or content.fib is None:
        return routing.Change()
    try:
        return routing.change(state.tables, lambda leaf: _leaf(leaf, slot_of).number, sizes.fib, content.fib, kept)
    except routing.NoRoomError as error:
        raise NoRoomError(str(error)) from None


def _entries_of_hops(state: Forwarding, sizes: Sizes) -> Entries:
    return maps.entries(replace(state, ports={}, tables={}, groups={}, legs={}), sizes)["dp_nexthop"]


def _with_slots(state: Forwarding, slot_of: Mapping[int, int]) -> Forwarding:
    """The state with each next hop's slot in the place of its id."""
    hops = {slot_of[hop.id]: replace(hop, id=slot_of[hop.id]) for hop in state.hops.values()}
    groups = {number: _group(group, slot_of) for number, group in state.groups.items()}
    tables = {number: _table(table, slot_of) for number, table in state.tables.items()}
    return replace(state, hops=hops, groups=groups, tables=tables)


def _group(group: Group, slot_of: Mapping[int, int]) -> Group:
    members = tuple(Member(slot_of[member.hop], member.leg, member.weight) for member in group.members)
    return replace(group, members=members)


def _table(table: Table, slot_of: Mapping[int, int]) -> Table:
    return replace(table, routes={prefix: _leaf(leaf, slot_of) for prefix, leaf in table.routes.items()})


def _leaf(leaf: Leaf, slot_of: Mapping[int, int]) -> Leaf:
    return Leaf(leaf.kind, slot_of[leaf.value]) if leaf.kind is LeafKind.HOP else leaf


def _place_hops(wanted: Mapping[bytes, bytes], content: Content) -> dict[int, int]:
    """Id -> slot: the one that has this content already, else its own number where that is free, else any free one."""
    used = _hops_in_use(content)
    slots: dict[bytes, int] = {}
    for slot in sorted(range(1, len(content.hops)), key=lambda slot: (slot not in used, slot)):
        slots.setdefault(content.hops[slot], slot)
    values = set(wanted.values())
    free = set(range(1, len(content.hops))) - used - {slot for value, slot in slots.items() if value in values}
    for key, value in wanted.items():
        if value not in slots:
            if not free:
                raise NoRoomError("dp_nexthop")
            slots[value] = _int(key) if _int(key) in free else min(free)
            free.remove(slots[value])
    return {_int(key): slots[value] for key, value in wanted.items()}


def _hops_in_use(content: Content) -> set[int]:
    """The slots of next hops that a packet could be led to."""
    numbers = [_int(value) for value in content.routes.values()]
    if content.fib is not None:
        numbers += [*content.fib.leaves, *(value >> 32 for value in content.fib.tables)]
    leaves = map(Leaf.of, numbers)
    used = {leaf.value for leaf in leaves if leaf is not None and leaf.kind is LeafKind.HOP}
    for slot in set(content.slots) - {0}:
        used |= _members(content.groups[slot])
    return used


def _members(group: bytes) -> set[int]:
    """The slots of a group's next hops: pairs of slot and leg behind two numbers, the first of which counts them."""
    (count,) = _U32.unpack_from(group)
    return {_U32.unpack_from(group, 8 + 8 * member)[0] for member in range(count)}


def _place_groups(wanted: Mapping[bytes, bytes], content: Content) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """For groups by id: the slots to store, and the contents to put into free slots before."""
    free = sorted(set(range(1, len(content.groups))) - set(content.slots), reverse=True)
    slots: dict[bytes, bytes] = {}
    groups: dict[bytes, bytes] = {}
    for key, value in wanted.items():
        present = content.slots[_int(key)]
        if present and content.groups[present] == value:
            continue
        if not free:
            raise NoRoomError("dp_group_slot")
        slot = _bytes(free.pop())
        slots[key] = slot
        groups[slot] = value
    for group, slot_number in enumerate(content.slots):
        if slot_number and _bytes(group) not in wanted:
            slots[_bytes(group)] = _bytes(0)
    return slots, groups


def _legs(state: Forwarding, content: Content) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """The legs that get worse, and those that get better: traffic leaves the first at once, and comes to the others
    once all that leads to them is in.

    The map follows the state, whose legs are the verdicts that are remembered: so they stay as they are while nobody
    probes (D3).
    """
    lost: dict[bytes, bytes] = {}
    found: dict[bytes, bytes] = {}
    for leg, present in enumerate(content.legs):
        wanted = state.legs.get(leg, LegState.UP)
        # Who writes this may not know yet what the prober has just stored: it takes a leg away, and never gives one.
        is_news = leg in state.probed and wanted is LegState.UP and present in (LegState.DOWN, LegState.DROPPED)
        if wanted != present and not is_news:
            is_lost = _BADNESS[wanted] > _BADNESS.get(present, _BADNESS[LegState.GONE])
            (lost if is_lost else found)[_bytes(leg)] = bytes([wanted])
    return lost, found


def _changed(wanted: Mapping[bytes, bytes], values: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Ports or limits that differ, and those that nobody has any more."""
    present = {_bytes(number): value for number, value in enumerate(values)}
    changed = {key: value for key, value in wanted.items() if present[key] != value}
    gone = {key: bytes(len(value)) for key, value in present.items() if any(value) and key not in wanted}
    return changed | gone


def _int(value: bytes) -> int:
    return int.from_bytes(value, sys.byteorder)


def _bytes(value: int) -> bytes:
    return _U32.pack(value)


def _rows(entries: Entries) -> dict[bytes, bytes]:
    """Key -> value."""
    if not entries.count:
        return {}
    key_bytes, value_bytes = len(entries.keys) // entries.count, len(entries.values) // entries.count
    return {
        entries.keys[number * key_bytes : (number + 1) * key_bytes]: entries.values[
            number * value_bytes : (number + 1) * value_bytes
        ]
        for number in range(entries.count)
    }


def _entries(rows: Mapping[bytes, bytes]) -> Entries:
    return Entries(len(rows), b"".join(rows), b"".join(rows.values()))
