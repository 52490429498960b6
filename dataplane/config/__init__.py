"""The configuration: YAML to frozen, checked resources. The only place that knows YAML.

``load`` is the way in. Nothing here touches the network, the clock or the kernel. What reads a file (pydantic, PyYAML)
is imported when one is read: whoever only uses a configuration, as the agent does, is small without it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataplane.config.loaded import Loaded
from dataplane.config.network import Network
from dataplane.config.problem import InvalidConfig, Problem
from dataplane.config.source import Source

__all__ = ["InvalidConfig", "Loaded", "Network", "Problem", "Source", "load", "load_sources", "schema"]


def load(paths: Sequence[str | Path]) -> Loaded:
    """Read and check a configuration.

    Args:
        paths: files, folders (all ``*.yaml`` and ``*.yml`` in them, sorted) or ``-`` for standard input.

    Raises:
        InvalidConfig: with every error and warning that was found.
    """
    from dataplane.config import loader

    return loader.load(paths)


def load_sources(sources: Sequence[Source]) -> Loaded:
    """Check a configuration whose texts are kept elsewhere.

    Raises:
        InvalidConfig: with every error and warning that was found.
    """
    from dataplane.config import loader

    return loader.load_sources(sources)


def schema() -> dict[str, Any]:
    """The JSON Schema of one file: with every key, its description and its default."""
    from dataplane.config import json_schema

    return json_schema.schema()
