"""The configuration: YAML to frozen, checked resources. The only place that knows YAML.

``load`` is the way in. Nothing here touches the network, the clock or the kernel.
"""

from dataplane.config.json_schema import schema
from dataplane.config.loader import Loaded, load, load_sources
from dataplane.config.network import Network
from dataplane.config.problem import InvalidConfig, Problem
from dataplane.config.source import Source

__all__ = ["InvalidConfig", "Loaded", "Network", "Problem", "Source", "load", "load_sources", "schema"]
