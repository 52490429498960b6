"""A configuration without errors, as everybody but its reader knows it."""

from dataclasses import dataclass

from dataplane.config.network import Network
from dataplane.config.node import Node
from dataplane.config.problem import Problem
from dataplane.config.source import Source
from dataplane.model.resource import Origin


@dataclass(frozen=True)
class Loaded:
    """A configuration without errors.

    Args:
        network: the configuration itself.
        warnings: what is probably not meant.
        sources: the texts that it came from.
        sha256: fingerprint of those texts; of a single file, what ``sha256sum`` prints.
        root: the tree with the positions.
    """

    network: Network
    warnings: tuple[Problem, ...]
    sources: tuple[Source, ...]
    sha256: str
    root: Node

    def origin(self, *path: str | int) -> Origin:
        """The line that asks for a thing: of its key, or of the nearest known thing around it.

        Args:
            path: keys and list positions from the root, such as ``"vpcs", "vpc-a", "mtu"``.
        """
        return self.root.nearest(path).key_origin
