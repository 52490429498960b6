"""Which unit an observed object belongs to: the VPC or VBR whose router it hangs on (P2).

Desired objects say it themselves; of observed ones it follows from the marks on namespaces and links.
"""

from collections.abc import Iterable, Mapping

from dataplane.model import names
from dataplane.model.kernel import KernelObject, Namespace, Veth

Units = frozenset[str]


def units_by_namespace(objects: Iterable[KernelObject]) -> dict[str, Units]:
    """Namespace -> its units: a router's own, an instance's router's."""
    objects = tuple(objects)
    units: dict[str, Units] = {}
    for item in objects:
        if isinstance(item, Namespace) and names.is_router_mark(item.mark):
            kind, path = names.parse_mark(item.mark) or ("", "")
            units[item.name] = frozenset([names.unit_of(kind, path)])
    for item in objects:
        if isinstance(item, Veth) and item.a is not None and item.b is not None:
            units.setdefault(item.b.namespace, units.get(item.a.namespace, frozenset()))
    return units


def units_of(item: KernelObject, by_namespace: Mapping[str, Units]) -> Units:
    """The units of an observed object; a link between two routers belongs to both."""
    if isinstance(item, Namespace):
        spots: tuple[str, ...] = (item.name,)
    elif isinstance(item, Veth):
        spots = tuple(end.namespace for end in item.ends)
    else:
        spots = (item.namespace,)
    return frozenset().union(*(by_namespace.get(spot, frozenset()) for spot in spots))
