"""Acceptance files and plans for the tests of this folder, on the two circuits of the lab."""

from pathlib import Path
from typing import Any

from dataplane.accept.language import AcceptanceFile
from dataplane.accept.model import Measure
from dataplane.accept.plan import Planner, instance_ends
from dataplane.accept.way import End
from dataplane.config.loader import load_sources
from dataplane.config.network import Network
from dataplane.config.source import Source
from lab.topology import TOPOLOGIES

CIRCUITS = (TOPOLOGIES / "standby-circuits" / "network.yaml").read_text()
SERVER, OFFICE = "172.16.1.10", "172.17.1.10"
"""Behind the active line of two, and behind both."""


def network(text: str = CIRCUITS) -> Network:
    return load_sources([Source("network.yaml", text)]).network


def planner(text: str = CIRCUITS, **options: Any) -> Planner:
    """With the instances here, and two servers of the data centre."""
    from ipaddress import IPv4Address

    known = network(text)
    ends = instance_ends(known, {}, ["ecs-1", "ecs-2", "ecs-3"])
    for id, address in (("server", SERVER), ("office", OFFICE)):
        ends[id] = End(id, IPv4Address(address))
    return Planner(known, ends, **options)


def asked(**keys: Any) -> AcceptanceFile:
    """A file with one measure."""
    spec = {"name": "line", "from": ["ecs-1", "ecs-2"], "to": "server", **keys}
    return AcceptanceFile.model_validate({"version": 1, "measures": [spec]})


def measured(kind: str, direction: str = "inbound", text: str = CIRCUITS, **keys: Any) -> Measure:
    """The one measure of a kind and direction."""
    (found,) = planner(text).measures(asked(kinds=kind, directions=direction, **keys))
    return found


def lab_file(name: str) -> Path:
    return TOPOLOGIES / name / "acceptance.yaml"
