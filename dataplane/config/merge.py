"""Several trees to one: the maps of resources merge by id (design, section 3).

An id belongs to one file. Only a peering connection may come from two, each account writing its own end;
what both files say besides must be equal, and so must the version, the profile and the like.
"""

from collections.abc import Sequence
from typing import Any

from dataplane.config.node import Node
from dataplane.config.problem import Problem, path_text, shown

CONNECTIONS = "peering_connections"
SINGLE_KEYS = frozenset({"version", "profile", "datapath", "quotas"})
"""Keys of the top level that are no map of resources: in one file only, or equal."""


def merge(roots: Sequence[Node], problems: list[Problem]) -> Node:
    """One tree with the resources of all.

    Args:
        roots: the trees, each with a map at its top; at least one.
        problems: takes what two files say differently; the first one counts.
    """
    merged = Node({}, roots[0].file, roots[0].line, roots[0].column)
    for root in roots:
        for key, node in root.value.items():
            _add(merged.value, key, node, (key,), problems)
    return merged


def _add(entries: dict[str, Node], key: str, node: Node, path: tuple[str, ...], problems: list[Problem]) -> None:
    """Put a top-level key, an id or a part of a connection beside what other files said."""
    before = entries.get(key)
    if before is None:
        entries[key] = _copy(node)
    elif _comes_from_several(path):
        _merge_maps(before, node, path, problems)
    elif before.plain() != node.plain() or _has_one_author(path):
        problems.append(_twice(before, node, path))


def _comes_from_several(path: tuple[str, ...]) -> bool:
    """Whether a map is put together from what several files say."""
    return path[0] not in SINGLE_KEYS and (len(path) == 1 or path[0] == CONNECTIONS) and len(path) < 3


def _has_one_author(path: tuple[str, ...]) -> bool:
    """Whether two files may not even say the same."""
    return path[0] not in SINGLE_KEYS and (len(path) == 2 or path[-1] in ("initiator", "acceptor"))


def _merge_maps(before: Node, node: Node, path: tuple[str, ...], problems: list[Problem]) -> None:
    if node.value is None:
        return
    if before.value is None:
        before.value = {}
    if isinstance(before.value, dict) and isinstance(node.value, dict):
        for key, child in node.value.items():
            _add(before.value, key, child, (*path, key), problems)
    else:
        problems.append(_twice(before, node, path))


def _copy(node: Node) -> Node:
    """A copy of a map and the maps in it, so that merging leaves the files' own trees as they are."""
    if not isinstance(node.value, dict):
        return node
    value: dict[str, Any] = {key: _copy(child) for key, child in node.value.items()}
    return Node(value, node.file, node.line, node.column).named_at(node.key_line, node.key_column)


def _twice(before: Node, node: Node, path: tuple[str, ...]) -> Problem:
    message = f"`{shown(path[-1])}` stands here and at {before.key_origin}"
    remedy = "keep one of them"
    if path[-1] in ("initiator", "acceptor"):
        remedy = "let each account write its own end"
    elif path[0] in SINGLE_KEYS:
        remedy = "write it in one file only, or alike in both"
    return Problem("error", node.key_origin, path_text(path), message, None, remedy)
