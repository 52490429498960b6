"""What maps of the forwarder there are already, and how large they have to be: for a state, and beyond what is there.

Reads the kernel's own records of pinned maps. Must never change any.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath import libbpf, limit_maps, loader
from dataplane.datapath.fib.layout import larger_of
from dataplane.datapath.fib.memory import room_of
from dataplane.datapath.forwarding_maps import Sizes
from dataplane.datapath.limit_maps import WAYS
from dataplane.model.forwarding import BUCKETS, Forwarding

NAME = "datapath"
SMALLEST = Sizes(64, 1024, 64, 16, 16, 4)


@dataclass(frozen=True, slots=True)
class Present:
    """A folder with all maps, and how large they are."""

    folder: Path
    sizes: Sizes


def find() -> Present | None:
    """What is there of this version, or of another one whose maps lie in the same way; None where there is none."""
    found = [one for one in map(_read, loader.pins_named(NAME)) if one is not None]
    current = [one for one in found if _is_current(one)]
    return next(iter(current or found), None)


def _is_current(one: Present) -> bool:
    return loader.directory(maps.spec(one.sizes)) == one.folder


def _read(folder: Path) -> Present | None:
    """A folder's maps by the kernel's own record; None where one is missing or of another shape."""
    try:
        names = set(maps.spec(SMALLEST).maps)
        infos = {name: _info(folder / name) for name in names | {path.name for path in folder.glob("dp_fib*")}}
        flows = WAYS * _info(folder / "dp_flow").max_entries if (folder / "dp_flow").exists() else 0
        infos |= {name: _info(folder / name) for name in limit_maps.specs()} if flows else {}
    except OSError:
        return None
    is_trie = "dp_fib_table" not in infos
    if not is_trie and "dp_fib_leaf" not in infos:
        return None
    room = None if is_trie else room_of(infos)
    sizes = Sizes(
        infos["dp_port"].max_entries,
        infos["dp_fib"].max_entries if is_trie else 0,
        infos["dp_nexthop"].max_entries,
        infos["dp_group"].max_entries,
        infos["dp_leg"].max_entries,
        (infos["dp_group_slot"].value_size - 8) // (8 + BUCKETS),
        flows,
        room,
    )
    for name, wanted in maps.spec(sizes).maps.items():
        if wanted.sizes != (infos[name].key_size, infos[name].value_size):
            return None
    # No map tells what else the program knows: its name does, if it is of this version.
    with_groups = Present(folder, sizes)
    return with_groups if _is_current(with_groups) else Present(folder, replace(sizes, has_groups=False))


def _info(path: Path) -> libbpf.MapInfo:
    fd = libbpf.open_pinned(path)
    try:
        return libbpf.map_info(fd)
    finally:
        os.close(fd)


def roomy(state: Forwarding) -> Sizes:
    """Room for a state and for another one beside it, since what is new comes before what is old goes."""
    least = Sizes.of(state)
    return Sizes(
        least.ports,
        _double(state.routes, least.routes) if least.fib is None else 0,
        _double(len(state.hops), least.hops),
        _double(len(state.groups), least.groups),
        least.legs,
        least.members,
        least.flows,
        least.fib,
        least.has_groups,
    )


def _double(count: int, least: int) -> int:
    return max(least, 1 << (2 * count).bit_length())


def known(state: Forwarding, present: Sizes) -> Sizes:
    """The same maps, and a program for a state. What one knows it goes on knowing, so that no change flips it."""
    return replace(present, has_groups=present.has_groups or bool(state.groups))


def grown(wanted: Sizes, present: Sizes) -> Sizes:
    """Larger than what was too small: also where that was full of what nobody has cleared away."""
    # The table of flows is the one size that a file sets, and so may be made smaller.
    larger = Sizes(
        max(wanted.ports, present.ports),
        max(wanted.routes, present.routes),
        max(wanted.hops, present.hops),
        max(wanted.groups, present.groups),
        max(wanted.legs, present.legs),
        max(wanted.members, present.members),
        wanted.flows,
        larger_of(wanted.fib, present.fib),
        wanted.has_groups,
    )
    if replace(larger, has_groups=present.has_groups) != present:
        return larger
    twice = replace(larger, routes=2 * present.routes, hops=2 * present.hops, groups=2 * present.groups)
    return replace(twice, fib=present.fib.twice if present.fib is not None else None)
