"""An id book and a memory rebuilt from what is there, for an agent that has lost its own.

Ports are recognised by the marks on their links, so that no link is made anew. Tables, legs and groups bear
no names: they get new numbers above the ones in use, and the new ones are in before the old ones go.
"""

from collections.abc import Iterable

from dataplane.compile.instance import MAIN_TABLE
from dataplane.model import names
from dataplane.model.ids import IdBook, IdKind, IdName
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Nexthop,
    NexthopGroup,
    Veth,
    VlanLink,
    VxlanLink,
    link_ends,
)
from dataplane.model.memory import Memory


def adopted_book(objects: Iterable[KernelObject]) -> IdBook:
    """The ids that observed objects use."""
    numbers: dict[IdName, int] = {}
    floor: dict[IdKind, int] = {"port": 0, "table": 0, "leg": 0, "group": 0}
    for item in objects:
        if isinstance(item, Veth | VlanLink | VxlanLink):
            numbers |= _ports(item)
            for _, _, ifindex in link_ends(item):
                floor["port"] = max(floor["port"], names.parse_port_ifindex(ifindex) or 0)
        elif isinstance(item, KernelRoute) and item.table != MAIN_TABLE:
            floor["table"] = max(floor["table"], item.table - names.TABLE_BASE)
        elif isinstance(item, Nexthop):
            group = names.parse_group_number(item.id)
            kind: IdKind = "leg" if group is None else "group"
            floor[kind] = max(floor[kind], item.id if group is None else group)
        elif isinstance(item, NexthopGroup):
            floor["group"] = max(floor["group"], names.parse_group_number(item.id) or 0)
    return IdBook(numbers, floor)


_LABELS = {"peering_connection": ("/initiator", "/acceptor"), "line": ("", "/far")}
"""Kind in the mark -> what the names of the near and the far end's ports add to the mark's path."""


def _ports(link: Veth | VlanLink | VxlanLink) -> dict[IdName, int]:
    parsed = names.parse_mark(link.mark)
    if parsed is None:
        return {}
    kind, path = parsed
    ifindexes: tuple[int | None, ...]
    if isinstance(link, VxlanLink):
        ifindexes = (link.ifindex, None)
    elif isinstance(link, VlanLink):
        ifindexes = (link.ifindex, link.far_ifindex)
    else:
        ifindexes = tuple(end.ifindex if end is not None else None for end in (link.a, link.b))
    found: dict[IdName, int] = {}
    for ifindex, label in zip(ifindexes, _LABELS.get(kind, ("", "/inside")), strict=True):
        port = names.parse_port_ifindex(ifindex) if ifindex is not None else None
        if port is not None:
            found["port", f"{kind}/{path}{label}"] = port
    return found


def adopted_memory(objects: Iterable[KernelObject]) -> Memory:
    """The addresses that instances have now; CIDRs cannot be read back."""
    objects = tuple(objects)
    inside = {
        (item.b.namespace, item.b.ifname): parsed[1]
        for item in objects
        if isinstance(item, Veth) and item.b is not None
        if (parsed := names.parse_mark(item.mark)) is not None and parsed[0] == "instance"
    }
    facts: dict[tuple[str, str, str], str] = {}
    for item in objects:
        if isinstance(item, Address) and (item.namespace, item.ifname) in inside:
            facts["instance", inside[item.namespace, item.ifname], "ip"] = str(item.address.ip)
    return Memory(facts)
