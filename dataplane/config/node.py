"""The tree of a YAML file with the position of each value and of the key that names it.

The tree is plain: strings, whole numbers, floats, booleans, None, lists and maps with text keys. It knows
nothing of VPCs; what the values mean is the models' part.
"""

from collections.abc import Sequence
from typing import Any

from dataplane.model.resource import Origin


class Node:
    """A value at a place.

    Args:
        value: a scalar, a list of nodes, or a map from text to node.
        file: name of the source.
        line: where the value begins, from 1.
        column: where the value begins, from 1.

    ``position`` is where a list's item stands in the file, which stays true when items before it are cut out.
    """

    __slots__ = ("column", "file", "key_column", "key_line", "line", "position", "value")

    def __init__(self, value: Any, file: str, line: int, column: int) -> None:
        self.value = value
        self.file = file
        self.line = line
        self.column = column
        self.key_line = line
        self.key_column = column
        self.position = -1

    def named_at(self, line: int, column: int) -> "Node":
        """Note where the key stands that this value belongs to; lists' items have none."""
        self.key_line = line
        self.key_column = column
        return self

    @property
    def origin(self) -> Origin:
        """Where the value begins."""
        return Origin(self.file, self.line, self.column)

    @property
    def key_origin(self) -> Origin:
        """Where the key begins, or the value where it has no key."""
        return Origin(self.file, self.key_line, self.key_column)

    def child(self, step: str | int) -> "Node | None":
        """The value under a key or at a list position, or None."""
        if isinstance(self.value, dict):
            found = self.value.get(step)
            return found if isinstance(found, Node) else None
        if isinstance(self.value, list) and isinstance(step, int) and 0 <= step < len(self.value):
            item = self.value[step]
            return item if isinstance(item, Node) else None
        return None

    def nearest(self, path: Sequence[str | int]) -> "Node":
        """The deepest known node on a path."""
        node = self
        for step in path:
            below = node.child(step)
            if below is None:
                break
            node = below
        return node

    def written(self, path: Sequence[str | int]) -> tuple[str | int, ...]:
        """A path with the list positions of the file, for messages."""
        steps: list[str | int] = []
        node: Node | None = self
        for step in path:
            node = node.child(step) if node is not None else None
            steps.append(node.position if isinstance(step, int) and node is not None else step)
        return tuple(steps)

    def remove(self, path: Sequence[str | int]) -> None:
        """Take the value at a path out of the tree; nothing happens where there is none."""
        parent = self
        for step in path[:-1]:
            below = parent.child(step)
            if below is None:
                return
            parent = below
        if path and parent.child(path[-1]) is not None:
            del parent.value[path[-1]]

    def plain(self) -> Any:
        """The value without positions."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value
