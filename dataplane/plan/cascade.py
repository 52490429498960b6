"""What goes along when something is removed: objects in a deleted namespace, objects on a deleted link.

The kernel takes them away by itself, so they need no action of their own; they must not be taken for
present either, or a link that is made anew would stay without its routes.
"""

from collections.abc import Mapping

from dataplane.model.kernel import KernelObject, Key, Namespace, Nexthop, NexthopGroup, Veth, provides


def without_dependents(
    observed: Mapping[Key, KernelObject], doomed: Mapping[Key, KernelObject]
) -> tuple[dict[Key, KernelObject], frozenset[Key]]:
    """Take doomed objects and all that goes along with them out of what was observed.

    Args:
        observed: objects by key.
        doomed: those of them that will be deleted (namespaces, veths).

    Returns:
        What stays, and the keys of groups that stay but lose a member, which are to be written again.
    """
    gone: set[Key] = {key for item in doomed.values() for key in provides(item)}
    shrunk: set[Key] = set()
    staying = {key: item for key, item in observed.items() if key not in doomed}
    for key, item in sorted(staying.items(), key=lambda pair: _rank(pair[1])):
        if isinstance(item, NexthopGroup):
            lost = [need for need in item.needs() if need in gone]
            if lost and len(lost) < len(item.members):
                shrunk.add(key)
                continue
        if not isinstance(item, Namespace) and _is_gone(item, gone):
            gone.update(provides(item))
            del staying[key]
    return staying, frozenset(shrunk)


def _rank(item: KernelObject) -> int:
    """Referents before references, so that one pass is enough."""
    order = (Namespace, Veth, Nexthop, NexthopGroup)
    return order.index(type(item)) if isinstance(item, order) else len(order)


def _is_gone(item: KernelObject, gone: set[Key]) -> bool:
    if isinstance(item, Veth):
        # One end in a deleted namespace takes the other along, but later and in its own time (kernel.md,
        # section 5): the pair is deleted explicitly unless all of it goes.
        return all(end is not None and ("namespace", end.namespace) in gone for end in (item.a, item.b))
    needs = item.needs()
    # A rule outlives its table's routes: it hangs on its namespace alone.
    relevant = needs[:1] if item.key[0] == "rule" else needs
    return any(need in gone for need in relevant)
