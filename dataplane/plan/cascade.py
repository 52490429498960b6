"""What goes along when something is removed or changed: objects in a deleted namespace, on a deleted link, and
what the kernel flushes or resets by itself when something else is written.

The kernel takes them away by itself, so they need no action of their own; they must not be taken for
present either, or a link that is made anew would stay without its routes.
"""

from collections.abc import Container, Mapping

from dataplane.model.desired import Wanted
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Key,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    Sysctl,
    Veth,
    VlanLink,
    VxlanLink,
    provides,
)

_FORWARDING = "net/ipv4/ip_forward"
_RESET_BY_FORWARDING = ("/forwarding", "/accept_redirects")


def without_dependents(
    observed: Mapping[Key, KernelObject],
    first: Mapping[Key, KernelObject],
    last: Mapping[Key, KernelObject],
    wanted: Container[Key],
) -> tuple[dict[Key, KernelObject], frozenset[Key]]:
    """Take doomed objects and all that goes along with them out of what was observed.

    What hangs on an object that is deleted last, and is wanted in another form (a next hop by another link), is
    changed before that: it stays, and so does what hangs on it.

    Args:
        observed: objects by key.
        first: those of them (namespaces, veths) that are deleted before anything is made.
        last: those that are deleted after everything is made.
        wanted: the keys of desired objects.

    Returns:
        What stays, and the keys of groups that stay but lose a member, which are to be written again.
    """
    staying = {key: item for key, item in observed.items() if key not in first and key not in last}
    shrunk = _take_along(staying, first, ())
    return staying, shrunk | _take_along(staying, last, wanted)


def _take_along(
    staying: dict[Key, KernelObject], doomed: Mapping[Key, KernelObject], spared: Container[Key]
) -> frozenset[Key]:
    """Drop what goes along with doomed objects. Returns the groups that lose a member."""
    if not doomed:
        return frozenset()
    gone: set[Key] = {key for item in doomed.values() for key in provides(item)}
    shrunk: set[Key] = set()
    for key, item in sorted(staying.items(), key=lambda pair: _rank(pair[1])):
        if key in spared:
            continue
        if isinstance(item, NexthopGroup):
            lost = [need for need in item.needs() if need in gone]
            if lost and len(lost) < len(item.members):
                shrunk.add(key)
                continue
        if not isinstance(item, Namespace) and _is_gone(item, gone):
            gone.update(provides(item))
            del staying[key]
    return frozenset(shrunk)


def _rank(item: KernelObject) -> int:
    """Referents before references, so that one pass is enough."""
    order = (Namespace, Veth, VlanLink, VxlanLink, Address, Nexthop, NexthopGroup)
    return order.index(type(item)) if isinstance(item, order) else len(order)


def _is_gone(item: KernelObject, gone: set[Key]) -> bool:
    if isinstance(item, Veth):
        # One end in a deleted namespace takes the other along, but later and in its own time (kernel.md,
        # section 5): the pair is deleted explicitly unless all of it goes.
        return all(end is not None and ("namespace", end.namespace) in gone for end in (item.a, item.b))
    if isinstance(item, VlanLink | VxlanLink):
        # Its VLAN is unique on the parent, its VNI on the host: a namespace that dies late must not keep it (kernel.md,
        # section 5).
        return False
    needs = item.needs()
    # A rule outlives its table's routes: it hangs on its namespace alone.
    relevant = needs[:1] if item.key[0] == "rule" else needs
    return any(need in gone for need in relevant)


def lost_by_change(wanted: Mapping[Key, Wanted], staying: Mapping[Key, KernelObject]) -> frozenset[Key]:
    """Keys of objects that are there as they should be, and will not be once the rest of the plan is performed.

    - A new MAC flushes the neighbours of its interface, permanent ones too (``neigh_changeaddr``).
    - With its last address an interface loses its neighbours and routes (``fib_disable_ip``), and with a primary one
      the secondaries of that.
    - ``ip_forward`` sets the forwarding of every interface and the opposite in ``accept_redirects``.

    They are written again; where the kernel has kept one after all, that changes nothing.
    """
    renamed, renumbered = _new_macs(wanted, staying), _lost_addresses(wanted, staying)
    reset = _switched(wanted, staying)
    if not (renamed or renumbered or reset):
        return frozenset()
    lost: set[Key] = set()
    for key, item in staying.items():
        if key not in wanted:
            continue
        is_flushed = isinstance(item, Neighbour) and not renamed.isdisjoint(item.needs())
        is_cut_off = isinstance(item, Address | Neighbour | KernelRoute) and not renumbered.isdisjoint(item.needs())
        is_reset = isinstance(item, Sysctl) and item.namespace in reset and item.name.endswith(_RESET_BY_FORWARDING)
        if is_flushed or is_cut_off or is_reset:
            lost.add(key)
    return frozenset(lost)


def _new_macs(wanted: Mapping[Key, Wanted], staying: Mapping[Key, KernelObject]) -> frozenset[Key]:
    """Link ends that keep their place and change their MAC."""
    found: set[Key] = set()
    for key, item in staying.items():
        wish = wanted.get(key)
        if isinstance(item, VxlanLink) and wish is not None and isinstance(wish.object, VxlanLink):
            if wish.object.mac != item.mac:
                found.add(("link", item.namespace, item.ifname))
        elif isinstance(item, Veth) and wish is not None and isinstance(wish.object, Veth):
            macs = {(end.namespace, end.ifname): end.mac for end in item.ends}
            found.update(
                ("link", end.namespace, end.ifname)
                for end in wish.object.ends
                if macs.get((end.namespace, end.ifname)) != end.mac
            )
    return frozenset(found)


def _lost_addresses(wanted: Mapping[Key, Wanted], staying: Mapping[Key, KernelObject]) -> frozenset[Key]:
    """Interfaces of which an address is taken away; ``lo`` always keeps one."""
    return frozenset(
        ("link", item.namespace, item.ifname)
        for key, item in staying.items()
        if isinstance(item, Address) and key not in wanted and item.ifname != "lo"
    )


def _switched(wanted: Mapping[Key, Wanted], staying: Mapping[Key, KernelObject]) -> frozenset[str]:
    """Namespaces whose forwarding is switched on or off."""
    found: set[str] = set()
    for wish in wanted.values():
        item = wish.object
        if isinstance(item, Sysctl) and item.name == _FORWARDING and staying.get(item.key) != item:
            found.add(item.namespace)
    return frozenset(found)
