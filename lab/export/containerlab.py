"""``clab.yml``: a topology as containerlab starts it, one container for each host and node.

The image (``lab/image/Dockerfile``) has the product and what nodes need. Nobody has a management network
(``network-mode: none``): nodes may call an interface ``eth0``, and there is no way from one to another but the cables.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.export.commands import Commands
from lab.surroundings import PlannedNode
from lab.topology import Topology

FILE = "clab.yml"
IMAGE = "dataplane-lab"
_WIDE = 1000

_HEAD = """\
# Written by `dataplane lab export {name} --to containerlab`: change lab.yaml, and export again.
#
#   docker build -t {image} -f lab/image/Dockerfile .        in a checkout, once
#   sudo containerlab deploy -t {file}
#   docker exec clab-{name}-{host} dataplane status
"""


def clab_text(topology: Topology, folder: Path) -> str:
    """The whole file.

    Args:
        folder: the one that the file will be in: containerlab looks for the network from there.
    """
    head = _HEAD.format(name=topology.name, image=IMAGE, file=FILE, host=topology.hosts[0])
    return head + yaml.dump(_document(topology, folder), Dumper=_Dumper, sort_keys=False, width=_WIDE)


def _document(topology: Topology, folder: Path) -> Mapping[str, Any]:
    commands = Commands(topology)
    bind = f"{os.path.relpath(topology.network, folder)}:{commands.config}:ro"
    nodes = {host: _host(commands, host, bind) for host in topology.hosts}
    nodes |= {node.id: _node(commands, node, bind) for node in topology.surroundings.nodes}
    links = [
        {"endpoints": [f"{end.place}:{end.ifname}" for end in (wire.first, wire.second)], "mtu": wire.mtu}
        for wire in commands.wires()
    ]
    kinds = {"linux": {"image": IMAGE, "network-mode": "none"}}
    about = {"kinds": kinds, "nodes": nodes}
    return {"name": topology.name, "topology": {**about, "links": links} if links else about}


def _host(commands: Commands, host: str, bind: str) -> Mapping[str, Any]:
    """The agent is the container's process, so it may look for its cards before they are plugged in; it is patient."""
    return {
        "kind": "linux",
        "cmd": f"dataplane agent {commands.config}",
        "env": {"DATAPLANE_HOST": host},
        "binds": [bind],
        **_exec([*commands.on_host(host), *commands.behind_on_host(host)]),
    }


def _node(commands: Commands, node: PlannedNode, bind: str) -> Mapping[str, Any]:
    sysctls = {name.replace("/", "."): int(value) for name, value in node.sysctls.items()}
    binds = {"binds": [bind]} if node.cpe else {}
    return {"kind": "linux", "sysctls": sysctls, **binds, **_exec(list(commands.at_node(node)))}


def _exec(lines: list[str]) -> Mapping[str, Any]:
    return {"exec": lines} if lines else {}


class _Dumper(yaml.SafeDumper):
    """As people write it: what is in a list stands to its right."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _list(dumper: _Dumper, value: list[Any]) -> yaml.Node:
    """The two ends of a cable on one line."""
    is_short = len(value) == 2 and not any("/" in str(item) or " " in str(item) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=is_short)


_Dumper.add_representer(list, _list)
