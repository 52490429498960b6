"""Cutting what is malformed out of a tree, so that the rest can be judged on its own.

The cut is as small as it can be without making up new errors: a route, an instance, a vSwitch; a
connection as a whole, since half of one would look like a missing end.
"""

from collections.abc import Iterable

from dataplane.config.node import Node
from dataplane.config.problem import Path
from dataplane.config.translate import Fault

ROUTER_INTERFACES = "router_interfaces"
"""First step of the paths under which cut-out router interfaces are remembered: the file has no such key."""

_SETTINGS = frozenset({"profile", "datapath", "quotas"})
_HARMLESS = frozenset({"name", "description", "mtu", "vni", "bandwidth", "flow_cap", "health_check"})
"""Keys that nothing else refers to: without them a resource still means the same to others."""
_VPC_PARTS = frozenset({"vswitches", "instances", "route_tables"})
_LISTS = frozenset({"routes", "cidrs"})


def prune(root: Node, faults: Iterable[Fault], broken: set[Path]) -> bool:
    """Cut out every fault.

    Args:
        root: the tree; it is changed.
        faults: what is wrong with it.
        broken: takes the paths that are gone, so that nothing complains about references to them.

    Returns whether anything was cut: if not, there is no use in trying again.
    """
    faults = list(faults)
    cuts = {_cut(fault) for fault in faults}
    # What a misspelt key was meant to be is not missing: nothing may complain about that.
    meant = {fault.meant for fault in faults if fault.meant}
    broken |= meant
    for path in cuts | meant:
        if path[:1] == ("peering_connections",):
            broken |= _router_interfaces(root, path)
    if () in cuts:
        # Only the version can be missing at the top, and there is one.
        cuts.discard(())
        cuts.add(("version",))
    if ("version",) in cuts:
        root.value["version"] = Node(1, root.file, root.line, root.column)
    # From the last list position on, so that cutting one item does not move the next.
    for path in sorted(cuts - {("version",)}, key=_last_position, reverse=True):
        root.remove(path)
    broken |= cuts
    return bool(cuts)


def _last_position(path: Path) -> int:
    return path[-1] if path and isinstance(path[-1], int) else -1


def _cut(fault: Fault) -> Path:
    """The smallest part of the tree that is useless with this fault."""
    path = fault.path
    if fault.is_unknown_key or len(path) <= 2:
        return path
    if path[0] in _SETTINGS:
        return path[:2]
    part = path[2]
    if path[0] == "vpcs" and part in _VPC_PARTS:
        is_route = part == "route_tables" and len(path) > 5 and path[4] == "routes"
        is_text = len(path) == 5 and path[4] in ("name", "description")
        return path[:6] if is_route else path[:5] if is_text else path[:4]
    if part in _LISTS or part == "zones":
        return path[:4]
    return path[:3] if part in _HARMLESS else path[:2]


def _router_interfaces(root: Node, path: Path) -> set[Path]:
    """What to remember of the router interfaces that go with a cut in the connections.

    Where their ids cannot be read any router interface may be meant, and the path has no second step.
    """
    connection = root.nearest(path)
    if len(path) > 2:
        return {(ROUTER_INTERFACES,)} if path[2] in ("initiator", "acceptor") else set()
    if len(path) < 2 or not isinstance(connection.value, dict):
        return {(ROUTER_INTERFACES,)}
    names = [end.child("router_interface") for key, end in connection.value.items() if key in ("initiator", "acceptor")]
    ids = [name.value for name in names if name is not None and isinstance(name.value, str)]
    return {(ROUTER_INTERFACES, name) for name in ids} | ({(ROUTER_INTERFACES,)} if len(ids) < len(names) else set())
